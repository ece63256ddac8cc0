"""Common items of users against a dense product, and lists that repeat neighbours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.graph import cooccurrence
from jmmrec.graph.cooccurrence import user_graph, user_neighbours
from jmmrec.graph.lists import list_pattern

USERS, ITEMS = 90, 40


@pytest.fixture(scope="module")
def pairs() -> np.ndarray:
    """User 0 has nothing, user 1 an item that nobody else has."""
    rng = np.random.default_rng(0)
    seen = rng.random((USERS, ITEMS)) < rng.uniform(0.01, 0.2, (USERS, 1))
    seen[0], seen[:, 7], seen[1] = False, False, np.arange(ITEMS) == 7
    return rng.permutation(np.argwhere(seen))


def brute_force(pairs: np.ndarray, measure: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    seen = np.zeros((USERS, ITEMS))
    seen[tuple(pairs.T)] = 1
    common = seen @ seen.T
    if measure == "cosine":
        degree = np.maximum(seen.sum(axis=1), 1)
        common = common / np.sqrt(degree[:, None] * degree)
    np.fill_diagonal(common, 0)
    order = np.argsort(-common, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(common, order, axis=1)
    return np.where(values > 0, order, -1), values


@pytest.mark.parametrize("entries", [1, 50, 1 << 22])
@pytest.mark.parametrize(("measure", "k"), [("count", 5), ("count", 89), ("cosine", 5)])
def test_neighbours_are_brute_force(pairs, monkeypatch, measure, k, entries) -> None:
    monkeypatch.setattr(cooccurrence, "ENTRIES", entries)
    near, similarity = user_neighbours(pairs, USERS, ITEMS, measure, k)
    expected, values = brute_force(pairs, measure, k)
    np.testing.assert_array_equal(near, expected)
    np.testing.assert_allclose(similarity, values, rtol=1e-6)
    assert (near[:2] == -1).all()


def test_lists_end_at_the_longest(pairs, monkeypatch) -> None:
    monkeypatch.setattr(cooccurrence, "LONGEST", 3)
    found = user_neighbours(pairs, USERS, ITEMS, "count", 3)[0]
    np.testing.assert_array_equal(found, brute_force(pairs, "count", 3)[0])
    for wrong in (0, 4):
        with pytest.raises(ConfigError, match=f"k is {wrong}"):
            user_neighbours(pairs, USERS, ITEMS, "count", wrong)
    with pytest.raises(ConfigError, match="measure is 'jaccard'"):
        user_neighbours(pairs, USERS, ITEMS, "jaccard")


def test_large_ones_are_computed_once(pairs, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("JMMREC_CACHE", str(tmp_path))
    assert user_neighbours(pairs, USERS, ITEMS)[0].shape == (USERS, 200) and not list(tmp_path.iterdir())
    monkeypatch.setattr(cooccurrence, "WORTH", 0)
    first = user_neighbours(pairs, USERS, ITEMS)
    monkeypatch.setattr(cooccurrence, "_longest", lambda *given: pytest.fail("computed again"))
    again = user_neighbours(pairs[::-1], USERS, ITEMS, k=3)
    np.testing.assert_array_equal(again[0], first[0][:, :3])
    np.testing.assert_array_equal(again[1], first[1][:, :3])
    assert len(list(tmp_path.iterdir())) == 1


def test_weights_are_a_softmax_over_the_list_with_its_repeats(pairs) -> None:
    graph = user_graph(pairs, USERS, ITEMS, "count", 6)
    repeats = np.asarray(graph.repeats(jax.random.key(1), 6))
    near, counts = brute_force(pairs, "count", 6)
    expected = np.zeros((USERS, USERS))
    for user in range(USERS):
        length = (near[user] >= 0).sum()
        if not length:
            continue
        slots = np.repeat(np.arange(length), repeats[user, :length])
        assert len(slots) == 6 and (repeats[user, :length] >= 1).all() and not repeats[user, length:].any()
        weight = np.exp(counts[user, slots])
        np.add.at(expected[user], near[user, slots], weight / weight.sum())
    dense = graph.weighted(jnp.asarray(repeats))
    np.testing.assert_allclose(dense.bcoo.todense(), expected, atol=1e-6)
    np.testing.assert_allclose(dense.T.bcoo.todense(), expected.T, atol=1e-6)


def test_repeats_are_a_growing_list() -> None:
    """Two neighbours and n slots: the number of repeats of the first is uniform over 1 .. n - 1."""
    pairs = np.array([[0, 0], [1, 0], [2, 0]])
    graph = user_graph(pairs, 3, 1, "count", 6)
    drawn = jax.vmap(lambda key: graph.repeats(key, 6))(jax.random.split(jax.random.key(0), 4000))
    share = np.bincount(np.asarray(drawn[:, 0, 0]), minlength=6) / 4000
    np.testing.assert_allclose(share[1:], 0.2, atol=0.03)
    assert share[0] == 0 and (np.asarray(drawn).sum(axis=2) == 6).all()


def test_cosine_weights_are_equal(pairs) -> None:
    graph = user_graph(pairs, USERS, ITEMS, "cosine", 4)
    dense = np.asarray(graph.weighted(jnp.ones(graph.mass.shape, jnp.uint8)).bcoo.todense())
    length = np.asarray(graph.length)
    np.testing.assert_allclose(dense.max(axis=1), np.where(length, 1 / np.maximum(length, 1), 0), rtol=1e-6)


def test_list_pattern_is_the_matrix_of_its_lists() -> None:
    lists = np.array([[2, 0], [2, 2], [1, 0]])
    values = jnp.arange(1.0, 7.0)
    pattern = list_pattern(jnp.asarray(lists), 4)
    expected = np.zeros((3, 4))
    np.add.at(expected, (np.arange(3)[:, None], lists), np.asarray(values).reshape(3, 2))
    found = pattern.weighted(values)
    np.testing.assert_array_equal(found.bcoo.todense(), expected)
    np.testing.assert_array_equal(found.T.bcoo.todense(), expected.T)
    np.testing.assert_array_equal(pattern.rows, [0, 0, 1, 1, 2, 2])
