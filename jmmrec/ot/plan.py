"""What a plan does to values: barycentres in both directions from one solve, and an adjustment that is learned."""

import functools
import math

import jax
import jax.numpy as jnp

from jmmrec.errors import ConfigError
from jmmrec.ot.blocks import BLOCK, averages, logits
from jmmrec.ot.config import split
from jmmrec.ot.modes import images
from jmmrec.ot.sinkhorn import Solution
from jmmrec.ot.steps import Potentials

FORMS = ("none", "feature", "vector", "dense"), ("lowrank",)
LARGEST = 4096  # rows of a dense adjustment
SPREAD = 0.01  # standard deviation of A


@functools.partial(jax.jit, static_argnames="block")
def barycentre(
    x: jax.Array,
    y: jax.Array,
    potentials: Potentials,
    epsilon: jax.Array | float,
    values: jax.Array,
    block: int | None = BLOCK,
) -> jax.Array:
    """T̂ V with T̂_ij = softmax_j((f_i + g_j - ‖x_i - y_j‖²)/ε), the plan divided by its row sums.

    f falls out of the softmax. The rows of ones are exactly 1, whether Sinkhorn converged or not. For the other
    direction swap the clouds and the potentials.

    Args:
      x: (n, d), y: (m, d), scaled as in `Solution`. values: V (m, k). block: rows at once, None for all.

    Returns:
      (n, k).

    >>> x = jnp.array([[0.0], [9.0]])
    >>> found = barycentre(x, x, Potentials(jnp.zeros(2), jnp.zeros(2)), 0.1, jnp.array([[1.0], [2.0]]))
    >>> found.round(3).tolist()
    [[1.0], [2.0]]
    """
    return averages(x, y, potentials.g, epsilon, values, block)


@jax.jit
def both_directions(solution: Solution, values_x: jax.Array, values_y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Images of both sides from one solve: T̂^{xy} values_y for the rows of x, T̂^{yx} values_x for those of y.

    Args:
      values_x: (n, k). values_y: (m, k).

    Returns:
      (n, k) and (m, k).

    >>> from jmmrec.ot import solve
    >>> x = 3.0 * jnp.eye(4)
    >>> to_x, to_y = both_directions(solve(x, x[::-1]), x, x[::-1])
    >>> bool(jnp.allclose(to_x, x, atol=1e-3)), bool(jnp.allclose(to_y, x[::-1], atol=1e-3))
    (True, True)
    """
    x, y, (f, g), config = solution.x, solution.y, solution.potentials, solution.config
    if solution.parts is not None:
        with jax.default_matmul_precision("highest"):
            return images(x, y, solution.potentials, config, solution.parts, (values_x, values_y))
    to_x = barycentre(x, y, Potentials(f, g), config.epsilon, values_y, config.rows)
    return to_x, barycentre(y, x, Potentials(g, f), config.epsilon, values_x, config.rows)


def whole_plan(solution: Solution) -> jax.Array:
    """The plan P_ij = exp((f_i + g_j - ‖x_i - y_j‖²)/ε) as one matrix, (n, m): for sizes that fit.

    Its rows and columns sum to the masses as far as Sinkhorn converged.

    Raises:
      ConfigError: for a solution of an approximate mode, whose potentials do not tell its plan.

    >>> from jmmrec.ot import solve
    >>> plan = whole_plan(solve(3.0 * jnp.eye(4), 3.0 * jnp.eye(4)))
    >>> plan.sum(axis=0).round(3).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if solution.parts is not None:
        raise ConfigError(
            f"whole_plan of a solution by mode {solution.config.mode!r}, which holds no whole plan; carry values by "
            "both_directions, or solve with mode 'blocked' or 'dense'."
        )
    x, (f, g), epsilon = solution.x, solution.potentials, solution.config.epsilon
    return jnp.exp(logits(x, solution.y, g, epsilon) + ((f - jnp.sum(x * x, axis=1)) / epsilon)[:, None])


def init_adjustment(
    key: jax.Array, n: int, m: int, rank: int = 8, *, form: str | None = None, width: int | None = None
) -> dict[str, jax.Array]:
    """Parameters of ΔT (n, m), added to a plan and learned; of no effect at the start.

    Args:
      rank: r of ΔT = A Bᵀ, A ~ N(0, .01²), B = 0. form: None or 'lowrank:r'; 'vector' ΔT_ij = b_j;
        'feature' ΔT V = V W, W d×d, for as many rows on both sides; 'dense', for at most 4,096 rows; 'none'.
      width: d of 'feature'.

    Raises:
      ConfigError: for an unknown form, 'dense' with more rows, 'feature' without width or with n ≠ m.

    >>> {name: p.shape for name, p in init_adjustment(jax.random.key(0), 5, 4, 2).items()}
    {'A': (5, 2), 'B': (4, 2)}
    """
    name, r = split("form", form or f"lowrank:{rank}", *FORMS)
    if name == "lowrank":
        return {"A": SPREAD * jax.random.normal(key, (n, r)), "B": jnp.zeros((m, r))}
    if name == "feature":
        if width is None or n != m:
            raise ConfigError(f"form 'feature' with {n} × {m} rows, width {width}; it needs n = m and a width.")
        return {"feature": jnp.zeros((width, width))}
    if name == "dense":
        if max(n, m) > LARGEST:
            size = math.prod((n, m)) * 4 / 2**30
            raise ConfigError(
                f"form 'dense' with {n} × {m} rows takes {size:.1f} GiB; use 'lowrank:8' above {LARGEST} rows."
            )
        return {"dense": jnp.zeros((n, m))}
    return {"vector": jnp.zeros(m)} if name == "vector" else {}


def adjust(params: dict[str, jax.Array], values: jax.Array, n: int | None = None) -> jax.Array:
    """ΔT V, never forming ΔT: A(BᵀV) in O((n + m) r d).

    Args:
      params: of `init_adjustment`. values: V (m, d). n: rows of ΔT for 'vector' and 'none', where the parameters do
        not tell; as many as values by default.

    Returns:
      (n, d).

    >>> adjust({"A": jnp.ones((3, 1)), "B": jnp.ones((2, 1))}, jnp.array([[1.0], [2.0]])).tolist()
    [[3.0], [3.0], [3.0]]
    """
    shape = (len(values) if n is None else n, values.shape[1])
    if "A" in params:
        return params["A"] @ (params["B"].T @ values)
    if "feature" in params:
        return values @ params["feature"]
    if "dense" in params:
        return params["dense"] @ values
    return jnp.broadcast_to(params["vector"] @ values, shape) if "vector" in params else jnp.zeros(shape, values.dtype)
