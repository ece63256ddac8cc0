"""Gradient modes against a float64 Sinkhorn differentiated from end to end, and what memory they take."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import DataError
from jmmrec.ot import Potentials, SinkhornConfig, both_directions, solve

MIB = 2**20


def cosine(a, b) -> float:
    a, b = (np.concatenate([np.asarray(t, np.float64).ravel() for t in tables]) for tables in (a, b))
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def loss(image: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.mean(image * target)


@pytest.fixture(scope="module")
def case(clouds, values, reference):
    """Smooth clouds, what is carried, a target, and the true gradients with respect to x, y and what is carried."""
    (x, y), v, target = clouds(128, "smooth"), values(128, 1), values(128, 2)
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(t), jnp.float64) for t in (x, y, v, target)]
        gradient = jax.grad(lambda x, y, v: loss(reference(x, y, 0.05, 400) @ v, wide[3]), (0, 1, 2))
        true = [np.asarray(g) for g in gradient(*wide[:3])]
    return (x, y, v), target, true


def ours(case, mode: str, iterations: int = 400):
    config = SinkhornConfig(gradient=mode, cold_iterations=iterations, block=50)
    arguments, target, _ = case

    def value(x, y, v):
        found = solve(x, y, None, config)
        return loss(both_directions(found, v, v)[0], target)

    return jax.grad(value, (0, 1, 2))(*arguments)


def test_tail_is_the_true_gradient(case) -> None:
    found = ours(case, "tail:20")
    assert cosine(found[:2], case[2][:2]) > 0.99
    np.testing.assert_allclose(found[2], case[2][2], atol=1e-4 * np.abs(case[2][2]).max() + 1e-6)


def test_unrolled_is_the_true_gradient(case) -> None:
    assert cosine(ours(case, "unroll:400")[:2], case[2][:2]) > 0.999


def test_implicit_points_the_same_way(case) -> None:
    assert cosine(ours(case, "implicit")[:2], case[2][:2]) > 0.9


def test_stopped_plans_pass_gradients_to_what_they_carry_only(case) -> None:
    found = ours(case, "stop_plan")
    assert not np.any(found[0]) and not np.any(found[1])
    np.testing.assert_allclose(found[2], case[2][2], atol=1e-4 * np.abs(case[2][2]).max() + 1e-6)


def test_nothing_flows_into_the_first_potentials(case) -> None:
    (x, y, v), target, _ = case

    def value(init):
        found = solve(x, y, Potentials(*init), SinkhornConfig(gradient="tail:2"))
        return loss(both_directions(found, v, v)[0], target)

    assert not any(np.any(g) for g in jax.grad(value)((jnp.zeros(128), jnp.zeros(128))))


def test_padding_and_equal_points_leave_gradients_finite(clouds) -> None:
    x, y = clouds(40, "imputed")
    x, y, kept = x.at[5].set(0.0), y.at[5].set(0.0), jnp.arange(40) < 30
    config = SinkhornConfig(gradient="tail:2", cost="cosine", block=16)

    def value(x, y):
        return jnp.sum(both_directions(solve(x, y, None, config, mask_x=kept), x, y)[0][:30] ** 2)

    for g in jax.grad(value, (0, 1))(x, y):
        assert np.isfinite(g).all()


def temporary_bytes(n: int, gradient: str = "stop_plan", width: int = 64) -> int:
    """Of value and gradient of both barycentres after a warm solve, compiled and not run."""
    config = SinkhornConfig(gradient=gradient)
    table, row = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((n, width), (n,)))
    wanted = (0, 1) if gradient == "stop_plan" else (0, 1, 2, 3)

    def value(v, w, x, y, f, g):
        found = solve(x, y, Potentials(f, g), config)
        to_x, to_y = both_directions(found, v, w)
        return jnp.sum(to_x**2) + jnp.sum(to_y**2), found.potentials

    program = jax.jit(jax.value_and_grad(value, wanted, has_aux=True))
    return program.lower(table, table, table, table, row, row).compile().memory_analysis().temp_size_in_bytes


def test_memory_of_one_pair() -> None:
    assert temporary_bytes(18_357) <= 128 * MIB
    assert temporary_bytes(200_000) <= 4096 * MIB


def test_memory_of_a_differentiated_tail() -> None:
    assert temporary_bytes(18_357, "tail:5") <= 256 * MIB


def test_implicit_takes_no_mask(clouds) -> None:
    """Its linear system has no solution on rows without mass."""
    x, y = clouds(6)
    with pytest.raises(DataError, match="needs mass on every row"):
        solve(x, y, None, SinkhornConfig(gradient="implicit"), mask_x=jnp.arange(6) < 4)
    with pytest.raises(DataError, match="needs mass on every row"):
        here = jnp.arange(6) < 4
        solve(x, y, None, SinkhornConfig(gradient="implicit", marginals="observed"), observed_x=here, observed_y=here)
