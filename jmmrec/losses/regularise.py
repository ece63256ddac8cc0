"""Regularisers over the rows of a batch."""

import jax
import jax.numpy as jnp

from jmmrec.losses.bpr import masked_mean
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


def l2_squares(blocks: tuple[jax.Array, ...], mask: jax.Array, nominal: float | None = None) -> jax.Array:
    """Half the sum of squares of gathered blocks divided by the rows in the batch, ½ Σ ‖·‖² / b (LightGCN).

    Args:
      blocks: each (b, d). mask: bool (b,). nominal: divisor instead of the rows in the batch (MGCN, LATTICE).

    >>> float(l2_squares((jnp.array([[3.0, 4.0]]),), jnp.array([True])))
    12.5
    """
    rows = jnp.maximum(jnp.sum(mask), 1) if nominal is None else nominal
    return sum((0.5 * jnp.sum(jnp.where(mask[:, None], b, 0.0) ** 2) for b in blocks), jnp.zeros(())) / rows


def mean_squares(rows: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean of the squared entries of gathered rows (MMGCN, GRCN).

    Args:
      rows: (b, d). mask: bool (b,); padded rows do not count.

    >>> float(mean_squares(jnp.array([[3.0, 1.0], [9.0, 9.0]]), jnp.array([True, False])))
    5.0
    """
    return masked_mean(jnp.mean(rows**2, axis=1), mask)


FORMS = {"l2sq": l2_squares, "norm": batch_norms}
