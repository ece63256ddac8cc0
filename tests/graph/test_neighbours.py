"""Item graphs against brute force, with missing items and published neighbours."""

import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Modality
from jmmrec.errors import ConfigError, DataError
from jmmrec.graph import item_graph, nearest, neighbours_of


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)


def brute_force(features: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    unit = features.astype(np.float64) / np.linalg.norm(features, axis=1, keepdims=True)
    cosine = unit @ unit.T
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(cosine, order, axis=1)


@pytest.mark.parametrize("memory", [3 * 4 * 60 * 4, 1 << 20])
@pytest.mark.parametrize("k", [1, 7, 60])
def test_nearest_is_brute_force(features, memory, k) -> None:
    items, cosines = nearest(jnp.asarray(features), k, memory)
    expected, values = brute_force(features, k)
    np.testing.assert_array_equal(items, expected)
    np.testing.assert_allclose(cosines, values, atol=1e-6)


@pytest.mark.parametrize("norm", ["uniform", "weighted"])
def test_item_graph_is_the_weighted_sum(features, norm) -> None:
    both = {"a": Modality(np.abs(features)), "b": Modality(np.abs(features[:, ::-1] ** 2))}
    expected = np.zeros((60, 60))
    for weight, modality in zip((0.3, 0.7), both.values(), strict=True):
        near, cosine = brute_force(modality.features, 4)
        total = cosine.sum(axis=1)
        value = cosine / np.sqrt(total[:, None] * total[near]) if norm == "weighted" else np.full(near.shape, 0.25)
        np.add.at(expected, (np.arange(60)[:, None], near), weight * value)
    graph = item_graph(both, {"a": 0.3, "b": 0.7}, 4, norm)
    np.testing.assert_allclose(graph.bcoo.todense(), expected, rtol=1e-5, atol=1e-7)


def test_missing_items_have_no_neighbours_and_are_nobody_s(features) -> None:
    present = np.arange(60) % 4 != 0
    modality = Modality(features, present)
    here, near, _ = neighbours_of(modality, 3)
    np.testing.assert_array_equal(here, np.flatnonzero(present))
    np.testing.assert_array_equal(near, here[brute_force(features[present], 3)[0]])
    dense = np.asarray(item_graph({"a": modality}, {"a": 1.0}, 3).bcoo.todense())
    assert not dense[~present].any() and not dense[:, ~present].any()


def test_published_neighbours_are_used(features) -> None:
    published = np.random.default_rng(1).integers(0, 60, (60, 5))
    modality = Modality(features, neighbours=published)
    np.testing.assert_array_equal(neighbours_of(modality, 3)[1], published[:, :3])
    # Too few of them, or items that miss the modality: computed instead.
    np.testing.assert_array_equal(neighbours_of(modality, 6)[1], brute_force(features, 6)[0])
    # Published without their cosines: those of the features.
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(
        neighbours_of(modality, 3)[2], np.einsum("nd,nkd->nk", unit, unit[published[:, :3]]), rtol=1e-5, atol=1e-6
    )
    partly = Modality(features, np.arange(60) > 0, neighbours=published)
    assert 0 not in neighbours_of(partly, 3)[1]


def test_zero_rows_do_not_spread_nan() -> None:
    features = np.zeros((6, 3), np.float32)
    features[:2] = 1.0
    for norm in ("uniform", "weighted"):
        assert np.isfinite(item_graph({"a": Modality(features)}, {"a": 1.0}, 2, norm).values).all()


def test_errors() -> None:
    few = Modality(np.eye(4, dtype=np.float32), np.array([True, True, False, False]))
    with pytest.raises(DataError, match="3 neighbours were asked for but only 2 items have sound; lower knn_k"):
        item_graph({"sound": few}, {"sound": 1.0}, 3)
    with pytest.raises(ConfigError, match="at least one modality"):
        item_graph({}, {}, 3)
    with pytest.raises(ConfigError, match="norm is 'cosine'"):
        item_graph({"a": few}, {"a": 1.0}, 1, "cosine")
