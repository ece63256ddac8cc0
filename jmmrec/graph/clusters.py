"""k-means on the device (Lloyd, 1982): a fixed number of iterations, fixed shapes, nothing of rows × clusters held.

Usable alone, on any table of vectors, under jit and vmap; the same key gives the same clusters.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jmmrec.errors import check_whole
from jmmrec.retrieval.topk import MEMORY
from jmmrec.retrieval.vectors import as_float

EXACT = jax.lax.Precision.HIGHEST  # distances are differences of large numbers


class Clusters(NamedTuple):
    """What k-means found.

    Attributes:
      centroids: (k, d). assigned: int32 (n,), each row's nearest centroid, of equals the first.
      distance: (n,), squared distance to it.
    """

    centroids: jax.Array
    assigned: jax.Array
    distance: jax.Array


def k_means(key: jax.Array, rows: jax.Array, n_clusters: int, n_iters: int = 20, memory: int = MEMORY) -> Clusters:
    """Clusters of the rows by squared Euclidean distance, from n_clusters of them at random; never differentiated.

    Each iteration assigns all rows and moves every centroid to the mean of its rows. Empty clusters begin anew at the
    rows that lie farthest from their centroids, one each. At the end all rows are assigned once more.

    Args:
      rows: (n, d). n_clusters: 1 to n. n_iters: 0 or more. memory: bytes for a block of distances and its members.

    Raises:
      ConfigError: n_clusters or n_iters outside its range.

    >>> found = k_means(jax.random.key(0), jnp.array([[0.0], [9.0], [1.0], [8.0]]), 2)
    >>> sorted(found.centroids.ravel().tolist()), found.distance.tolist()
    ([0.5, 8.5], [0.25, 0.25, 0.25, 0.25])
    """
    check_whole("n_clusters", n_clusters, 1, len(rows))
    check_whole("n_iters", n_iters, 0)
    return _clustered(key, jax.lax.stop_gradient(as_float(rows)), n_clusters, n_iters, memory)


@functools.partial(jax.jit, static_argnames=("n_clusters", "n_iters", "memory"), inline=True)
def _clustered(key: jax.Array, rows: jax.Array, n_clusters: int, n_iters: int, memory: int) -> Clusters:
    def _iteration(_, centroids: jax.Array) -> jax.Array:
        sums, sizes, _, distance = _assign(rows, centroids, memory)
        empty = sizes == 0
        farthest = jnp.argsort(-distance)[:n_clusters]
        seeds = rows[farthest[jnp.maximum(jnp.cumsum(empty) - 1, 0)]]
        return jnp.where(empty[:, None], seeds, sums / jnp.maximum(sizes, 1.0)[:, None])

    centroids = rows[jax.random.permutation(key, len(rows))[:n_clusters]]
    centroids = jax.lax.fori_loop(0, n_iters, _iteration, centroids)
    return Clusters(centroids, *_assign(rows, centroids, memory)[2:])


def _assign(rows: jax.Array, centroids: jax.Array, memory: int) -> tuple[jax.Array, ...]:
    """Sum and number of each cluster's rows; each row's cluster and squared distance.

    Sums are products with one-hot rows: on every device the same in each run, which a scatter is not.
    """
    n, k = len(rows), len(centroids)
    block = max(1, min(n, memory // (8 * k)))
    half = 0.5 * jnp.sum(centroids**2, axis=1)

    def _block(carry: tuple[jax.Array, jax.Array], part: tuple[jax.Array, jax.Array]) -> tuple[tuple, tuple]:
        sums, sizes = carry
        rows, real = part
        near = jnp.argmin(half - jnp.matmul(rows, centroids.T, precision=EXACT), axis=1).astype(jnp.int32)
        member = (near[:, None] == jnp.arange(k)) & real[:, None]
        member = member.astype(rows.dtype)
        distance = jnp.sum((rows - centroids[near]) ** 2, axis=1)
        return (sums + jnp.matmul(member.T, rows, precision=EXACT), sizes + member.sum(axis=0)), (near, distance)

    n_blocks = -(-n // block)
    padded = jnp.pad(rows, ((0, n_blocks * block - n), (0, 0))).reshape(n_blocks, block, -1)
    real = (jnp.arange(n_blocks * block) < n).reshape(n_blocks, block)
    start = jnp.zeros_like(centroids), jnp.zeros_like(rows, shape=k)
    (sums, sizes), (near, distance) = jax.lax.scan(_block, start, (padded, real))
    return sums, sizes, near.reshape(-1)[:n], distance.reshape(-1)[:n]
