"""Epoch order on the host, exact negatives on the device; both are functions of (seed, epoch, step) alone."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.errors import check_choice

SAMPLERS = ("pairs", "users")


class NegativeTable(flax.struct.PyTreeNode):
    """What drawing negatives needs: each user's training items as sorted ranks among the candidates.

    Attributes:
      candidates: int32 (n_candidates,), the items with at least one training interaction, ascending.
      indptr: int32 (n_users + 1,). ranks: int32 (n_train,), ascending in each user's row.
      halvings: bisection steps that find a place in the longest row.
    """

    candidates: jax.Array
    indptr: jax.Array
    ranks: jax.Array
    halvings: int = flax.struct.field(pytree_node=False)


def negative_table(train: np.ndarray, n_users: int) -> NegativeTable:
    """Prepares the table on the host, once.

    Args:
      train: (n, 2) rows of (user, item), no duplicates.

    >>> negative_table(np.array([[0, 5], [1, 2]]), 2).candidates.tolist()
    [2, 5]
    """
    rows = train[np.lexsort((train[:, 1], train[:, 0]))]
    candidates, ranks = np.unique(rows[:, 1], return_inverse=True)
    indptr = np.searchsorted(rows[:, 0], np.arange(n_users + 1))
    halvings = int(np.diff(indptr).max()).bit_length()
    arrays = (jnp.asarray(a, jnp.int32) for a in (candidates, indptr, ranks))
    return NegativeTable(*arrays, halvings=halvings)


def draw_negatives(key: jax.Array, table: NegativeTable, users: jax.Array) -> jax.Array:
    """One item per user, uniform over the candidates that are not among the user's training items.

    Exact and of fixed cost: a rank k among the user's non-items is drawn, then moved past the items before it.
    Sorted item ranks r_0 < r_1 < ... leave r_j - j non-items below r_j, so the answer is k plus the number of
    j with r_j - j <= k, found by bisection. Validation and test items can be drawn, cold items cannot.

    Args:
      key: typed PRNG key. users: int32 (b,).

    Returns:
      int32 (b,) items; for a user who has all candidates, which `negative_table` lets through, any of them.

    >>> table = negative_table(np.array([[0, 0], [0, 2], [1, 1]]), 2)
    >>> draw_negatives(jax.random.key(0), table, jnp.array([0, 0, 0])).tolist()
    [1, 1, 1]
    """
    start, degree = table.indptr[users], jnp.diff(table.indptr)[users]
    rank = jax.random.randint(key, users.shape, 0, len(table.candidates) - degree)

    def _halve(bounds: tuple[jax.Array, jax.Array], _: None):
        low, high = bounds
        middle = (low + high) // 2
        below = table.ranks[start + jnp.minimum(middle, degree - 1)] - middle <= rank
        open_ = low < high
        return (jnp.where(open_ & below, middle + 1, low), jnp.where(open_ & ~below, middle, high)), None

    (before, _), _ = jax.lax.scan(_halve, (jnp.zeros_like(degree), degree), None, length=table.halvings)
    return table.candidates[rank + before]


def epoch_order(train: np.ndarray, batch_size: int, seed: int, epoch: int, sampler: str = "pairs") -> np.ndarray:
    """Which training rows each step of an epoch visits.

    `pairs`: every training row once, permuted; the last batch is padded. `users`: as many draws of a user
    uniform over users with training rows, then one of the user's rows uniformly (LightGCN's sampler).

    Returns:
      int32 (steps, batch_size) row numbers, -1 where padded.

    Raises:
      ConfigError: unknown sampler.

    >>> sorted(epoch_order(np.zeros((3, 2), int), 2, seed=0, epoch=0).ravel().tolist())
    [-1, 0, 1, 2]
    """
    check_choice("sampler", sampler, SAMPLERS)
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64)))
    n = len(train)
    if sampler == "pairs":
        rows = rng.permutation(n)
    else:
        _, first, count = np.unique(train[:, 0], return_index=True, return_counts=True)
        who = rng.integers(len(first), size=n)
        rows = first[who] + rng.integers(count[who])
    order = np.full(-(-n // batch_size) * batch_size, -1, np.int32)
    order[:n] = rows
    return order.reshape(-1, batch_size)
