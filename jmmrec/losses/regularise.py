"""Regularisers over the rows of a batch."""

import jax
import jax.numpy as jnp

from jmmrec.retrieval.vectors import safe_norm


def batch_norms(blocks: tuple[jax.Array, ...], mask: jax.Array) -> jax.Array:
    """Sum of the Frobenius norms of gathered blocks, not squared, divided by the rows in the batch.

    (‖P_u‖_F + ‖Q_i‖_F + ‖Q_j‖_F) / b, the form of the PyTorch toolbox.

    Args:
      blocks: each (b, d). mask: bool (b,); padded rows count as zero.

    >>> float(batch_norms((jnp.array([[3.0, 4.0], [9.0, 9.0]]),), jnp.array([True, False])))
    5.0
    """
    rows = jnp.maximum(jnp.sum(mask), 1)
    return sum((safe_norm(jnp.where(mask[:, None], b, 0.0)) for b in blocks), jnp.zeros(())) / rows


def l2_squares(blocks: tuple[jax.Array, ...], mask: jax.Array) -> jax.Array:
    """Half the sum of squares of gathered blocks divided by the rows in the batch, ½ Σ ‖·‖² / b (LightGCN).

    >>> float(l2_squares((jnp.array([[3.0, 4.0]]),), jnp.array([True])))
    12.5
    """
    rows = jnp.maximum(jnp.sum(mask), 1)
    return sum((0.5 * jnp.sum(jnp.where(mask[:, None], b, 0.0) ** 2) for b in blocks), jnp.zeros(())) / rows


FORMS = {"l2sq": l2_squares, "norm": batch_norms}
