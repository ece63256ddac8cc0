"""Item features in tables keyed by item id: `<modality>.csv`, `.tsv` or `.parquet`, ids in the first column."""

import contextlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jmmrec.data.columns import ROLES, TABLES, Table, header, kind_of, read_table, role_of
from jmmrec.data.files import listing
from jmmrec.data.ids import check_unique, positions
from jmmrec.data.parse import texts
from jmmrec.data.raw import RawModality
from jmmrec.errors import DataError

# Tables of these names list ids, text or masks, not features.
ARRAYS = ("_feat", "_missing", "_imputed", "_knn_idx", "_knn_cos")
NOT_FEATURES = ("items", "users", "missing_items")


def keyed_files(folder: Path, taken: Iterable[Path], wanted: Collection[str] | None = None) -> dict[str, Path]:
    """Modality name -> table whose first column holds item ids (and that has no user column).

    Args:
      wanted: modalities to read; of other names, a table that cannot be read is passed over.

    Raises:
      DataError: a table that cannot be read.

    >>> keyed_files(Path(__file__).parent, [])
    {}
    """
    found = {}
    for path in _tables(folder, taken):
        modality = path.stem.removesuffix("_feat")
        try:
            names = header(path)
        except DataError as error:
            if wanted is None or modality in wanted:
                raise DataError(f"{error} Or name the modalities to read, and leave it out.") from error
            continue
        if role_of(names[0]) == "item" and "user" not in map(role_of, names):
            found[modality] = path
    return found


def _tables(folder: Path, taken: Iterable[Path]) -> list[Path]:
    """Tables that may hold features, by their names."""
    paths = (folder / name for name in listing(folder))
    return [p for p in paths if kind_of(p) in TABLES and p not in taken and not p.stem.startswith(NOT_FEATURES)]


def unread(folder: Path, taken: Iterable[Path]) -> list[str]:
    """A sentence for each file that looks like features and is none by its name or its columns.

    >>> unread(Path(__file__).parent, [])
    []
    """
    arrays = [folder / name for name in listing(folder) if name.endswith(".npy")]
    found = [
        f"{path} is not read; if it holds features, call it {path.stem}_feat.npy."
        for path in arrays
        if not path.stem.endswith(ARRAYS)
    ]
    for path in _tables(folder, taken):
        with contextlib.suppress(DataError):  # not a table of ours at all
            names = header(path)
            if role_of(names[0]) != "item" and "user" not in map(role_of, names):
                usual = ", ".join(ROLES["item"])
                found.append(f"{path} is not read as features: its first column is {names[0]!r}, not one of {usual}.")
    return found


def strangers(items: np.ndarray, parts: "Iterable[KeyedRows]") -> list[str]:
    """A sentence for each table that shares less than half of its ids and of the interactions' items with the other.

    >>> part = KeyedRows(Path("image.csv"), np.array(["7"]), np.ones((1, 2), np.float32), np.array([True]))
    >>> strangers(np.array(["0007"]), [part])
    ["0 of 1 items have a row in image.csv, whose ids are like '7' and theirs like '0007'; write both alike."]
    """
    found, known = [], np.unique(items)
    for part in parts:
        both = int(np.isin(part.ids, known).sum())
        if 2 * both < min(len(known), len(part.ids)):
            found.append(
                f"{both} of {len(known)} items have a row in {part.path}, whose ids are like {str(part.ids[0])!r} and "
                f"theirs like {str(known[0])!r}; write both alike."
            )
    return found


class KeyedRows(NamedTuple):
    """Feature rows of a file keyed by item id: ids as text (rows,), float32 (rows, dim), bool (rows,) where filled."""

    path: Path
    ids: np.ndarray
    features: np.ndarray
    filled: np.ndarray


def read_keyed(path: Path) -> KeyedRows:
    """Reads a table with item ids first and then one number per column, or one Parquet column of lists.

    A row that is all blank is not filled: its item is missing.

    Raises:
      DataError: unreadable, a value that is no number, lists of unequal length, an item listed twice.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "image.csv").write_text("item,x,y\\na,1,2\\nb,,\\n")
    ...     [part.tolist() for part in read_keyed(Path(folder, "image.csv"))[1:]]
    [['a', 'b'], [[1.0, 2.0], [0.0, 0.0]], [True, False]]
    """
    table = read_table(path)
    first, *rest = table.columns
    ids = texts(table, first)
    check_unique(ids, path)
    if not rest or not len(table):
        raise DataError(f"{path} holds no features; give item ids first, then one column for each dimension.")
    lists = len(rest) == 1 and isinstance(table.columns[rest[0]], np.ndarray) and table.columns[rest[0]].dtype == object
    if lists:
        return KeyedRows(path, ids, *stack(table, table.columns[rest[0]]))
    columns = [_numbers(table, name) for name in rest]
    blank = np.all([b for _, b in columns], axis=0)
    features = np.stack([values for values, _ in columns], axis=1)
    features[blank] = 0
    return KeyedRows(path, ids, features, np.logical_not(blank))


def _numbers(table: Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(table.columns[name])
    blank = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if values.dtype.kind == "U":
        blank = values == ""
        values = np.where(blank, "nan", values)
    try:
        with np.errstate(over="ignore"):
            return values.astype(np.float32), blank
    except (ValueError, TypeError) as error:
        row = next((r for r, v in enumerate(values) if not _is_number(v)), 0)
        raise DataError(
            f"{table.where(row)} has {name} {values[row]!s:.40}, which is not a number; "
            "mend it, or leave this file out with modalities=."
        ) from error


def _is_number(value: object) -> bool:
    try:
        float(value)  # pyright: ignore[reportArgumentType]
    except (ValueError, TypeError):
        return False
    return True


def stack(
    table: Table, vectors: Iterable[object], read: Callable[[object], object] = lambda vector: vector
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, one for each row of a table, as float32 (rows, dim) and bool (rows,); None or "" is a missing row.

    Raises:
      DataError: unequal lengths or a value that is no number, with file and line; no vector at all.

    >>> stack(Table(Path("a.item"), {}, np.arange(2)), ["1 2", ""], lambda text: text.split())[1].tolist()
    [True, False]
    """
    filled = np.array([v is not None and not (isinstance(v, str) and not v.strip()) for v in vectors], bool)
    found: np.ndarray | None = None
    for row, vector in enumerate(vectors):
        if not filled[row]:
            continue
        try:
            values = np.asarray(read(vector), np.float32).ravel()
        except (ValueError, TypeError) as error:
            raise DataError(f"{table.where(row)} holds a feature that is not a number; mend the line.") from error
        found = np.zeros((len(filled), len(values)), np.float32) if found is None else found
        if len(values) != found.shape[1]:
            raise DataError(
                f"{table.where(row)} has {len(values)} features where the first item has {found.shape[1]}; mend it."
            )
        found[row] = values
    if found is None:
        raise DataError(f"{table.path} holds no feature at all; fill the column or remove it.")
    return found, filled


def place(ids: np.ndarray, part: KeyedRows) -> RawModality:
    """Brings keyed rows into the order of `ids`; items without a row are missing.

    >>> part = KeyedRows(Path("image.csv"), np.array(["b"]), np.ones((1, 2), np.float32), np.array([True]))
    >>> place(np.array(["a", "b"]), part).present.tolist()
    [False, True]
    """
    rows = positions(ids, part.ids)
    present = (rows >= 0) & part.filled[rows]
    return RawModality(part.path, np.where(present[:, None], part.features[rows], np.float32(0)), present)
