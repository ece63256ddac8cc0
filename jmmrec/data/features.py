"""Item features as arrays: `<modality>_feat.npy` with its companions, one row for each item."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jmmrec.data.columns import TABLES, header, read_table, role_of
from jmmrec.data.files import listing, read_npy
from jmmrec.data.ids import check_unique, tidy
from jmmrec.data.parse import texts
from jmmrec.data.raw import RawModality
from jmmrec.errors import DataError

SUFFIX = "_feat.npy"


def array_files(folder: Path) -> dict[str, Path]:
    """Modality name -> `<modality>_feat.npy`, sorted by name.

    >>> array_files(Path(__file__).parent)
    {}
    """
    return {n.removesuffix(SUFFIX): folder / n for n in listing(folder) if n.endswith(SUFFIX) and n != SUFFIX}


def choose(wanted: Sequence[str] | None, there: Mapping[str, object], place: Path) -> tuple[str, ...]:
    """The modality names to read, in the order asked for; all, sorted, when None.

    Raises:
      DataError: a name that is not there, listing those that are.

    >>> choose(None, {"text": 1, "image": 2}, Path("folder"))
    ('image', 'text')
    """
    if wanted is None:
        return tuple(sorted(there))
    for name in wanted:
        if name not in there:
            raise DataError(f"{place} has no modality {name!r}; it has {', '.join(sorted(there)) or 'none'}.")
    return tuple(dict.fromkeys(wanted))


def rows_of(path: Path) -> int | None:
    """Rows of a `.npy` matrix, or None when it cannot be told (whoever needs the file reports why).

    >>> rows_of(Path("nowhere.npy")) is None
    True
    """
    try:
        return len(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError, TypeError, SyntaxError):
        return None


def read_array(path: Path) -> RawModality:
    """Reads `<modality>_feat.npy` and, where they stand beside it, these companions.

    `<modality>_missing.npy` bool (n_items,): True where the item has no features; such rows are never read.
    `<modality>_imputed.npy` bool (n_items,): True where the row is not the item's own but was filled in.
    `<modality>_knn_idx.npy` integers (n_items, k) and `<modality>_knn_cos.npy` their cosines.

    Raises:
      DataError: a file that cannot be read, or has the wrong shape or type.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "image_feat.npy"), np.eye(3))
    ...     read_array(Path(folder, "image_feat.npy")).present.tolist()
    [True, True, True]
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinity, which the judge of NaN reports
        features = _matrix(path, "fiub").astype(np.float32)
    near = _matrix(_beside(path, "_knn_idx.npy"), "iu", len(features))
    cosines = _matrix(_beside(path, "_knn_cos.npy"), "fiu", len(features))
    if near is not None and cosines is not None and near.shape != cosines.shape:
        raise DataError(
            f"{_beside(path, '_knn_cos.npy')} has shape {cosines.shape} but the neighbours have {near.shape}; "
            "write both again."
        )
    missing, imputed = (_marks(_beside(path, f"_{what}.npy"), len(features)) for what in ("missing", "imputed"))
    present = np.ones(len(features), bool) if missing is None else ~missing
    imputed = None if imputed is None else imputed & present
    return RawModality(path, features, present, near, None if near is None else cosines, imputed)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name.removesuffix(SUFFIX) + suffix)


def _matrix(path: Path, kinds: str, rows: int | None = None) -> np.ndarray:
    """Reads a matrix; with `rows` given the file may be absent (None) and must have that many rows."""
    if rows is not None and not path.exists():
        return None  # pyright: ignore[reportReturnType]
    array = read_npy(path)
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind not in kinds:
        what = "whole numbers" if kinds == "iu" else "numbers"
        raise DataError(f"{path} has shape {array.shape} and type {array.dtype}; save {what}, one row for each item.")
    if rows is not None and len(array) != rows:
        raise DataError(f"{path} has {len(array)} rows but the features have {rows}; write one row for each item.")
    return array


def _marks(path: Path, rows: int) -> np.ndarray | None:
    if not path.exists():
        return None
    marks = read_npy(path)
    if marks.shape != (rows,) or marks.dtype != bool:
        raise DataError(
            f"{path} has shape {marks.shape} and type {marks.dtype}; save one bool for each of the {rows} items."
        )
    return marks


def row_order(folder: Path) -> tuple[Path, np.ndarray] | None:
    """File and ids of `items.csv|tsv|parquet`, or None: its item column, or first one, names each feature row's item.

    Raises:
      DataError: unreadable, an item listed twice, or ids in a column without a name.

    >>> row_order(Path(__file__).parent) is None
    True
    """
    path = next((folder / f"items{s}" for s in TABLES if (folder / f"items{s}").is_file()), None)
    if path is None:
        return None
    names = header(path)
    first = next((name for name in names if role_of(name) == "item"), names[0])
    if not first:
        raise DataError(f"{path} names no column of item ids: its first one has no name; head the ids item_id.")
    ids = texts(read_table(path, [first], ragged=True), first)
    check_unique(ids, path)
    return path, tidy(ids)
