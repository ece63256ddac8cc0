"""Contrastive losses over a batch or over a whole table, in blocks of rows: rows × keys is never held at once."""

import functools
from typing import cast

import jax
import jax.numpy as jnp

from jmmrec.errors import ConfigError, check_choice
from jmmrec.losses.virtual import REDUCTIONS
from jmmrec.retrieval.topk import MEMORY
from jmmrec.retrieval.vectors import joint_one

LEFT_OUT = -1e30  # finite, so that a row without any key still has a gradient
FAR = 40.0  # exp(-2 FAR) is still a normal float32
TINY = 1e-37
FLOOR = 1e-8  # of a share, where a loss keeps its logarithm from -inf
CACHE = 2 * 2**20  # bytes of a block whose values are read several times


def log_partition(
    query: jax.Array,
    keys: jax.Array,
    *,
    tau: float | jax.Array = 1.0,
    keep: jax.Array | None = None,
    skip: jax.Array | None = None,
    memory: int = MEMORY,
) -> jax.Array:
    """ln Σ_k exp(⟨q, k⟩ / τ) for every query, exact, without overflow.

    Where queries × keys floats exceed `memory` bytes, blocks of rows are taken one after another and computed again
    in the backward pass, so that neither pass holds more than one block.

    Args:
      query: (b, d). keys: (n, d). tau: τ. keep: bool (n,), keys that count. skip: int32 (b,), one key that each
      query leaves out.

    Returns:
      (b,).

    >>> log_partition(jnp.zeros((1, 2)), jnp.ones((4, 2)), keep=jnp.arange(4) < 1).tolist()
    [0.0]
    """
    _check_tau(tau)
    columns = jnp.arange(len(keys), dtype=jnp.int32)

    def _rows(query: jax.Array, skip: jax.Array | None) -> jax.Array:
        logits = query @ keys.T / tau
        if keep is not None:
            logits = jnp.where(keep, logits, LEFT_OUT)
        if skip is not None:
            logits = jnp.where(columns == skip[:, None], LEFT_OUT, logits)
        return jax.nn.logsumexp(logits, axis=1)

    block = max(1, memory // (4 * max(len(keys), 1)))
    if block >= len(query):
        return _rows(query, skip)
    blocks = _blocks(query, block), None if skip is None else _blocks(skip, block)
    return jax.lax.map(jax.checkpoint(lambda part: _rows(*part)), blocks).reshape(-1)[: len(query)]


def info_nce(
    query: jax.Array,
    keys: jax.Array,
    target: jax.Array | None = None,
    *,
    tau: float | jax.Array = 1.0,
    mask: jax.Array | None = None,
    keep: jax.Array | None = None,
    reduction: str = "mean",
    limit: float | None = None,
    memory: int = MEMORY,
) -> jax.Array:
    """InfoNCE: -ln( exp(⟨q, k⁺⟩/τ) / Σ_k exp(⟨q, k⟩/τ) ), reduced over queries (van den Oord et al., 2018, Eq. 4).

    Nothing is normalised here: give unit rows for cosines. Without `target` the i-th key is the i-th query's own and
    padded rows are no keys of others: the in-batch form.

    Args:
      query: (b, d). keys: (n, d). target: int32 (b,), place of each query's positive among the keys. tau: τ, a number,
        or an array of no dimension, which then has a gradient.
      mask: bool (b,), queries that count. keep: bool (n,), keys that count. reduction: `mean` or `sum`.
      limit: what no ⟨q, k⟩ exceeds in size, 1 for unit rows: spares looking for the largest of every row.

    Value and gradient come out of one pass over blocks of queries, each held once.

    Returns:
      scalar; 0 for an all-masked batch, and for none.

    Raises:
      ConfigError: no target, and not a key for each query; several temperatures; an unknown reduction.

    >>> round(float(info_nce(jnp.eye(2), jnp.eye(2))), 4)
    0.3133
    """
    check_choice("reduction", reduction, REDUCTIONS)
    query, keys = jnp.asarray(query), jnp.asarray(keys)
    if target is None and query.shape != keys.shape:
        raise ConfigError(
            f"query has shape {query.shape} and keys {keys.shape}, but without a target each query has its own key; "
            "give target, or as many keys as queries."
        )
    if not len(query):
        return jnp.zeros((), query.dtype)
    positive = keys if target is None else keys[target]
    keep = mask if target is None and keep is None else keep
    return _reduced(query, keys, positive, tau, mask, keep, None, reduction, limit, memory, 0.0)


def _reduced(query, keys, positive, tau, mask, keep, skip, reduction, limit, memory, floor) -> jax.Array:
    """Zeros where a row does not count, the weight of each row, and `_nce` of them."""
    _check_tau(tau)
    weight = jnp.ones(len(query), query.dtype)
    if mask is not None:
        weight, query, positive = (jnp.where(mask, a.T, 0.0).T for a in (weight, query, positive))
    if keep is not None:
        keys = jnp.where(keep[:, None], keys, 0.0)
    if reduction == "mean":
        weight = weight / jnp.maximum(jnp.sum(weight), 1.0)
    if isinstance(tau, jax.Array):  # learned, or one of several
        query, tau, limit = query / tau, 1.0, None
    top = limit / tau if limit is not None and limit / tau <= FAR else None
    one = joint_one(query, keys, positive, weight).astype(query.dtype)
    query, keys, positive, weight = (a * one for a in (query, keys, positive, weight))
    return cast(jax.Array, _nce(query, keys, positive, weight, keep, skip, tau, top, memory, floor))


def _check_tau(tau: float | jax.Array) -> None:
    if jnp.ndim(tau):
        raise ConfigError(f"tau has shape {jnp.shape(tau)}; give one number, or divide each query by its own.")


def _floored(loss: jax.Array, floor: float) -> jax.Array:
    """-ln( exp(-loss) + floor )."""
    return -jnp.logaddexp(-loss, jnp.log(floor)) if floor else loss


@functools.partial(jax.custom_vjp, nondiff_argnums=(6, 7, 8, 9))
def _nce(query, keys, positive, weight, keep, skip, tau, top, memory, floor):
    """Σ_b w_b ℓ_b, -ln( exp(⟨q_b, k⁺_b⟩/τ) / Σ_k exp(⟨q_b, k⟩/τ) + floor ) = ℓ_b."""
    partition = log_partition(query, keys, tau=tau, keep=keep, skip=skip, memory=memory)
    return jnp.sum(weight * _floored(partition - jnp.sum(query * positive, axis=1) / tau, floor))


def _nce_forward(query, keys, positive, weight, keep, skip, tau, top, memory, floor):
    """The weights are known, so that the gradient comes out of the same pass over the blocks."""
    counted = jnp.concatenate([keys, jnp.ones_like(keys, shape=(len(keys), 1))], axis=1)
    columns = jnp.arange(len(keys), dtype=jnp.int32)

    def _block(key_bar: jax.Array, part: tuple) -> tuple[jax.Array, tuple]:
        query, positive, weight, skip = part
        logits = (query / tau) @ keys.T
        if keep is not None:
            logits = jnp.where(keep, logits, LEFT_OUT)
        if skip is not None:
            logits = jnp.where(columns == skip[:, None], LEFT_OUT, logits)
        largest = jnp.max(logits, axis=1, keepdims=True) if top is None else top
        share = jnp.exp(logits - largest)
        sums = share @ counted
        total = jnp.maximum(sums[:, -1:], TINY)
        loss = (largest + jnp.log(total))[:, 0] - jnp.sum(query * positive, axis=1) / tau
        pull = weight / tau
        if floor:
            pull = pull * jax.nn.sigmoid(-loss - jnp.log(floor))
        scale = pull[:, None] / total
        return key_bar + (scale * query).T @ share, (scale * sums[:, :-1], pull, _floored(loss, floor))

    rows = max(1, min(memory // (4 * len(keys)), max(CACHE // (4 * len(keys)), 2 * query.shape[1])))
    parts = tuple(None if a is None else _blocks(a, rows) for a in (query, positive, weight, skip))
    key_bar, found = jax.lax.scan(_block, jnp.zeros_like(keys.T), parts)
    query_bar, pull, loss = (a.reshape(-1, *a.shape[2:])[: len(query)] for a in found)
    pull = pull[:, None]
    return jnp.sum(weight * loss), (query_bar - pull * positive, key_bar.T, -pull * query, loss)


def _nce_backward(tau, top, memory, floor, saved, g):
    return *(g * bar for bar in saved), None, None


_nce.defvjp(_nce_forward, _nce_backward)


def _blocks(rows: jax.Array, block: int) -> jax.Array:
    """(blocks, block, ...), the last one filled up with zeros."""
    n_blocks = -(-len(rows) // block)
    padding = [(0, n_blocks * block - len(rows))] + [(0, 0)] * (rows.ndim - 1)
    return jnp.pad(rows, padding).reshape(n_blocks, block, *rows.shape[1:])


def two_view_nce(
    query: jax.Array,
    keys: jax.Array,
    *,
    tau: float = 1.0,
    mask: jax.Array | None = None,
    limit: float | None = None,
    memory: int = MEMORY,
) -> jax.Array:
    """Contrast of two views whose negatives come from both (GRACE, Zhu et al., 2020, Eq. 1), as MMSSL writes it.

    mean_b -ln( exp(⟨q_b, k_b⟩/τ) / (Σ_c exp(⟨q_b, k_c⟩/τ) + Σ_{c≠b} exp(⟨q_b, q_c⟩/τ)) + 1e-8 )

    Nothing is normalised here: give unit rows for cosines.

    Args:
      query, keys: (b, d), one row of each view. tau: τ. mask: bool (b,), rows that count, also as negatives. limit: as
        in `info_nce`, of which this is a form: one pass gives value and gradient.

    Returns:
      scalar; 0 for an all-masked batch, and for none.

    >>> round(float(two_view_nce(jnp.eye(2), jnp.eye(2))), 4)
    0.5514
    """
    query, keys = jnp.asarray(query), jnp.asarray(keys)
    if not len(query):
        return jnp.zeros((), query.dtype)
    own = len(query) + jnp.arange(len(query), dtype=jnp.int32)
    keep = None if mask is None else jnp.tile(mask, 2)
    both = jnp.concatenate([keys, query])
    return _reduced(query, both, keys, tau, mask, keep, own, "mean", limit, memory, FLOOR)
