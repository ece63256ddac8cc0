"""What training gives back: the best parameters of each seed, and everything one does with them."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jmmrec.data.dataset import Dataset
from jmmrec.errors import ConfigError
from jmmrec.models import Backbone
from jmmrec.recommendations import Recommendations, recommend
from jmmrec.train import Evaluation, Lane, TrainConfig, WarmupConfig, evaluate_split
from jmmrec.train.record import full_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """A finished run.

    Attributes:
      model, dataset, config: what was trained, on what, how. static: the model's prepared graphs and features.
      lanes: seed -> the lane of the last strategy in `outcomes`, whose warm-up was chosen on valid; the backbone alone
        may do better, see `evaluate`.
      outcomes: strategy -> seed -> lane, where a search tried several; `none` is the backbone alone.
      epochs: (trained, what runs from scratch would have trained).
      folder: where it was written, or None. warmup: of virtual triplets.
    """

    model: Backbone
    dataset: Dataset
    config: TrainConfig
    static: Any
    lanes: Mapping[int, Lane]
    outcomes: Mapping[str, Mapping[int, Lane]]
    epochs: tuple[int, int]
    folder: Path | None = None
    warmup: WarmupConfig = WarmupConfig()  # noqa: RUF009 (frozen)

    def __repr__(self) -> str:
        where = f", folder={str(self.folder)!r}" if self.folder else ""
        scores = ", ".join(f"{lane.best_score:.4f}" for lane in self.lanes.values())
        best = f"valid {self.config.monitor}={scores}, " if self.config.judged else ""
        return (
            f"Result({self.name}, {self.dataset.name}, seeds={list(self.lanes)}, {best}epochs={self.epochs[0]}{where})"
        )

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
          strategy: of a search, another outcome than the chosen one, e.g. `none` for the backbone alone, or `best`, see
            `best_strategy`.

        Raises:
          ConfigError: unknown split, mask or strategy. DataError: nobody to ask.
        """
        lanes = self._outcome(strategy)
        options.setdefault("memory", self.config.rank_memory)
        return evaluate_split(self.model, _best(lanes), self.static, self.dataset, split=split, mask=mask, **options)

    @property
    def best_strategy(self) -> str | None:
        """The outcome of a search with the best valid score over its seeds, the backbone alone (`none`) among them.

        The first of equals; None where nothing was searched.
        """
        scores = {name: sum(lane.best_score for lane in lanes.values()) for name, lanes in self.outcomes.items()}
        return max(scores, key=scores.__getitem__, default=None)

    def _outcome(self, strategy: str | None) -> Mapping[int, Lane]:
        strategy = self.best_strategy if strategy == "best" else strategy
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
        items: Sequence[Any] | None = None,
        seed: int | None = None,
        strategy: str | None = None,
        again: bool = False,
        skip_unknown: bool = False,
    ) -> Recommendations:
        """Top-K items for users by their original ids.

        Args:
          users: original ids, or one; default everybody. k: length of the lists; a user who has fewer items left gets a
            shorter one.
          items: original ids of those that may be listed (what is in stock, say), or `"trained"`: those with a training
            interaction; default all, as `evaluate` ranks them.
          seed: which run; default the first. strategy: as in `evaluate`.
          again: also recommend what the user has in training or valid. skip_unknown: leave out users that the data does
            not have, instead of refusing them.

        Returns:
          lists that say who has no training interaction, whose are shorter, and what is listed untrained (`remarks`).

        Raises:
          DataError: an unknown user or item, or none at all. ConfigError: k above the number of items, or no such seed.

        >>> from jmmrec import fit
        >>> result = fit("bpr", "synthetic", epochs=1, quiet=True)
        >>> [len(found) for found in result.recommend([3, 17], k=5, items=range(40)).lists.values()]
        [5, 5]
        """
        options = {"items": items, "again": again, "skip_unknown": skip_unknown, "memory": self.config.rank_memory}
        return recommend(self.model, self._chosen(seed, strategy), self.static, self.dataset, users, k, **options)

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Loss and valid NDCG@10, if measured, by epoch, where virtual triplets came in marked; also written to `path`.

        Raises:
          JmmrecError: matplotlib is not installed.
        """
        from jmmrec.report.plots import plot_history

        histories = {name: [list(lane.history) for lane in lanes.values()] for name, lanes in self.outcomes.items()}
        return plot_history(histories or {self.name: self.history}, path, panels=panels_of(self.config))


def panels_of(*configs: TrainConfig) -> tuple[str, ...]:
    """What curves of runs show: loss, and valid NDCG@10 if any of them was judged by valid.

    >>> panels_of(TrainConfig(monitor="none"))
    ('loss',)
    """
    return ("loss", "valid/ndcg@10") if any(config.judged for config in configs) else ("loss",)


def _best(lanes: Mapping[int, Lane]) -> dict[int, tuple[Any, Any]]:
    return {seed: lane.best for seed, lane in lanes.items() if lane.best is not None}
