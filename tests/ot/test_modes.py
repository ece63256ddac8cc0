"""Approximate modes: stochastic rows, both directions of one coupling, loose bounds on how far images are off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.accuracy import KINDS, error
from jmmrec.errors import ConfigError
from jmmrec.ot import SinkhornConfig, both_directions, solve, whole_plan

KEY = jax.random.key(0)
MODES = ("minibatch:32", "prototype:8", "lowrank:8")


@pytest.mark.parametrize("mode", MODES)
def test_rows_are_one_and_sizes_may_differ(clouds, mode) -> None:
    x, y = clouds(90)
    found = solve(x, y[:70], None, SinkhornConfig(mode=mode), key=KEY)
    assert found.potentials.f.shape == (90,) and found.potentials.g.shape == (70,)
    for side, n in zip(both_directions(found, jnp.ones((90, 2)), jnp.ones((70, 2))), (90, 70), strict=True):
        assert side.shape == (n, 2)
        np.testing.assert_allclose(side, 1.0, atol=1e-5)
    assert found.error < 0.05


@pytest.mark.parametrize("mode", MODES)
def test_there_is_no_whole_plan(clouds, mode) -> None:
    x, y = clouds(90)
    with pytest.raises(ConfigError, match=f"mode '{mode}', which holds no whole plan; carry values by both_directions"):
        whole_plan(solve(x, y, None, SinkhornConfig(mode=mode), key=KEY))


@pytest.mark.parametrize("mode", ["prototype:8", "lowrank:8"])
def test_both_directions_come_from_one_coupling(clouds, mode) -> None:
    x, y = clouds(64)
    found = solve(x, y, None, SinkhornConfig(mode=mode), key=KEY)
    to_x, to_y = both_directions(found, jnp.eye(64), jnp.eye(64))
    left, middle, right, a, b = (np.asarray(p) for p in found.parts)
    coupling = a[:, None] * (left @ middle @ right.T) * b
    np.testing.assert_allclose(coupling.sum(1), 1 / 64, atol=2e-4)
    np.testing.assert_allclose(to_x, coupling / coupling.sum(1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(to_y, (coupling / coupling.sum(0)).T, atol=1e-5)


def test_one_batch_of_all_rows_is_the_whole_plan(clouds, values) -> None:
    x, y = clouds(64)
    v = values(64)
    whole, batch = (
        both_directions(solve(x, y, None, SinkhornConfig(mode=m), key=KEY), v, v) for m in ("blocked", "minibatch:64")
    )
    for a, b in zip(whole, batch, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


BOUNDS = {
    "dense": (1e-3, 1e-3, 1e-3), "minibatch:64": (0.5, 0.65, 1.15), "minibatch:32": (0.8, 0.8, 1.4),
    "prototype:32": (0.85, 0.8, 1.05), "lowrank:16": (0.85, 1.2, 1.2),
}  # fmt: skip


@pytest.mark.parametrize("mode", BOUNDS)
def test_images_are_no_further_off_than_they_were(clouds, mode) -> None:
    """The clouds of docs/ot.md with a quarter of its rows; benchmarks/accuracy.py makes the numbers there."""
    for kind, bound in zip(KINDS, BOUNDS[mode], strict=True):
        x, y = clouds(128, kind, 64)
        made, exact = (
            both_directions(solve(x, y, None, SinkhornConfig(mode=m), key=KEY), x, y)[0] for m in (mode, "blocked")
        )
        assert error(made, exact) <= bound, kind


def test_mini_batches_depend_on_the_key_and_start_warm(clouds, values) -> None:
    x, y = clouds(64)
    config = SinkhornConfig(mode="minibatch:32")
    first = solve(x, y, None, config, key=KEY)
    again = solve(x, y, first.potentials, config, key=KEY)
    other = solve(x, y, first.potentials, config, key=jax.random.key(1))
    np.testing.assert_allclose(first.potentials.f, again.potentials.f, atol=1e-3)
    images = [both_directions(s, values(64), values(64))[0] for s in (first, other)]
    assert not np.allclose(*images, atol=1e-2)


def test_prototypes_of_every_row_find_the_plan(clouds, values) -> None:
    """Clusters of well separated points are the points themselves."""
    x = 5.0 * jnp.eye(16).repeat(4, axis=0)
    v = values(64)
    found = solve(x, x[::-1], None, SinkhornConfig(mode="prototype:60"), key=KEY)
    exact = solve(x, x[::-1])
    images = [both_directions(s, v, v)[0] for s in (found, exact)]
    np.testing.assert_allclose(*images, atol=0.05)


@pytest.mark.parametrize("mode", ["minibatch:16", "prototype:4"])
def test_gradients_are_finite(clouds, values, mode) -> None:
    x, y = clouds(64)
    config = SinkhornConfig(mode=mode, gradient="tail:2")

    def value(x, y, v):
        return jnp.sum(both_directions(solve(x, y, None, config, key=KEY), v, v)[0] ** 2)

    for g in jax.grad(value, (0, 1, 2))(x, y, values(64)):
        assert np.isfinite(g).all() and np.any(g)


def test_no_batch_is_without_rows(clouds) -> None:
    x, y = clouds(40)
    found = solve(x[:3], y, None, SinkhornConfig(mode="minibatch:5"), key=KEY)
    for side in both_directions(found, jnp.ones((3, 1)), jnp.ones((40, 1))):
        np.testing.assert_allclose(side, 1.0, atol=1e-5)
    assert found.error <= 2.0
