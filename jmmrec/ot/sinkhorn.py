"""Entropic optimal transport by ott's Sinkhorn steps: a fixed number of them, from the last potentials.

min_P ⟨P, C⟩ + ε KL(P, a⊗b) over couplings of a and b has P_ij = exp((f_i + g_j - C_ij)/ε) (Cuturi, 2013); a step sets
g_j = ε ln b_j - ε ln Σ_i exp((f_i - C_ij)/ε), then f likewise, so rows are exact and columns tell how far it is.
"""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from jmmrec.errors import DataError
from jmmrec.ot.cloud import Masks, check_shapes, prepare, table
from jmmrec.ot.config import SinkhornConfig
from jmmrec.ot.modes import approximate
from jmmrec.ot.steps import Potentials, exact, zero_potentials

__all__ = ["Potentials", "SinkhornConfig", "Solution", "solve", "zero_potentials"]


class Solution(flax.struct.PyTreeNode):
    """A solved problem: all that a barycentre needs, for either direction.

    Attributes:
      potentials: f (n,), g (m,). x: (n, d), y: (m, d), scaled points, constants under `stop_plan`.
      error: L1 distance of the plan's columns from their mass, as a share of all mass, in [0, 2].
      parts: arrays of the approximate modes, else None. config: what it was solved with.
    """

    potentials: Potentials
    x: jax.Array
    y: jax.Array
    error: jax.Array
    parts: Any
    config: SinkhornConfig = flax.struct.field(pytree_node=False)


def solve(
    x: jax.Array,
    y: jax.Array,
    init: Potentials | None = None,
    config: SinkhornConfig = SinkhornConfig(),
    *,
    mask_x: jax.Array | None = None,
    mask_y: jax.Array | None = None,
    observed_x: jax.Array | None = None,
    observed_y: jax.Array | None = None,
    key: jax.Array | None = None,
) -> Solution:
    """Solves one pair of clouds; `jax.vmap` it for several of one size. Compiled, with `config` static.

    Args:
      x: (n, d). y: (m, d); arrays or nested lists. init: potentials of an earlier solve, or None to begin cold, with
        more iterations.
      mask_x, mask_y: bool (n,), (m,), False for padding: without mass, in nobody's barycentre.
      observed_x, observed_y: bool (n,), (m,), what `marginals='observed'` spreads the mass over; over all but padding
        where that leaves nothing.
      key: of the approximate modes: shuffles, first prototypes and factors.

    Raises:
      DataError: for lists that make no table, shapes that do not fit, masks or a key that the config needs and that
        are missing.

    >>> x = jax.random.normal(jax.random.key(0), (6, 3))
    >>> found = solve(x, x[::-1] + 5.0)
    >>> bool(found.error < 1e-3), found.potentials.f.shape
    (True, (6,))
    """
    x, y = table("x", x), table("y", y)
    given = {"mask_x": mask_x, "mask_y": mask_y, "observed_x": observed_x, "observed_y": observed_y}
    masks = Masks(*(None if rows is None else table(name, rows) for name, rows in given.items()))
    init = None if init is None else Potentials(*(table("init", potential) for potential in init))
    check_shapes(x, y, config, masks)
    name = config.plan_mode[0]
    if name in ("minibatch", "lowrank", "prototype") and key is None:
        raise DataError(f"mode {config.mode!r} draws at random and got no key; give key=jax.random.key(0) or another.")
    if init is not None and (init[0].shape, init[1].shape) != (x.shape[:1], y.shape[:1]):
        raise DataError(
            f"potentials of shapes {init[0].shape} and {init[1].shape} for clouds of {len(x)} and {len(y)} rows; "
            "give those of an earlier solve of this size or None."
        )
    return _solve(x, y, init, config, masks, key)


@functools.partial(jax.jit, static_argnames="config")
def _solve(x, y, init, config: SinkhornConfig, masks: Masks, key) -> Solution:
    with jax.default_matmul_precision("highest"):  # ott's own products, too: its dense costs and low-rank steps
        clouds = prepare(x, y, config, masks)
        if config.gradient == "stop_plan":
            clouds = jax.lax.stop_gradient(clouds)
        if config.plan_mode[0] in ("blocked", "dense"):
            potentials, error = exact(clouds, init, config)
            return Solution(potentials, clouds.x, clouds.y, error, None, config)
        potentials, error, parts = approximate(clouds, init, config, key)
        solution = Solution(potentials, clouds.x, clouds.y, error, parts, config)
        real = clouds.x.dtype  # ott's own constants are float64 where x64 is on
        return jax.tree.map(lambda a: a.astype(real) if jnp.issubdtype(a.dtype, jnp.floating) else a, solution)
