"""What training gives back: the best parameters of each seed, and everything one does with them."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jmmrec.data.dataset import Dataset
from jmmrec.errors import ConfigError, DataError, as_tuple, check_whole
from jmmrec.models import Backbone
from jmmrec.report.tables import Table
from jmmrec.retrieval import exclusion
from jmmrec.train import Evaluation, Lane, TrainConfig, evaluate_split
from jmmrec.train.checkpoint import write_file
from jmmrec.train.evaluate import best_items
from jmmrec.train.record import full_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Recommendations:
    """Top-K lists in the original ids.

    Attributes:
      users: (n,) original user ids. items: (n, k) original item ids, best first. scores: float32 (n, k).
      cold: bool (n,), users without any training interaction, whose lists are what untrained vectors make of them.
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    cold: np.ndarray

    def table(self, most: int = 20) -> Table:
        """The first `most` users and their items."""
        rows = zip(self.users[:most].tolist(), self.items[:most].tolist(), strict=True)
        notes = (f"The first {most} of {len(self.users):,} users.",) if len(self.users) > most else ()
        told = tuple((str(u), ", ".join(map(str, found))) for u, found in rows)
        return Table("", ("user", "items"), told, (*notes, *self.remarks))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know of users that the model has learned nothing about; empty if there are none."""
        cold = self.users[self.cold]
        if not len(cold):
            return ()
        more = f" and {len(cold) - 1:,} more users" if len(cold) > 1 else ""
        return (f"{cold[0]}{more} had no interaction to train on: these lists say nothing about their taste.",)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.table().html()

    def save(self, path: str | Path) -> Path:
        """Writes `.csv` (user, rank, item, score), `.jsonl` (a user a line) or `.parquet`; returns the path.

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
        return {
            "user": np.repeat(self.users, k),
            "rank": np.tile(np.arange(1, k + 1), n),
            "item": self.items.ravel(),
            "score": self.scores.ravel(),
        }

    def _csv(self) -> bytes:
        import csv
        import io

        columns, text = self._columns(), io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(c.tolist() for c in columns.values()), strict=True))
        return text.getvalue().encode()

    def _jsonl(self) -> bytes:
        rows = zip(self.users.tolist(), self.items.tolist(), self.scores.tolist(), strict=True)
        return "".join(json.dumps({"user": u, "items": i, "scores": s}) + "\n" for u, i, s in rows).encode()

    def _parquet(self) -> bytes:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ConfigError("writing Parquet needs pyarrow: pip install 'jmmrec[data]'.") from error
        sink = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(pyarrow.table(self._columns()), sink)
        return sink.getvalue().to_pybytes()


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """A finished run.

    Attributes:
      model, dataset, config: what was trained, on what, how. static: the model's prepared graphs and features.
      lanes: seed -> the lane of the last strategy in `outcomes`, whose warm-up was chosen on valid; the backbone alone
        may do better, see `evaluate`.
      outcomes: strategy -> seed -> lane, where a search tried several; `none` is the backbone alone.
      epochs: (trained, what runs from scratch would have trained).
      folder: where it was written, or None.
    """

    model: Backbone
    dataset: Dataset
    config: TrainConfig
    static: Any
    lanes: Mapping[int, Lane]
    outcomes: Mapping[str, Mapping[int, Lane]]
    epochs: tuple[int, int]
    folder: Path | None = None

    def __repr__(self) -> str:
        where = f", folder={str(self.folder)!r}" if self.folder else ""
        scores = ", ".join(f"{lane.best_score:.4f}" for lane in self.lanes.values())
        best = f"valid {self.config.monitor}={scores}, epochs={self.epochs[0]}"
        return f"Result({self.name}, {self.dataset.name}, seeds={list(self.lanes)}, {best}{where})"

    @property
    def name(self) -> str:
        """Short name of the model for tables."""
        return full_name(self.model)

    @property
    def runs(self) -> dict[int, tuple[Any, Any]]:
        """seed -> (params, state) at the best valid score."""
        return _best(self.lanes)

    @property
    def history(self) -> list[list[dict]]:
        """For each seed the records of its epochs: loss, its parts, valid metrics, virtual_active."""
        return [list(lane.history) for lane in self.lanes.values()]

    @property
    def metrics(self) -> dict[str, float]:
        """Test metrics, training items masked, averaged over users and seeds; see `evaluate` for all options."""
        return self.evaluate().mean

    def evaluate(
        self, split: str = "test", mask: str = "train", strategy: str | None = None, **options: Any
    ) -> Evaluation:
        """Metrics on a split, see `jmmrec.train.evaluate_split`.

        Args:
          strategy: of a search, another outcome than the chosen one, e.g. `none` for the backbone alone.

        Raises:
          ConfigError: unknown split, mask or strategy. DataError: nobody to ask.
        """
        lanes = self._outcome(strategy)
        options.setdefault("memory", self.config.rank_memory)
        return evaluate_split(self.model, _best(lanes), self.static, self.dataset, split=split, mask=mask, **options)

    def _outcome(self, strategy: str | None) -> Mapping[int, Lane]:
        if strategy is None:
            return self.lanes
        if strategy not in self.outcomes:
            known = ", ".join(self.outcomes) or "none, as nothing was searched"
            raise ConfigError(f"this run has no outcome for {strategy!r}; it has {known}.")
        return self.outcomes[strategy]

    def _chosen(self, seed: int | None, strategy: str | None) -> tuple[Any, Any]:
        """(params, state) of a seed, the first by default."""
        lanes = self._outcome(strategy)
        if seed is not None and seed not in lanes:
            raise ConfigError(f"this run has no seed {seed}; it has {', '.join(map(str, lanes))}.")
        best = lanes[next(iter(lanes)) if seed is None else seed].best
        assert best is not None
        return best

    def vectors(self, *, seed: int | None = None, strategy: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """User and item vectors, whose inner products are the scores; to serve them from elsewhere.

        Returns:
          (n_users, D) and (n_items, D), rows in the order of `dataset.user_ids` and `dataset.item_ids`.

        Raises:
          ConfigError: no such seed or strategy.
        """
        encoded = self.model.encode(*self._chosen(seed, strategy), self.static, None, train=False)
        return np.asarray(encoded.user), np.asarray(encoded.item)

    def recommend(
        self,
        users: Sequence[Any] | None = None,
        k: int = 20,
        *,
        seed: int | None = None,
        again: bool = False,
        strategy: str | None = None,
    ) -> Recommendations:
        """Top-K items for users by their original ids.

        Args:
          users: original ids, or one; default everybody. k: list length. seed: which run; default the first.
          again: also recommend what the user has in training or valid. strategy: as in `evaluate`.

        Raises:
          DataError: an unknown user, or none at all. ConfigError: k out of range or no such seed.
        """
        data = self.dataset
        check_whole("k", k, 1, data.n_items)
        best = self._chosen(seed, strategy)
        rows = np.arange(data.n_users) if users is None else _rows_of(data, as_tuple(users))
        place = np.full(data.n_users, -1)
        place[rows] = np.arange(len(rows))
        seen = np.concatenate([data.train, data.valid])
        seen = seen[:0] if again else seen[place[seen[:, 0]] >= 0]
        memory = self.config.rank_memory
        size = min(1 << (len(rows) - 1).bit_length(), data.n_users)  # few sizes, few programs
        pairs = exclusion(place[seen[:, 0]], seen[:, 1], size, data.n_items, memory, rounded=True)
        asked = jnp.asarray(np.resize(rows, size))
        found = best_items(self.model, *best, self.static, asked, pairs, k, memory)
        top, scores = (np.asarray(part)[: len(rows)] for part in found[:2])
        short = np.flatnonzero(np.isneginf(scores[:, -1]))
        if len(short):
            left = int(np.isfinite(scores[short[0]]).sum())
            raise ConfigError(
                f"k is {k} but user {data.user_ids[rows[short[0]]]} has only {left} items left that are new "
                f"({len(short)} such users in all); lower k."
            )
        cold = np.bincount(data.train[:, 0], minlength=data.n_users)[rows] == 0
        return Recommendations(data.user_ids[rows], data.item_ids[top], scores, cold)

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Loss and valid NDCG@10 by epoch, where virtual triplets came in marked; also written to `path`.

        Raises:
          JmmrecError: matplotlib is not installed.
        """
        from jmmrec.report.plots import plot_history

        histories = {name: [list(lane.history) for lane in lanes.values()] for name, lanes in self.outcomes.items()}
        return plot_history(histories or {self.name: self.history}, path)


def _best(lanes: Mapping[int, Lane]) -> dict[int, tuple[Any, Any]]:
    return {seed: lane.best for seed, lane in lanes.items() if lane.best is not None}


def _rows_of(data: Dataset, users: Sequence[Any]) -> np.ndarray:
    if not users:
        raise DataError("no users were asked for; name some, or leave users out for everybody.")
    known = {str(user): row for row, user in enumerate(data.user_ids.tolist())}
    unknown = [user for user in users if str(user) not in known]
    if unknown:
        some = ", ".join(str(user) for user in data.user_ids[:3])
        raise DataError(f"{data.name} has no user {unknown[0]!r} ({len(unknown)} unknown in all); ids are like {some}.")
    if len(set(map(str, users))) < len(users):
        raise DataError("the same user was asked for twice; name each once.")
    return np.array([known[str(user)] for user in users])
