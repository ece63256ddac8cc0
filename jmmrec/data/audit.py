"""What is in a data set and what may be wrong with it: `describe` a `Dataset`, `inspect` raw files."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jmmrec.data.dataset import SPLITS, Dataset
from jmmrec.data.description import Description, ModalityDescription, Spread
from jmmrec.data.formats import as_dataset
from jmmrec.data.raw import RawData, RawModality
from jmmrec.data.readers import read_raw


def describe(dataset: Dataset | str | Path) -> Description:
    """Statistics and findings of a validated data set, or of what `load` takes; `inspect` looks at files it refuses.

    >>> describe(Dataset(2, 3, [[0, 0], [1, 1]], [[0, 1]], [[1, 2]])).cold_touched
    {'valid': 0, 'test': 1}
    """
    dataset = as_dataset(dataset)
    rows = np.concatenate([getattr(dataset, split) for split in SPLITS]).astype(np.int64)
    labels = np.repeat(np.arange(3, dtype=np.int8), [len(getattr(dataset, split)) for split in SPLITS])
    found = {
        name: RawModality(Path(name), m.features, m.observed, m.neighbours, m.similarities)
        for name, m in dataset.modalities.items()
    }
    return _description(RawData(dataset.name, dataset.n_users, dataset.n_items, rows, labels, None, None, found))


def inspect(path: str | Path, *, inter: str | None = None, modalities: Sequence[str] | None = None) -> Description:
    """Statistics and findings of files, also of those that `load` refuses.

    Repeats, overlap between splits, NaN, feature files that cannot be read or do not fit, and a missing split column
    become warnings. Only interactions that cannot be read at all are errors.

    Args:
      path, inter, modalities: as in `load`.

    Raises:
      DataError: no interactions can be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.inter").write_text("userID\\titemID\\tx_label\\n0\\t1\\t0\\n0\\t1\\t2\\n")
    ...     inspect(folder).overlap
    1
    """
    return _description(read_raw(path, inter=inter, modalities=modalities, lenient=True))


def _description(raw: RawData) -> Description:
    labels = raw.labels
    users, items = raw.rows[:, 0], raw.rows[:, 1]
    if labels is None:
        counts, without, touched, cold, unreachable = {"unsplit": len(users)}, {}, {}, 0, 0
    else:
        counts = {split: int((labels == label).sum()) for label, split in enumerate(SPLITS)}
        per_user = [np.bincount(users[labels == label], minlength=raw.n_users) for label in range(3)]
        without = {split: int((per_user[label] == 0).sum()) for label, split in enumerate(SPLITS)}
        unreachable = int(((per_user[0] == 0) & (per_user[1] + per_user[2] > 0)).sum())
        is_cold = np.bincount(items[labels == 0], minlength=raw.n_items) == 0
        cold = int(is_cold.sum())
        touched = {split: int(is_cold[items[labels == SPLITS.index(split)]].sum()) for split in SPLITS[1:]}
    duplicates, overlap = _repeats(raw)
    bare = Description(
        name=raw.name,
        n_users=raw.n_users,
        n_items=raw.n_items,
        interactions=counts,
        density=len(users) / (raw.n_users * raw.n_items),
        user_degree=_range(np.bincount(users, minlength=raw.n_users)),
        item_degree=_range(np.bincount(items, minlength=raw.n_items)),
        cold_items=cold,
        cold_touched=touched,
        users_without=without,
        unreachable_users=unreachable,
        duplicates=duplicates,
        overlap=overlap,
        modalities=tuple(_describe_modality(name, m) for name, m in raw.modalities.items()),
    )
    return dataclasses.replace(bare, warnings=(*raw.problems, *raw.unread, *_warnings(bare)))


def _repeats(raw: RawData) -> tuple[int, int]:
    """Rows that repeat an earlier row of the same split, and pairs that stand in several splits."""
    labels = 0 if raw.labels is None else raw.labels.astype(np.int64)
    distinct = np.unique(raw.keys * 3 + labels)
    return len(raw.keys) - len(distinct), len(distinct) - len(np.unique(distinct // 3))


def _range(values: np.ndarray) -> Spread:
    if not len(values):
        return (0.0, 0.0, 0.0)
    return float(values.min()), float(np.median(values)), float(values.max())


def _describe_modality(name: str, modality: RawModality) -> ModalityDescription:
    there = modality.features[modality.present]
    finite = there[np.isfinite(there).all(axis=1)]
    near = modality.neighbours
    ids = np.arange(len(modality.features))[:, None]
    return ModalityDescription(
        name=name,
        dim=modality.features.shape[1],
        missing=int((~modality.present).sum()),
        nan_rows=len(there) - len(finite),
        zero_rows=int((~finite.any(axis=1)).sum()),
        repeated_rows=_repeated(finite),
        norm=_range(np.linalg.norm(finite, axis=1)),
        neighbours=None if near is None else near.shape[1],
        without_self=0 if near is None else int((near != ids).all(axis=1).sum()),
    )


def _repeated(rows: np.ndarray) -> int:
    # Digests instead of sorting whole rows; + 0.0 makes -0.0 equal to 0.0.
    digests = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows + np.float32(0)]
    counts = np.unique(np.array(digests, dtype="V16"), return_counts=True)[1] if digests else np.zeros(0, int)
    return int(counts[counts > 1].sum())


def _warnings(d: Description) -> Iterator[str]:
    if "unsplit" in d.interactions:
        yield "the file has no split column (x_label); load with split='per_user', or run jmmrec data split."
    elif not d.interactions["train"]:
        yield "there are no training interactions."
    if d.overlap:
        yield f"{d.overlap:,} pairs stand in more than one split; keep each in one."
    if d.duplicates:
        yield f"{d.duplicates:,} rows repeat an earlier row; load with duplicates='drop'."
    touched = sum(d.cold_touched.values())
    if d.cold_items:
        yield f"{d.cold_items:,} items have no training interaction; they occur in {touched:,} valid or test rows."
    if d.unreachable_users:
        yield f"{d.unreachable_users:,} users have valid or test items but nothing in training; they are not evaluated."
    if d.users_without.get("test"):
        yield f"{d.users_without['test']:,} users have no test item; they do not count in test metrics."
    if d.user_degree[0] == 0:
        yield "some user numbers have no interaction at all; they take memory and learn nothing."
    for modality in d.modalities:
        yield from _modality_warnings(modality)


def _modality_warnings(m: ModalityDescription) -> Iterator[str]:
    if m.nan_rows:
        yield f"{m.name}: {m.nan_rows:,} rows hold NaN or infinity; mend them, or load with missing='nan'."
    if m.zero_rows:
        yield f"{m.name}: {m.zero_rows:,} rows are all zero; they have no direction, so mark them missing."
    if m.repeated_rows:
        yield f"{m.name}: {m.repeated_rows:,} rows equal another item's row (placeholders or variants)."
    if m.without_self:
        yield f"{m.name}: {m.without_self:,} items are not among their own published neighbours."
