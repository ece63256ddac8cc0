"""Norms that have a gradient everywhere."""

import jax
import jax.numpy as jnp


def safe_norm(x: jax.Array, axis: int | None = None, keepdims: bool = False) -> jax.Array:
    """Euclidean (Frobenius) norm whose gradient at zero is zero, as in PyTorch, where JAX's would be NaN.

    >>> float(safe_norm(jnp.array([3.0, 4.0]))), float(jax.grad(safe_norm)(jnp.zeros(())))
    (5.0, 0.0)
    """
    square = jnp.sum(x * x, axis=axis, keepdims=keepdims)
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def normalise_rows(x: jax.Array, floor: float = 1e-12) -> jax.Array:
    """Rows of unit length, x / max(‖x‖₂, floor); zero rows stay zero.

    Args:
      x: (..., d). floor: the norm is clamped to it, it is not added.

    >>> normalise_rows(jnp.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    return x / jnp.maximum(safe_norm(x, axis=-1, keepdims=True), floor)
