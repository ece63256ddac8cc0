"""Sums over the kernel exp((h_j - ‖x_i - y_j‖²)/ε) in blocks of rows: no n×m array, in neither pass.

One block takes one product: its logits are [x | 1] · [2y/ε | (h - ‖y‖²)/ε]ᵀ, up to a number for each row that a
log-sum gets back and a softmax does not see. Blocks are computed again in the backward pass.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

BLOCK = 512
FLOOR = -1e25  # potential of a row without mass: finite, and still -1e33 after division by any ε we allow


def row_blocks(function: Callable[[Any], Any], rows: Any, block: int | None = BLOCK) -> Any:
    """What `function` gives for all rows, taken `block` at a time and computed again in the backward pass.

    Args:
      function: pytree of (b, ...) -> pytree of (b, ...), row by row. rows: pytree of (n, ...). block: None takes all.

    >>> row_blocks(lambda x: 2 * x, jnp.arange(5), block=2).tolist()
    [0, 2, 4, 6, 8]
    """
    n = len(jax.tree.leaves(rows)[0])
    if block is None or block >= n:
        return jax.checkpoint(function)(rows)

    def _cut(a: jax.Array) -> jax.Array:
        return jnp.pad(a, [(0, -n % block)] + [(0, 0)] * (a.ndim - 1)).reshape(-1, block, *a.shape[1:])

    out = jax.lax.map(jax.checkpoint(function), jax.tree.map(_cut, rows))
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:n], out)


def logits(x: jax.Array, y: jax.Array, potential: jax.Array, epsilon: jax.Array | float) -> jax.Array:
    """(h_j - ‖x_i - y_j‖² + ‖x_i‖²) / ε by one product, (n, m).

    >>> logits(jnp.ones((1, 1)), jnp.zeros((1, 1)), jnp.ones(1), 0.5).tolist()
    [[2.0]]
    """
    return _product(x, _keys(y, potential, epsilon))


def _keys(y: jax.Array, potential: jax.Array, epsilon: jax.Array | float) -> jax.Array:
    height = jnp.maximum(potential, FLOOR) - jnp.sum(y * y, axis=1)
    return jnp.concatenate([2 * y, height[:, None]], axis=1) / epsilon


def _product(x: jax.Array, keys: jax.Array) -> jax.Array:
    ones = jnp.ones_like(x, shape=(len(x), 1))
    return jnp.matmul(jnp.concatenate([x, ones], axis=1), keys.T, precision="highest")


def log_sums(
    x: jax.Array,
    y: jax.Array,
    potential: jax.Array,
    epsilon: jax.Array | float,
    block: int | None = BLOCK,
    weights: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """ε ln Σ_j w_j exp((h_j - ‖x_i - y_j‖²)/ε) for every row of x, of its absolute value, and its sign.

    Args:
      x: (n, d). y: (m, d). potential: h (m,), -inf where a row has no mass. weights: w (m,), any sign; None for ones.

    Returns:
      values (n,), signs (n,).

    >>> value, sign = log_sums(jnp.zeros((1, 1)), jnp.zeros((2, 1)), jnp.zeros(2), 1.0)
    >>> round(float(value[0]), 4), float(sign[0])
    (0.6931, 1.0)
    """
    keys = _keys(y, potential, epsilon)

    def _rows(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = _product(x, keys)
        largest = jax.lax.stop_gradient(jnp.max(found, axis=1))
        share = jnp.exp(found - largest[:, None])
        if weights is None:
            return jnp.log(jnp.sum(share, axis=1)) + largest, jnp.ones_like(largest)
        total = jnp.matmul(share, weights, precision="highest")
        return jnp.log(jnp.abs(total)) + largest, jnp.sign(total)

    value, sign = row_blocks(_rows, x, block)
    return epsilon * value - jnp.sum(x * x, axis=1), sign


def averages(
    x: jax.Array,
    y: jax.Array,
    potential: jax.Array,
    epsilon: jax.Array | float,
    values: jax.Array,
    block: int | None = BLOCK,
) -> jax.Array:
    """softmax_j((h_j - ‖x_i - y_j‖²)/ε) · values for every row of x.

    The divisor comes out of the same product as the sums: values of ones give exactly 1.

    Args:
      x: (n, d). y: (m, d). potential: h (m,). values: (m, k).

    Returns:
      (n, k).

    >>> averages(jnp.zeros((1, 1)), jnp.zeros((2, 1)), jnp.zeros(2), 1.0, jnp.array([[1.0], [3.0]])).tolist()
    [[2.0]]
    """
    keys = _keys(y, potential, epsilon)
    counted = jnp.concatenate([values, jnp.ones_like(values, shape=(len(values), 1))], axis=1)

    def _rows(x: jax.Array) -> jax.Array:
        found = _product(x, keys)
        share = jnp.exp(found - jax.lax.stop_gradient(jnp.max(found, axis=1, keepdims=True)))
        sums = jnp.matmul(share, counted, precision="highest")
        return sums[:, :-1] / sums[:, -1:]

    return row_blocks(_rows, x, block)


def masses(
    x: jax.Array,
    y: jax.Array,
    f: jax.Array,
    g: jax.Array,
    epsilon: jax.Array | float,
    block: int | None = BLOCK,
) -> jax.Array:
    """Mass that the plan exp((f_i + g_j - ‖x_i - y_j‖²)/ε) puts on every row of y.

    >>> masses(jnp.zeros((2, 1)), jnp.zeros((1, 1)), jnp.zeros(2), jnp.zeros(1), 1.0).tolist()
    [2.0]
    """
    received = log_sums(y, x, f, epsilon, block)[0]
    return jnp.exp((received + jnp.maximum(g, FLOOR)) / epsilon)
