"""Losses that need no negatives."""

import jax
import jax.numpy as jnp

from jmmrec.losses.bpr import masked_mean
from jmmrec.retrieval.vectors import normalise_rows


def cosine_gap(online: jax.Array, target: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Mean over rows of 1 - cos(online, target), norms clamped to 1e-8; no gradient flows into the target.

    Args:
      online, target: (b, d). mask: bool (b,), rows that count.

    Returns:
      scalar from 0 to 2; 0 for an all-masked batch.

    >>> float(cosine_gap(jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 5.0]])))
    0.19999998807907104
    """
    target = jax.lax.stop_gradient(target)
    cosine = jnp.sum(normalise_rows(online, 1e-8) * normalise_rows(target, 1e-8), axis=-1)
    return masked_mean(1.0 - cosine, mask)
