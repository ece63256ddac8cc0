"""Virtual triplets of MDVT (KDD'25), Eqs. 5-8: mining and loss, usable with any user and item tables."""

import jax
import jax.numpy as jnp

from jmmrec.errors import check_choice
from jmmrec.losses.bpr import masked_mean
from jmmrec.retrieval.topk import MEMORY, Exclusion, extremes, top_n
from jmmrec.retrieval.vectors import normalise_rows

REDUCTIONS = ("mean", "sum")
LOG_BASES = ("e", "2")


def mine(
    user: jax.Array,
    item: jax.Array,
    n: int,
    *,
    exclude_top: Exclusion | None = None,
    exclude_bottom: Exclusion | None = None,
    memory: int = MEMORY,
) -> tuple[jax.Array, jax.Array]:
    """The n most and the n least similar items of every user by cosine (MDVT Eqs. 5, 6), blocked, in one pass.

    No gradient flows through the choice. Peak memory: see `jmmrec.retrieval.topk`.

    Args:
      user: (n_users, d). item: (n_items, d). n: 1 to n_items.
      exclude_top, exclude_bottom: pairs that may not be chosen, e.g. training interactions.

    Returns:
      int32 (n_users, n) top, most similar first, and bottom, least similar first.

    >>> z = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -3.0]])
    >>> [side.ravel().tolist() for side in mine(jnp.array([[1.0, 0.0], [0.0, 2.0]]), z, 1)]
    [[0, 1], [2, 3]]
    """
    user, item = (normalise_rows(jax.lax.stop_gradient(table)) for table in (user, item))
    found = extremes(user, item, n, n, exclude=exclude_top, exclude_bottom=exclude_bottom, memory=memory)
    return found.top, found.bottom


def mine_rows(
    user: jax.Array,
    item: jax.Array,
    n: int,
    *,
    allowed_top: jax.Array | None = None,
    allowed_bottom: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """As `mine`, for few rows: the whole (rows, columns) similarity is formed.

    Args:
      user: (rows, d). item: (columns, d). allowed_*: bool (rows, columns) or broadcastable to it.

    >>> [side.tolist() for side in mine_rows(jnp.ones((1, 1)), jnp.array([[1.0], [-2.0]]), 1)]
    [[[0]], [[1]]]
    """
    similarity = normalise_rows(jax.lax.stop_gradient(user)) @ normalise_rows(jax.lax.stop_gradient(item)).T
    sides = ((similarity, allowed_top), (-similarity, allowed_bottom))
    top, bottom = (top_n(s if a is None else jnp.where(a, s, -jnp.inf), n)[1] for s, a in sides)
    return top, bottom


def virtual_triplets(
    user: jax.Array,
    item: jax.Array,
    top: jax.Array,
    bottom: jax.Array,
    *,
    mask: jax.Array | None = None,
    reduction: str = "mean",
    log_base: str = "e",
) -> jax.Array:
    """L_v = reduce_u -log σ(⟨e_u, ê_u+⟩ - ⟨e_u, ê_u-⟩), ê the mean of the chosen items (MDVT Eqs. 7, 8).

    Args:
      user: (n_users, d). item: (n_items, d). top, bottom: int32 (n_users, n), see `mine`.
      mask: bool (n_users,), rows that count. reduction: `mean` or `sum` over users.
      log_base: `e`, or `2` as in the public code (1.4427 times as large).

    Returns:
      scalar.

    Raises:
      ConfigError: unknown reduction or base.

    >>> z = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -3.0]])
    >>> u = jnp.array([[1.0, 0.0], [0.0, 2.0]])
    >>> round(float(virtual_triplets(u, z, *mine(u, z, 1))), 6)
    0.063632
    """
    check_choice("reduction", reduction, REDUCTIONS)
    check_choice("log_base", log_base, LOG_BASES)
    positive, negative = jnp.mean(item[top], axis=1), jnp.mean(item[bottom], axis=1)
    loss = jax.nn.softplus(-jnp.sum(user * (positive - negative), axis=-1))
    rows = len(loss) if mask is None else jnp.sum(mask)
    total = masked_mean(loss, mask) * (rows if reduction == "sum" else 1.0)
    return total / jnp.log(2.0) if log_base == "2" else total
