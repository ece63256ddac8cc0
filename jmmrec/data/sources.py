"""Which files of a path hold the interactions."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from jmmrec.data.columns import TABLES, header, kind_of, role_of
from jmmrec.data.files import listing, naming
from jmmrec.errors import DataError

PARTS = {"train": 0, "valid": 1, "val": 1, "validation": 1, "dev": 1, "test": 2}


@dataclasses.dataclass(frozen=True)
class Source:
    """One choice of interactions.

    Attributes:
      name: what the data set is called.
      folder: where features and id lists are looked for.
      files: interaction file -> its split label, or None where a column tells.
      numeric: ids are row numbers (MMRec's layout), not names to be mapped.
    """

    name: str
    folder: Path
    files: Mapping[Path, int | None]
    numeric: bool


def find(path: Path, inter: str | None = None) -> Source:
    """Finds the interactions at a path: one file, or a folder with one `.inter` or table, or one split into files.

    Args:
      path: file or folder.
      inter: file name, with or without its ending, when the folder has several; of several of one split what stands
        before `train`, or else `train`.

    Raises:
      DataError: nothing there, nothing to choose from, several and none chosen, or a choice that is not there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "baby.inter").write_text("userID\\titemID\\n0\\t1\\n")
    ...     find(Path(folder)).name
    'baby'
    """
    if "\0" in str(path):
        raise DataError(f"{str(path)!r} is no path: it holds a NUL character; check the path.")
    with naming(path):
        is_file = path.stat() and path.is_file()
    if is_file:
        groups = [g for g in _groups(path.parent) if path in g] if path.suffix == ".inter" else []
        return _source(groups[0] if groups else {path: None}, path.parent, path.stem)
    groups = _groups(path) or _tables(path)
    if not groups:
        raise DataError(
            f"{path} holds no interactions; it needs a .inter file, or a CSV or Parquet file "
            "with a user and an item column."
        )
    names = [_name(group) for group in groups]
    if inter is not None:
        alone = [p for group in groups for p in group if p.name == inter and kind_of(p) in TABLES]
        groups = [{p: None} for p in alone] or [
            g for g in groups if inter in {_name(g), *(p.name for p in g), *(p.stem for p in g)}
        ]
        if not groups:
            raise DataError(f"{path} has no interaction file {inter!r}; it has {', '.join(names)}.")
    if len(groups) > 1:
        raise DataError(f"{path} holds several interaction files ({', '.join(names)}); choose one with inter='NAME'.")
    group = groups[0]
    first = next(iter(group))
    return _source(group, path, first.stem if first.suffix == ".inter" else path.resolve().name)


def siblings(path: Path) -> list[str]:
    """Names of the tables that are one split with this one, itself among them; empty if there are none.

    >>> siblings(Path("nowhere.csv"))
    []
    """
    groups = _tables(path.parent) if kind_of(path) in TABLES and path.parent.is_dir() else []
    return [one.name for group in groups if path in group and len(group) > 1 for one in group]


def _source(group: Mapping[Path, int | None], folder: Path, name: str) -> Source:
    first = next(iter(group))
    numeric = first.suffix == ".inter" and not any(":" in column for column in header(first))
    if group[first] is not None:
        name = _part(first)[0] or folder.resolve().name
    return Source(name, folder, group, numeric)


def _name(group: Mapping[Path, int | None]) -> str:
    first = next(iter(group))
    return first.name if len(group) == 1 else _part(first)[0] or first.stem


def _part(path: Path) -> tuple[str, int | None]:
    """What stands before `train`, `valid` or `test` in a file's name, and which of them it is, if any."""
    match = re.fullmatch(rf"(?:(.+)[._-])?({'|'.join(PARTS)})", path.stem.lower())
    return (path.stem[: match.end(1)] if match[1] else "", PARTS[match[2]]) if match else ("", None)


def _groups(folder: Path) -> list[dict[Path, int | None]]:
    """Every `.inter` file alone, but those of one split as one."""
    return _joined([folder / name for name in listing(folder) if name.endswith(".inter")])


def _joined(paths: list[Path]) -> list[dict[Path, int | None]]:
    """Every file alone, but train with its valid and test files, of one name and ending, as one."""
    parts: dict[tuple[str, str], dict[int, Path]] = {}
    for path in paths:
        stem, part = _part(path)
        if part is not None:
            parts.setdefault((stem, kind_of(path)), {}).setdefault(part, path)
    whole = [found for found in parts.values() if 0 in found and len(found) > 1]
    taken = {path for found in whole for path in found.values()}
    alone: list[dict[Path, int | None]] = [{path: None} for path in paths if path not in taken]
    return [*alone, *({found[part]: part for part in sorted(found)} for found in whole)]


def _tables(folder: Path) -> list[dict[Path, int | None]]:
    found: list[Path] = []
    troubles = []
    for name in listing(folder):
        if kind_of(Path(name)) not in TABLES:
            continue
        try:
            roles = set(map(role_of, header(folder / name)))
        except DataError as error:
            troubles.append(error)
            continue
        if {"user", "item"} <= roles:
            found.append(folder / name)
    if not found and troubles:
        raise troubles[0]
    return _joined(found)
