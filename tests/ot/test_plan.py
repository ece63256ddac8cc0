"""Barycentres, adjustments, the diagnosis, ott's own use of the blocked geometry, and when ott is imported."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmmrec.ot
from jmmrec.errors import ConfigError
from jmmrec.ot import (
    BlockedPointCloud,
    Potentials,
    SinkhornConfig,
    adjust,
    barycentre,
    diagnose,
    init_adjustment,
    marginal_error,
)
from jmmrec.ot.blocks import log_sums

KEY = jax.random.key(0)
N, M, D = 30, 20, 5


def test_barycentre_by_hand() -> None:
    x, y, g = jnp.array([[0.0], [1.0]]), jnp.array([[0.0], [2.0]]), jnp.array([0.0, 0.5])
    found = barycentre(x, y, Potentials(jnp.array([7.0, -7.0]), g), 0.5, jnp.eye(2), block=1)
    weights = np.exp((np.array([0.0, 0.5]) - np.array([[0.0, 4.0], [1.0, 1.0]])) / 0.5)
    np.testing.assert_allclose(found, weights / weights.sum(1, keepdims=True), rtol=1e-5)


def test_marginal_error_by_hand() -> None:
    x = jnp.zeros((2, 1))
    potentials = Potentials(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.75, 0.25])))
    assert float(marginal_error(x, x, potentials, 1.0)) == pytest.approx(0.5, abs=1e-6)
    assert float(marginal_error(x, x, potentials, 1.0, jnp.array([0.75, 0.25]))) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("block", [1, 7, 20, 64, None])
def test_blocks_of_any_size(block) -> None:
    x, y = jax.random.normal(KEY, (N, D)), jax.random.normal(KEY, (M, D))
    h, w = jnp.arange(M) / M, jnp.cos(jnp.arange(M))
    kernel = np.exp((np.asarray(h) - np.asarray(((x[:, None] - y[None]) ** 2).sum(-1))) / 2.0)
    value, sign = log_sums(x, y, h, 2.0, block, w)
    np.testing.assert_allclose(np.asarray(sign * jnp.exp(value / 2.0)), kernel @ np.asarray(w), rtol=1e-4, atol=1e-5)


FORMS = {"lowrank:3": 3 * (N + M), "vector": M, "dense": N * M, "none": 0}


@pytest.mark.parametrize("form", FORMS)
def test_adjustments_begin_without_effect_and_learn(form) -> None:
    params = init_adjustment(KEY, N, M, form=form)
    assert sum(p.size for p in params.values()) == FORMS[form]
    values = jax.random.normal(KEY, (M, D))
    np.testing.assert_array_equal(adjust(params, values, N), np.zeros((N, D)))
    gradient = jax.grad(lambda p: jnp.sum((adjust(p, values, N) - 1.0) ** 2))(params)
    assert all(np.isfinite(g).all() for g in gradient.values())
    assert form == "none" or any(np.any(g) for g in gradient.values())


def test_adjustments_by_hand() -> None:
    values = jax.random.normal(KEY, (M, D))
    a, b = jax.random.normal(KEY, (N, 2)), jax.random.normal(KEY, (M, 2))
    np.testing.assert_allclose(adjust({"A": a, "B": b}, values), (a @ b.T) @ values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        adjust({"vector": b[:, 0]}, values, N), jnp.tile(b[:, 0], (N, 1)) @ values, rtol=1e-4, atol=1e-5
    )
    feature = init_adjustment(KEY, M, M, form="feature", width=D)["feature"]
    np.testing.assert_array_equal(adjust({"feature": feature + 2 * jnp.eye(D)}, values), 2 * values)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 5000, "m": 10, "form": "dense"}, "takes 0.0 GiB; use 'lowrank:8' above 4096 rows"),
        ({"n": 5, "m": 4, "form": "feature", "width": 3}, "needs n = m and a width"),
        ({"n": 5, "m": 5, "form": "feature"}, "needs n = m and a width"),
        ({"n": 5, "m": 5, "form": "sparse"}, "form is 'sparse'"),
        ({"n": 5, "m": 5, "rank": 0}, "form is 'lowrank:0'"),
    ],
)
def test_adjustments_are_checked(options, words) -> None:
    with pytest.raises(ConfigError, match=words):
        init_adjustment(KEY, **options)


def test_the_diagnosis_names_the_worst_and_says_what_to_do() -> None:
    config = SinkhornConfig(epsilon=0.1, iterations=7)
    assert diagnose(1e-3, config) is None and diagnose(jnp.zeros(3), config) is None
    text = diagnose(jnp.array([0.0, 0.2, 0.1]), config, names=("a", "b", "c"))
    assert text is not None and " for b:" in text and "0.2 of all mass" in text and "tolerance 0.001" in text
    assert "7 iterations" in text and "more iterations, or an epsilon of 0.2" in text and "\n" not in text
    assert "not finite for b" in str(diagnose([0.5, np.nan], config, names=("a", "b")))


def test_ott_solves_on_the_blocked_geometry() -> None:
    from ott.geometry.pointcloud import PointCloud
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

    x, y = jax.random.normal(KEY, (N, D)), 1.0 + jax.random.normal(KEY, (M, D))
    ours, dense = (
        BlockedPointCloud(x, y, epsilon=1.0, batch_size=8, scale_cost=2.0),
        PointCloud(x, y, epsilon=1.0, scale_cost=2.0),
    )
    found = [jax.jit(Sinkhorn())(LinearProblem(geometry)) for geometry in (ours, dense)]
    np.testing.assert_allclose(found[0].f, found[1].f, atol=1e-5)
    assert isinstance(found[0].geom, BlockedPointCloud) and found[0].converged
    vector = jnp.cos(jnp.arange(M))
    for method in ("apply", "transport_from_potentials"):
        if method == "apply":
            np.testing.assert_allclose(*(f.apply(vector, axis=1) for f in found), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(
        ours.apply_kernel(vector, axis=1), dense.apply_kernel(vector, axis=1), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        ours.apply_square_cost(vector, axis=1), dense.apply_square_cost(vector, axis=1), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(ours.mean_cost_matrix, dense.mean_cost_matrix, rtol=1e-5)


def test_other_costs_are_refused() -> None:
    from ott.geometry.costs import Cosine

    with pytest.raises(ConfigError, match="squared Euclidean cost only"):
        BlockedPointCloud(jnp.ones((2, 2)), cost_fn=Cosine())


def test_ott_is_imported_when_used() -> None:
    code = (
        "import json, sys, jmmrec.ot as ot, jax.numpy as jnp\n"
        "x = jnp.ones((2, 2)); ot.barycentre(x, x, ot.zero_potentials(2, 2), 1.0, x); before = 'ott' in sys.modules\n"
        "ot.BlockedPointCloud\n"
        "print(json.dumps([before, 'ott' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, True]
    with pytest.raises(AttributeError, match="Nothing"):
        _ = jmmrec.ot.Nothing
