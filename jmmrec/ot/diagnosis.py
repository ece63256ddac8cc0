"""Whether Sinkhorn has converged, in a number and in a sentence."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.ot.blocks import BLOCK, masses
from jmmrec.ot.config import SinkhornConfig
from jmmrec.ot.steps import Potentials

TOLERANCE = 1e-3


@functools.partial(jax.jit, static_argnames="block")
def marginal_error(
    x: jax.Array,
    y: jax.Array,
    potentials: Potentials,
    epsilon: jax.Array | float,
    weights: jax.Array | None = None,
    block: int | None = BLOCK,
) -> jax.Array:
    """L1 distance of the plan's column masses from what they should be, as a share of all mass, in blocks.

    Args:
      x: (n, d), y: (m, d), scaled as in `Solution`. weights: mass b (m,) of the columns, None for 1/m.

    Returns:
      scalar, 0 for a coupling, at most 2 after a whole step.

    >>> x = jnp.zeros((2, 1))
    >>> round(float(marginal_error(x, x, Potentials(jnp.zeros(2), jnp.log(jnp.ones(2) / 4)), 1.0)), 6)
    0.0
    """
    wanted = jnp.full(len(y), 1 / len(y), x.dtype) if weights is None else weights
    return jnp.sum(jnp.abs(masses(x, y, *potentials, epsilon, block) - wanted)) / jnp.sum(wanted)


def diagnose(
    error: jax.Array | float,
    config: SinkhornConfig,
    tolerance: float = TOLERANCE,
    names: Sequence[str] = (),
) -> str | None:
    """One sentence when the worst of the solves has not converged, None when all have. On the host.

    Args:
      error: `Solution.error`, of one solve or of several (P,). names: of the several, for the sentence.

    >>> diagnose(0.0002, SinkhornConfig()) is None
    True
    >>> diagnose([0.0, 0.25], SinkhornConfig(), names=("image-text", "image-audio"))
    'Sinkhorn has not converged for image-audio: the columns of the plan are 0.25 of all mass off (tolerance 0.001) at
    epsilon 0.05, 5 iterations from given potentials or 200 from none; use more iterations, or an epsilon of 0.1.'
    """
    errors = np.atleast_1d(np.asarray(error, dtype=np.float64)).ravel()
    worst = int(np.argmax(np.where(np.isnan(errors), np.inf, errors)))
    value = errors[worst]
    if value <= tolerance:
        return None
    where = f" for {names[worst]}" if worst < len(names) else ""
    if not np.isfinite(value):
        return (
            f"Sinkhorn met a value that is not finite{where} at epsilon {config.epsilon:g}; look for NaN or infinity "
            "in the points, or use an epsilon ten times as large."
        )
    return (
        f"Sinkhorn has not converged{where}: the columns of the plan are {value:.2g} of all mass off (tolerance "
        f"{tolerance:g}) at epsilon {config.epsilon:g}, {config.iterations} iterations from given potentials or "
        f"{config.cold_iterations} from none; use more iterations, or an epsilon of {2 * config.epsilon:g}."
    )
