"""Synthetic data with planted truth: tastes, popularity, categories, features of a set informativeness."""

import dataclasses

import numpy as np

from jmmrec.data.dataset import Dataset, Modality
from jmmrec.data.splits import split
from jmmrec.errors import ConfigError, check_range, check_whole

# Independent random streams, so that e.g. another missing rate leaves the interactions as they were.
TASTE, ACTIVITY, DRAW, COLD, FEATURES, MISSING = range(6)
BLOCK = 512


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """What to generate.

    Attributes:
      n_users, n_items: sizes.
      interactions_per_user: mean over users; activity is log-normal with `activity_skew` (0 = all alike), at least 3.
      taste_dim: length k of the taste vectors.
      categories: item categories; `category_strength` in [0, 1] is the share of taste that the category explains.
      sharpness: how much taste decides; 0 = popularity alone.
      popularity_skew: standard deviation of the items' popularity (log scale).
      modalities: (name, dim, informativeness) of each; informativeness 0 = noise, 1 = fully determines the taste.
      noise: standard deviation of what is added to every feature at the end.
      missing_rate: chance that an item's row of a modality is missing.
      cold_items: share of items that training never sees.
      seed: of everything.
      name: of the data set.

    Raises:
      ConfigError: a value outside its range.

    >>> SyntheticConfig(n_users=50).n_items
    400
    """

    n_users: int = 600
    n_items: int = 400
    interactions_per_user: float = 20.0
    activity_skew: float = 0.5
    taste_dim: int = 8
    categories: int = 10
    category_strength: float = 0.5
    sharpness: float = 2.5
    popularity_skew: float = 0.8
    modalities: tuple[tuple[str, int, float], ...] = (("image", 64, 0.8), ("text", 32, 0.5))
    noise: float = 0.1
    missing_rate: float = 0.0
    cold_items: float = 0.05
    seed: int = 0
    name: str = "synthetic"

    def __post_init__(self) -> None:
        for option in ("n_users", "taste_dim", "categories"):
            check_whole(option, getattr(self, option), 1, 2**31 - 2)
        check_whole("seed", self.seed, 0, 2**63 - 1)
        # A user has at least 3 interactions and at most half of the items.
        check_whole("n_items", self.n_items, 8, 2**31 - 2)
        check_range("interactions_per_user", self.interactions_per_user, 3, self.n_items / 2)
        for option in ("activity_skew", "sharpness", "popularity_skew", "noise"):
            check_range(option, getattr(self, option), 0, 1e6)
        for option in ("category_strength", "missing_rate"):
            check_range(option, getattr(self, option), 0, 1)
        check_range("cold_items", self.cold_items, 0, 0.5)
        names = [name for name, _, _ in self.modalities]
        if len(set(names)) < len(names):
            raise ConfigError(f"modalities are named {names}; give each its own name.")
        for name, dim, informativeness in self.modalities:
            check_range(f"dim of {name}", dim, 1, 2**20)
            check_range(f"informativeness of {name}", informativeness, 0, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """What the data were drawn from.

    Attributes:
      users: float32 (n_users, k) tastes.
      items: float32 (n_items, k) tastes.
      bias: float32 (n_items,) popularity on the log scale.
      category: int32 (n_items,).
      cold: bool (n_items,), items kept out of training.
      sharpness: weight of taste in the scores.
    """

    users: np.ndarray
    items: np.ndarray
    bias: np.ndarray
    category: np.ndarray
    cold: np.ndarray
    sharpness: float

    def scores(self, users: np.ndarray | slice = slice(None)) -> np.ndarray:
        """True scores, float32 (len(users), n_items): sharpness * <user, item> / sqrt(k) + bias.

        A user's interactions are drawn without replacement from softmax(scores): no ranking does better in expectation.

        >>> synthesize(SyntheticConfig(n_users=9)).truth.scores(np.arange(2)).shape
        (2, 400)
        """
        weight = np.float32(self.sharpness / np.sqrt(self.users.shape[1]))
        return weight * (self.users[users] @ self.items.T) + self.bias


@dataclasses.dataclass(frozen=True, eq=False)
class Synthetic:
    """A generated data set, the truth behind it, and the settings."""

    dataset: Dataset
    truth: Truth = dataclasses.field(repr=False)
    config: SyntheticConfig


def synthesize(config: SyntheticConfig | None = None) -> Synthetic:
    """Generates a data set with known truth; the same settings always give the same bytes.

    Tastes: item = sqrt(s) centre[category] + sqrt(1 - s) g and user likewise with a favourite category, where s is
    `category_strength` and g ~ N(0, I). Interactions: for each user, Gumbel top-m of `Truth.scores` (m distinct items
    from the softmax). Features of informativeness r: M z + noise with z = r taste + sqrt(1 - r^2) g and a random linear
    map M (dim, k). Split by the `per_user` rule; interactions with cold items go to valid or test by a coin.

    Returns:
      Synthetic(dataset, truth, config).

    Raises:
      ConfigError: a setting outside its range.

    >>> synthesize(SyntheticConfig(n_users=50, seed=1)).dataset.n_users
    50
    """
    config = config or SyntheticConfig()
    truth = _truth(config)
    rows = _draw(config, truth)
    labels = _labels(config, rows, truth.cold)
    train, valid, test = (rows[labels == label] for label in range(3))
    modalities = {spec[0]: _modality(config, place, truth.items) for place, spec in enumerate(config.modalities)}
    dataset = Dataset(config.n_users, config.n_items, train, valid, test, modalities, name=config.name)
    return Synthetic(dataset, truth, config)


# The built-in demo: sparse enough that features help.
DEMO = SyntheticConfig(
    name="demo",
    n_users=1000,
    n_items=600,
    interactions_per_user=9,
    activity_skew=0.3,
    taste_dim=12,
    categories=20,
    sharpness=3.0,
    modalities=(("image", 64, 0.95), ("text", 32, 0.8)),
)


def demo_dataset(seed: int = 0) -> Dataset:
    """The built-in demo: 1,000 users, 600 items, about 9 interactions a user.

    >>> demo_dataset().n_items
    600
    """
    return synthesize(dataclasses.replace(DEMO, seed=seed)).dataset


def _stream(config: SyntheticConfig, *parts: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, *parts])


def _truth(config: SyntheticConfig) -> Truth:
    rng = _stream(config, TASTE)
    k = config.taste_dim
    centres = rng.standard_normal((config.categories, k))
    category = rng.integers(config.categories, size=config.n_items)
    favourite = rng.integers(config.categories, size=config.n_users)
    shared, own = np.sqrt(config.category_strength), np.sqrt(1 - config.category_strength)
    items = shared * centres[category] + own * rng.standard_normal((config.n_items, k))
    users = shared * centres[favourite] + own * rng.standard_normal((config.n_users, k))
    bias = config.popularity_skew * rng.standard_normal(config.n_items)
    cold = np.zeros(config.n_items, bool)
    cold[rng.permutation(config.n_items)[: round(config.cold_items * config.n_items)]] = True
    users, items, bias = (array.astype(np.float32) for array in (users, items, bias))
    return Truth(users, items, bias, category.astype(np.int32), cold, config.sharpness)


def _draw(config: SyntheticConfig, truth: Truth) -> np.ndarray:
    """Interactions (n, 2): each user's items by Gumbel top-m, in blocks of users."""
    sigma = config.activity_skew
    activity = np.exp(sigma * _stream(config, ACTIVITY).standard_normal(config.n_users) - sigma**2 / 2)
    counts = np.clip(np.rint(config.interactions_per_user * activity), 3, config.n_items // 2).astype(int)
    rows = []
    for start in range(0, config.n_users, BLOCK):
        users = np.arange(start, min(start + BLOCK, config.n_users))
        gumbel = _stream(config, DRAW, start).gumbel(size=(len(users), config.n_items))
        ranked = np.argsort(-(truth.scores(users) + gumbel), axis=1)
        taken = np.arange(config.n_items) < counts[users, None]
        rows.append(np.stack([np.repeat(users, counts[users]), ranked[taken]], axis=1))
    return np.concatenate(rows)


def _labels(config: SyntheticConfig, rows: np.ndarray, cold: np.ndarray) -> np.ndarray:
    untrained = cold[rows[:, 1]]
    labels = _stream(config, COLD).integers(1, 3, size=len(rows)).astype(np.int8)
    labels[~untrained] = split(rows[~untrained], seed=config.seed)
    return labels


def _modality(config: SyntheticConfig, place: int, items: np.ndarray) -> Modality:
    _, dim, r = config.modalities[place]
    rng = _stream(config, FEATURES, place)
    k = items.shape[1]
    mixed = r * items + np.sqrt(1 - r**2) * rng.standard_normal(items.shape)
    features = mixed @ (rng.standard_normal((k, dim)) / np.sqrt(k))
    features += config.noise * rng.standard_normal(features.shape)
    present = _stream(config, MISSING, place).random(len(items)) >= config.missing_rate
    return Modality(features.astype(np.float32), present)
