"""The table that compares trained models: mean ± interval over seeds, and paired tests against a baseline."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from jmmrec.errors import ConfigError, JmmrecError, check_choice
from jmmrec.report.stats import MIN_PAIRS, Interval, bootstrap, crossed_test, holm, interval, matched, paired_test
from jmmrec.report.tables import Cell, Estimate, Table


class EvaluationLike(Protocol):
    """What the comparison needs to know of an evaluated model; every number carries split, mask and seeds."""

    @property
    def split(self) -> str:
        """ "valid" or "test"."""
        ...

    @property
    def mask(self) -> str:
        """ "train" or "train+valid": the items left out of each user's ranking."""
        ...

    @property
    def seeds(self) -> tuple[int, ...]:
        """One for each trained model."""
        ...

    @property
    def users(self) -> np.ndarray:
        """Ids (n,) of the users averaged over."""
        ...

    @property
    def per_user(self) -> Mapping[str, np.ndarray]:
        """Metric name ("recall@20") -> (n_seeds, n)."""
        ...

    @property
    def per_seed(self) -> Mapping[str, np.ndarray]:
        """Metric name -> (n_seeds,), means over users."""
        ...


def comparison_table(
    evaluations: Mapping[str, EvaluationLike],
    metrics: Sequence[str],
    baseline: str | None = None,
    *,
    over: str = "both",
    method: str = "t",
    level: float = 0.95,
    spread: str = "seeds",
    title: str = "",
) -> Table:
    """One row per model, one column per metric: mean over seeds ± half its Student-t interval.

    With a baseline every other row is tested against it, pair by pair, and all tests of the table are corrected
    together (Holm): `**` for p < 0.01, `*` for p < 0.05. The sign of a difference is read from the means.

    Args:
      evaluations: name shown -> evaluation; all of one split, one mask and the same users.
      metrics: names such as "recall@20".
      baseline: one of the names, or None for no tests.
      over: what a verdict holds for: other users and training again (`both`, see `crossed_test`; with one seed, or
        method wilcoxon, `users`), other `users` of the models as trained, or `seeds`.
      method: "t" or "wilcoxon".
      level: coverage of the intervals. spread: what they tell, `seeds` (Student-t over seeds) or `bootstrap` (users
        and seeds drawn anew).
      title: one line above the table.

    Returns:
      A table whose facts are split, mask, users and seeds. Where there are fewer than 5 pairs nothing is marked
      and a note says so.

    Raises:
      ConfigError: unknown metric, baseline, `over` or `method`.
      JmmrecError: no evaluation, different splits, masks or users, or over seeds different seeds.
    """
    check_choice("over", over, ("both", "users", "seeds"))
    check_choice("spread", spread, ("seeds", "bootstrap"))
    facts = _facts(evaluations)
    _check_metrics(evaluations, metrics)
    notes = [_interval_note(evaluations, level, spread)]
    p_values: dict[tuple[str, str], float] = {}
    if baseline is not None:
        check_choice("baseline", baseline, evaluations)
        p_values, note = _tests(evaluations, metrics, baseline, over, method)
        notes.append(note)
    rows: list[tuple[Cell, ...]] = []
    for name, evaluation in evaluations.items():
        spreads = [_spread(evaluation, metric, level, spread) for metric in metrics]
        cells = [Estimate(one, p_values.get((name, m))) for one, m in zip(spreads, metrics, strict=True)]
        rows.append((name, *([] if "seeds" in facts else [seed_text(evaluation.seeds)]), *cells))
    columns = ("model", *([] if "seeds" in facts else ["seeds"]), *metrics)
    return Table(title, columns, tuple(rows), tuple(filter(None, notes)), facts)


def seed_text(seeds: Sequence[int]) -> str:
    """Seeds as the command line takes them: `0:5` for a run of them, else `0,3,7`.

    >>> seed_text((0, 1, 2)), seed_text((0, 3, 7)), seed_text((999,))
    ('0:3', '0,3,7', '999')
    """
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}:{seeds[-1] + 1}"
    return ",".join(map(str, seeds))


def _facts(evaluations: Mapping[str, EvaluationLike]) -> dict[str, object]:
    if not evaluations:
        raise JmmrecError("there is no evaluation to compare; give at least one.")
    first = next(iter(evaluations.values()))
    for name, evaluation in evaluations.items():
        for attribute in ("split", "mask"):
            here, there = getattr(evaluation, attribute), getattr(first, attribute)
            if here != there:
                raise JmmrecError(
                    f"{name} was evaluated with {attribute} {here!r} and {next(iter(evaluations))} with {there!r}; "
                    "evaluate both in the same way before comparing."
                )
        if not np.array_equal(np.sort(evaluation.users), np.sort(first.users)):
            raise JmmrecError(
                f"{name} was evaluated on {len(evaluation.users)} users and {next(iter(evaluations))} on other "
                f"{len(first.users)}; compare runs of the same data set and split."
            )
    facts: dict[str, object] = {"split": first.split, "masked": first.mask, "users": len(first.users)}
    if all(tuple(e.seeds) == tuple(first.seeds) for e in evaluations.values()):
        facts["seeds"] = seed_text(first.seeds)
    return facts


def _check_metrics(evaluations: Mapping[str, EvaluationLike], metrics: Sequence[str]) -> None:
    for name, evaluation in evaluations.items():
        for metric in metrics:
            if metric not in evaluation.per_user or metric not in evaluation.per_seed:
                known = ", ".join(evaluation.per_user) or "none"
                raise ConfigError(f"{name} has no metric {metric!r}; it has {known}.")


def _spread(evaluation: EvaluationLike, metric: str, level: float, spread: str) -> Interval:
    if spread == "bootstrap":
        return bootstrap(evaluation.per_user[metric], level)
    return interval(evaluation.per_seed[metric], level)


def _interval_note(evaluations: Mapping[str, EvaluationLike], level: float, spread: str) -> str:
    if spread == "bootstrap":
        return f"± is half of the {level:.0%} bootstrap interval over users and seeds."
    if all(len(e.seeds) == 1 for e in evaluations.values()):
        return "One seed each: no interval."
    return f"± is half of the {level:.0%} Student-t interval over seeds."


def _tests(
    evaluations: Mapping[str, EvaluationLike], metrics: Sequence[str], baseline: str, over: str, method: str
) -> tuple[dict[tuple[str, str], float], str]:
    """Adjusted p by (model, metric), and the note that says what was tested."""
    base = evaluations[baseline]
    alone = over == "both" and min(len(e.seeds) for e in evaluations.values()) < 2
    over = "users" if alone or (over == "both" and method != "t") else over
    n = len(base.seeds) if over == "seeds" else len(base.users)
    if n < MIN_PAIRS:
        return {}, f"No marks: n too small, {n} {'seeds' if over == 'seeds' else 'users'} give no verdict."
    p_values = {}
    for name, evaluation in evaluations.items():
        for metric in metrics if name != baseline else ():
            p_values[name, metric] = _p(name, evaluation, base, metric, over, method)
    adjusted = dict(zip(p_values, holm(list(p_values.values())).tolist(), strict=True))
    test = "t-test" if method == "t" else "Wilcoxon test"
    means = {"users": "their values averaged over seeds", "seeds": "means over users"}
    what = f"t-test over {n} users and over seeds"
    if over in means:
        what = f"paired {test} over {n} {over} ({means[over]})"
    note = f"* p < 0.05, ** p < 0.01 against {baseline}: {what}, Holm-corrected for {len(adjusted)} tests."
    return adjusted, note + (" With one seed it says nothing of training again." if alone else "")


def _p(name: str, evaluation: EvaluationLike, base: EvaluationLike, metric: str, over: str, method: str) -> float:
    if over == "both":
        orders = [np.argsort(e.users) for e in (evaluation, base)]
        first, second = (e.per_user[metric][:, o] for e, o in zip((evaluation, base), orders, strict=True))
        return crossed_test(first, second).p
    return paired_test(*_pairs(name, evaluation, base, metric, over), method=method).p


def _pairs(
    name: str, evaluation: EvaluationLike, base: EvaluationLike, metric: str, over: str
) -> tuple[np.ndarray, np.ndarray]:
    if over == "users":
        return matched(evaluation.users, evaluation.per_user[metric], base.users, base.per_user[metric])
    if tuple(evaluation.seeds) != tuple(base.seeds):
        raise JmmrecError(
            f"{name} has seeds {seed_text(evaluation.seeds)} and the baseline {seed_text(base.seeds)}; "
            "test over users, or train both with the same seeds."
        )
    return evaluation.per_seed[metric], base.per_seed[metric]
