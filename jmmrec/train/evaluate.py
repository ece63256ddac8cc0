"""Full ranking of a split and what it is worth: per-user metrics, catalogue measures, sparsity groups."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.data.dataset import Dataset
from jmmrec.data.missing import GROUPS, item_groups
from jmmrec.errors import ConfigError, DataError, check_choice, check_whole
from jmmrec.models.base import Backbone
from jmmrec.retrieval import METRICS, Questions, extremes, per_user, questions
from jmmrec.retrieval.topk import MEMORY, Extremes

KS = (5, 10, 20, 50)
MASKS = ("train", "train+valid")
CATALOGUE = ("coverage", "novelty", "popularity_lift")
SPARSITY_EDGES = (5, 10, 15, 20)

# What is asked, the (m, 2) pairs that may not be recommended, and k -> items (n, >= k) in the order of the users asked.
Ranker = Callable[[Questions, np.ndarray, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Metrics of a finished run on one split; every number knows where it comes from.

    Attributes:
      split: evaluated. mask: which of the users' items could not be recommended. seeds: one run each.
      users: int32 (n_users,), averaged over. per_user: "recall@20" -> (n_seeds, n_users).
      catalogue: "coverage@20" and so on -> (n_seeds,). left_out: users not asked, having no training interaction.
      degree: int (n_users,), training interactions of each user.
      per_group: item group -> the same measures over the relevant items of that group alone, NaN for users who have
        none there; empty where no item lacks a modality.
    """

    split: str
    mask: str
    seeds: tuple[int, ...]
    users: np.ndarray
    per_user: Mapping[str, np.ndarray]
    catalogue: Mapping[str, np.ndarray]
    degree: np.ndarray
    left_out: int
    per_group: Mapping[str, Mapping[str, np.ndarray]] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.4f}" for name, value in self.mean.items())
        seeds = ", ".join(map(str, self.seeds))
        return f"Evaluation({self.split}, masked: {self.mask}, seeds: {seeds}; {len(self.users):,} users: {means})"

    @property
    def per_seed(self) -> dict[str, np.ndarray]:
        """Every metric averaged over users, and the catalogue measures, (n_seeds,) each."""
        return {name: values.mean(axis=1) for name, values in self.per_user.items()} | dict(self.catalogue)

    @property
    def mean(self) -> dict[str, float]:
        """Every measure averaged over users and seeds."""
        return {name: float(values.mean()) for name, values in self.per_seed.items()}

    def sparsity(self, edges: Sequence[int] = SPARSITY_EDGES) -> dict[str, np.ndarray]:
        """Users grouped by training interactions (1-5, 6-10, ... by default): who is in a group, bool (n_users,).

        Cold users, where they were asked, are a group `0` of their own.
        """
        lows = [1, *(edge + 1 for edge in edges)]
        names = [str(high) if low == high else f"{low}-{high}" for low, high in zip(lows, edges, strict=False)]
        cold = self.degree == 0
        group = np.where(cold, -1, np.searchsorted(edges, self.degree))
        found = {"0": cold} if cold.any() else {}
        return found | {name: group == number for number, name in enumerate([*names, f">{edges[-1]}"])}

    def by_sparsity(self, metric: str, edges: Sequence[int] = SPARSITY_EDGES) -> dict[str, tuple[int, float]]:
        """The groups of `sparsity`: number of users, mean of the metric.

        Raises:
          ConfigError: a metric that was not computed.
        """
        if metric not in self.per_user:
            raise ConfigError(f"{metric} was not computed; there are {', '.join(self.per_user)}.")
        values = self.per_user[metric]
        return {
            name: (int(here.sum()), float(values[:, here].mean()) if here.any() else float("nan"))
            for name, here in self.sparsity(edges).items()
        }

    def by_missing(self, metric: str) -> dict[str, tuple[int, float]]:
        """By the relevant items' modalities (all, some, none observed): users asked about such items, mean over them.

        Other relevant items stand in the lists and count as neither hit nor relevant.

        Raises:
          ConfigError: a metric that was not computed, or no item lacks a modality.
        """
        if not self.per_group:
            raise ConfigError("no item lacks a modality, so there are no groups to tell apart; leave them out.")
        if metric not in self.per_user:
            raise ConfigError(f"{metric} was not computed; there are {', '.join(self.per_user)}.")
        found = {}
        for group, measures in self.per_group.items():
            asked = ~np.isnan(measures[metric][0])
            mean = float(measures[metric][:, asked].mean()) if asked.any() else float("nan")
            found[group] = (int(asked.sum()), mean)
        return found


def merge_seeds(parts: Sequence[Evaluation]) -> Evaluation:
    """Evaluations of different seeds on the same split and users as one.

    Raises:
      ConfigError: none at all; another split, mask, set of users or of measures; a seed that comes twice.
    """
    if not parts:
        raise ConfigError("there is no evaluation to merge; give one of each seed.")
    first, seeds = parts[0], tuple(seed for part in parts for seed in part.seeds)
    measures = [(list(p.per_user), list(p.catalogue), list(p.per_group)) for p in parts]
    if any(names != measures[0] for names in measures):
        raise ConfigError("evaluations with other metrics, Ks or groups cannot be merged; ask for the same in each.")
    if any((p.split, p.mask) != (first.split, first.mask) or not np.array_equal(p.users, first.users) for p in parts):
        raise ConfigError("evaluations on different splits, masks or users cannot be merged.")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"evaluations to merge share seeds ({seeds}); give each seed once.")
    return dataclasses.replace(
        first,
        seeds=seeds,
        per_user={name: np.concatenate([p.per_user[name] for p in parts]) for name in first.per_user},
        catalogue={name: np.concatenate([p.catalogue[name] for p in parts]) for name in first.catalogue},
        per_group={
            group: {name: np.concatenate([p.per_group[group][name] for p in parts]) for name in measures}
            for group, measures in first.per_group.items()
        },
    )


@functools.partial(jax.jit, static_argnames=("model", "k", "memory"))
def best_items(
    model: Backbone,
    params,
    state,
    static,
    users: jax.Array,
    exclude,
    k: int,
    memory: int,
    among: tuple | None = None,
) -> Extremes:
    """The k best items of each user with their scores, best first, without the excluded pairs; blocked.

    Args:
      users: int32 (n,). exclude: `jmmrec.retrieval.exclusion` over their places, built with the same memory.
      among: int32 (m,), the items to choose from, whose places are then told, and bool (m,), False for what only fills
        up; None: all items.
    """
    encoded = model.encode(params, state, static, None, train=False)
    user, item = encoded.user[users], encoded.item
    if among is not None:  # one more product, of 1 and 0 or -inf
        bias = jnp.where(among[1], 0.0, -jnp.inf).astype(item.dtype)
        user = jnp.concatenate([user, jnp.ones((len(user), 1), user.dtype)], axis=1)
        item = jnp.concatenate([item[among[0]], bias[:, None]], axis=1)
    return extremes(user, item, k, exclude=exclude, memory=memory)


@functools.partial(jax.jit, static_argnames=("model", "k", "memory"))
def rank(model: Backbone, params, state, static, users: jax.Array, exclude, k: int, memory: int) -> jax.Array:
    """The items of `best_items` alone, int32 (n, k)."""
    return best_items(model, params, state, static, users, exclude, k, memory).top


def ask(model: Backbone, best: tuple[Any, Any], static, what: Questions, k: int, memory: int) -> np.ndarray:
    """Ranked items of the asked users as a NumPy array (n, k); k is cut at the number of items."""
    k = min(k, what.n_items)
    return np.asarray(rank(model, *best, static, jnp.asarray(what.users), what.exclude, k, memory))


def evaluate_split(
    model: Backbone,
    runs: Mapping[int, tuple[Any, Any]],
    static,
    dataset: Dataset,
    *,
    memory: int,
    **options: Any,
) -> Evaluation:
    """Evaluates finished runs on a split of a data set.

    Args:
      runs: seed -> (params, state). static: `model.prepare(dataset.for_training())`.
      memory: bytes for score blocks. options: split, mask, ks, metrics, cold_users, as in `evaluate_rankings`.

    Raises:
      ConfigError, DataError: as `evaluate_rankings`.

    `jmmrec.evaluate` does this for the result of `jmmrec.fit`.
    """

    def _ranker(best: tuple[Any, Any]) -> Ranker:
        return lambda what, masked, k: ask(model, best, static, what, k, memory)

    rankers = {seed: _ranker(best) for seed, best in runs.items()}
    return evaluate_rankings(rankers, dataset, memory=memory, **options)


def _check_split(dataset: Dataset, split: str, mask: str) -> None:
    check_choice("split", split, ("valid", "test"))
    check_choice("mask", mask, MASKS)
    if split == "valid" and mask != "train":
        raise ConfigError("mask='train+valid' would hide the very items that are looked for; use it with split='test'.")
    if not len(getattr(dataset, split)):
        joined = any(step["do"] == "join" for step in dataset.steps)
        why = "as all were trained on" if joined else "so it tells nothing"
        raise DataError(
            f"{dataset.name} has no {split} rows, {why}; evaluate another split, or a run that left some out."
        )


def _check_asked(ks: Sequence[int], metrics: Sequence[str]) -> None:
    if isinstance(ks, int) or isinstance(metrics, str):
        raise ConfigError(f"ks are {ks!r} and metrics {metrics!r}; give sequences, such as (10, 20) and ('recall',).")
    if not len(ks) or not len(metrics):
        raise ConfigError(f"ks are {tuple(ks)} and metrics {tuple(metrics)}; give at least one of each.")
    for k in ks:
        check_whole("k", k, 1)
    for name in metrics:
        if "@" in name:
            raise ConfigError(f"metric is {name!r}; give metrics=({name.partition('@')[0]!r},) and its K in ks.")
        check_choice("metric", name, (*METRICS, *CATALOGUE))


def evaluate_rankings(
    rankers: Mapping[int, Ranker],
    dataset: Dataset,
    *,
    split: str = "test",
    mask: str = "train",
    ks: Sequence[int] = KS,
    metrics: Sequence[str] = tuple(METRICS),
    cold_users: bool = False,
    memory: int = MEMORY,
) -> Evaluation:
    """Evaluates whatever ranks items, trained or not, on a split of a data set.

    Args:
      rankers: seed -> `Ranker`. split: `valid` or `test`. mask: `train`, or `train+valid` (test only).
      ks, metrics: what to compute; where no catalogue measure (coverage, novelty, popularity_lift) is named, all of
        them, too. cold_users: also ask users without training interactions.
      memory: bytes for score blocks.

    Raises:
      ConfigError: unknown split, mask or metric, no positive K, or valid items masked on valid. DataError: nobody to
        ask.

    See `jmmrec.train.reference` for an example.
    """
    _check_split(dataset, split, mask)
    _check_asked(ks, metrics)
    masked = np.concatenate([dataset.train, dataset.valid]) if mask == "train+valid" else dataset.train
    sizes = (dataset.n_users, dataset.n_items)
    what = questions(getattr(dataset, split), masked, dataset.train, *sizes, cold_users=cold_users, memory=memory)
    degree = np.bincount(dataset.train[:, 0], minlength=dataset.n_users)
    popularity = np.bincount(dataset.train[:, 1], minlength=dataset.n_items)
    groups = item_groups(dataset)
    room = dataset.n_items - np.bincount(masked[:, 0], minlength=dataset.n_users)[what.users]
    shown = [name for name in metrics if name in CATALOGUE] or CATALOGUE
    metrics = [name for name in metrics if name in METRICS]
    users, shelves, parts = [], [], []
    for ranker in rankers.values():
        ranked = ranker(what, masked, max(ks))
        hits = what.hits(ranked)
        users.append(per_user(hits, what.n_relevant, ks, metrics))
        parts.append(_by_group(what, ranked, hits, groups, ks, metrics) if groups.any() else {})
        shelf = catalogue(ranked, what.users, dataset.train, popularity, degree, ks, room)
        shelves.append({name: value for name, value in shelf.items() if name.partition("@")[0] in shown})
    return Evaluation(
        split=split,
        mask=mask,
        seeds=tuple(rankers),
        users=what.users,
        per_user={name: np.stack([u[name] for u in users]) for name in users[0]},
        catalogue={name: np.array([s[name] for s in shelves]) for name in shelves[0]},
        degree=degree[what.users],
        left_out=what.left_out,
        per_group={
            group: {name: np.stack([part[group][name] for part in parts]) for name in measures}
            for group, measures in parts[0].items()
        },
    )


def _by_group(
    what: Questions, ranked: np.ndarray, hits: np.ndarray, groups: np.ndarray, ks: Sequence[int], metrics: Sequence[str]
) -> dict[str, dict[str, np.ndarray]]:
    found = {}
    users, items = np.divmod(what.relevant, what.n_items)
    for number, group in enumerate(GROUPS):
        n_relevant = np.bincount(users[groups[items] == number], minlength=len(what.users))
        measures = per_user(hits & (groups[ranked] == number), np.maximum(n_relevant, 1), ks, metrics)
        found[group] = {name: np.where(n_relevant > 0, values, np.nan) for name, values in measures.items()}
    return found


def catalogue(
    ranked: np.ndarray,
    users: np.ndarray,
    train: np.ndarray,
    popularity: np.ndarray,
    degree: np.ndarray,
    ks: Sequence[int],
    room: np.ndarray | None = None,
) -> dict[str, float]:
    """What the lists look like as a whole, at every K.

    coverage: share of all items in at least one list. novelty: mean over users and ranks of -log2 of the share of
    users with the item in training, counting an item nobody has as one user. popularity_lift: mean training
    popularity of what a user is shown over that of what the user has, minus 1 (0: as popular as own taste).

    Args:
      ranked: (n, >= K) items of `users`. train: (t, 2). popularity: (n_items,). degree: (n_users,).
      room: (n,), how many items a user can be shown at all: what stands behind them is hidden, and no place of a list;
        None: all.

    >>> shown = catalogue(np.array([[1]]), np.array([0]), np.array([[0, 0]]), np.array([1, 1]), np.array([1]), [1])
    >>> shown["coverage@1"], shown["popularity_lift@1"]
    (0.5, 0.0)
    """
    sums = np.bincount(train[:, 0], weights=popularity[train[:, 1]], minlength=len(degree))
    own = (sums / np.maximum(degree, 1))[users]
    information = -np.log2(np.maximum(popularity, 1) / max(int((degree > 0).sum()), 1))
    found = {}
    for k in ks:
        shown = ranked[:, :k]
        here = np.arange(shown.shape[1]) < (len(popularity) if room is None else room[:, None])
        here = np.broadcast_to(here, shown.shape)
        asked = (own > 0) & here.any(axis=1)
        lift = (popularity[shown].sum(axis=1, where=here)[asked] / here.sum(axis=1)[asked]) / own[asked] - 1.0
        found[f"coverage@{k}"] = len(np.unique(shown[here])) / len(popularity)
        found[f"novelty@{k}"] = float(information[shown[here]].mean()) if here.any() else 0.0
        found[f"popularity_lift@{k}"] = float(lift.mean()) if len(lift) else 0.0
    return found
