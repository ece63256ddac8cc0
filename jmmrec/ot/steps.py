"""ott's Sinkhorn steps on prepared clouds: a fixed number of them, differentiated as the config says."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from jmmrec.ot.blocks import FLOOR, masses
from jmmrec.ot.cloud import Clouds
from jmmrec.ot.config import SinkhornConfig
from jmmrec.retrieval.vectors import joint_one

RIDGE = {"max_steps": None, "rtol": 1e-2, "atol": 1e-6, "ridge_kernel": 0.1, "ridge_identity": 0.1}


class Potentials(NamedTuple):
    """Dual potentials f (n,) and g (m,) of the scaled clouds; about -1e25 where a row has no mass."""

    f: jax.Array
    g: jax.Array


def zero_potentials(n: int, m: int) -> Potentials:
    """Potentials to begin with.

    >>> zero_potentials(2, 3).g.shape
    (3,)
    """
    return Potentials(jnp.zeros(n), jnp.zeros(m))


def exact(clouds: Clouds, init: Potentials | None, config: SinkhornConfig) -> tuple[Potentials, jax.Array]:
    """Potentials of prepared clouds, differentiable as `config.gradient` says, and their column error.

    >>> two = jnp.array([[0.0], [1.0]])
    >>> float(exact(Clouds(two, two, jnp.ones(2) / 2, jnp.ones(2) / 2), None, SinkhornConfig())[1]) < 1e-6
    True
    """
    fixed, (name, number) = jax.lax.stop_gradient(clouds), config.gradient_mode
    n = config.cold_iterations if init is None else config.iterations
    start = zero_potentials(len(clouds.a), len(clouds.b)) if init is None else Potentials(*init)
    one = joint_one(*fixed)
    start = [jnp.where(w > 0, p * one, FLOOR).astype(w.dtype) for p, w in zip(start, fixed[2:], strict=True)]
    start = jax.lax.stop_gradient(Potentials(*start))
    if name == "implicit":
        found = _implicit(clouds, start, config, n)
    elif name == "unroll":
        found = _iterate(clouds, start, config, number)
    else:
        found = jax.lax.stop_gradient(_iterate(fixed, start, config, n))
        found = _iterate(clouds, found, config, number) if name == "tail" else found
    found = Potentials(*(jnp.maximum(p, FLOOR) for p in found))
    return found, column_error(fixed, jax.lax.stop_gradient(found), config)


def column_error(clouds: Clouds, potentials: Potentials, config: SinkhornConfig) -> jax.Array:
    """Σ_j of the absolute differences of the plan's column masses from b, over Σ b.

    >>> two = jnp.array([[0.0], [1.0]])
    >>> found = Potentials(jnp.zeros(2), jnp.zeros(2))
    >>> float(column_error(Clouds(two, two, jnp.ones(2), jnp.ones(2)), found, SinkhornConfig())) < 1e-6
    True
    """
    received = masses(clouds.x, clouds.y, *potentials, config.epsilon, config.rows)
    return jnp.sum(jnp.abs(received - clouds.b)) / jnp.sum(clouds.b)


def _problem(clouds: Clouds, config: SinkhornConfig) -> Any:
    """ott's problem, on the blocked geometry or on ott's own dense one."""
    from ott.geometry.pointcloud import PointCloud
    from ott.problems.linear.linear_problem import LinearProblem

    from jmmrec.ot.geometry import BlockedPointCloud

    if config.rows is None and config.gradient != "implicit":  # ott 0.6 cannot transpose its dense kernel on jax 0.10
        geometry = PointCloud(clouds.x, clouds.y, epsilon=config.epsilon)
    else:
        rows = config.rows or max(len(clouds.a), len(clouds.b))
        geometry = BlockedPointCloud(clouds.x, clouds.y, epsilon=config.epsilon, batch_size=rows)
    return LinearProblem(geometry, *jax.lax.stop_gradient((clouds.a, clouds.b)))


def _iterate(clouds: Clouds, start: Potentials, config: SinkhornConfig, n: int) -> Potentials:
    """n of ott's steps as one scan; the backward pass keeps the potentials of each and nothing else."""
    from ott.solvers.linear.sinkhorn import Sinkhorn, SinkhornState

    solver = Sinkhorn(lse_mode=True, min_iterations=n, max_iterations=n, inner_iterations=n, implicit_diff=None)

    @jax.checkpoint
    def _step(clouds: Clouds, potentials: Potentials, number: jax.Array) -> Potentials:
        state = solver.lse_step(_problem(clouds, config), SinkhornState(tuple(potentials)), cast(int, number))
        return _like(potentials, state.potentials)

    def _body(potentials: Potentials, number: jax.Array) -> tuple[Potentials, None]:
        return _step(clouds, potentials, number), None

    return jax.lax.scan(_body, start, jnp.arange(n))[0]


def _implicit(clouds: Clouds, start: Potentials, config: SinkhornConfig, n: int) -> Potentials:
    """n of ott's steps, differentiated by the implicit function theorem with a ridge; without one it may raise."""
    from ott.solvers.linear.implicit_differentiation import ImplicitDiff
    from ott.solvers.linear.sinkhorn import Sinkhorn

    rule = ImplicitDiff(solver_kwargs=dict(RIDGE))
    solver = Sinkhorn(lse_mode=True, min_iterations=n, max_iterations=n, inner_iterations=n, implicit_diff=rule)
    found = solver(_problem(clouds, config), (start.f, start.g))
    return _like(start, (found.f, found.g))


def _like(start: Potentials, found: Sequence[jax.Array]) -> Potentials:
    """Potentials of the type that they began with; ott's own constants are float64 where x64 is on."""
    return Potentials(*(new.astype(old.dtype) for old, new in zip(start, found, strict=True)))
