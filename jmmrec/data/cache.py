"""A folder of results that are costly to compute and depend on nothing but their inputs: neighbours, co-occurrences.

Each result is one file, `<name>-<digest>.npz`; the digest covers every input and the version of the algorithm, so a
file never goes stale and may be deleted at any time. The folder is `$JMMREC_CACHE`, else `jmmrec` in the user's cache
folder; `JMMREC_CACHE=off` computes everything anew. A cache that cannot be read or written costs one sentence on
stderr and the time to compute, nothing else.
"""

import contextlib
import hashlib
import os
import sys
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

VARIABLE = "JMMREC_CACHE"
DAMAGED = (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


def cached(
    name: str, version: int, inputs: Sequence[np.ndarray | str | float], compute: Callable[[], Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """What `compute()` returns, from the cache where it has been computed before.

    Args:
      name: of the kind of result, the beginning of the file's name. version: of the algorithm; raise it whenever
        `compute` may return anything else for the same inputs.
      inputs: everything that the result depends on. compute: named arrays, no Python objects.

    >>> import tempfile
    >>> from unittest import mock
    >>> with tempfile.TemporaryDirectory() as place, mock.patch.dict(os.environ, {VARIABLE: place}):
    ...     first = cached("doubled", 1, [np.arange(2), 2.0], lambda: {"x": 2.0 * np.arange(2)})
    ...     cached("doubled", 1, [np.arange(2), 2.0], dict)["x"].tolist()
    [0.0, 2.0]
    """
    place = folder()
    if place is None:
        return dict(compute())
    path = place / f"{name}-{digest(name, version, inputs)}.npz"
    trouble = None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        pass
    except DAMAGED:
        trouble = f"{path} is damaged or may not be read; it was computed anew"
    found = dict(compute())
    try:
        write_arrays(path, found)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        trouble = f"{path} cannot be written ({reason}), so it will be computed again; set {VARIABLE} to another folder"
    if trouble:
        print(f"jmmrec: {trouble}.", file=sys.stderr)
    return found


def folder() -> Path | None:
    """The cache's folder, whether it exists or not; None where it is switched off or the user has no home.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, {VARIABLE: "off"}):
    ...     folder()
    """
    given = os.environ.get(VARIABLE)
    if given:
        return None if given.lower() == "off" else Path(given)
    beneath = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    if beneath:
        return Path(beneath) / "jmmrec"
    try:
        return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "jmmrec"
    except RuntimeError:
        return None


def digest(name: str, version: int, inputs: Sequence[np.ndarray | str | float]) -> str:
    """32 hexadecimal digits over everything given, types and shapes included.

    >>> digest("a", 1, [np.zeros(2)]) == digest("a", 1, [np.zeros(2, np.float32)])
    False
    """
    found = hashlib.blake2b(digest_size=16)
    for part in (name, version, *inputs):
        if isinstance(part, np.ndarray):
            found.update(f"array {part.dtype.str} {part.shape}\0".encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(f"{type(part).__name__} {part!r}\0".encode())
    return found.hexdigest()


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an `.npz` file aside, flushes and renames it: other processes see the whole file or none.

    Raises:
      OSError: it cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_arrays(Path(place, "a.npz"), {"x": np.arange(2)})
    ...     np.load(Path(place, "a.npz"))["x"].tolist()
    [0, 1]
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with aside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
