"""Reading and writing of single files: every failure becomes one sentence that names the file."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jmmrec.errors import DataError


@contextlib.contextmanager
def naming(path: Path, deed: str = "read") -> Iterator[None]:
    """Turns an operating-system error inside the block into a `DataError` that names `path`.

    Raises:
      DataError: the file is not there, may not be read or written, or the disk is full.

    >>> with naming(Path("here")):
    ...     pass
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; check the path.") from error
    except PermissionError as error:
        raise DataError(f"cannot {deed} {path}: permission denied; change its permissions or the path.") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"cannot {deed} {path}: {reason}; mend that or use another path.") from error


def listing(folder: Path) -> list[str]:
    """Sorted names of the plain files in `folder`, hidden ones left out.

    Raises:
      DataError: no such folder, or it may not be read.

    >>> listing(Path(__file__).parent)[0]
    '__init__.py'
    """
    with naming(folder):
        return sorted(p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def read_text(path: Path) -> str:
    """The text of a UTF-8 file (a byte-order mark is dropped), with every line ending as a line feed.

    Raises:
      DataError: not there, not readable, not UTF-8, or empty.

    >>> read_text(Path(__file__)).splitlines()[2]
    'import contextlib'
    """
    with naming(path):
        raw = path.read_bytes()
    if not raw.strip():
        raise DataError(f"{path} is empty; it needs one line for each of what it lists.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} line {line} is not UTF-8 text; save the file as UTF-8.") from error
    return text.replace("\r\n", "\n")


def read_npy(path: Path) -> np.ndarray:
    """The array in a `.npy` file; pickled objects are never loaded.

    Raises:
      DataError: not there, not readable, truncated, holding Python objects, or not a `.npy` file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "a.npy"), np.arange(3))
    ...     read_npy(Path(folder, "a.npy")).tolist()
    [0, 1, 2]
    """
    with naming(path):
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty; write it again with numpy.save.")
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, SyntaxError) as error:
            raise DataError(f"{path} {_npy_trouble(path, str(error))}") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} is an archive of several arrays; write one array per file with numpy.save.")
    return array


def _npy_trouble(path: Path, reason: str) -> str:
    with path.open("rb") as file:
        magic = file.read(6)
    if "Object arrays" in reason:
        return "holds pickled Python objects, which are not loaded; save a numeric array with numpy.save."
    if magic != b"\x93NUMPY":
        return "is not a .npy file; write it with numpy.save."
    return "is truncated or damaged; copy or write it again."


@contextlib.contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """A new empty folder beside `path` that takes its place only when the block succeeds.

    What stood at `path` before is replaced. After a failure it stands untouched and nothing else is left behind.

    Raises:
      DataError: permission denied, disk full.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with folder_aside(Path(folder, "new")) as aside:
    ...         _ = (aside / "a.txt").write_text("a")
    ...     listing(Path(folder, "new"))
    ['a.txt']
    """
    with naming(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = _unused(path)
        aside.mkdir()
        try:
            yield aside
            for file in aside.iterdir():
                _sync(file)
            _swap(aside, path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _unused(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")


def _sync(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def _swap(aside: Path, path: Path) -> None:
    if not path.exists():
        aside.rename(path)
        return
    # A full folder cannot be replaced in one step: the old one waits beside it until the new one stands.
    old = _unused(path)
    path.rename(old)
    try:
        aside.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
