"""Reversible id maps: original ids (text or whole numbers) to 0, 1, 2 ... and back by indexing."""

from pathlib import Path

import numpy as np

from jmmrec.data.columns import header, read_table
from jmmrec.errors import DataError


def tidy(ids: np.ndarray) -> np.ndarray:
    """Ids as int64 when every one is a plainly written whole number ("7", never "07"), else as they are.

    >>> tidy(np.array(["7", "10"])).tolist(), tidy(np.array(["7", "007"])).tolist()
    ([7, 10], ['7', '007'])
    """
    try:
        numbers = ids.astype(np.int64)
    except (ValueError, OverflowError):
        return ids
    return numbers if np.array_equal(numbers.astype(str), ids.astype(str)) else ids


def catalogue(*columns: np.ndarray) -> np.ndarray:
    """The distinct ids of several columns of text, sorted: by number if all are numbers, else by text.

    Sorting makes the numbering independent of the order of lines in the files.

    >>> catalogue(np.array(["10", "9"]), np.array(["9"])).tolist()
    [9, 10]
    """
    return np.sort(tidy(np.unique(np.concatenate([c.astype(str) for c in columns]))))


def positions(values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Position of each value in `ids`, int64; -1 where it is not there. Both are compared as text.

    >>> positions(np.array(["b", "z", "a"]), np.array(["a", "b"])).tolist()
    [1, -1, 0]
    """
    if not len(values):
        return np.zeros(0, np.int64)
    table = {name: place for place, name in enumerate(ids.astype(str).tolist())}
    kinds, which = np.unique(values.astype(str), return_inverse=True)
    return np.array([table.get(kind, -1) for kind in kinds.tolist()], np.int64)[which]


def original_ids(path: Path) -> np.ndarray | None:
    """The original ids listed in an `items.tsv` or `users.tsv`: first column 0, 1, 2 ..., second the id.

    A second column headed `name:token` is kept as text even where every id is a number.
    None when there is no such file, the numbering has gaps, or the second column repeats (then it is no id).

    >>> original_ids(Path("nowhere/items.tsv")) is None
    True
    """
    if not path.is_file():
        return None
    names = header(path)
    if len(names) < 2:
        return None
    table = read_table(path, names[:2], ragged=True)
    numbers = tidy(np.array(table.columns[names[0]], str))
    ids = np.array(table.columns[names[1]], str)
    if numbers.dtype.kind != "i" or not np.array_equal(np.sort(numbers), np.arange(len(numbers))):
        return None
    ids = ids[np.argsort(numbers)]
    if len(np.unique(ids)) < len(ids):
        return None
    return ids if names[1].endswith(":token") else tidy(ids)


def check_unique(ids: np.ndarray, path: Path) -> None:
    """Raises `DataError` naming the file and the first id that stands twice.

    >>> check_unique(np.array(["a", "b"]), Path("items.csv"))
    """
    kinds, counts = np.unique(ids, return_counts=True)
    if len(kinds) < len(ids):
        raise DataError(f"{path} lists item {kinds[counts > 1][0]!s} more than once; keep one row for each item.")
