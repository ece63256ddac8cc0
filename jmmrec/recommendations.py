"""Top-K lists in the original ids: who asks, what may be listed, and what a reader must know of the lists."""

import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jmmrec.data.dataset import Dataset
from jmmrec.errors import ConfigError, DataError, as_tuple, check_whole
from jmmrec.models import Backbone
from jmmrec.report.tables import Table
from jmmrec.retrieval import exclusion
from jmmrec.train.checkpoint import write_file
from jmmrec.train.evaluate import best_items

TRAINED = "trained"


@dataclasses.dataclass(frozen=True)
class Recommendations:
    """Top-K lists in the original ids.

    Attributes:
      users: (n,) original user ids. items: (n, k) original item ids, best first. scores: float32 (n, k).
      lengths: int (n,), how long each list is. A user with fewer than k items left has a shorter one; what stands
        behind it is no item (its score is -inf).
      cold: bool (n,), users without any training interaction, whose lists are what untrained vectors make of them.
      untrained: bool (n, k), listed items without any training interaction: at best their features put them there.
      unknown: ids asked for that the data does not have, left out.
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    lengths: np.ndarray
    cold: np.ndarray
    untrained: np.ndarray
    unknown: tuple[Any, ...] = ()

    @property
    def lists(self) -> dict[Any, list]:
        """User id -> ids of the items recommended, best first."""
        return {user: items for user, items, _, _ in self._rows()}

    def _rows(self) -> Iterator[tuple[Any, list, list, list]]:
        """User, items, scores and which items are untrained, list by list."""
        columns = (self.users, self.lengths, self.items, self.scores, self.untrained)
        for user, length, *parts in zip(*(column.tolist() for column in columns), strict=True):
            yield user, *(part[:length] for part in parts)

    def table(self, most: int = 20, title: str = "") -> Table:
        """The first `most` users and their items."""
        notes = (f"The first {most} of {len(self.users):,} users.",) if len(self.users) > most else ()
        told = tuple((str(user), " ".join(map(str, items))) for user, items in list(self.lists.items())[:most])
        return Table(title, ("user", "items, best first"), told, (*notes, *self.remarks))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know of these lists, a sentence each; empty if there is nothing."""
        k, untrained = self.items.shape[1], np.unique(self.items[self.untrained])
        short = self.users[self.lengths < k]
        places = f"{int(self.untrained.sum()):,} of {int(self.lengths.sum()):,} places"
        told = (
            ("User", self.unknown, "not in the data the model was trained on, and left out."),
            ("User", self.users[self.cold], "without an interaction to train on: their lists do not tell their taste."),
            ("User", short, f"with fewer than {k} items left that are new: their lists are shorter."),
            ("Item", untrained, f"recommended ({places}) without an interaction to train on: at best features put them "
             "there; items='trained' leaves them out."),
        )  # fmt: skip
        return tuple(f"{_some(kind, who)} {text}" for kind, who, text in told if len(who))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.table().html()

    def save(self, path: str | Path) -> Path:
        """Writes `.csv`, `.parquet` (user, rank, item, score, cold_user, untrained_item) or `.jsonl` (a user a line).

        Raises:
          ConfigError: another ending. CheckpointError: the file could not be written.
        """
        path = Path(path)
        writers = {".csv": self._csv, ".jsonl": self._jsonl, ".parquet": self._parquet}
        if path.suffix not in writers:
            raise ConfigError(f"{path} ends in {path.suffix or 'nothing'!r}; use one of {', '.join(writers)}.")
        write_file(path, writers[path.suffix]())
        return path

    def _columns(self) -> dict[str, np.ndarray]:
        n, k = self.items.shape
        real = (np.arange(k) < self.lengths[:, None]).ravel()
        columns = {
            "user": np.repeat(self.users, k),
            "rank": np.tile(np.arange(1, k + 1), n),
            "item": self.items.ravel(),
            "score": self.scores.ravel(),
            "cold_user": np.repeat(self.cold, k),
            "untrained_item": self.untrained.ravel(),
        }
        return {name: column[real] for name, column in columns.items()}

    def _csv(self) -> bytes:
        columns, text = self._columns(), io.StringIO()
        flags = {name: column.astype(int) for name, column in columns.items() if column.dtype == bool}
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in (columns | flags).values()), strict=True))
        return text.getvalue().encode()

    def _jsonl(self) -> bytes:
        lines = (
            {"user": user, "items": items, "scores": scores, "cold_user": cold, "untrained_items": untrained}
            for (user, items, scores, untrained), cold in zip(self._rows(), self.cold.tolist(), strict=True)
        )
        return "".join(json.dumps(line) + "\n" for line in lines).encode()

    def _parquet(self) -> bytes:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ConfigError("writing Parquet needs pyarrow: pip install 'jmmrec[data]'.") from error
        sink = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(pyarrow.table(self._columns()), sink)
        return sink.getvalue().to_pybytes()


def recommend(
    model: Backbone,
    best: tuple[Any, Any],
    static: Any,
    data: Dataset,
    users: Sequence[Any] | None = None,
    k: int = 20,
    *,
    items: Sequence[Any] | None = None,
    again: bool = False,
    skip_unknown: bool = False,
    memory: int,
) -> Recommendations:
    """Top-K items for users by their original ids; see `Result.recommend`.

    Args:
      best: (params, state). memory: bytes for score blocks.
    """
    degree = [np.bincount(data.train[:, side], minlength=n) for side, n in enumerate((data.n_users, data.n_items))]
    rows, unknown = _asked(data, users, skip_unknown)
    columns = _listed(data, items, degree[1])
    check_whole("k", k, 1, data.n_items)
    place, column = np.full(data.n_users, -1), np.full(data.n_items, -1)
    place[rows], column[columns] = np.arange(len(rows)), np.arange(len(columns))
    counts, sizes = (len(rows), len(columns)), (data.n_users, data.n_items)
    seen = np.concatenate([data.train, data.valid])
    seen = np.stack([place[seen[:, 0]], column[seen[:, 1]]], axis=1)
    seen = seen[:0] if again else seen[(seen >= 0).all(axis=1)]
    size, room = (min(1 << (n - 1).bit_length(), most) for n, most in zip(counts, sizes, strict=True))  # few programs
    pairs = exclusion(seen[:, 0], seen[:, 1], size, room, memory, rounded=True)
    among = None if items is None else (jnp.asarray(np.resize(columns, room)), jnp.arange(room) < len(columns))
    found = best_items(model, *best, static, jnp.asarray(np.resize(rows, size)), pairs, min(k, room), memory, among)
    top, scores = (_wide(np.asarray(part)[: len(rows)], k) for part in found[:2])
    lengths = np.isfinite(scores).sum(axis=1)
    top, real = columns[np.minimum(top, len(columns) - 1)], np.arange(k) < lengths[:, None]
    ids = np.where(real, data.item_ids[top], "" if data.item_ids.dtype.kind in "OSU" else -1)
    untrained = real & (degree[1][top] == 0)
    return Recommendations(data.user_ids[rows], ids, scores, lengths, degree[0][rows] == 0, untrained, unknown)


def _wide(found: np.ndarray, k: int) -> np.ndarray:
    """(n, k), filled up where there are fewer to list."""
    nothing = -np.inf if found.dtype.kind == "f" else 0
    return np.pad(found, ((0, 0), (0, k - found.shape[1])), constant_values=nothing)


def _asked(data: Dataset, users: Sequence[Any] | None, skip_unknown: bool) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Rows of the users, and the ids that the data does not have."""
    if users is None:
        return np.arange(data.n_users), ()
    rows, unknown = _rows_of(data.user_ids, as_tuple(users), "user", "for everybody")
    if unknown and not (skip_unknown and len(rows)):
        raise DataError(_unknown(data.name, "user", unknown, data.user_ids))
    return rows, unknown


def _listed(data: Dataset, items: Sequence[Any] | None, degree: np.ndarray) -> np.ndarray:
    """Rows of the items that may be recommended."""
    if items is None:
        return np.arange(data.n_items)
    if isinstance(items, str) and items == TRAINED:
        return np.flatnonzero(degree)
    rows, unknown = _rows_of(data.item_ids, as_tuple(items), "item", "to have all of them listed")
    if unknown:
        raise DataError(_unknown(data.name, "item", unknown, data.item_ids))
    return np.sort(rows)  # of equal scores the lower row comes first, as in the whole catalogue


def _rows_of(ids: np.ndarray, asked: Sequence[Any], kind: str, all_of_them: str) -> tuple[np.ndarray, tuple[Any, ...]]:
    if not asked:
        raise DataError(f"no {kind}s were given; name some, or leave {kind}s out {all_of_them}.")
    if len(set(map(str, asked))) < len(asked):
        raise DataError(f"the same {kind} was given twice; name each once.")
    known = {str(name): row for row, name in enumerate(ids.tolist())}
    unknown = tuple(name for name in asked if str(name) not in known)
    return np.array([known[str(name)] for name in asked if str(name) in known], int), unknown


def _unknown(name: str, kind: str, unknown: Sequence[Any], ids: np.ndarray) -> str:
    some = ", ".join(str(found) for found in ids[:3])
    instead = "; skip_unknown=True leaves them out" if kind == "user" else ""
    return f"{name} has no {kind} {unknown[0]!r} ({len(unknown)} unknown in all); ids are like {some}{instead}."


def _some(kind: str, ids: Sequence[Any] | np.ndarray) -> str:
    """The first of these ids, and how many there are.

    >>> _some("User", ["A1"]), _some("Item", ["A1", "B2"])
    ('User A1 is', 'Item A1 and 1 more are')
    """
    more = len(ids) - 1
    return f"{kind} {ids[0]}" + (f" and {more:,} more are" if more else " is")
