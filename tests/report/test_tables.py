"""Tables: what a person and what a program reads, character by character."""

import csv
import io
from dataclasses import dataclass, replace

import numpy as np
import pytest
import rich.console

from jmmrec.errors import JmmrecError
from jmmrec.report import Estimate, Interval, Table, comparison_table, crossed_test


@dataclass(frozen=True)
class Evaluation:
    """The least that a comparison accepts."""

    split: str
    mask: str
    seeds: tuple[int, ...]
    users: np.ndarray
    per_user: dict[str, np.ndarray]

    @property
    def per_seed(self) -> dict[str, np.ndarray]:
        return {name: values.mean(axis=1) for name, values in self.per_user.items()}


def evaluation(shift: float = 0.0, seeds: tuple[int, ...] = (0, 1, 2), n: int = 50, noise: float = 0.01) -> Evaluation:
    rng = np.random.default_rng(1)
    base = rng.uniform(0.2, 0.6, n)
    values = base + shift + noise * np.random.default_rng(int(abs(shift) * 1e4)).normal(size=(len(seeds), n))
    return Evaluation("test", "train", seeds, np.arange(n), {"recall@20": values, "ndcg@10": values / 2})


TABLE = Table(
    "Runs",
    ("model", "epochs", "recall@20"),
    (
        ("A|B", 12, Estimate(Interval(0.05894, 0.05774, 0.06014, 5, 0.001), 0.03)),
        ("C", 7, Estimate(Interval(0.1, float("nan"), float("nan"), 1, float("nan")))),
    ),
    ("A note.",),
    {"split": "test"},
)


def test_markdown() -> None:
    assert TABLE.markdown() == (
        "**Runs**\n\n"
        "| model | epochs | recall@20 |\n"
        "| --- | ---: | ---: |\n"
        "| A\\|B | 12 | 0.0589 ± 0.0012 * |\n"
        "| C | 7 | 0.1000 |\n\n"
        "split: test.\n\n"
        "A note.\n"
    )


def test_csv_keeps_full_precision_and_facts() -> None:
    assert TABLE.csv() == (
        "model,epochs,recall@20,recall@20_low,recall@20_high,recall@20_p,split\n"
        "A|B,12,0.05894,0.05774,0.06014,0.03,test\n"
        "C,7,0.1,,,,test\n"
    )


def test_console() -> None:
    console = rich.console.Console(file=io.StringIO(), width=80)
    console.print(replace(TABLE, rows=(("[bold]x[/]", 1, 0.25),)))
    shown = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "[bold]x[/]" in shown
    assert "0.2500" in shown
    assert "A note." in shown


def test_save_follows_the_ending(tmp_path) -> None:
    assert TABLE.save(tmp_path / "new" / "t.md").read_text() == TABLE.markdown()
    assert TABLE.save(tmp_path / "t.csv").read_text() == TABLE.csv()
    assert TABLE.save(tmp_path / "t.tex").read_text() == TABLE.latex()
    with pytest.raises(JmmrecError, match=r"ends in '\.xls'"):
        TABLE.save(tmp_path / "t.xls")


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(JmmrecError, match="row 1 of table 'T' has 1 cells for 2 columns"):
        Table("T", ("a", "b"), ((1, 2), (1,)))


def test_comparison_marks_what_differs_and_only_that() -> None:
    runs = {"base": evaluation(), "better": evaluation(0.05), "same": replace(evaluation(), seeds=(0, 1, 2))}
    table = comparison_table(runs, ["recall@20", "ndcg@10"], baseline="base")
    base, better, same = table.rows
    assert [cell.p for cell in base[1:]] == [None, None]
    assert [cell.mark for cell in better[1:]] == ["**", "**"]
    assert [cell.p for cell in same[1:]] == [1.0, 1.0]
    assert table.facts == {"split": "test", "masked": "train", "users": 50, "seeds": "0:3"}
    assert table.remarks[-1] == (
        "* p < 0.05, ** p < 0.01 against base: t-test over 50 users and over seeds, Holm-corrected for 4 tests."
    )


def test_comparison_means_are_those_of_the_seeds() -> None:
    run = evaluation()
    ((_, cell),) = comparison_table({"A": run}, ["recall@20"]).rows
    assert cell.interval.mean == pytest.approx(run.per_user["recall@20"].mean())
    assert cell.interval.std == pytest.approx(run.per_seed["recall@20"].std(ddof=1))
    assert cell.p is None


def test_users_in_another_order_change_nothing() -> None:
    run, turn = evaluation(0.01), np.random.default_rng(0).permutation(50)
    turned = replace(run, users=run.users[turn], per_user={k: v[:, turn] for k, v in run.per_user.items()})
    tables = [comparison_table({"base": evaluation(), "A": r}, ["ndcg@10"], "base").csv() for r in (run, turned)]
    first, second = ([float(x) for x in row[1:5]] for row in (list(csv.reader(io.StringIO(t)))[2] for t in tables))
    np.testing.assert_allclose(first, second, rtol=1e-9)


def test_different_seeds_get_a_column() -> None:
    table = comparison_table({"A": evaluation(), "B": evaluation(0.1, seeds=(0, 7))}, ["recall@20"])
    assert table.columns == ("model", "seeds", "recall@20")
    assert [row[1] for row in table.rows] == ["0:3", "0,7"]


def test_one_seed_marks_nothing_unless_asked_of_users_alone() -> None:
    runs = {"base": evaluation(seeds=(0,)), "better": evaluation(0.05, seeds=(0,))}
    table = comparison_table(runs, ["recall@20"], "base")
    assert table.rows[1][1].p is None and not any("p < " in remark for remark in table.remarks)
    assert table.remarks[-1] == (
        "No marks: one seed says nothing of training again; train several, or over='users' tests the models as trained."
    )
    table = comparison_table(runs, ["recall@20"], "base", over="users")
    assert table.rows[1][1].mark == "**"
    assert "paired t-test over 50 users (the models as trained, averaged over seeds)" in table.remarks[-1]


def test_one_model_with_one_seed_costs_the_others_nothing() -> None:
    runs = {"base": evaluation(), "better": evaluation(0.05), "alone": evaluation(0.06, seeds=(0,))}
    table = comparison_table(runs, ["recall@20"], "base")
    assert [row[2].mark for row in table.rows] == ["", "**", ""]
    assert "Holm-corrected for 1 tests" in table.remarks[-2]
    assert table.remarks[-1].startswith("No marks for alone: one seed says nothing")


def test_wilcoxon_is_over_users_or_over_seeds() -> None:
    runs = {"base": evaluation(), "better": evaluation(0.05)}
    told = comparison_table(runs, ["recall@20"], "base", over="users", method="wilcoxon").remarks[-1]
    assert "paired Wilcoxon test over 50 users" in told
    with pytest.raises(JmmrecError, match="'wilcoxon', which tests over users or over seeds and not over both"):
        comparison_table(runs, ["recall@20"], "base", method="wilcoxon")


def test_marks_as_papers_print_them() -> None:
    runs = {"base": evaluation(), "better": evaluation(0.05), "worse": evaluation(-0.05)}
    runs["a little better"] = evaluation(0.007, noise=0.04)  # p between 0.01 and 0.05
    table = comparison_table(runs, ["recall@20"], "base", over="users", marks="paper")
    cells = {name: cell for name, cell in table.rows if isinstance(cell, Estimate)}
    assert 0.01 < (cells["a little better"].p or 0) < 0.05 and (cells["worse"].p or 1) < 0.01
    assert {name: cell.mark for name, cell in cells.items()} == dict.fromkeys(runs, "") | {"better": "*"}
    assert table.remarks[-1].startswith("* better than base, p < 0.01: paired t-test over 50 users")
    usual = comparison_table(runs, ["recall@20"], "base", over="users")
    assert [row[1].mark for row in usual.rows] == ["", "**", "**", "*"]
    with pytest.raises(JmmrecError, match="marks is 'stars'; choose one of 'two', 'paper'"):
        comparison_table(runs, ["recall@20"], "base", marks="stars")


def test_differences_with_interval_p_and_effect_size_are_in_csv_and_below_the_table() -> None:
    runs = {"base": evaluation(), "better": evaluation(0.05)}
    table = comparison_table(runs, ["recall@20", "ndcg@10"], "base")
    found = crossed_test(runs["better"].per_user["recall@20"], runs["base"].per_user["recall@20"])
    base, better = csv.DictReader(io.StringIO(table.csv()))
    names = ("diff", "diff_low", "diff_high", "d")
    told = [float(better[f"recall@20_{name}"]) for name in names]
    assert told == pytest.approx([found.difference, found.low, found.high, found.d])
    assert float(better["recall@20_p"]) == pytest.approx(2 * found.p)  # Holm: both metrics have this p
    assert {base[f"recall@20_{name}"] for name in ("p", *names)} == {""}
    assert table.details is not None and table.details.columns == ("model", "metric", "difference", "p", "d")
    line = f"| better | recall@20 | {found.difference:.4f} ± {(found.high - found.low) / 2:.4f} |"
    assert "**Differences to base**" in table.markdown() and line in table.markdown()
    assert table.html().count("<details>") == table.html().count("<table>") - 1 == 1
    assert "Differences" not in table.latex()
    assert comparison_table(runs, ["recall@20"]).details is None


def test_a_note_on_marks_is_no_list_in_markdown() -> None:
    text = comparison_table({"base": evaluation(), "better": evaluation(0.05)}, ["recall@20"], "base").markdown()
    assert "\n\\* p < 0.05, \\*\\* p < 0.01 against base" in text


def test_bootstrap_intervals() -> None:
    runs = {"base": evaluation(), "better": evaluation(0.05)}
    table = comparison_table(runs, ["recall@20"], "base", spread="bootstrap")
    assert "bootstrap interval over users and seeds" in " ".join(table.remarks)
    assert table.rows[0][1].interval.n == 50
    with pytest.raises(JmmrecError, match="spread is 'range'"):
        comparison_table(runs, ["recall@20"], spread="range")


def test_too_few_pairs_mark_nothing_and_say_so() -> None:
    runs = {"base": evaluation(), "better": evaluation(0.05)}
    table = comparison_table(runs, ["recall@20"], "base", over="seeds")
    assert "No marks: n too small, 3 seeds give no verdict." in table.remarks
    assert table.rows[1][1].p is None


def test_pairs_over_seeds() -> None:
    seeds = (0, 1, 2, 3, 4)
    runs = {"base": evaluation(seeds=seeds), "better": evaluation(0.05, seeds=seeds)}
    table = comparison_table(runs, ["recall@20"], "base", over="seeds", method="wilcoxon")
    assert table.rows[1][1].p == pytest.approx(2 / 2**5)  # all five agree: the least p there is
    assert "paired Wilcoxon test over 5 seeds" in table.remarks[-1]


@pytest.mark.parametrize(
    ("other", "options", "message"),
    [
        (replace(evaluation(), split="valid"), {}, "other was evaluated with split 'valid' and base with 'test'"),
        (replace(evaluation(), mask="train+valid"), {}, "with mask 'train\\+valid'"),
        (evaluation(n=40), {}, "other was evaluated on 40 users and base on other 50"),
        (evaluation(), {"metrics": ["mrr@3"]}, "base has no metric 'mrr@3'; it has recall@20, ndcg@10"),
        (evaluation(), {"baseline": "C"}, "baseline is 'C'; choose one of 'base', 'other'"),
        (evaluation(), {"over": "items"}, "over is 'items'"),
    ],
)
def test_comparison_refuses(other: Evaluation, options: dict, message: str) -> None:
    with pytest.raises(JmmrecError, match=message):
        comparison_table({"base": evaluation(), "other": other}, **{"metrics": ["recall@20"], **options})


def test_comparison_over_seeds_refuses_other_seeds() -> None:
    runs = {"base": evaluation(seeds=tuple(range(5))), "other": evaluation(seeds=tuple(range(1, 6)))}
    with pytest.raises(JmmrecError, match="other has seeds 1:6 and the baseline 0:5"):
        comparison_table(runs, ["recall@20"], "base", over="seeds")
    with pytest.raises(JmmrecError, match="no evaluation"):
        comparison_table({}, ["recall@20"])


def test_signs_that_latex_reads_as_commands() -> None:
    text = Table("", ("a_b", "CI²MG"), ((r"100 % ~ c:\x^2", "λ ≥ τ"),)).latex()
    assert r"a\_b & CI$^2$MG \\" in text
    assert r"100 \% \textasciitilde{} c:\textbackslash{}x\textasciicircum{}2 & $\lambda$ $\geq$ $\tau$ \\" in text
