"""Virtual items without a number: means over all items that are similar enough, in blocks of users."""

import functools

import jax
import jax.numpy as jnp

from jmmrec.losses.variants import Variant
from jmmrec.retrieval.topk import MEMORY, block_size
from jmmrec.retrieval.vectors import normalise_rows


def threshold_means(
    user: jax.Array, item: jax.Array, values: jax.Array, variant: Variant, memory: int = MEMORY
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Means over all items of cosine tau and more, and over their negatives (MDVT's `wp w/o n`, Table 6).

    No gradient flows through the choice; similarities are formed block by block, on the way back once more.

    Args:
      user: (n_users, d), item: (n_items, d), which say who is similar. values: (n_items, k), what is averaged.

    Returns:
      positive and negative (n_users, k), and bool (n_users,), whether a user has both.

    >>> z = jnp.array([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0]])
    >>> [(10 * x).round().tolist() for x in threshold_means(z[:1], z, z, Variant(tau=0.7))[:2]]
    [[[9.0, 3.0]], [[-1.0, 3.0]]]
    """
    tau = variant.tau if variant.tau is not None else -jnp.inf
    user, item = (normalise_rows(jax.lax.stop_gradient(table)) for table in (user, item))
    block = block_size(len(user), len(item), memory)
    blocks = jnp.pad(user, ((0, -len(user) % block), (0, 0))).reshape(-1, block, user.shape[1])

    @jax.checkpoint
    def _means(rows: jax.Array, values: jax.Array) -> tuple[jax.Array, ...]:
        similarity = jnp.matmul(rows, item.T, precision="highest")
        near = similarity >= tau
        mirrored = variant.negatives == "mirror_threshold"
        far = -similarity >= tau if mirrored else lowest(similarity, near.sum(axis=1))
        counts = [side.sum(axis=1) for side in (near, far)]
        sums = [side.astype(values.dtype) @ values for side in (near, far)]
        means = [total / jnp.maximum(count, 1)[:, None] for total, count in zip(sums, counts, strict=True)]
        return *means, (counts[0] > 0) & (counts[1] > 0)

    found = jax.lax.map(functools.partial(_means, values=values), blocks)
    positive, negative, here = (part.reshape(-1, *part.shape[2:])[: len(user)] for part in found)
    return positive, negative, here


def lowest(scores: jax.Array, count: jax.Array) -> jax.Array:
    """bool (rows, columns): the `count` lowest scores of each row, of equal ones those that come first.

    The score at that rank is found by bisection of its bits, much faster than sorting whole rows.

    Args:
      scores: float32 (rows, columns), finite. count: int (rows,), 0 to columns.

    >>> lowest(jnp.array([[3.0, -1.0, -1.0, 2.0]]), jnp.array([1])).tolist()
    [[False, True, False, False]]
    """
    bits = jax.lax.bitcast_convert_type(scores.astype(jnp.float32), jnp.int32)
    order = jnp.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # integers in the order of the floats

    def _halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = (low & high) + ((low ^ high) >> 1)  # their mean, without overflow
        enough = jnp.sum(order <= middle[:, None], axis=1) >= count
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    bounds = order.min(axis=1), order.max(axis=1)
    edge = jax.lax.fori_loop(0, 32, _halve, bounds)[1][:, None]
    under, same = order < edge, order == edge
    left = count[:, None] - under.sum(axis=1, keepdims=True)
    return (under | (same & (jnp.cumsum(same, axis=1) <= left))) & (count > 0)[:, None]
