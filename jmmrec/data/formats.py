"""`load`: any supported layout to a validated `Dataset`."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jmmrec.data import sources, splits
from jmmrec.data.columns import ROLES
from jmmrec.data.dataset import SPLITS, Dataset, Modality
from jmmrec.data.raw import RawData, RawModality
from jmmrec.data.readers import read_raw
from jmmrec.data.synthetic import demo_dataset
from jmmrec.errors import ConfigError, DataError, as_tuple, check_choice

# Rules that look at times; the others must not stumble over a bad timestamp.
TIMED = ("leave_one_out", "global_time")


def load(
    path: str | Path,
    *,
    inter: str | None = None,
    modalities: Sequence[str] | None = None,
    split: str | None = None,
    seed: int = 0,
    duplicates: str = "error",
    missing: str = "marked",
    core: int = 0,
) -> Dataset:
    """Reads a data set from a folder or file; `load("synthetic")` gives the built-in demo data.

    Layouts, told apart by what is there:
      * MMRec's: tab-separated `<name>.inter` (userID, itemID, [rating, timestamp,] x_label 0/1/2) with row numbers as
        ids; `<modality>_feat.npy`, optional `<modality>_knn_idx.npy`, `_knn_cos.npy`, `_missing.npy`, `_imputed.npy`;
        optional `items.tsv`, `users.tsv` whose second column is the original id. Items that only have features count.
      * RecBole's atomic files: `<name>.inter` with typed headers (`user_id:token`), or `<name>.train|valid|test.inter`;
        `float_seq` columns of `<name>.item` are modalities.
      * CSV, TSV or Parquet interactions with any ids, in one table or in `train.csv`, `valid.csv` and `test.csv` (also
        `<name>_train.csv` and so on): columns found by their usual names; features from tables keyed by
        item id (`<modality>.csv|tsv|parquet`, ids first), or `<modality>_feat.npy` with `items.csv|tsv|parquet` naming
        the item of each row (its column of item ids, else the first). What looks like features and is not read is
        named on the error stream.

    Ids given as names are numbered in sorted order and kept in `user_ids` and `item_ids`.

    Args:
      path: folder or interaction file.
      inter: which interaction file, where a folder has several.
      modalities: names to read, in this order; default all, sorted.
      split: rule of `splits.split` to split by; replaces labels in the file. Needed where the file has none.
      seed: of that split (and of the demo data).
      duplicates: "error", or "drop" to keep the first of repeated rows. A pair in two splits is always an error.
      missing: "marked" (missing items are those marked in the files), or "nan" to take all-NaN rows as missing too.
      core: with `split`, first reduce to the k-core of this k; published neighbours are then dropped.

    Raises:
      DataError: anything that cannot be used, naming file, row and fix.
      ConfigError: an option value that does not exist.

    >>> load("synthetic", modalities=["text"]).modalities["text"].dim
    32
    """
    if not isinstance(path, str | Path):
        raise DataError(f"the data is {path!r}; give the path of a folder or file, or 'synthetic'.")
    modalities = None if modalities is None else as_tuple(modalities)
    check_choice("duplicates", duplicates, ("error", "drop"))
    check_choice("missing", missing, ("marked", "nan"))
    check_choice("split", split, (None, *splits.RULES))
    if core and split is None:
        raise ConfigError(
            f"core is {core} but split is None; a smaller data set must be split anew (split='per_user')."
        )
    if str(path) == "synthetic" and not Path(path).exists():
        unread = {"inter": inter, "split": split, "core": core, "duplicates": duplicates != "error",
                  "missing": missing != "marked"}  # fmt: skip
        if any(unread.values()):
            names = ", ".join(name for name, given in unread.items() if given)
            raise ConfigError(f"the demo data is made split and whole, so it takes no {names}; leave that out.")
        demo = dataclasses.replace(demo_dataset(seed), source={"path": "synthetic", "seed": seed})
        return demo if modalities is None else demo.select(*modalities)
    given = {"inter": inter, "modalities": modalities and list(modalities), "split": split, "seed": seed}
    given |= {"path": str(Path(path).absolute()), "duplicates": duplicates, "missing": missing, "core": core}
    raw = read_raw(path, inter=inter, modalities=modalities)
    for remark in (*raw.problems, *(raw.unread if Path(path).is_dir() else ())):
        print(f"jmmrec: {remark}", file=sys.stderr)
    if split is None and raw.labels is None:
        raise DataError(
            f"{raw.source.path if raw.source else raw.name} has no split column (x_label); "
            f"pass split='per_user'{_or_folder(Path(path))} or split it with: jmmrec data split."
        )
    times = raw.source.times() if raw.source and split in TIMED else None
    raw, times = _once_each(raw, times, duplicates, relabel=split is not None)
    if split is not None:
        raw, times = _reduce(raw, times, core)
        raw = dataclasses.replace(raw, labels=_labels(raw, times, split, seed))
    return dataclasses.replace(_dataset(raw, missing), source=given)


def as_dataset(data: Dataset | str | Path) -> Dataset:
    """A data set, or what `load` reads at this path.

    >>> as_dataset("synthetic").n_users
    1000
    """
    return data if isinstance(data, Dataset) else load(data)


def _labels(raw: RawData, times: np.ndarray | None, rule: str, seed: int) -> np.ndarray:
    if rule in TIMED and times is None:
        named = ", ".join(ROLES["time"])
        raise DataError(
            f"{raw.name} has no timestamp column ({named}), which {rule} needs; name it so, or split by 'per_user'."
        )
    return splits.split(raw.rows, times, rule=rule, seed=seed)


def _once_each(
    raw: RawData, times: np.ndarray | None, duplicates: str, relabel: bool
) -> tuple[RawData, np.ndarray | None]:
    """The data with each pair once, and the times of its rows."""
    keys = raw.keys
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[which] != np.arange(len(keys)))
    if not len(repeated):
        return raw, times
    labels = np.zeros(len(keys), np.int8) if relabel or raw.labels is None else raw.labels
    apart = repeated[labels[repeated] != labels[first[which[repeated]]]]
    for rows in (apart, repeated if duplicates == "error" else repeated[:0]):
        if len(rows):
            raise DataError(_twice(raw, labels, rows, int(first[which[rows[0]]])))
    keep = np.sort(first)
    kept = dataclasses.replace(
        raw, rows=raw.rows[keep], labels=None if raw.labels is None else raw.labels[keep], source=None
    )
    return kept, None if times is None else times[keep]


def _twice(raw: RawData, labels: np.ndarray, rows: np.ndarray, first: int) -> str:
    row = int(rows[0])
    user, item = raw.rows[row]
    pair = f"user {_name(raw.user_ids, user)} and item {_name(raw.item_ids, item)}"
    before = raw.where(first).removeprefix(f"{raw.where(row).rsplit(' ', 2)[0]} ")
    if labels[row] != labels[first]:
        return (
            f"{raw.where(row)} puts {pair} in {SPLITS[labels[row]]} but {before} puts them in "
            f"{SPLITS[labels[first]]} ({len(rows)} such rows in all); keep each pair in one split."
        )
    return (
        f"{raw.where(row)} repeats {pair} of {before} ({len(rows)} such rows in all); "
        "drop repeats, or load with duplicates='drop'."
    )


def _name(ids: np.ndarray | None, number: int) -> str:
    return str(number if ids is None else ids[number])


def _reduce(raw: RawData, times: np.ndarray | None, core: int) -> tuple[RawData, np.ndarray | None]:
    """The k-core with users and items numbered anew."""
    if not core:
        return raw, times
    kept = splits.k_core(raw.rows, core)
    if not kept.any():
        raise DataError(f"nothing of {raw.name} is left in the {core}-core; choose a smaller core.")
    users, new_users = np.unique(raw.rows[kept, 0], return_inverse=True)
    items, new_items = np.unique(raw.rows[kept, 1], return_inverse=True)
    reduced = dataclasses.replace(
        raw,
        n_users=len(users),
        n_items=len(items),
        rows=np.stack([new_users, new_items], axis=1),
        labels=None,
        user_ids=users if raw.user_ids is None else raw.user_ids[users],
        item_ids=items if raw.item_ids is None else raw.item_ids[items],
        # Neighbours among removed items cannot be renumbered.
        modalities={name: _reduced(m, items) for name, m in raw.modalities.items()},
        source=None,
    )
    return reduced, None if times is None else times[kept]


def _reduced(found: RawModality, items: np.ndarray) -> RawModality:
    imputed = None if found.imputed is None else found.imputed[items]
    return RawModality(found.path, found.features[items], found.present[items], imputed=imputed)


def _or_folder(path: Path) -> str:
    """What to read instead of one file of several that are a split."""
    beside = [name for name in sorted(sources.siblings(path)) if name != path.name] if path.is_file() else []
    return f", give the folder {path.parent}, where {', '.join(beside)} stand beside it," if beside else ""


def _dataset(raw: RawData, missing: str) -> Dataset:
    assert raw.labels is not None
    train, valid, test = (raw.rows[raw.labels == label] for label in range(3))
    found = {name: _modality(name, m, raw, missing) for name, m in raw.modalities.items()}
    return Dataset(raw.n_users, raw.n_items, train, valid, test, found, raw.user_ids, raw.item_ids, raw.name)  # pyright: ignore[reportArgumentType]


def _modality(name: str, found: RawModality, raw: RawData, missing: str) -> Modality:
    present = found.present
    if missing == "nan":
        present = present & ~np.isnan(found.features).all(axis=1)
    bad = np.flatnonzero(present & ~np.isfinite(found.features).all(axis=1))
    if len(bad):
        whole = "" if missing == "nan" else ", or load with missing='nan' if whole rows of NaN mean missing"
        # Only in an array is the item's number also the number of a row.
        row = f" row {bad[0]}" if found.path.suffix == ".npy" else ""
        raise DataError(
            f"{found.path}{row} (item {_name(raw.item_ids, bad[0])}) holds NaN or infinity "
            f"({len(bad)} such rows of {name} in all); mend them{whole}."
        )
    near = found.neighbours
    if near is not None and near.size and (near.min() < 0 or near.max() >= raw.n_items):
        worst = near.max() if near.max() >= raw.n_items else near.min()
        raise DataError(
            f"neighbours of {found.path} name item {worst}, but items run from 0 to {raw.n_items - 1}; "
            "write the neighbour file again."
        )
    imputed = None if found.imputed is None else found.imputed & present
    return Modality(found.features, present, near, found.similarities, imputed)
