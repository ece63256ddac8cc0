"""Which models of a comparison differ from its baseline: one test for each model and metric, corrected together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np

from jmmrec.errors import ConfigError, JmmrecError, check_choice
from jmmrec.report.evaluations import EvaluationLike, seed_text
from jmmrec.report.stats import MIN_PAIRS, Comparison, crossed_test, holm, matched, paired_test

OVER = ("both", "users", "seeds")
METHODS = ("t", "wilcoxon")
MARKS = {"two": ((0.01, "**"), (0.05, "*")), "paper": ((0.01, "*"),)}
ONE_SEED = "one seed says nothing of training again; train several, or over='users' tests the models as trained."


class HowTested(TypedDict, total=False):
    """Options of `comparison_table` that other functions hand on to it."""

    over: str
    method: str
    spread: str
    marks: str


@dataclass(frozen=True)
class Verdicts:
    """Tests of models against a baseline.

    Attributes:
      tests: (model, metric) -> difference to the baseline, its interval, effect size and the p of this test alone.
      p: (model, metric) -> p after Holm's correction for all of `tests`.
      remarks: what was tested, or why something was not.
    """

    tests: Mapping[tuple[str, str], Comparison] = field(default_factory=dict)
    p: Mapping[tuple[str, str], float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def check_tests(over: str, method: str) -> None:
    """Raises `ConfigError` for an unknown `over` or `method`, or a Wilcoxon test over both users and seeds.

    >>> check_tests("users", "wilcoxon")
    """
    check_choice("over", over, OVER)
    check_choice("method", method, METHODS)
    if (over, method) == ("both", "wilcoxon"):
        raise ConfigError(
            "method is 'wilcoxon', which tests over users or over seeds and not over both; set over to one of them."
        )


def verdicts(
    evaluations: Mapping[str, EvaluationLike],
    metrics: Sequence[str],
    baseline: str,
    over: str = "both",
    method: str = "t",
    level: float = 0.95,
) -> Verdicts:
    """Every other model against the baseline on every metric; nothing is tested where there is too little to test.

    Args:
      evaluations: name -> evaluation, of the same users. over, method, level: see `comparison_table`.

    Raises:
      ConfigError: see `check_tests`. JmmrecError: over seeds, models of other seeds than the baseline's.
    """
    check_tests(over, method)
    base = evaluations[baseline]
    n = len(base.seeds) if over == "seeds" else len(base.users)
    if n < MIN_PAIRS:
        units = "seeds" if over == "seeds" else "users"
        return Verdicts(remarks=(f"No marks: n too small, {n} {units} give no verdict.",))
    others = [name for name in evaluations if name != baseline]
    untold = [o for o in others if over == "both" and min(len(base.seeds), len(evaluations[o].seeds)) < 2]
    tests = {
        (name, metric): _test(name, evaluations[name], base, metric, over, method, level)
        for name in others
        for metric in metrics
        if name not in untold
    }
    p = dict(zip(tests, holm([test.p for test in tests.values()]).tolist(), strict=True))
    whom = f" for {', '.join(untold)}" if tests else ""
    return Verdicts(tests, p, (f"No marks{whom}: {ONE_SEED}",) if untold else ())


def tested(over: str, method: str, n: int) -> str:
    """Which test over how many, in words.

    >>> tested("both", "t", 50), tested("seeds", "wilcoxon", 5)
    ('t-test over 50 users and over seeds', 'paired Wilcoxon test over 5 seeds (means over users)')
    """
    if over == "both":
        return f"t-test over {n} users and over seeds"
    means = {"users": "the models as trained, averaged over seeds", "seeds": "means over users"}
    return f"paired {'t-test' if method == 't' else 'Wilcoxon test'} over {n} {over} ({means[over]})"


def _test(
    name: str, evaluation: EvaluationLike, base: EvaluationLike, metric: str, over: str, method: str, level: float
) -> Comparison:
    sides = evaluation, base
    if over == "both":
        first, second = (side.per_user[metric][:, np.argsort(side.users)] for side in sides)
        return crossed_test(first, second, level)
    if over == "users":
        pairs = matched(evaluation.users, evaluation.per_user[metric], base.users, base.per_user[metric])
        return paired_test(*pairs, method, level)
    if tuple(evaluation.seeds) != tuple(base.seeds):
        raise JmmrecError(
            f"{name} has seeds {seed_text(evaluation.seeds)} and the baseline {seed_text(base.seeds)}; "
            "test over users, or train both with the same seeds."
        )
    return paired_test(evaluation.per_seed[metric], base.per_seed[metric], method, level)
