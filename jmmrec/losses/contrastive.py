"""Contrastive losses over a batch or over a whole table, in blocks of rows: rows × keys is never held at once."""

import jax
import jax.numpy as jnp

from jmmrec.errors import check_choice
from jmmrec.losses.bpr import masked_mean
from jmmrec.losses.virtual import REDUCTIONS
from jmmrec.retrieval.topk import MEMORY

LEFT_OUT = -1e30  # finite, so that a row without any key still has a gradient


def log_partition(
    query: jax.Array,
    keys: jax.Array,
    *,
    tau: float = 1.0,
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
    columns = jnp.arange(len(keys), dtype=jnp.int32)

    def _rows(query: jax.Array, skip: jax.Array | None) -> jax.Array:
        logits = query @ keys.T / tau
        if keep is not None:
            logits = jnp.where(keep, logits, LEFT_OUT)
        if skip is not None:
            logits = jnp.where(columns == skip[:, None], LEFT_OUT, logits)
        return jax.nn.logsumexp(logits, axis=1)

    block = max(1, memory // (4 * len(keys)))
    if block >= len(query):
        return _rows(query, skip)
    n_blocks = -(-len(query) // block)

    def _cut(rows: jax.Array) -> jax.Array:
        padding = [(0, n_blocks * block - len(rows))] + [(0, 0)] * (rows.ndim - 1)
        return jnp.pad(rows, padding).reshape(n_blocks, block, *rows.shape[1:])

    blocks = _cut(query), None if skip is None else _cut(skip)
    return jax.lax.map(jax.checkpoint(lambda part: _rows(*part)), blocks).reshape(-1)[: len(query)]


def info_nce(
    query: jax.Array,
    keys: jax.Array,
    target: jax.Array | None = None,
    *,
    tau: float = 1.0,
    mask: jax.Array | None = None,
    keep: jax.Array | None = None,
    reduction: str = "mean",
    memory: int = MEMORY,
) -> jax.Array:
    """InfoNCE: -ln( exp(⟨q, k⁺⟩/τ) / Σ_k exp(⟨q, k⟩/τ) ), reduced over queries (van den Oord et al., 2018, Eq. 4).

    Nothing is normalised here: give unit rows for cosines. Without `target` the i-th key is the i-th query's own and
    padded rows are no keys of others: the in-batch form.

    Args:
      query: (b, d). keys: (n, d). target: int32 (b,), place of each query's positive among the keys.
      mask: bool (b,), queries that count. keep: bool (n,), keys that count. reduction: `mean` or `sum`.

    Returns:
      scalar; 0 for an all-masked batch.

    >>> round(float(info_nce(jnp.eye(2), jnp.eye(2))), 4)
    0.3133
    """
    check_choice("reduction", reduction, REDUCTIONS)
    positive = keys if target is None else keys[target]
    keep = mask if target is None and keep is None else keep
    partition = log_partition(query, keys, tau=tau, keep=keep, memory=memory)
    loss = partition - jnp.sum(query * positive, axis=-1) / tau
    rows = len(loss) if mask is None else jnp.sum(mask)
    return masked_mean(loss, mask) * (rows if reduction == "sum" else 1.0)
