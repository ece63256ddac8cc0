"""Point clouds made ready: mass, centre and the scale that ε is a share of, found without any n×m array."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jmmrec.errors import DataError
from jmmrec.ot.config import SinkhornConfig
from jmmrec.retrieval import normalise_rows


class Clouds(NamedTuple):
    """Scaled points x (n, d) and y (m, d), whose ε is the config's own, and their masses a (n,) and b (m,)."""

    x: jax.Array
    y: jax.Array
    a: jax.Array
    b: jax.Array


class Masks(NamedTuple):
    """Which rows exist and which of them were observed, bool (n,) or None for all."""

    x: jax.Array | None = None
    y: jax.Array | None = None
    observed_x: jax.Array | None = None
    observed_y: jax.Array | None = None


def table(name: str, rows: Any) -> jax.Array:
    """An array of what was given: an array already, or nested lists of numbers.

    Raises:
      DataError: for what is no table of numbers, such as lists of different lengths.

    >>> table("x", [[1, 2], [3, 4]]).shape
    (2, 2)
    """
    try:
        return jnp.asarray(rows)
    except (TypeError, ValueError):
        raise DataError(
            f"{name} is a {type(rows).__name__} that makes no array; give numbers, in rows of one length."
        ) from None


def check_shapes(x: jax.Array, y: jax.Array, config: SinkhornConfig, masks: Masks) -> None:
    """Raises `DataError` where clouds, masks and marginals do not fit together.

    >>> check_shapes(jnp.zeros((3, 2)), jnp.zeros((4, 2)), SinkhornConfig(), Masks())
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not (len(x) and len(y)):
        raise DataError(f"clouds have the shapes {x.shape} and {y.shape}; give rows of one width, (n, d) and (m, d).")
    if config.marginals == "ones" and len(x) != len(y):
        raise DataError(f"marginals 'ones' with {len(x)} and {len(y)} rows do not balance; use 'uniform'.")
    if config.marginals == "observed" and (masks.observed_x is None or masks.observed_y is None):
        raise DataError("marginals 'observed' without observed_x and observed_y; give both masks or use 'uniform'.")
    if config.gradient == "implicit" and (config.marginals == "observed" or masks.x is not None or masks.y is not None):
        raise DataError("gradient 'implicit' needs mass on every row, so it takes no mask; use 'tail:20'.")
    for name, mask in masks._asdict().items():
        rows = len(x) if name.endswith("x") else len(y)
        if mask is not None and mask.shape != (rows,):
            label = name if name.startswith("observed") else f"mask_{name}"
            raise DataError(f"{label} has the shape {mask.shape}; give one truth value for each of the {rows} rows.")


def mass(n: int, mask: jax.Array | None = None, observed: jax.Array | None = None) -> jax.Array:
    """Uniform mass of sum 1 over the rows that exist and were observed.

    Where no such row was observed it is spread over all that exist; where none exists, over all n.

    Args:
      mask, observed: bool (n,), None for all.

    >>> mass(4, jnp.arange(4) < 2).tolist(), mass(4, jnp.arange(4) < 2, jnp.arange(4) > 2).tolist()
    ([0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0])
    """
    kept = jnp.ones(n)
    for rows in (mask, observed):
        narrower = kept if rows is None else kept * rows
        kept = jnp.where(jnp.any(narrower > 0), narrower, kept)
    return kept / jnp.sum(kept)


def prepare(x: jax.Array, y: jax.Array, config: SinkhornConfig, masks: Masks) -> Clouds:
    """Masses by `marginals`, points centred, and divided by the square root of the cost that ε refers to.

    The scale is a constant to the gradient; half precision becomes float32.

    >>> clouds = prepare(jnp.array([[0.0], [2.0]]), jnp.array([[5.0], [7.0]]), SinkhornConfig(), Masks())
    >>> clouds.x.round(3).tolist(), clouds.a.tolist()
    ([[-0.7070000171661377], [0.7070000171661377]], [0.5, 0.5])
    """
    seen = config.marginals == "observed"
    a = mass(len(x), masks.x, masks.observed_x if seen else None)
    b = mass(len(y), masks.y, masks.observed_y if seen else None)
    dtype = jnp.result_type(x, y, jnp.float32)
    x, y = x.astype(dtype), y.astype(dtype)
    a, b = a.astype(x.dtype), b.astype(y.dtype)
    x, y = (t if kept is None else jnp.where(kept[:, None], t, 0.0) for t, kept in ((x, masks.x), (y, masks.y)))
    if config.cost == "cosine":  # ‖u - v‖² / 2 = 1 - cos for unit rows
        x, y = normalise_rows(x) / jnp.sqrt(2.0), normalise_rows(y) / jnp.sqrt(2.0)
    means = _mean(x, a), _mean(y, b)
    shift = means if config.center else ((means[0] + means[1]) / 2,) * 2
    spread = _mean((x - means[0]) ** 2, a).sum() + _mean((y - means[1]) ** 2, b).sum()
    x, y = x - shift[0], y - shift[1]
    scale = {
        "centred_mean": lambda: spread,
        "mean": lambda: spread + jnp.sum((means[0] - means[1]) ** 2),
        "std": lambda: _deviation(x, y, a, b),
        "abs": lambda: jnp.ones((), x.dtype),
    }[config.epsilon_ref]()
    root = jnp.sqrt(jax.lax.stop_gradient(jnp.where(scale > 0, scale, 1.0)))
    if config.marginals == "ones":
        a, b = a * len(x), b * len(y)
    return Clouds(x / root, y / root, a, b)


def _mean(table: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.sum(weights[:, None] * table, axis=0)


def _deviation(x: jax.Array, y: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """Standard deviation of ‖x_i‖² + ‖y_j‖² - 2⟨x_i, y_j⟩ under a ⊗ b, from d×d moments."""
    p, q, middle_x, middle_y = jnp.sum(x * x, axis=1), jnp.sum(y * y, axis=1), a @ x, b @ y
    variance = a @ (p - a @ p) ** 2 + b @ (q - b @ q) ** 2
    moments = (x.T * a) @ x, (y.T * b) @ y
    product = jnp.sum(moments[0] * moments[1]) - (middle_x @ middle_y) ** 2
    crossed = (a * (p - a @ p)) @ (x @ middle_y) + (b * (q - b @ q)) @ (y @ middle_x)
    return jnp.sqrt(jnp.maximum(variance + 4 * product - 4 * crossed, 0.0))
