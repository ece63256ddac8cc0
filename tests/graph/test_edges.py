"""Edge pruning: what is kept, how it is drawn, and the graph it leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.graph import bipartite, edge_list, keep_edges, sample_edges

USERS, ITEMS = 8, 6


@pytest.fixture(scope="module")
def pairs() -> np.ndarray:
    found = np.argwhere(np.random.default_rng(0).random((USERS, ITEMS)) < 0.45)
    return np.random.default_rng(1).permutation(found)


@pytest.mark.parametrize("norm", ["sym_eps7", "sym_exact", "sym_eps8"])
@pytest.mark.parametrize("n", [1, 5, None])
def test_keeping_is_rebuilding(pairs, norm, n) -> None:
    edges = edge_list(pairs, USERS, ITEMS)
    n = len(pairs) if n is None else n
    kept = jnp.sort(jax.random.permutation(jax.random.key(n), len(pairs))[:n])
    ours = jax.jit(keep_edges, static_argnames="norm")(edges, kept, norm)
    rows = np.stack([edges.user[kept], edges.item[kept]], axis=1)
    for ours_side, other in zip(ours[:2], bipartite(rows, USERS, ITEMS, norm)[:2], strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours_side, other)


def test_weights_come_from_the_full_degrees(pairs) -> None:
    edges = edge_list(pairs, USERS, ITEMS)
    user, item = np.bincount(pairs[:, 0])[edges.user], np.bincount(pairs[:, 1])[edges.item]
    np.testing.assert_allclose(edges.weight, ((user + 1e-7) * (item + 1e-7)) ** -0.5, rtol=1e-6)


def test_samples_are_sorted_and_different() -> None:
    kept = np.asarray(sample_edges(jax.random.key(0), jnp.linspace(0.1, 9.0, 50), 20))
    assert kept.dtype == np.int32 and (np.diff(kept) > 0).all()


def one_after_another(rng: np.random.Generator, weight: np.ndarray, n: int) -> np.ndarray:
    """The plain definition: draw, remove, draw again."""
    weight, chosen = weight.copy(), []
    for _ in range(n):
        chosen.append(rng.choice(len(weight), p=weight / weight.sum()))
        weight[chosen[-1]] = 0.0
    return np.array(chosen)


def test_inclusion_frequencies_are_those_of_sequential_draws() -> None:
    weight, n, rounds = np.array([0.2, 0.5, 1.0, 1.0, 3.0, 6.0]), 3, 6000
    keys = jax.random.split(jax.random.key(3), rounds)
    ours = np.asarray(jax.vmap(lambda k: sample_edges(k, jnp.asarray(weight, jnp.float32), n))(keys))
    rng = np.random.default_rng(4)
    theirs = np.stack([one_after_another(rng, weight, n) for _ in range(rounds)])
    ours, theirs = (np.bincount(a.ravel(), minlength=len(weight)) / rounds for a in (ours, theirs))
    # Both are estimates: 5 standard deviations of their difference.
    assert (np.abs(ours - theirs) < 5 * np.sqrt(2 * 0.25 / rounds)).all()
    assert (np.diff(ours)[[0, 1, 3, 4]] > 0.02).all()


def test_sampling_under_vmap_is_sampling_alone() -> None:
    keys = jax.random.split(jax.random.key(0), 4)
    together = jax.vmap(lambda k: sample_edges(k, jnp.arange(1.0, 9.0), 3))(keys)
    for key, row in zip(keys, together, strict=True):
        np.testing.assert_array_equal(row, sample_edges(key, jnp.arange(1.0, 9.0), 3))
