"""Intervals over seeds, paired tests over users or seeds, and the correction for many comparisons."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jmmrec.errors import ConfigError, JmmrecError, check_choice, check_range, check_whole

MIN_PAIRS = 5
"""With fewer pairs no two-sided Wilcoxon p falls below 0.1, and a t-test leans on normality alone."""


class Interval(NamedTuple):
    """Mean of n values with its confidence bounds; `std` is the sample standard deviation (n - 1)."""

    mean: float
    low: float
    high: float
    n: int
    std: float

    @property
    def half(self) -> float:
        """Half the width: the number after the ±. NaN for one value."""
        return (self.high - self.low) / 2


class Comparison(NamedTuple):
    """Mean of a - b over n pairs with its confidence bounds, two-sided p, and effect size d.

    `d` is Cohen's d for pairs: mean difference by standard deviation of the differences.
    """

    difference: float
    low: float
    high: float
    p: float
    d: float
    n: int


def interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Interval:
    """Mean and Student-t confidence interval: mean ± t_{n-1} · std / √n.

    Args:
      values: one number per seed, finite, in any order.
      level: coverage in (0, 1).

    Returns:
      Bounds and std are NaN for a single value: one seed says nothing about spread.

    Raises:
      JmmrecError: no values, more than one axis, NaN or infinity.

    >>> i = interval([0.1, 0.2, 0.3])
    >>> round(i.mean, 3), round(i.low, 3), round(i.high, 3), i.n
    (0.2, -0.048, 0.448, 3)
    """
    array = _finite("values", values)
    check_range("level", level, 0, 1, open_low=True)
    mean, n = float(array.mean()), len(array)
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1, math.nan)
    std = float(array.std(ddof=1))
    half = _t_quantile(level, n) * std / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, std)


def bootstrap(values: np.ndarray, level: float = 0.95, draws: int = 2000, seed: int = 0) -> Interval:
    """Mean over seeds and users with its percentile bootstrap interval: both are drawn anew with replacement.

    Args:
      values: (n_seeds, n_users), finite; one seed says nothing of training again, then users alone are drawn.
      draws: of the bootstrap. seed: of the draws.

    Returns:
      `n` is the number of users, `std` the standard deviation of the draws' means.

    Raises:
      JmmrecError: fewer than 5 users, another shape, NaN or infinity.

    >>> found = bootstrap(np.random.default_rng(0).normal(1.0, 1.0, (3, 400)))
    >>> bool(found.low < 1.0 < found.high)
    True
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] < MIN_PAIRS or not len(values):
        raise JmmrecError(f"values have shape {values.shape}; give seeds by users, {MIN_PAIRS} users or more.")
    check_range("level", level, 0, 1, open_low=True)
    check_whole("draws", draws, 100, 1_000_000)
    mean = float(_finite("means", values.mean(axis=1)).mean())
    rng, (n_seeds, n) = np.random.default_rng(seed), values.shape
    means = np.empty(draws)
    for k in range(draws):
        shares = np.bincount(rng.integers(n, size=n), minlength=n) / n
        means[k] = (values[rng.integers(n_seeds, size=n_seeds)] @ shares).mean()
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), n, float(means.std(ddof=1)))


def paired_test(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, method: str = "t", level: float = 0.95
) -> Comparison:
    """Two-sided paired test of a against b; position i of both belongs to the same user or seed.

    Over users: give each user's value averaged over seeds, brought into one order by `matched`. It asks whether
    the trained models differ for other users of this kind. Over seeds: give one mean per seed. It asks whether
    training again would show the same.

    Args:
      a, b: finite numbers of equal length n.
      method: "t" (paired t-test) or "wilcoxon" (signed rank; pairs without difference are left out).
      level: coverage of the bounds, which are Student-t bounds of the mean difference under either method.

    Returns:
      p is 1 and d is 0 where a equals b everywhere.

    Raises:
      JmmrecError: fewer than 5 pairs (no verdict is possible), unequal lengths, NaN or infinity.

    >>> c = paired_test([3, 4, 5, 6, 7], [1, 2, 4, 5, 5])
    >>> round(c.difference, 2), round(c.p, 4), round(c.d, 2)
    (1.6, 0.0028, 2.92)
    """
    check_choice("method", method, ("t", "wilcoxon"))
    first, second = _finite("a", a), _finite("b", b)
    if len(first) != len(second):
        raise JmmrecError(
            f"a has {len(first)} values and b has {len(second)}; a paired test needs the same units in both."
        )
    n = len(first)
    if n < MIN_PAIRS:
        raise JmmrecError(
            f"n too small: {n} pairs give no verdict; use at least {MIN_PAIRS} seeds, or test over users."
        )
    difference = _rounded(first - second, first, second)
    mean, low, high, _, std = interval(difference, level)
    if not difference.any():
        return Comparison(0.0, 0.0, 0.0, 1.0, 0.0, n)
    d = mean / std if std > 0 else math.copysign(math.inf, mean)
    return Comparison(mean, low, high, _p_value(difference, method, d), d, n)


def crossed_test(a: np.ndarray, b: np.ndarray, level: float = 0.95) -> Comparison:
    """Two-sided test of a against b that holds for other users and for training again.

    A test over users takes the trained models as they are: it finds differences between two trainings of one model,
    since a lucky seed lifts all users alike. Here the variance of the mean difference is that over users, of values
    averaged over seeds, plus that over seeds, of means over users, on either side; degrees of freedom by Welch and
    Satterthwaite. (Chance within users is counted twice, so it errs on the safe side.)

    Args:
      a, b: (n_seeds, n_users), columns of the same users in one order; seeds are independent, 2 or more a side.

    Raises:
      JmmrecError: one seed on a side, fewer than 5 users, other users, NaN or infinity.

    >>> rng = np.random.default_rng(0)
    >>> crossed_test(rng.normal(0.5, 1.0, (3, 400)), rng.normal(0.0, 1.0, (4, 400))).p < 0.01
    True
    """
    first, second = (np.asarray(side, np.float64) for side in (a, b))
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise JmmrecError(f"a and b have shapes {first.shape} and {second.shape}; give seeds by users, the same users.")
    seeds, n = (len(first), len(second)), first.shape[1]
    if min(seeds) < 2 or n < MIN_PAIRS:
        raise JmmrecError(
            f"n too small: {seeds[0]} and {seeds[1]} seeds, {n} users; use at least 2 seeds a side, {MIN_PAIRS} users."
        )
    means = first.mean(axis=0), second.mean(axis=0)
    gap = _rounded(_finite("the differences", means[0] - means[1]), *means)
    spread = float(gap.std(ddof=1))
    parts = [spread**2 / n, *(float(side.mean(axis=1).var(ddof=1)) / len(side) for side in (first, second))]
    total, mean = sum(parts), float(gap.mean())
    d = mean / spread if spread else 0.0 if mean == 0 else math.copysign(math.inf, mean)
    if total == 0:
        return Comparison(mean, mean, mean, float(mean == 0), d, n)
    from scipy import stats

    freedom = total**2 / sum(part**2 / (k - 1) for part, k in zip(parts, (n, *seeds), strict=True))
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * math.sqrt(total)
    p = float(2 * stats.t.sf(abs(mean) / math.sqrt(total), freedom))
    return Comparison(mean, mean - half, mean + half, p, d, n)


def _rounded(difference: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Differences without what is left of rounding, so that equal ones are zeros, or ties."""
    largest = max(float(np.abs(a).max()), float(np.abs(b).max()))
    return np.round(difference, 12 - math.ceil(math.log10(largest))) if largest else difference


def _p_value(difference: np.ndarray, method: str, d: float) -> float:
    from scipy import stats  # 1 s to import

    n = len(difference)
    if method == "wilcoxon":
        return float(stats.wilcoxon(difference).pvalue)  # pyright: ignore[reportAttributeAccessIssue]
    return float(2 * stats.t.sf(abs(d) * math.sqrt(n), n - 1))


def matched(
    users_a: np.ndarray, values_a: np.ndarray, users_b: np.ndarray, values_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per-user values of two evaluations in one order, averaged over seeds.

    Args:
      users_a, users_b: ids (n,), each once, in any order.
      values_a, values_b: (n,) or (n_seeds, n), columns in the order of the ids.

    Returns:
      Two float64 arrays (n,), ordered by user id.

    Raises:
      JmmrecError: the evaluations are not over the same users.

    >>> a, b = matched(np.array([2, 1]), np.array([0.2, 0.1]), np.array([1, 2]), np.array([[0.3, 0.5], [0.5, 0.7]]))
    >>> a.tolist(), b.round(3).tolist()
    ([0.1, 0.2], [0.4, 0.6])
    """
    sides = []
    for users, values in ((users_a, values_a), (users_b, values_b)):
        values = np.atleast_2d(np.asarray(values, np.float64))
        if values.shape[1] != len(users):
            raise JmmrecError(
                f"{len(users)} users but {values.shape[1]} values per seed; give one value for each user."
            )
        order = np.argsort(users)
        sides.append((np.asarray(users)[order], values.mean(axis=0)[order]))
    (ids_a, mean_a), (ids_b, mean_b) = sides
    if not np.array_equal(ids_a, ids_b):
        alone = np.setxor1d(ids_a, ids_b)
        raise JmmrecError(
            f"{len(alone)} users were evaluated on one side only (first: user {alone[0]}); "
            "compare runs of the same data set and split."
        )
    return mean_a, mean_b


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment: p_(i) becomes max over j <= i of (m - j + 1) p_(j), at most 1.

    Source: Holm (1979), Scandinavian Journal of Statistics 6. Compare the result with the wanted level itself.

    Args:
      p_values: m numbers in [0, 1].

    Returns:
      float64 (m,), in the order given.

    Raises:
      ConfigError: a value outside [0, 1], NaN included.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64).reshape(-1)
    if not ((p >= 0) & (p <= 1)).all():
        raise ConfigError(f"p_values hold {p[~((p >= 0) & (p <= 1))][0]}; each must lie in [0, 1].")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def _finite(name: str, values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not len(array):
        raise JmmrecError(f"{name} has shape {array.shape}; give one number for each seed or user.")
    if not np.isfinite(array).all():
        raise JmmrecError(f"{name} holds {array[~np.isfinite(array)][0]}; leave failed runs out before comparing.")
    return array


def _t_quantile(level: float, n: int) -> float:
    # scipy.special loads in a tenth of the time of scipy.stats.
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, (1 + level) / 2))
