"""From a `Source` to `RawData`: one reader for numbered files, one for files with ids as names."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from jmmrec.data import features, keyed
from jmmrec.data.atomic import sequence_columns
from jmmrec.data.ids import catalogue, original_ids, positions, tidy
from jmmrec.data.raw import Interactions, RawData, RawModality, read_interactions
from jmmrec.data.sources import Source, find
from jmmrec.errors import DataError

T = TypeVar("T")


class Trouble:
    """Raises the first `DataError` of a modality, or, when lenient, notes it and goes on."""

    def __init__(self, lenient: bool) -> None:
        self.lenient = lenient
        self.problems: list[str] = []

    def try_each(self, jobs: Mapping[str, Callable[[], T]]) -> dict[str, T]:
        """Name -> result of each job that succeeds, in order.

        >>> Trouble(lenient=False).try_each({"image": lambda: 1})
        {'image': 1}
        """
        done = {}
        for name, job in jobs.items():
            try:
                done[name] = job()
            except DataError as error:
                if not self.lenient:
                    raise
                self.problems.append(str(error))
        return done

    def keep(self, found: Mapping[str, T], check: Callable[[T], None]) -> dict[str, T]:
        """What passes a check that raises.

        >>> Trouble(lenient=False).keep({"image": 1}, lambda found: None)
        {'image': 1}
        """
        passed = self.try_each({name: lambda one=one: check(one) for name, one in found.items()})
        return {name: found[name] for name in passed}


def read_raw(
    path: str | Path,
    *,
    inter: str | None = None,
    modalities: Sequence[str] | None = None,
    lenient: bool = False,
) -> RawData:
    """Reads any supported layout without judging repeats, overlap between splits, or NaN.

    Args:
      path, inter, modalities: as in `load`.
      lenient: note modality files that cannot be read in `problems` instead of raising.

    Raises:
      DataError: files that cannot be found or read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.inter").write_text("userID\\titemID\\n0\\t1\\n0\\t1\\n")
    ...     read_raw(folder).rows.tolist()
    [[0, 1], [0, 1]]
    """
    source = find(Path(path), inter)
    interactions = read_interactions(source.files)
    read = _numbered if source.numeric else _named
    return read(source, interactions, modalities, Trouble(lenient))


def _numbered(source: Source, inter: Interactions, wanted: Sequence[str] | None, trouble: Trouble) -> RawData:
    files = features.array_files(source.folder)
    chosen = features.choose(wanted, files, source.folder)
    found = trouble.try_each({n: lambda n=n: features.read_array(files[n]) for n in chosen})
    users, items = inter.whole_numbers("user"), inter.whole_numbers("item")
    n_users, n_items = (_count(inter, role, ids) for role, ids in (("user", users), ("item", items)))
    found, n_rows = _agreed(found, n_items, trouble)
    if n_rows is None:
        # Unread features still tell how many items there are: the count must not hang on the modalities chosen.
        others = {features.rows_of(path) for path in files.values()} - {None}
        n_rows = next((n for n in others if n and n >= n_items), None) if len(others) == 1 else None
    user_ids, n_users = _listed(source.folder / "users.tsv", n_users, None)
    item_ids, n_items = _listed(source.folder / "items.tsv", n_items, n_rows)
    rows = np.stack([users, items], axis=1)
    return RawData(
        source.name, n_users, n_items, rows, inter.labels(), user_ids, item_ids, found, tuple(trouble.problems), inter
    )


def _count(inter: Interactions, role: str, ids: np.ndarray) -> int:
    distinct, largest = len(np.unique(ids)), int(ids.max())
    if largest > 20 * distinct + 10_000:
        raise DataError(
            f"{inter.where(int(np.argmax(ids)))} names {role} {largest} but the file has only {distinct} {role}s; "
            f"number them from 0 without gaps, or give the ids as names (header {role}_id:token)."
        )
    return largest + 1


def _agreed(found: dict[str, RawModality], least: int, trouble: Trouble) -> tuple[dict[str, RawModality], int | None]:
    """The modalities whose row counts fit together and cover all items, and that count."""
    found = trouble.keep(found, lambda m: _check_covers(m, least))
    counts = [len(m.features) for m in found.values()]
    if not counts:
        return found, None
    common = max(set(counts), key=counts.count)
    model = next(m.path.name for m in found.values() if len(m.features) == common)
    return trouble.keep(found, lambda m: _check_rows(m, common, f"{model} has {common}")), common


def _check_covers(modality: RawModality, least: int) -> None:
    if len(modality.features) < least:
        raise DataError(
            f"{modality.path} has {len(modality.features)} rows but items run from 0 to {least - 1}; "
            "write one row for each item."
        )


def _check_rows(modality: RawModality, count: int, other: str) -> None:
    if len(modality.features) != count:
        raise DataError(f"{modality.path} has {len(modality.features)} rows but {other}; write one row for each item.")


def _listed(path: Path, least: int, rows: int | None) -> tuple[np.ndarray | None, int]:
    """Original ids and their count, if the list fits the feature rows (or, without features, covers all ids)."""
    count = rows or least
    ids = original_ids(path)
    if ids is None or (len(ids) != rows if rows else len(ids) < least):
        return None, count
    return ids, len(ids)


def _named(source: Source, inter: Interactions, wanted: Sequence[str] | None, trouble: Trouble) -> RawData:
    users, items = inter.texts("user"), inter.texts("item")
    arrays = features.array_files(source.folder)
    by_id = _keyed_jobs(source, wanted)
    clash = sorted(set(arrays) & set(by_id))
    if clash:
        raise DataError(f"{source.folder} has modality {clash[0]!r} in two files; remove or rename one.")
    chosen = features.choose(wanted, {**arrays, **by_id}, source.folder)
    loose = trouble.try_each({n: lambda n=n: features.read_array(arrays[n]) for n in chosen if n in arrays})
    parts = trouble.try_each({n: by_id[n] for n in chosen if n in by_id})
    # Features that are not read count as well: which items there are must not hang on the modalities chosen.
    others = Trouble(lenient=True).try_each({n: job for n, job in by_id.items() if n not in chosen})
    item_ids = _item_order(source.folder, items, arrays, loose) if arrays else None
    if item_ids is None:
        item_ids = catalogue(items, *(part.ids[part.filled] for part in (*parts.values(), *others.values())))
    user_ids = catalogue(users)
    rows = np.stack([positions(users, user_ids), positions(items, item_ids)], axis=1)
    _check_listed(rows, items, inter, source.folder)
    loose = trouble.keep(loose, lambda m: _check_rows(m, len(item_ids), f"there are {len(item_ids)} items"))
    placed = {n: keyed.place(item_ids.astype(str), part) for n, part in parts.items()}
    found = {n: {**loose, **placed}[n] for n in chosen if n in {**loose, **placed}}
    return RawData(
        source.name, len(user_ids), len(item_ids), rows, inter.labels(), user_ids, item_ids, found,
        (*trouble.problems, *keyed.strangers(items, parts.values())), inter,
        tuple(keyed.unread(source.folder, source.files)) if wanted is None else (),
    )  # fmt: skip


def _keyed_jobs(source: Source, wanted: Sequence[str] | None) -> dict[str, Callable[[], keyed.KeyedRows]]:
    tables = keyed.keyed_files(source.folder, source.files, wanted)
    jobs = {n: lambda p=p: keyed.read_keyed(p) for n, p in tables.items()}
    return {**jobs, **sequence_columns(source.folder, source.name)}


def _item_order(
    folder: Path, items: np.ndarray, arrays: Mapping[str, Path], loose: Mapping[str, RawModality]
) -> np.ndarray | None:
    """The item of each feature row: listed in `items.*`, or the row number itself where all ids are row numbers."""
    listed = features.row_order(folder)
    if listed is not None:
        return listed[1]
    counts = {len(loose[n].features) if n in loose else features.rows_of(path) for n, path in arrays.items()} - {None}
    numbers, rows = tidy(np.unique(items)), min((n for n in counts if n), default=0)
    if numbers.dtype.kind == "i" and numbers.min() >= 0 and numbers.max() < rows:
        return np.arange(rows)
    if not loose:
        return None
    first = next(iter(loose.values())).path
    raise DataError(
        f"nothing says which item each row of {first} belongs to; add items.csv to the folder, "
        "with the item ids in the order of the rows in its first column."
    )


def _check_listed(rows: np.ndarray, items: np.ndarray, inter: Interactions, folder: Path) -> None:
    absent = np.flatnonzero(rows[:, 1] < 0)
    if len(absent):
        raise DataError(
            f"{inter.where(int(absent[0]))} names item {items[absent[0]]}, which the items list of {folder} lacks; "
            "add the item there (and its feature row) or drop its interactions."
        )
