"""The generator plants the truth it claims to plant."""

import dataclasses

import numpy as np
import pytest

from jmmrec.data import Synthetic, SyntheticConfig, demo_dataset, load, synthesize
from jmmrec.errors import ConfigError

SMALL = SyntheticConfig(n_users=120, n_items=80, interactions_per_user=8, seed=3)


@pytest.fixture(scope="module")
def made() -> Synthetic:
    return synthesize()


def recall(d, scores: np.ndarray, k: int = 20) -> float:
    """Test Recall@k of a users-by-items score matrix, training items masked."""
    scores = scores.copy()
    scores[d.train[:, 0], d.train[:, 1]] = -np.inf
    top = np.argsort(-scores, axis=1)[:, :k]
    hits = (top[d.test[:, 0]] == d.test[:, 1:]).any(axis=1)
    count = np.bincount(d.test[:, 0], minlength=d.n_users)
    return float((np.bincount(d.test[:, 0], hits, d.n_users)[count > 0] / count[count > 0]).mean())


def test_same_settings_same_data() -> None:
    assert synthesize(SMALL).dataset.digest == synthesize(SMALL).dataset.digest
    assert synthesize(SMALL).dataset.digest != synthesize(dataclasses.replace(SMALL, seed=4)).dataset.digest
    assert load("synthetic").digest == demo_dataset().digest != load("synthetic", seed=1).digest


def test_features_and_missing_rate_leave_interactions_alone() -> None:
    plain = synthesize(SMALL).dataset
    other = synthesize(dataclasses.replace(SMALL, missing_rate=0.5, modalities=(("audio", 5, 0.1),))).dataset
    assert other.split_digest == plain.split_digest
    assert 0.3 < other.modalities["audio"].present.mean() < 0.7


def test_sizes_and_activity(made: Synthetic) -> None:
    d = made.dataset
    rows = np.concatenate([d.train, d.valid, d.test])
    degree = np.bincount(rows[:, 0], minlength=d.n_users)
    assert degree.min() >= 3
    assert degree.mean() == pytest.approx(made.config.interactions_per_user, rel=0.1)
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_cold_items_are_kept_out_of_training(made: Synthetic) -> None:
    cold = made.truth.cold
    assert cold.sum() == 20
    assert not cold[made.dataset.train[:, 1]].any()
    assert cold[made.dataset.valid[:, 1]].any() and cold[made.dataset.test[:, 1]].any()


def test_the_truth_ranks_best_and_popularity_is_beaten(made: Synthetic) -> None:
    d = made.dataset
    popular = np.tile(np.bincount(d.train[:, 1], minlength=d.n_items).astype(float), (d.n_users, 1))
    seen = np.zeros((d.n_users, d.n_items))
    seen[d.train[:, 0], d.train[:, 1]] = 1
    walk = seen / np.sqrt(np.outer(seen.sum(1).clip(1), seen.sum(0).clip(1)))
    learned = recall(d, walk @ (walk.T @ walk))
    oracle = recall(d, made.truth.scores())
    assert oracle > learned + 0.1
    assert learned > 1.8 * recall(d, popular)


def test_interactions_follow_the_softmax_of_the_scores() -> None:
    config = SyntheticConfig(n_users=4000, n_items=8, interactions_per_user=3, activity_skew=0, sharpness=0,
                             cold_items=0, modalities=())  # fmt: skip
    s = synthesize(config)
    rows = np.concatenate([s.dataset.train, s.dataset.valid, s.dataset.test])
    found = np.bincount(rows[:, 1], minlength=8) / 4000
    # Chance that an item is among 3 drawn without replacement, summed over all ordered triples.
    p = np.exp(s.truth.bias.astype(float)) / np.exp(s.truth.bias.astype(float)).sum()
    chance = np.zeros(8)
    for a in range(8):
        for b in set(range(8)) - {a}:
            for c in set(range(8)) - {a, b}:
                both = p[a] * p[b] / (1 - p[a]) * p[c] / (1 - p[a] - p[b])
                chance[[a, b, c]] += both
    assert np.allclose(found, chance, atol=0.03)


def neighbour_taste(informativeness: float) -> float:
    """Mean cosine of the tastes of each item and its 5 nearest items by features, above that of any two items."""
    config = dataclasses.replace(SMALL, n_items=300, modalities=(("image", 32, informativeness),))
    s = synthesize(config)
    unit = s.dataset.modalities["image"].features
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    near = np.argsort(-(unit @ unit.T), axis=1)[:, 1:6]
    taste = s.truth.items / np.linalg.norm(s.truth.items, axis=1, keepdims=True)
    return float(np.einsum("ik,ijk->ij", taste, taste[near]).mean() - (taste @ taste.T).mean())


def test_neighbours_in_features_share_taste_as_far_as_features_inform() -> None:
    found = [neighbour_taste(r) for r in (0.0, 0.5, 0.8, 1.0)]
    assert abs(found[0]) < 0.05
    assert np.diff(found).min() > 0.05
    assert found[-1] > 0.7


def test_informativeness_one_determines_the_taste() -> None:
    s = synthesize(dataclasses.replace(SMALL, noise=0.0, modalities=(("image", 32, 1.0), ("text", 32, 0.0))))
    for name, low, high in (("image", 0.999, 1.001), ("text", -1.0, 0.6)):
        x, y = s.dataset.modalities[name].features, s.truth.items
        left = y - x @ np.linalg.lstsq(x, y, rcond=1e-4)[0]
        assert low <= 1 - (left**2).sum() / (y**2).sum() <= high


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_users": 0}, "n_users is 0"),
        ({"n_items": 5}, "n_items is 5"),
        ({"interactions_per_user": 300}, "interactions_per_user is 300"),
        ({"missing_rate": 1.5}, "missing_rate"),
        ({"cold_items": 0.9}, "cold_items"),
        ({"sharpness": float("nan")}, "sharpness is nan"),
        ({"modalities": (("image", 4, 1.1),)}, "informativeness of image is 1.1"),
        ({"modalities": (("image", 0, 1),)}, "dim of image"),
        ({"modalities": (("a", 4, 1), ("a", 4, 1))}, "own name"),
    ],
)
def test_settings_outside_their_range(changes: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SyntheticConfig(**changes)
