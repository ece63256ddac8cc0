"""Products of points, costs, masses and carried values are at full precision, whatever the device's default."""

from collections.abc import Iterator
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.ot import SinkhornConfig, Solution, both_directions, marginal_error, solve, whole_plan

FULL = (jax.lax.Precision.HIGHEST,) * 2
CONFIGS = [
    *(SinkhornConfig(mode=mode) for mode in ("blocked", "dense", "minibatch:16", "prototype:4", "lowrank:4")),
    *(SinkhornConfig(mode=mode, gradient="tail:2") for mode in ("blocked", "dense", "minibatch:16", "prototype:4")),
    SinkhornConfig(epsilon_ref="std", block=8),
    SinkhornConfig(cost="cosine", epsilon_ref="mean", gradient="unroll:2"),
]


def products(jaxpr: Any) -> Iterator[Any]:
    """The precision of every product, loops and inner functions included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from products(inner)


def solved(x: jax.Array, y: jax.Array, config: SinkhornConfig) -> Solution:
    return solve(x, y, None, config, key=jax.random.key(0))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.mode} {c.gradient} {c.epsilon_ref}")
def test_a_solve_and_its_images(config) -> None:
    def value(x, y, v):
        return sum(jnp.sum(image**2) for image in both_directions(solved(x, y, config), v, v))

    tables = (jnp.ones((32, 3)),) * 3
    for function in (value, jax.grad(value, (0, 1, 2))):
        found = list(products(jax.make_jaxpr(function)(*tables).jaxpr))
        assert found and set(found) == {FULL}


def test_a_whole_plan_and_its_error() -> None:
    def value(x, y):
        found = solved(x, y, SinkhornConfig())
        return whole_plan(found), marginal_error(found.x, found.y, found.potentials, 0.05)

    assert set(products(jax.make_jaxpr(value)(jnp.ones((9, 2)), jnp.ones((9, 2))).jaxpr)) == {FULL}


@pytest.mark.parametrize("mode", ["blocked", "dense", "minibatch:8", "prototype:4", "lowrank:4"])
def test_clouds_keep_their_type_where_x64_is_on(mode) -> None:
    """ott's constants are float64 there, and a scan's carry may not change its type."""
    with jax.enable_x64(True):
        x, y = jax.random.normal(jax.random.key(0), (2, 16, 3), jnp.float32)
        for gradient in (
            ("stop_plan", "tail:2", "unroll:2", "implicit") if mode in ("blocked", "dense") else ("stop_plan",)
        ):
            config = SinkhornConfig(mode=mode, gradient=gradient)

            def total(x, y, config=config):
                solution = solve(x, y, None, config, key=jax.random.key(1))
                return sum(image.sum() for image in both_directions(solution, x, y)), solution

            (value, solution), slope = jax.value_and_grad(total, has_aux=True)(x, y)
            chex.assert_type([value, slope, solution.potentials, solution.error, solution.x], jnp.float32)
        assert solve(x, np.asarray(y, np.float64), None, config, key=jax.random.key(1)).x.dtype == jnp.float64
        assert solve(x.astype(jnp.bfloat16), y, None, config, key=jax.random.key(1)).x.dtype == jnp.float32
