"""Bayesian personalised ranking (Rendle et al., UAI'09)."""

import jax
import jax.numpy as jnp


def pair_margin(user: jax.Array, positive: jax.Array, negative: jax.Array) -> jax.Array:
    """Score of the positive minus score of the negative, ⟨u, i⟩ - ⟨u, j⟩.

    Args:
      user, positive, negative: (b, d) rows.

    Returns:
      (b,).

    >>> pair_margin(jnp.ones((1, 2)), jnp.ones((1, 2)), jnp.zeros((1, 2))).tolist()
    [2.0]
    """
    return jnp.sum(user * (positive - negative), axis=-1)


def masked_mean(values: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Mean over the rows whose mask is set; 0 where none is.

    >>> float(masked_mean(jnp.array([1.0, 5.0]), jnp.array([True, False])))
    1.0
    """
    if mask is None:
        return jnp.mean(values)
    return jnp.sum(jnp.where(mask, values, 0.0)) / jnp.maximum(jnp.sum(mask), 1)


def bpr(margin: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Mean of -ln σ(margin) over the rows of a batch.

    Written as a softplus, so it neither overflows nor loses its gradient where the PyTorch toolbox's
    -ln(1e-10 + σ) does; elsewhere the two agree to 1e-9.

    Args:
      margin: (b,), see `pair_margin`. mask: bool (b,), False for padding.

    Returns:
      scalar; 0 for an all-masked batch.

    >>> round(float(bpr(jnp.array([0.0]))), 4)
    0.6931
    """
    return masked_mean(jax.nn.softplus(-margin), mask)
