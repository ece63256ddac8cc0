"""Norms that have a gradient everywhere, and what loops begin with under `shard_map`."""

import functools

import jax
import jax.numpy as jnp


def safe_norm(x: jax.Array, axis: int | None = None, keepdims: bool = False) -> jax.Array:
    """Euclidean (Frobenius) norm whose gradient at zero is zero, as in PyTorch, where JAX's would be NaN.

    Returns:
      float32, or float64 of float64: squares of narrower types leave their range.

    >>> float(safe_norm(jnp.array([3.0, 4.0]))), float(jax.grad(safe_norm)(jnp.zeros(())))
    (5.0, 0.0)
    """
    x = _wide(x)
    square = jnp.sum(x * x, axis=axis, keepdims=keepdims)
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def as_float(table: jax.Array) -> jax.Array:
    """The array with a type that has fractions: whole numbers become float32.

    >>> as_float(jnp.arange(2)).dtype.name
    'float32'
    """
    table = jnp.asarray(table)
    return table if _real(table, 1) else table.astype(jnp.float32)


def normalise_rows(x: jax.Array, floor: float = 1e-12) -> jax.Array:
    """Rows of unit length, x / max(‖x‖₂, floor); zero rows stay zero.

    Args:
      x: (..., d). floor: the norm is clamped to it, it is not added.

    Returns:
      (..., d), of x's type if that is a floating one of at least 16 bits, else float32.

    >>> normalise_rows(jnp.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    x = jnp.asarray(x)
    unit = _wide(x) / jnp.maximum(safe_norm(x, axis=-1, keepdims=True), floor)
    return unit.astype(x.dtype) if _real(x, 2) else unit


def _wide(x: jax.Array) -> jax.Array:
    x = jnp.asarray(x)
    return x if _real(x, 4) else x.astype(jnp.float32)


def _real(x: jax.Array, n_bytes: int) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize >= n_bytes


def joint_one(*arrays: jax.Array) -> jax.Array:
    """The number 1, varying over the mesh axes of all of these: under `shard_map` what a loop begins with, and both
    sides of a derivative of ours, must vary as what they meet; elsewhere it is a factor that compilers remove.

    >>> float(joint_one(jnp.zeros(2), jnp.zeros(3)))
    1.0
    """
    return functools.reduce(jnp.multiply, (jnp.ones_like(a, shape=(), dtype=jnp.float32) for a in arrays))
