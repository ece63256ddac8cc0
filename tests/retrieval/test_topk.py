"""Blocked search against sorting everything."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.graph.clusters import k_means
from jmmrec.retrieval import block_size, exclusion, extremes, top_n, topk

USERS, ITEMS, WIDTH = 37, 150, 4


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def tables() -> tuple[jax.Array, jax.Array]:
    """Small integers: inner products are exact and ties are many."""
    rng = np.random.default_rng(1)
    return tuple(jnp.asarray(rng.integers(-2, 3, (n, WIDTH)), jnp.float32) for n in (USERS, ITEMS))


def by_sorting(scores: np.ndarray, n: int, excluded: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The n best of each row, lower index first among equals."""
    scores = scores.astype(np.float64)
    if excluded is not None:
        scores = np.where(excluded, -np.inf, scores)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    return order, np.take_along_axis(scores, order, axis=1)


@pytest.mark.parametrize(
    ("items", "n", "group"), [(400, 1, None), (400, 5, None), (333, 3, 16), (1000, 20, 16), (9, 9, 2)]
)
@pytest.mark.parametrize("values", [1, 3, 40])
def test_top_n_with_ties(rng, items, n, group, values) -> None:
    scores = rng.integers(0, values, (20, items)).astype(np.float32)
    scores[scores == 0] = -np.inf if values == 40 else 0.0
    found, index = jax.jit(top_n, static_argnums=(1, 2))(jnp.asarray(scores), n, group)
    expected = jax.lax.top_k(jnp.asarray(scores), n)
    np.testing.assert_array_equal(index, expected[1])
    np.testing.assert_array_equal(found, expected[0])
    assert index.dtype == jnp.int32


def test_top_n_of_rows_with_few_finite_scores(rng) -> None:
    scores = np.full((50, 200), -np.inf, np.float32)
    scores[np.arange(50), rng.integers(0, 200, 50)] = 1.0
    scores[25:] = -np.inf
    index = np.asarray(top_n(jnp.asarray(scores), 4, 16)[1])
    np.testing.assert_array_equal(index, by_sorting(scores, 4)[0])
    assert index.max() < 200


def test_top_n_of_too_many() -> None:
    with pytest.raises(ConfigError, match="the 4 best of 3 items were asked for; ask for at most 3"):
        top_n(jnp.ones((1, 3)), 4)


@pytest.mark.parametrize("item_block", [1 << 16, 64])
@pytest.mark.parametrize("queries_in_block", [4, 64])
@pytest.mark.parametrize("sides", ["none", "top", "both"])
def test_extremes_with_exclusion_and_item_blocks(tables, monkeypatch, item_block, queries_in_block, sides) -> None:
    monkeypatch.setattr(topk, "ITEM_BLOCK", item_block)
    user, item = tables
    memory = 12 * min(item_block, ITEMS) * queries_in_block
    pairs = np.argwhere(np.random.default_rng(2).random((USERS, ITEMS)) < 0.3)
    pairs = pairs[(pairs[:, 0] != 5) & (pairs[:, 0] != USERS - 1)]
    known = np.zeros((USERS, ITEMS), bool)
    known[tuple(pairs.T)] = True
    shuffled = np.random.default_rng(3).permutation(pairs)
    exclude = exclusion(shuffled[:, 0], shuffled[:, 1], USERS, ITEMS, memory)
    assert exclude.block == block_size(USERS, ITEMS, memory)
    found = extremes(
        user, item, 9, 4,
        exclude=None if sides == "none" else exclude,
        exclude_bottom=exclude if sides == "both" else None,
        memory=memory,
    )  # fmt: skip
    scores = np.asarray(user @ item.T)
    top, top_scores = by_sorting(scores, 9, None if sides == "none" else known)
    bottom, negated = by_sorting(-scores, 4, known if sides == "both" else None)
    np.testing.assert_array_equal(found.top_scores, top_scores)
    np.testing.assert_array_equal(found.bottom_scores, -negated)
    # Zeros of either sign count as different on some devices: compare the places of the others.
    for ours, expected, s in ((found.top, top, top_scores), (found.bottom, bottom, negated)):
        assert ((np.asarray(ours) == expected) | (s == 0)).all()


def test_everything_excluded_leaves_empty_places(tables) -> None:
    user, item = tables
    every = np.argwhere(np.ones((USERS, ITEMS), bool))
    exclude = exclusion(every[:, 0], every[:, 1], USERS, ITEMS)
    found = extremes(user, item, 3, 3, exclude=exclude, exclude_bottom=exclude)
    assert np.isneginf(found.top_scores).all() and np.isinf(found.bottom_scores).all()
    assert (np.asarray(found.top) < ITEMS).all()


def test_zero_of_either_side(tables) -> None:
    assert extremes(*tables, 2).bottom.shape == (USERS, 0)
    assert extremes(*tables, 0, 2).top_scores.shape == (USERS, 0)


def test_an_exclusion_of_other_blocks_is_refused(tables) -> None:
    exclude = exclusion(np.array([0]), np.array([0]), USERS, ITEMS, memory=12 * ITEMS * 4)
    with pytest.raises(ConfigError, match="blocks of 4 queries, the search uses 64"):
        extremes(*tables, 2, exclude=exclude)


@pytest.mark.parametrize(("queries", "items", "memory"), [(20_000, 7_050, 96 << 20), (3, 10, 1 << 20), (100, 10**6, 1)])
def test_blocks_respect_the_formula(queries, items, memory) -> None:
    block = block_size(queries, items, memory)
    in_block = min(items, topk.ITEM_BLOCK)
    assert block & (block - 1) == 0
    assert block == 1 or 3 * 4 * block * in_block <= memory
    # As large as it may be.
    assert block == topk.BLOCK or 2 * block > queries or 3 * 4 * 2 * block * in_block > memory


def test_whole_numbers_and_no_rows() -> None:
    scores = jnp.array([[3, 9, 1]])
    assert top_n(scores, 2)[1].tolist() == [[1, 0]] and top_n(jnp.zeros((0, 3)), 2)[1].shape == (0, 2)
    assert extremes(jnp.array([[1, 2]]), jnp.array([[1, 0], [0, 1]]), 1, 1).top.tolist() == [[1]]
    assert extremes(jnp.zeros((0, 2)), jnp.eye(2), 1).top.shape == (0, 1)
    assert k_means(jax.random.key(0), jnp.array([[0], [9]]), 2).distance.tolist() == [0.0, 0.0]
    with pytest.raises(ConfigError, match="0 of 0 items were asked for"):
        extremes(jnp.eye(2), jnp.zeros((0, 2)), 0)
