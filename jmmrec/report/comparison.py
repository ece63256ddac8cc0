"""The table that compares trained models: mean ± interval over seeds, and paired tests against a baseline."""

from collections.abc import Mapping, Sequence

from jmmrec.errors import as_tuple, check_choice
from jmmrec.report.evaluations import EvaluationLike, check_metrics, seed_text, shared_facts
from jmmrec.report.stats import Interval, bootstrap, interval
from jmmrec.report.tables import Cell, Estimate, Table
from jmmrec.report.verdicts import MARKS, Verdicts, check_tests, tested, verdicts

SPREADS = ("seeds", "bootstrap")


def comparison_table(
    evaluations: Mapping[str, EvaluationLike],
    metrics: Sequence[str],
    baseline: str | None = None,
    *,
    over: str = "both",
    method: str = "t",
    level: float = 0.95,
    spread: str = "seeds",
    marks: str = "two",
    title: str = "",
) -> Table:
    """One row per model, one column per metric: mean over seeds ± half its Student-t interval.

    With a baseline every other row is tested against it, pair by pair, and all tests of the table are corrected
    together (Holm): `**` for p < 0.01, `*` for p < 0.05. The sign of a difference is read from the means; what the
    tests found in numbers, effect sizes included, is in the table's `details` and in columns of its CSV.

    Args:
      evaluations: name shown -> evaluation; all of one split, one mask and the same users.
      metrics: names such as "recall@20".
      baseline: one of the names, or None for no tests.
      over: what a verdict holds for: other users and training again (`both`, see `crossed_test`), other `users` of the
        models as trained, or `seeds`. A model with one seed has no verdict over both.
      method: "t", or "wilcoxon" over users or over seeds.
      level: coverage of the intervals. spread: what they tell, `seeds` (Student-t over seeds) or `bootstrap` (users
        and seeds drawn anew).
      marks: `two` levels as above, or `paper`: one `*` where a model is better at p < 0.01, as papers print it.
      title: one line above the table.

    Returns:
      A table whose facts are split, mask, users and seeds. Where there are fewer than 5 pairs, or one seed with
      `over="both"`, nothing is marked and a note says so.

    Raises:
      ConfigError: unknown metric, baseline, `over` or `method`, or a Wilcoxon test over both.
      JmmrecError: no evaluation, different splits, masks or users, or over seeds different seeds.
    """
    check_tests(over, method)
    metrics = as_tuple(metrics)
    check_choice("spread", spread, SPREADS)
    check_choice("marks", marks, MARKS)
    facts = shared_facts(evaluations)
    check_metrics(evaluations, metrics)
    notes = [_interval_note(evaluations, level, spread)]
    found, details = Verdicts(), None
    if baseline is not None:
        check_choice("baseline", baseline, evaluations)
        found = verdicts(evaluations, metrics, baseline, over, method, level)
        n = len(evaluations[baseline].seeds if over == "seeds" else evaluations[baseline].users)
        notes += [_marks_note(found, baseline, tested(over, method, n), marks), *found.remarks]
        details = differences(found, baseline, over, level)
    rows: list[tuple[Cell, ...]] = []
    for name, evaluation in evaluations.items():
        spreads = [_spread(evaluation, metric, level, spread) for metric in metrics]
        cells = [_cell(one, found, (name, metric), marks) for one, metric in zip(spreads, metrics, strict=True)]
        rows.append((name, *([] if "seeds" in facts else [seed_text(evaluation.seeds)]), *cells))
    columns = ("model", *([] if "seeds" in facts else ["seeds"]), *metrics)
    return Table(title, columns, tuple(rows), tuple(filter(None, notes)), facts, details=details)


def differences(found: Verdicts, baseline: str, over: str, level: float = 0.95) -> Table | None:
    """What tests found, one row for each model and metric: difference, p after correction, effect size.

    Returns:
      None where nothing was tested. The difference is that of the means ± half of its interval at `level`.

    >>> from jmmrec.report.stats import Comparison
    >>> where = ("VBPR", "ndcg@10")
    >>> found = Verdicts({where: Comparison(0.01, 0.004, 0.016, 0.002, 0.3, 400)}, {where: 0.004})
    >>> differences(found, "BPR", "users").rows[0][2].text()
    '0.0100 ± 0.0060'
    """
    if not found.tests:
        return None
    rows = []
    for (name, metric), test in found.tests.items():
        p = found.p[name, metric]
        gap = Estimate(Interval(test.difference, test.low, test.high, test.n, float("nan")))
        rows.append((name, metric, gap, "< 0.0001" if p < 1e-4 else f"{p:.4f}", test.d))
    units = "seeds" if over == "seeds" else "users"
    notes = (
        f"± is half of the {level:.0%} interval of the difference; p is Holm-corrected; "
        f"d is the mean difference by the standard deviation of the differences between {units}.",
    )
    return Table(f"Differences to {baseline}", ("model", "metric", "difference", "p", "d"), tuple(rows), notes)


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


def _cell(one: Interval, found: Verdicts, where: tuple[str, str], marks: str) -> Estimate:
    test = found.tests.get(where)
    unmarked = marks == "paper" and test is not None and test.difference <= 0
    return Estimate(one, found.p.get(where), test, () if unmarked else MARKS[marks])


def _marks_note(found: Verdicts, baseline: str, test: str, marks: str) -> str:
    if not found.tests:
        return ""
    said = f"* p < 0.05, ** p < 0.01 against {baseline}" if marks == "two" else f"* better than {baseline}, p < 0.01"
    return f"{said}: {test}, Holm-corrected for {len(found.tests)} tests."
