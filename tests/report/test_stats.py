"""Statistics against scipy and against values worked out by hand."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from jmmrec.errors import ConfigError, JmmrecError
from jmmrec.report import bootstrap, crossed_test, holm, interval, matched, paired_test

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_interval_is_student_t(n: int, level: float) -> None:
    values = RNG.normal(3, 2, n)
    found = interval(values, level)
    low, high = scipy.stats.t.interval(level, n - 1, values.mean(), scipy.stats.sem(values))
    np.testing.assert_allclose([found.low, found.high], [low, high], rtol=1e-9)
    assert found.n == n
    assert found.half == pytest.approx((high - low) / 2)
    assert found.std == pytest.approx(values.std(ddof=1))


def test_one_seed_has_no_bounds() -> None:
    found = interval([0.3])
    assert found.mean == 0.3
    assert all(math.isnan(x) for x in (found.low, found.high, found.std, found.half))


def test_interval_covers_as_often_as_it_says() -> None:
    hits = [abs(i.mean) < i.half for i in (interval(RNG.normal(size=4), 0.8) for _ in range(1000))]
    assert 0.76 < np.mean(hits) < 0.84  # 3 standard errors


@pytest.mark.parametrize("n", [5, 12, 300])
def test_paired_test_agrees_with_scipy(n: int) -> None:
    a = RNG.normal(0.2, 1, n)
    b = a - RNG.normal(0.3, 1, n)
    t = scipy.stats.ttest_rel(a, b)
    found = paired_test(a, b)
    assert found.p == pytest.approx(t.pvalue)
    np.testing.assert_allclose([found.low, found.high], t.confidence_interval(), rtol=1e-9)
    assert found.d == pytest.approx((a - b).mean() / (a - b).std(ddof=1))
    assert paired_test(a, b, "wilcoxon").p == pytest.approx(scipy.stats.wilcoxon(a, b).pvalue)


def test_paired_test_is_antisymmetric() -> None:
    a, b = RNG.normal(size=(2, 20))
    there, back = paired_test(a, b), paired_test(b, a)
    np.testing.assert_allclose(
        [back.difference, back.low, back.high, back.p, back.d],
        [-there.difference, -there.high, -there.low, there.p, -there.d],
    )


@pytest.mark.parametrize("method", ["t", "wilcoxon"])
def test_equal_runs_do_not_differ(method: str) -> None:
    found = paired_test([0.1] * 6, [0.1] * 6, method)
    assert (found.difference, found.p, found.d, found.n) == (0, 1, 0, 6)


def test_a_constant_difference_is_certain() -> None:
    found = paired_test(np.arange(6.0) + 1, np.arange(6.0))
    assert (found.p, found.d, found.low, found.high) == (0, math.inf, 1, 1)


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        ([1, 2, 3, 4], [0, 1, 2, 4], {}, "n too small: 4 pairs"),
        ([1] * 6, [1] * 5, {}, "a has 6 values and b has 5"),
        ([1, 2, 3, 4, math.nan], [1] * 5, {}, "a holds nan"),
        ([1] * 5, [[1] * 5], {}, r"b has shape \(1, 5\)"),
        ([1] * 5, [1] * 5, {"method": "sign"}, "method is 'sign'"),
        ([1] * 5, [2] * 5, {"level": 95}, "level is 95"),
    ],
)
def test_paired_test_refuses(a: list, b: list, options: dict, message: str) -> None:
    with pytest.raises(JmmrecError, match=message):
        paired_test(a, b, **options)


def test_matched_brings_users_into_one_order() -> None:
    users = np.array([10, 20, 30])
    values = RNG.normal(size=(2, 3))
    turned = np.array([2, 0, 1])
    a, b = matched(users, values, users[turned], values[:, turned])
    np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(a, values.mean(axis=0))


def test_matched_refuses_other_users() -> None:
    with pytest.raises(JmmrecError, match=r"2 users were evaluated on one side only \(first: user 2\)"):
        matched(np.array([1, 2]), np.zeros(2), np.array([1, 3]), np.zeros(2))
    with pytest.raises(JmmrecError, match="2 users but 3 values"):
        matched(np.array([1, 2]), np.zeros(3), np.array([1, 2]), np.zeros(2))


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_the_step_down_rule(p: list[float]) -> None:
    """Rejections at every level are those of the sequential procedure."""
    adjusted = holm(p)
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, k in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
            if p[k] * (len(p) - rank) > level:
                break
            rejected.add(k)
        assert {k for k, q in enumerate(adjusted) if q <= level} == rejected


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_probability(bad: float) -> None:
    with pytest.raises(ConfigError, match="p_values hold"):
        holm([0.1, bad])


@pytest.mark.parametrize(("by_user", "by_seed"), [(1.0, 0.0), (0.3, 0.3), (0.3, 0.02), (0.0, 0.3)])
def test_crossed_test_holds_its_level_however_chance_is_spread(by_user, by_seed) -> None:
    """No difference but chance: by user, by seed (lifting all users alike), within; 3 seeds against 4."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(1000):
        taste = by_user * rng.normal(size=60)
        a, b = (taste + by_seed * rng.normal(size=(n, 1)) + rng.normal(size=(n, 60)) for n in (3, 4))
        found += crossed_test(a, b).p < 0.05
    assert found <= 0.05 * 1000


@pytest.mark.parametrize(("gap", "d"), [(0.0, 0.0), (0.5, np.inf), (-0.5, -np.inf)])
def test_an_effect_without_spread_between_users(gap, d) -> None:
    rng = np.random.default_rng(0)
    flat = rng.integers(0, 2, size=(2, 40)) / 1.0
    assert crossed_test(flat + gap, flat).d == d
    assert crossed_test(np.ones((2, 40)) + gap, np.ones((2, 40))).d == d


def test_crossed_test_finds_what_is_there_and_refuses() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 1, (5, 200)), rng.normal(0, 1, (5, 200))
    found = crossed_test(a, b)
    assert found.p < 1e-3 and found.low < found.difference < found.high and found.low > 0
    assert crossed_test(b, a).difference == pytest.approx(-found.difference)
    assert crossed_test(a, a[::-1]).p == pytest.approx(1.0)
    for bad, word in (((a[:1], b), "1 and 5 seeds"), ((a[:, :3], b[:, :3]), "3 users"), ((a, b[:, 1:]), "same users")):
        with pytest.raises(JmmrecError, match=word):
            crossed_test(*bad)


def test_bootstrap_covers_as_often_as_it_says() -> None:
    """Values that vary by user and by seed; the interval is for both."""
    rng, inside = np.random.default_rng(1), 0
    for _ in range(200):
        values = rng.normal(size=120) + 0.05 * rng.normal(size=(5, 1)) + 0.3 * rng.normal(size=(5, 120))
        found = bootstrap(values, draws=300)
        inside += found.low <= 0.0 <= found.high
        assert found.mean == pytest.approx(values.mean()) and found.n == 120
    assert 0.89 * 200 <= inside <= 0.99 * 200
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3)
    for bad, word in ((values[0], "shape"), (values[:, :4], "5 users"), (values * np.nan, "nan")):
        with pytest.raises(JmmrecError, match=word):
            bootstrap(bad)


def test_rounding_is_no_difference() -> None:
    """The same values averaged over seeds in another order, and ties that rounding would rank."""
    values = np.random.default_rng(0).random((3, 400)).round(2)
    one, other = values.mean(axis=0), values[[2, 0, 1]].mean(axis=0)
    assert (one != other).any() and crossed_test(values, values[[2, 0, 1]]).difference == 0.0
    for method in ("t", "wilcoxon"):
        assert paired_test(one, other, method)[:5] == (0.0, 0.0, 0.0, 1.0, 0.0)
    a, b = np.array([0.3, 0.2, 0.1, 0.7, 0.9, 0.4]), np.array([0.2, 0.1, 0.2, 0.5, 0.6, 0.1])
    assert paired_test(a, b, "wilcoxon").p == paired_test((10 * a).round(), (10 * b).round(), "wilcoxon").p
