"""Solves: marginals, invariances, blocks against the whole, pairs together, padding, warm starts, refusals."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError, DataError
from jmmrec.ot import Potentials, SinkhornConfig, both_directions, marginal_error, solve, zero_potentials
from jmmrec.ot.cloud import Masks, mass, prepare

KINDS = ("plain", "imputed", "smooth")
KEY = jax.random.key(0)
N, M = 96, 70
CONFIG = SinkhornConfig(block=40, cold_iterations=600)  # one for most tests: compiled once


def plan(solution) -> np.ndarray:
    """The row-normalised plan itself, by carrying the unit vectors."""
    n, m = len(solution.x), len(solution.y)
    return np.asarray(both_directions(solution, jnp.eye(n), jnp.eye(m))[0])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_one_and_columns_below_tolerance(clouds, kind) -> None:
    found = solve(*clouds(N, kind), None, CONFIG)
    ones = jnp.ones((N, 5))
    for side in both_directions(found, ones, ones):
        np.testing.assert_allclose(side, 1.0, atol=1e-6)
    assert found.error < 1e-3
    columns = plan(found).sum(0) / N
    assert np.abs(columns - 1 / N).sum() < 1.1e-3
    np.testing.assert_allclose(
        marginal_error(found.x, found.y, found.potentials, 0.05, block=40), found.error, atol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_is_the_one_by_definition(clouds, reference, kind) -> None:
    x, y = clouds(N, kind)
    ours = plan(solve(x, y, None, CONFIG))
    with jax.enable_x64(True):
        theirs = reference(jnp.asarray(np.asarray(x), jnp.float64), jnp.asarray(np.asarray(y), jnp.float64), 0.05, 600)
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_translations_change_nothing(clouds, values) -> None:
    x, y = clouds(N)
    first, second = (solve(x + shift, y - 3 * shift, None, CONFIG) for shift in (0.0, 7.0))
    there, here = (both_directions(s, values(N, 1), values(N, 2)) for s in (first, second))
    for a, b in zip(there, here, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_both_directions_are_consistent(clouds, values) -> None:
    x, y = clouds(N)
    y = y[:M]
    v, w = values(N, 1), values(M, 2)
    solution = solve(x, y, None, CONFIG)
    there = both_directions(solution, v, w)
    back = both_directions(solve(y, x, None, CONFIG), w, v)
    np.testing.assert_allclose(there[0], back[1], atol=1e-4)
    np.testing.assert_allclose(there[1], back[0], atol=1e-4)
    coupling = plan(solution) / N
    np.testing.assert_allclose(there[1], (coupling / coupling.sum(0)).T @ np.asarray(v), atol=1e-4)


@pytest.mark.parametrize("gradient", ["stop_plan", "tail:3"])
def test_dense_and_blocked_agree(clouds, values, gradient) -> None:
    x, y = clouds(N)
    y = y[:M]

    def value(tables, mode):
        x, y, v, w = tables
        found = solve(
            x, y, None, SinkhornConfig(mode=mode, block=32, gradient=gradient, epsilon=0.1, cold_iterations=60)
        )
        return sum(jnp.mean(side**2) for side in both_directions(found, v, w))

    tables = (x, y, values(N, 1), values(M, 2))
    dense, blocked = (jax.value_and_grad(value)(tables, mode) for mode in ("dense", "blocked"))
    np.testing.assert_allclose(dense[0], blocked[0], rtol=1e-5)
    for a, b in zip(dense[1], blocked[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(a).max())


def test_pairs_together_are_the_pairs_alone(clouds, values) -> None:
    pairs = [clouds(N, kind, seed=s) for s, kind in enumerate(KINDS)]
    x, y = (jnp.stack(side) for side in zip(*pairs, strict=True))
    config, v = CONFIG, values(N)

    def one(x, y):
        found = solve(x, y, None, config)
        return both_directions(found, v, v), found.potentials, found.error

    together, alone = jax.vmap(one)(x, y), [one(*p) for p in pairs]
    for number, single in enumerate(alone):
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(single), strict=True):
            np.testing.assert_allclose(a[number], b, rtol=1e-4, atol=5e-5)


def test_padding_is_exact_and_unread(clouds, values) -> None:
    x, y = clouds(N)
    y, v, w, config = y[:M], values(N, 1), values(M, 2), CONFIG
    plain = solve(x, y, None, config)
    wide = [jnp.pad(t, ((0, 20), (0, 0)), constant_values=jnp.nan) for t in (x, y)]
    padded = solve(*wide, None, config, mask_x=jnp.arange(N + 20) < N, mask_y=jnp.arange(M + 20) < M)
    carried = both_directions(padded, *(jnp.pad(t, ((0, 20), (0, 0)), constant_values=99.0) for t in (v, w)))
    for a, b in zip(carried, both_directions(plain, v, w), strict=True):
        np.testing.assert_allclose(a[: len(b)], b, atol=1e-5)
        assert np.isfinite(a).all()
    assert all(np.isfinite(p).all() for p in padded.potentials)
    np.testing.assert_allclose(padded.error, plain.error, atol=1e-6)
    again = solve(*wide, padded.potentials, config, mask_x=jnp.arange(N + 20) < N, mask_y=jnp.arange(M + 20) < M)
    np.testing.assert_allclose(again.potentials.f[:N], plain.potentials.f, atol=1e-4)


def test_a_warm_start_needs_few_iterations(clouds) -> None:
    x, y = clouds(N, "smooth")
    config = CONFIG
    cold = solve(x, y, None, config)
    moved = x + 1e-2 * x.std(axis=0) * jax.random.normal(KEY, x.shape)
    warm = solve(moved, y, cold.potentials, config)
    few = solve(moved, y, zero_potentials(N, N), config)
    assert warm.error < 5e-3 and warm.error < 0.2 * few.error
    same = solve(x, y, cold.potentials, config)
    np.testing.assert_allclose(same.potentials.f, cold.potentials.f, atol=1e-3)


def test_padding_is_without_mass_where_nothing_was_observed(clouds, values) -> None:
    """Mass falls back to what exists, as if nothing were known of what was observed."""
    x, y = clouds(N)
    here, config = jnp.arange(N) < 40, SinkhornConfig(marginals="observed")
    found = solve(x, y, None, config, mask_x=here, mask_y=here, observed_x=~here, observed_y=jnp.ones(N, bool))
    plain = solve(x, y, mask_x=here, mask_y=here)
    np.testing.assert_allclose(prepare(x, y, config, Masks(here, here, ~here, here)).a, here / 40, rtol=1e-6)
    for one, other in zip(both_directions(found, values(N), values(N)), both_directions(plain, values(N), values(N)),
                          strict=True):  # fmt: skip
        np.testing.assert_allclose(one, other, rtol=1e-5)
    alone = solve(x, y, None, config, mask_x=here, mask_y=here, observed_x=here & ~here, observed_y=here)
    assert np.isfinite(alone.potentials.f).all() and float(alone.error) < 1e-3


def test_observed_rows_alone_have_mass(clouds, values) -> None:
    x, y = clouds(60)
    seen_x, seen_y = jnp.arange(60) < 40, jnp.arange(60) < 25
    config = SinkhornConfig(marginals="observed", block=40)
    found = solve(x, y, None, config, observed_x=seen_x, observed_y=seen_y)
    inner = solve(x[:40], y[:25], None, config, observed_x=seen_x[:40], observed_y=seen_y[:25])
    sides = both_directions(found, values(60), values(60)), both_directions(inner, values(60)[:40], values(60)[:25])
    np.testing.assert_allclose(sides[0][0][:40], sides[1][0], atol=1e-4)
    assert np.isfinite(sides[0][0]).all()


def test_masses() -> None:
    assert mass(4).tolist() == [0.25] * 4
    assert mass(3, jnp.zeros(3)).tolist() == pytest.approx([1 / 3] * 3)
    x = jnp.ones((3, 2))
    assert prepare(x, x, SinkhornConfig(marginals="ones"), Masks()).a.tolist() == pytest.approx([1.0] * 3)
    equal = jnp.ones((N, 16))
    assert np.isfinite(solve(equal, equal, None, CONFIG).potentials.f).all()


def test_ones_are_the_uniform_plan(clouds) -> None:
    x, y = clouds(N)
    uniform, ones = (solve(x, y, None, dataclasses.replace(CONFIG, marginals=m)) for m in ("uniform", "ones"))
    np.testing.assert_allclose(plan(uniform), plan(ones), atol=1e-5)
    assert ones.error < 1e-3


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("reference_cost", ["centred_mean", "mean", "std", "abs"])
def test_the_scale_is_what_its_name_says(clouds, reference_cost, center) -> None:
    x, y = clouds(40)
    made = prepare(x, y, SinkhornConfig(epsilon_ref=reference_cost, center=center), Masks())
    raw = np.asarray(x), np.asarray(y)
    middle = [t - t.mean(0) for t in raw]
    used = middle if center else raw
    cost = {
        name: ((a[:, None] - b[None]) ** 2).sum(-1) for name, (a, b) in (("all", raw), ("mid", middle), ("used", used))
    }
    wanted = {
        "centred_mean": cost["mid"].mean(), "mean": cost["all"].mean(), "std": cost["used"].std(), "abs": 1.0,
    }[reference_cost]  # fmt: skip
    scaled = np.asarray(((made.x[:, None] - made.y[None]) ** 2).sum(-1))
    np.testing.assert_allclose(scaled, cost["used"] / wanted, rtol=2e-3, atol=1e-3)


def test_cosine_is_one_less_the_cosine(clouds) -> None:
    x, y = clouds(30)
    made = prepare(x, y, SinkhornConfig(cost="cosine", epsilon_ref="abs", center=False), Masks())
    unit = [np.asarray(t) / np.linalg.norm(t, axis=1, keepdims=True) for t in (x, y)]
    cost = ((made.x[:, None] - made.y[None]) ** 2).sum(-1)
    np.testing.assert_allclose(cost, 1 - unit[0] @ unit[1].T, atol=1e-5)


@pytest.mark.parametrize("share", [0.01, 0.001])
def test_small_epsilon_stays_finite(clouds, share) -> None:
    x, y = clouds(N, "imputed")
    found = solve(1e3 * x, 1e3 * y, None, SinkhornConfig(epsilon=share, cold_iterations=100))
    rows = plan(found)
    assert np.isfinite(rows).all() and np.abs(rows.sum(1) - 1).max() < 1e-5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epsilon": 0.0}, "epsilon is 0.0"),
        ({"iterations": 0}, "iterations is 0"),
        ({"block": 2.5}, "block is 2.5; it must be a whole number"),
        ({"gradient": "tail"}, "gradient is 'tail'; choose one of 'stop_plan', 'implicit', 'tail:<number>'"),
        ({"gradient": "stop_plan:3"}, "gradient is 'stop_plan:3'"),
        ({"mode": "minibatch:0"}, "mode is 'minibatch:0'"),
        ({"epsilon_ref": "median"}, "epsilon_ref is 'median'"),
        ({"cost": "l1"}, "cost is 'l1'"),
        ({"marginals": "half"}, "marginals is 'half'"),
        ({"mode": "lowrank:4", "gradient": "tail:3"}, "lowrank takes 'stop_plan' only"),
        ({"mode": "minibatch:4", "gradient": "implicit"}, "gradient is 'implicit' with mode 'minibatch:4'"),
    ],
)
def test_options_are_checked(options, words) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")) as caught:
        SinkhornConfig(**options)
    assert str(caught.value).count(". ") == 0


def test_nested_lists_are_tables(clouds) -> None:
    x, y = clouds(6, dim=3)
    first = solve(x, y)
    here = [True] * 5 + [False]
    lists = solve(x.tolist(), y.tolist(), (first.potentials.f.tolist(), first.potentials.g.tolist()), mask_x=here)
    arrays = solve(x, y, first.potentials, mask_x=jnp.asarray(here))
    np.testing.assert_array_equal(lists.potentials.f, arrays.potentials.f)
    np.testing.assert_allclose(solve([[1, 2], [3, 4]], [[0, 1]]).potentials.g.shape, (1,))


def test_inputs_are_checked() -> None:
    x = jnp.zeros((4, 2))
    cases = [
        (lambda: solve(x, jnp.zeros((4, 3))), "one width"),
        (lambda: solve([[1.0], [2.0, 3.0]], x), "x is a list that makes no array; give numbers, in rows of one length"),
        (lambda: solve([1.0, 2.0], x), "one width"),
        (lambda: solve(x, x, mask_x=["a"] * 4), "mask_x is a list"),
        (lambda: solve(x, x[:0]), "one width"),
        (lambda: solve(x, x[:3], None, SinkhornConfig(marginals="ones")), "do not balance"),
        (lambda: solve(x, x, None, SinkhornConfig(marginals="observed")), "give both masks"),
        (lambda: solve(x, x, mask_y=jnp.ones(3, bool)), "mask_y has the shape"),
        (lambda: solve(x, x, None, SinkhornConfig(mode="prototype:2")), "no key"),
        (lambda: solve(x, x, Potentials(jnp.zeros(3), jnp.zeros(4))), "potentials of shapes"),
    ]
    for call, words in cases:
        with pytest.raises(DataError, match=words):
            call()
