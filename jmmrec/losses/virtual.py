"""Virtual triplets of MDVT (KDD'25), Eqs. 5-8: mining and loss, usable with any user and item tables."""

import jax
import jax.numpy as jnp

from jmmrec.errors import DataError, check_choice, check_whole
from jmmrec.losses.bpr import masked_mean, pair_margin
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
      int32 (n_users, n) top, most similar first, and bottom, least similar first. Where exclusions leave a user fewer
      than n items, the last places hold excluded ones; `jmmrec.losses.select` says which places count.

    Raises:
      ConfigError: n is not from 1 to n_items.

    >>> z = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -3.0]])
    >>> [side.ravel().tolist() for side in mine(jnp.array([[1.0, 0.0], [0.0, 2.0]]), z, 1)]
    [[0, 1], [2, 3]]
    """
    check_whole("n", n, 1, len(item))
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
    keep_top: jax.Array | None = None,
    keep_bottom: jax.Array | None = None,
    mask: jax.Array | None = None,
    reduction: str = "mean",
    log_base: str = "e",
) -> jax.Array:
    """L_v = reduce_u -log σ(⟨e_u, ê_u+⟩ - ⟨e_u, ê_u-⟩), ê the mean of the chosen items (MDVT Eqs. 7, 8).

    Args:
      user: (n_users, d). item: (n_items, d). top, bottom: int32 (n_users, n), see `mine`.
      keep_top, keep_bottom: bool (n_users, n), chosen items that count; users without any do not count.
      mask: bool (n_users,), rows that count. reduction: `mean` or `sum` over users.
      log_base: `e`, or `2` as in the public code (1.4427 times as large).

    Returns:
      scalar.

    Raises:
      ConfigError: unknown reduction or base. DataError: not one row of items for each user.

    >>> z = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -3.0]])
    >>> u = jnp.array([[1.0, 0.0], [0.0, 2.0]])
    >>> round(float(virtual_triplets(u, z, *mine(u, z, 1))), 6)
    0.063632
    """
    user, item, top, bottom = map(jnp.asarray, (user, item, top, bottom))
    if not len(top) == len(bottom) == len(user):
        raise DataError(f"{len(user)} users have {len(top)} and {len(bottom)} rows of items; give each one of both.")
    positive, negative = _mean(item[top], keep_top), _mean(item[bottom], keep_bottom)
    for keep in (keep_top, keep_bottom):
        mask = _both(mask, None if keep is None else keep.any(axis=1))
    return reduced(jax.nn.softplus(-pair_margin(user, positive, negative)), mask, reduction, log_base)


def single_triplets(
    user: jax.Array,
    item: jax.Array,
    top: jax.Array,
    bottom: jax.Array,
    *,
    keep_top: jax.Array | None = None,
    keep_bottom: jax.Array | None = None,
    mask: jax.Array | None = None,
    pairing: str = "rank",
    inner: str = "sum",
    reduction: str = "mean",
    log_base: str = "e",
) -> jax.Array:
    """L_v without aggregation: a triplet for each chosen item (MDVT's w/o-Aggr), else as `virtual_triplets`.

    Args:
      pairing: the k-th positive with the k-th negative (`rank`), or all with all (`cross`). inner: `sum` or `mean`
        over the triplets of a user.

    >>> z = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -3.0]])
    >>> u = jnp.array([[1.0, 0.0], [0.0, 2.0]])
    >>> round(float(single_triplets(u, z, *mine(u, z, 1))), 6)
    0.063632
    """
    check_choice("pairing", pairing, ("rank", "cross"))
    check_choice("inner", inner, REDUCTIONS)
    user, item, top, bottom = map(jnp.asarray, (user, item, top, bottom))
    best, worst = (jnp.einsum("ud,und->un", user, item[side]) for side in (top, bottom))
    here = [jnp.ones(best.shape, bool) if keep is None else keep for keep in (keep_top, keep_bottom)]
    if pairing == "cross":
        best, worst, here = best[:, :, None], worst[:, None], [here[0][:, :, None], here[1][:, None]]
    both = (here[0] & here[1]).reshape(len(user), -1)
    losses = jnp.where(both, jax.nn.softplus(worst - best).reshape(both.shape), 0.0).sum(axis=1)
    count = both.sum(axis=1)
    losses = losses / jnp.maximum(count, 1) if inner == "mean" else losses
    return reduced(losses, _both(mask, None if keep_top is None and keep_bottom is None else count > 0),
                   reduction, log_base)  # fmt: skip


def reduced(losses: jax.Array, mask: jax.Array | None, reduction: str = "mean", log_base: str = "e") -> jax.Array:
    """Mean or sum of the losses of users that count.

    >>> float(reduced(jnp.array([1.0, 3.0]), None, "sum"))
    4.0
    """
    check_choice("reduction", reduction, REDUCTIONS)
    check_choice("log_base", log_base, LOG_BASES)
    rows = len(losses) if mask is None else jnp.sum(mask)
    total = masked_mean(losses, mask) * (rows if reduction == "sum" else 1.0)
    return total / jnp.log(2.0) if log_base == "2" else total


def _mean(rows: jax.Array, keep: jax.Array | None) -> jax.Array:
    """Mean of (n_users, n, d) over n, of those kept."""
    if keep is None:
        return jnp.mean(rows, axis=1)
    return jnp.sum(jnp.where(keep[..., None], rows, 0.0), axis=1) / jnp.maximum(keep.sum(axis=1), 1)[:, None]


def _both(first: jax.Array | None, second: jax.Array | None) -> jax.Array | None:
    if first is None or second is None:
        return first if second is None else second
    return first & second
