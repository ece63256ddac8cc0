"""The two types every user meets: `Modality` and `Dataset`, validated once, at construction."""

import dataclasses
import functools
import hashlib
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from jmmrec.errors import DataError

SPLITS = ("train", "valid", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class Modality:
    """Item features of one modality.

    Attributes:
      features: float32 (n_items, dim). Rows of missing items hold zeros and are never to be read as data.
      present: bool (n_items,); False marks a missing row. Default: all present.
      neighbours: int32 (n_items, k) published nearest items (self included), or None.
      similarities: float32 (n_items, k) their cosines, or None.
      imputed: bool (n_items,), rows that are present only because `jmmrec.data.impute` filled them, or None.

    Raises:
      DataError: wrong rank, NaN or infinity in a present row, neighbour ids out of range, an imputed row not present.

    >>> Modality(np.eye(3)).dim
    3
    """

    features: np.ndarray
    present: np.ndarray = dataclasses.field(default=None)  # pyright: ignore[reportAssignmentType]
    neighbours: np.ndarray | None = None
    similarities: np.ndarray | None = None
    imputed: np.ndarray | None = None

    def __post_init__(self) -> None:
        features = np.asarray(self.features)
        if features.ndim != 2 or features.dtype.kind not in "fiub":
            raise DataError(
                f"features have shape {features.shape} and type {features.dtype}; "
                "give a numeric array with one row per item and one column per dimension."
            )
        present = self.present
        present = np.ones(len(features), bool) if present is None else np.asarray(present)
        if present.shape != (len(features),) or present.dtype != bool:
            raise DataError(
                f"present has shape {present.shape} and type {present.dtype}; "
                f"give one bool for each of the {len(features)} items."
            )
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinity, which is told below
            features = features.astype(np.float32, copy=False)
        bad = np.flatnonzero(present & ~np.isfinite(features).all(axis=1))
        if len(bad):
            raise DataError(
                f"features of {len(bad)} present items hold NaN or infinity (first: item row {bad[0]}); "
                "mend these rows or mark them missing with present=False."
            )
        # Whatever stood in a missing row can no longer be read by anything downstream.
        features = np.where(present[:, None], features, np.float32(0))
        object.__setattr__(self, "features", _frozen(features))
        object.__setattr__(self, "present", _frozen(present))
        self._check_neighbours()
        if self.imputed is not None:
            imputed = np.asarray(self.imputed)
            if imputed.shape != present.shape or imputed.dtype != bool or (imputed & ~present).any():
                raise DataError(
                    f"imputed has shape {imputed.shape} and type {imputed.dtype}; "
                    f"give one bool for each of the {len(features)} items, True only where it is present."
                )
            object.__setattr__(self, "imputed", _frozen(imputed))

    def _check_neighbours(self) -> None:
        if self.neighbours is None:
            return
        near = np.asarray(self.neighbours)
        if near.ndim != 2 or len(near) != len(self.features) or near.dtype.kind not in "iu":
            raise DataError(
                f"neighbours have shape {near.shape} and type {near.dtype}; "
                f"give integer item ids with one row for each of the {len(self.features)} items."
            )
        if near.size and (near.min() < 0 or near.max() >= len(self.features)):
            raise DataError(
                f"neighbours name item {near.max() if near.max() >= len(self.features) else near.min()}, "
                f"but items run from 0 to {len(self.features) - 1}; rebuild the neighbour file for these items."
            )
        object.__setattr__(self, "neighbours", _frozen(near.astype(np.int32)))
        if self.similarities is not None:
            if np.shape(self.similarities) != near.shape:
                raise DataError(
                    f"similarities have shape {np.shape(self.similarities)}, neighbours {near.shape}; "
                    "give one for each neighbour."
                )
            object.__setattr__(self, "similarities", _frozen(np.asarray(self.similarities, np.float32)))

    def __repr__(self) -> str:
        whole = "" if self.observed.all() else f", {self.observed.mean():.0%} observed"
        return f"Modality({len(self.features):,} × {self.dim}{whole})"

    @property
    def dim(self) -> int:
        """Number of feature columns."""
        return self.features.shape[1]

    @property
    def observed(self) -> np.ndarray:
        """bool (n_items,): present and not imputed.

        >>> Modality(np.eye(2), imputed=np.array([True, False])).observed.tolist()
        [False, True]
        """
        return self.present if self.imputed is None else self.present & ~self.imputed


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingData:
    """What training, tuning and early stopping may see: a data set without its test rows.

    Attributes: as `Dataset`, without `test`. `digest` is that of the data set it came from.
    """

    n_users: int
    n_items: int
    train: np.ndarray
    valid: np.ndarray
    modalities: Mapping[str, Modality]
    name: str
    digest: str

    def __repr__(self) -> str:
        return _said(self, ("train", "valid"))

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "test":
            raise AttributeError(
                "test rows are out of reach of training code; evaluate a finished run with "
                "jmmrec.evaluate(result, dataset, split='test')."
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {attribute!r}")


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Users, items, interactions in three splits, and any number of modalities with any names.

    Attributes:
      n_users, n_items: ids run from 0; items without interactions exist and are ranked.
      train, valid, test: int32 (n, 2) rows of (user, item), kept sorted by user, then item.
      modalities: name -> Modality, each with n_items rows.
      user_ids, item_ids: original ids, position = our id; default: the numbers themselves.
      name: shown in tables and records.
      source: keyword arguments with which `jmmrec.load` gives this data set again; empty if it came from memory.
      steps: what was done to it since, in order (rows hidden, rows imputed), see `jmmrec.data.replay`.

    Raises:
      DataError: ids out of range, duplicates, overlap between splits, an empty training split,
        a user who interacted with every item in training, modalities of the wrong length.

    >>> d = Dataset(2, 3, train=np.array([[0, 0], [1, 1]]), valid=np.array([[0, 1]]), test=np.array([[1, 2]]))
    >>> d.for_training().valid.tolist()
    [[0, 1]]
    >>> d
    Dataset(unnamed: 2 users, 3 items; train 2, valid 1, test 1)
    """

    n_users: int
    n_items: int
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    modalities: Mapping[str, Modality] = dataclasses.field(default_factory=dict)
    user_ids: np.ndarray = dataclasses.field(default=None)  # pyright: ignore[reportAssignmentType]
    item_ids: np.ndarray = dataclasses.field(default=None)  # pyright: ignore[reportAssignmentType]
    name: str = "unnamed"
    source: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    steps: tuple[Mapping[str, Any], ...] = ()

    def __repr__(self) -> str:
        return _said(self, ("train", "valid", "test"))

    def __post_init__(self) -> None:
        for count in ("n_users", "n_items"):
            object.__setattr__(self, count, int(getattr(self, count)))
        for side, count in (("user_ids", self.n_users), ("item_ids", self.n_items)):  # first: messages name them
            ids = getattr(self, side)
            ids = np.arange(count) if ids is None else np.asarray(ids)
            if ids.shape != (count,) or len(np.unique(ids)) != count:
                raise DataError(f"{side} must hold {count} different ids; found {len(np.unique(ids))} in {ids.shape}.")
            object.__setattr__(self, side, _frozen(ids))
        for split in SPLITS:
            object.__setattr__(self, split, _frozen(self._checked_rows(split)))
        self._check_overlap()
        self._check_training()
        for name, modality in self.modalities.items():
            if len(modality.features) != self.n_items:
                raise DataError(
                    f"modality {name!r} has {len(modality.features)} rows but {self.name} has {self.n_items} items; "
                    "row i must belong to item i."
                )
        object.__setattr__(self, "modalities", types.MappingProxyType(dict(self.modalities)))

    def _checked_rows(self, split: str) -> np.ndarray:
        rows = np.asarray(getattr(self, split))
        rows = rows.reshape(0, 2).astype(np.int32) if rows.size == 0 else rows
        if rows.ndim != 2 or rows.shape[1] != 2 or rows.dtype.kind not in "iu":
            raise DataError(f"{split} has shape {rows.shape} and type {rows.dtype}; give integer rows of (user, item).")
        for column, kind, count in ((0, "user", self.n_users), (1, "item", self.n_items)):
            bad = np.flatnonzero((rows[:, column] < 0) | (rows[:, column] >= count))
            if len(bad):
                raise DataError(
                    f"{split} row {bad[0]} names {kind} {rows[bad[0], column]}, but {kind}s run from 0 to {count - 1}; "
                    f"correct the row or n_{kind}s."
                )
        keys, counts = np.unique(self._keys(rows), return_counts=True)
        if len(keys) < len(rows):
            raise DataError(
                f"{split} holds {len(rows) - len(keys)} duplicate rows (first: {self._named(keys[counts > 1][0])}); "
                "drop them, or load with duplicates='drop'."
            )
        # One order for all sources: a run must not depend on the order of lines in a file.
        return rows[np.lexsort((rows[:, 1], rows[:, 0]))].astype(np.int32)

    def _keys(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0].astype(np.int64) * self.n_items + rows[:, 1]

    def _named(self, key: np.int64) -> str:
        """The user and the item of a key, by their original ids."""
        user, item = divmod(int(key), self.n_items)
        return f"user {self.user_ids[user]}, item {self.item_ids[item]}"

    def _check_overlap(self) -> None:
        for first, second in (("train", "valid"), ("train", "test"), ("valid", "test")):
            both = np.intersect1d(self._keys(getattr(self, first)), self._keys(getattr(self, second)))
            if len(both):
                raise DataError(
                    f"{len(both)} interactions stand in both {first} and {second} (first: {self._named(both[0])}); "
                    "keep each in one split."
                )

    def _check_training(self) -> None:
        if not len(self.train):
            raise DataError(f"{self.name} has no training interactions; split it first (jmmrec data split).")
        degree = np.bincount(self.train[:, 0], minlength=self.n_users)
        full = np.flatnonzero(degree >= len(np.unique(self.train[:, 1])))
        if len(full):
            raise DataError(
                f"user {self.user_ids[full[0]]} interacted with all {degree[full[0]]} training items, so no negative "
                "exists; remove this user."
            )

    def for_training(self) -> TrainingData:
        """The view that training code gets: it has no test rows."""
        return TrainingData(self.n_users, self.n_items, self.train, self.valid, self.modalities, self.name, self.digest)

    def select(self, *names: str) -> "Dataset":
        """This data set with only the named modalities, in that order.

        Raises:
          DataError: a name that is not there.
        """
        for name in names:
            if name not in self.modalities:
                raise DataError(f"{self.name} has no modality {name!r}; it has {', '.join(self.modalities) or 'none'}.")
        chosen = dataclasses.replace(self, modalities={n: self.modalities[n] for n in names})
        if self.steps:  # a mask drawn for all modalities is not the one drawn for some
            return dataclasses.replace(chosen, steps=(*self.steps, {"do": "select", "names": list(names)}))
        return dataclasses.replace(chosen, source={**self.source, "modalities": list(names)} if self.source else {})

    def all_in_train(self) -> "Dataset":
        """This data set with the rows of valid and test in train, for a model to serve; nothing is left to judge it by.

        >>> Dataset(2, 4, [[0, 0], [1, 1]], [[0, 1]], [[1, 2]]).all_in_train()
        Dataset(unnamed: 2 users, 4 items; train 4, valid 0, test 0)
        """
        rows = np.concatenate([self.train, self.valid, self.test])
        return dataclasses.replace(self, train=rows, valid=rows[:0], test=rows[:0], steps=(*self.steps, {"do": "join"}))

    @functools.cached_property
    def split_digest(self) -> str:
        """SHA-256 over sizes and the three splits; the order of rows in a file does not matter."""
        digest = hashlib.sha256(f"{self.n_users},{self.n_items}".encode())
        for split in SPLITS:
            digest.update(self._keys(getattr(self, split)).tobytes())
        return digest.hexdigest()

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over everything a model can learn from or be judged by."""
        digest = hashlib.sha256(self.split_digest.encode())
        for name in sorted(self.modalities):
            modality = self.modalities[name]
            digest.update(name.encode())
            for array in (modality.features, modality.present, modality.neighbours):
                digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
            for tag, array in ((b"imputed", modality.imputed), (b"similarities", modality.similarities)):
                if array is not None:
                    digest.update(tag + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def _said(data: Any, splits: tuple[str, ...]) -> str:
    """A data set in one line."""
    rows = ", ".join(f"{split} {len(getattr(data, split)):,}" for split in splits)
    modal = "".join(f"; {name} {one!r}" for name, one in data.modalities.items())
    return f"{type(data).__name__}({data.name}: {data.n_users:,} users, {data.n_items:,} items; {rows}{modal})"


def _frozen(array: np.ndarray) -> np.ndarray:
    """A read-only copy, so that neither the caller nor we can change a validated array."""
    array = np.array(array, order="C")
    array.setflags(write=False)
    return array
