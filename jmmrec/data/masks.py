"""Masks in files: published `missing_items_*.tsv` and our own `.npz`."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jmmrec.data.cache import DAMAGED, write_arrays
from jmmrec.data.columns import header, read_table, role_of
from jmmrec.data.dataset import Dataset
from jmmrec.data.files import naming
from jmmrec.data.parse import whole_numbers
from jmmrec.errors import DataError

NAMED = ("row", "original_id")  # headings that leave no doubt
LETTERS = {"t": ("t", "text"), "v": ("v", "image", "visual", "vision", "video"), "a": ("a", "audio", "acoustic")}


def mask_digest(observed: np.ndarray, names: Sequence[str]) -> str:
    """32 hexadecimal digits of a mask; the order of its columns changes nothing.

    >>> mask_digest(np.eye(2, dtype=bool), ["a", "b"]) == mask_digest(np.eye(2, dtype=bool)[:, ::-1], ["b", "a"])
    True
    """
    found = hashlib.sha256(f"{len(observed)}".encode())
    for name, column in sorted(zip(names, observed.T, strict=True), key=lambda pair: pair[0]):
        found.update(f"\0{name}\0".encode() + np.packbits(column).tobytes())
    return found.hexdigest()[:32]


def ids_digest(dataset: Dataset) -> str:
    """32 hexadecimal digits of the original ids of the items, in their order.

    >>> ids_digest(Dataset(2, 2, [[0, 0], [1, 1]], [], []))[:4]
    '1e99'
    """
    return hashlib.sha256("\n".join(map(str, dataset.item_ids.tolist())).encode()).hexdigest()[:32]


def save_mask(path: str | Path, observed: np.ndarray, dataset: Dataset) -> Path:
    """Writes a mask for `read_mask`, as an `.npz` file with the digest of the items' ids.

    Args:
      observed: bool (n_items, M), columns in the order of `dataset.modalities`.

    Raises:
      DataError: another ending, permission denied, disk full.

    >>> import tempfile
    >>> from jmmrec.data import load
    >>> data = load("synthetic")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_mask(folder + "/mask.npz", np.ones((data.n_items, 2), bool), data)
    ...     bool(read_mask(path, data).all())
    True
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise DataError(f"{path} ends in {path.suffix or 'nothing'!r}; a mask is written as .npz.")
    names = list(dataset.modalities)
    facts = {"names": np.array(names, str), "items": np.array(ids_digest(dataset))}
    with naming(path, "write"):
        write_arrays(path, {"observed": np.asarray(observed, bool), **facts})
    return path


def read_mask(path: str | Path, dataset: Dataset) -> np.ndarray:
    """A mask from a file: `.npz` as `save_mask` writes it, or a table as DGMRec published them.

    The table has a column `itemID` (row numbers from 0, or original ids; where both may be meant, call it `row` or
    `original_id`) and 0/1 columns of the modalities an item lacks: `t`, `v`, `a` (text, image, audio), several together
    (`tv`) or `all`; or names of modalities, joined with `+`. Modalities that the data set lacks are passed over.

    Returns:
      bool (n_items, M), True where observed, columns in the order of `dataset.modalities`.

    Raises:
      DataError: unreadable, damaged, or made for other items or modalities.
    """
    path = Path(path)
    if path.suffix == ".npz":
        return _from_archive(path, dataset)
    return _from_table(path, dataset)


def _from_archive(path: Path, dataset: Dataset) -> np.ndarray:
    with naming(path):
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                observed, names = archive["observed"], archive["names"].tolist()
                items = str(archive["items"])
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            raise
        except (*DAMAGED, AttributeError) as error:
            raise DataError(f"{path} is damaged or no mask; write it with: jmmrec data missing.") from error
    if items != ids_digest(dataset) or observed.shape != (dataset.n_items, len(names)) or observed.dtype != bool:
        raise DataError(f"{path} was made for other items than those of {dataset.name}; draw a mask for these.")
    lacking = [name for name in dataset.modalities if name not in names]
    if lacking:
        raise DataError(f"{path} has no mask for {', '.join(lacking)}; it has {', '.join(names)}.")
    return observed[:, [names.index(name) for name in dataset.modalities]]


def _from_table(path: Path, dataset: Dataset) -> np.ndarray:
    columns = header(path)
    if len(columns) < 2 or (columns[0] not in NAMED and role_of(columns[0]) != "item"):
        raise DataError(f"{path} is no mask: its first column must be itemID and the others name what is missing.")
    table = read_table(path, columns)
    items = _rows(table.columns[columns[0]], columns[0], dataset, path)
    observed, touched = np.ones((dataset.n_items, len(dataset.modalities)), bool), False
    for column in columns[1:]:
        lost = _lost(column, tuple(dataset.modalities), path)
        flags = whole_numbers(table, column)
        if flags.max() > 1:
            raise DataError(f"{path} has {flags.max()} in column {column}; write 1 where missing, else 0.")
        observed[np.ix_(items[flags == 1], np.array(lost, int))] = False
        touched |= bool(lost) and column != "all"
    if not touched:
        raise DataError(f"{path} names no modality of {dataset.name}, which has {', '.join(dataset.modalities)}.")
    return observed


def _rows(names: Sequence, column: str, dataset: Dataset, path: Path) -> np.ndarray:
    """Row numbers of the items that a table names by them, or by their original ids."""
    said, found = [str(name) for name in names], {}
    for kind, ids in zip(NAMED, (range(dataset.n_items), dataset.item_ids.tolist()), strict=True):
        known = {str(name): row for row, name in enumerate(ids)}
        if (column == kind or column not in NAMED) and known.keys() == set(said) and len(said) == len(known):
            found[kind] = np.array([known[name] for name in said])
    if len(found) == 2 and not np.array_equal(found["row"], found["original_id"]):
        raise DataError(
            f"{path} names items by numbers that may be rows or original ids, which are other items; call its first "
            "column row or original_id."
        )
    if found:
        return next(iter(found.values()))
    some = ", ".join(map(str, dataset.item_ids[:3]))
    raise DataError(
        f"{path} names {len(said)} items, {said[0] if said else 'none'} for one; a mask needs one line for each of the "
        f"{dataset.n_items} of {dataset.name}, by original id (such as {some}) or by row number from 0."
    )


def _lost(column: str, names: tuple[str, ...], path: Path) -> list[int]:
    """Places of the modalities that a column stands for."""
    if column == "all":
        return list(range(len(names)))
    if any(part in names for part in column.split("+")):
        parts = [(part,) for part in column.split("+")]
    elif all(letter in LETTERS for letter in column):
        parts = [LETTERS[letter] for letter in column]
    else:
        raise DataError(
            f"{path} has a column {column!r}; write {', '.join(LETTERS)} together or modalities joined with +."
        )
    return [place for place, name in enumerate(names) if any(name in part for part in parts)]
