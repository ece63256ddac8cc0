"""k-means: its fixed points, empty clusters, blocks, and runs side by side."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.graph import k_means

KEY = jax.random.key(0)


def rows(n: int = 40, d: int = 3) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(n, d)), jnp.float32)


def lloyd(x: np.ndarray, centroids: np.ndarray, n_iters: int) -> np.ndarray:
    """The plain definition, where no cluster is empty."""
    for _ in range(n_iters):
        near = ((x[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)
        centroids = np.stack([x[near == k].mean(axis=0) for k in range(len(centroids))])
    return centroids


@pytest.mark.parametrize("memory", [1 << 20, 200])
def test_iterations_are_lloyds(memory) -> None:
    x = rows()
    start = k_means(KEY, x, 4, 0).centroids
    assert all(any(np.array_equal(c, row) for row in x) for c in start)
    found = jax.jit(k_means, static_argnums=(2, 3, 4))(KEY, x, 4, 6, memory)
    np.testing.assert_allclose(found.centroids, lloyd(np.asarray(x), np.asarray(start), 6), rtol=1e-5, atol=1e-6)
    distance = ((np.asarray(x)[:, None] - np.asarray(found.centroids)) ** 2).sum(axis=2)
    np.testing.assert_array_equal(found.assigned, distance.argmin(axis=1))
    np.testing.assert_allclose(found.distance, distance.min(axis=1), rtol=1e-5, atol=1e-7)


def test_separated_clusters_are_found_although_all_seeds_fall_into_one() -> None:
    x = jnp.concatenate([jnp.zeros((60, 2)), jnp.full((1, 2), 9.0), jnp.full((1, 2), -9.0)])
    found = k_means(KEY, x, 3, 3)
    np.testing.assert_allclose(found.distance, 0.0, atol=1e-10)
    assert len(set(found.assigned.tolist())) == 3


def test_more_iterations_are_never_worse_and_equal_rows_are_finite() -> None:
    inertia = [float(k_means(KEY, rows(), 5, n).distance.sum()) for n in (0, 1, 3, 10)]
    assert all(b <= a * (1 + 1e-5) for a, b in itertools.pairwise(inertia))
    same = k_means(KEY, jnp.ones((7, 2)), 3)
    assert np.isfinite(same.centroids).all() and not same.distance.any()
    assert sorted(k_means(KEY, rows(5), 5).assigned.tolist()) == list(range(5))


def test_runs_side_by_side_are_runs_alone_and_no_gradient_flows() -> None:
    x = jnp.stack([rows(), 2 * rows()])
    both = jax.vmap(lambda r: k_means(KEY, r, 4))(x)
    for n in range(2):
        alone = k_means(KEY, x[n], 4)
        np.testing.assert_array_equal(both.assigned[n], alone.assigned)
        np.testing.assert_allclose(both.centroids[n], alone.centroids, rtol=1e-5, atol=1e-6)
    assert not jax.grad(lambda r: k_means(KEY, r, 4).centroids.sum())(x[0]).any()


@pytest.mark.parametrize(("clusters", "iters"), [(0, 1), (41, 1), (2, -1)])
def test_numbers_outside_their_range(clusters, iters) -> None:
    with pytest.raises(ConfigError, match=r"n_clusters|n_iters"):
        k_means(KEY, rows(), clusters, iters)
