"""The ledger: what it says is what the results say, and every verdict follows from its rows."""

import itertools
import types

import pytest

from experiments import claims, ledger, verdicts
from experiments.ci2mg import table2 as eleven
from experiments.ci2mg import table3
from experiments.mdvt import fig3 as ablation
from experiments.mdvt import fig7_8, fig9, mining, table2, table4, table5, table6_7
from experiments.mdvt import grid as mdvt_grid
from experiments.mdvt import study as mdvt
from experiments.mdvt import table3 as sources
from jmmrec.tuning import Grid


def test_the_ledger_is_what_the_results_say() -> None:
    page = (ledger.HERE / "README.md").read_text(encoding="utf-8")
    assert page == ledger.ledger(), "run `make ledger` and commit experiments/README.md"
    row = {"p": "0.001", "minus_base": "-0.1", "seeds": "3"}
    assert verdicts.better(row) is False and verdicts.better(row | {"minus_base": "+0.1"}) is True
    assert verdicts.better(row | {"p": "0.2"}) is verdicts.better(row | {"seeds": "1"}) is verdicts.better({}) is None


def test_the_ledger_on_users_with_few_items_and_on_epochs() -> None:
    about = {"data": "toy", "model": "freedom", "training_items": "1-5", "users": "9", "recall@10": "0.2", "seeds": "2"}
    gain = {"row": "H", "diff_low95": "+0.1", "diff_high95": "+0.3", "minus_base": "+0.2", "p": "0.001"}
    rows = [
        about | {"row": "backbone", "p": "", "minus_base": ""},
        about | gain,
        about | gain | {"training_items": ">20", "p": "0.5"},
    ]
    said, found = verdicts.groups("toy", "freedom", False)(rows)
    assert found == "holds" and said == "R@10, 2 seeds, 9 users with 1-5, alone 0.2: H +0.2 (+0.1 to +0.3)"
    said, found = verdicts.groups("toy", "freedom", True)(rows)
    assert found == "partly" and "9 users with >20" in said
    floor = [row | {"recall@10": "0.0", "minus_base": row["minus_base"] and "+0.0", "p": ""} for row in rows[:2]]
    said, found = verdicts.groups("toy", "freedom", False)(floor)
    assert found == "open" and said == ""
    said, found = verdicts.groups("toy", "freedom", True)([*rows, *(row | {"training_items": ">99"} for row in floor)])
    assert found == "partly" and said.endswith("9 users with >99: no hit in any run")
    assert (
        verdicts.groups("toy", "freedom", False)(rows[:1])[1]
        == verdicts.groups("other", "freedom", True)(rows)[1]
        == "open"
    )
    row = {"data": "toy", "model": "freedom", "metric": "recall@10"}
    alone = row | {"row": "backbone", "best_epoch": "70 80 90", "virtual_since": "never never never"}
    for epochs, since, decided in (
        ("60 70 80", "5 5 5", "holds"), ("80 90 100", "5 5 5", "does not"), ("60 90 91", "5 5 5", "cannot be told"),
        ("70 80 90", "80 90 100", "cannot be told"), ("60 70 80", "80 5 never", "cannot be told"),
    ):  # fmt: skip
        said, found = verdicts.sooner("toy")([alone, row | {"row": "H", "best_epoch": epochs, "virtual_since": since}])
        assert found == decided and said.startswith("best epoch of 3 seeds: alone at 70 80 90"), epochs
    assert (
        "H -10 (-10 to -10)"
        in verdicts.sooner("toy")([alone, row | {"row": "H", "best_epoch": "60 70 80", "virtual_since": "5 5 5"}])[0]
    )


def test_ci2mg_is_best_only_if_it_is_above_every_other() -> None:
    one = {"data": "toy", "model": "CI2MG", "metric": "recall@20", "rate": "0.9", "mean": "0.2", "seeds": "3",
           "other": ""}  # fmt: skip
    below = one | {"mean": "0.1", "other": "CI2MG", "minus_other": "-0.1", "other_low95": "-0.15",
                   "other_high95": "-0.05", "p_other": "0.0001"}  # fmt: skip
    rows = [one, *(below | {"model": f"other {number}"} for number in range(10))]
    first = verdicts.first_of_all("toy", 10)
    best = "best of 10 others other 0 0.1000 (-0.15 to -0.05), 3 seeds"
    assert first(rows) == (f"R@20, 90 %: CI²MG 0.2000, 3 seeds, {best}", "holds")
    assert first([*rows[:-1], rows[-1] | {"minus_other": "+0.1"}])[1] == "does not"  # one above it is enough
    assert first(rows[:-1])[1] == first([*rows[:-1], rows[-1] | {"p_other": "0.5"}])[1] == "partly"
    assert first([one, *(row | {"seeds": "1"} for row in rows[1:])])[1] == "cannot be told"
    assert first([one, rows[1] | {"minus_other": "+0.1"}])[1] == "does not"
    assert first([row | {"rate": "0.5"} for row in rows]) == first([one]) == ("", "open")
    assert first([*rows, below | {"model": eleven.QUICK, "mean": "0.3"}]) == first(rows)  # it is one of CI²MG's own
    quick = [row | {"rate": "0.5", "other": row["other"] and eleven.QUICK} for row in rows[1:6]]
    quick.append(one | {"model": eleven.QUICK, "rate": "0.5"})
    assert verdicts.first_of_all("toy", 5, eleven.QUICK, (0.5,))(quick)[1] == "holds"
    assert verdicts.first_of_all("toy", 5, eleven.QUICK, (0.5, 0.6))(quick)[1] == "partly"
    lightgcn = rows[1] | {"model": "LightGCN-M", "minus_base": "-0.1", "p": "0.0001", "diff_low95": "-0.2",
                          "diff_high95": "-0.1"}  # fmt: skip
    assert verdicts.without_features("toy")([lightgcn]) == ("R@20, 3 seeds: LightGCN-M 0.1000 (-0.2 to -0.1)", "holds")
    public = lightgcn | {"model": eleven.PUBLIC, "p": "0.5"}  # another reading of the same model
    assert verdicts.without_features("toy")([lightgcn, public])[1] == "partly"
    assert first([*rows, below | {"model": eleven.PUBLIC}])[1] == "holds"
    assert first([*rows[:-1], below | {"model": eleven.PUBLIC}])[1] == "partly"  # one of the ten is lacking
    assert first(rows[1:]) == ("", "open")


def test_the_same_runs_are_no_difference() -> None:
    row = {"data": "toy", "model": "freedom", "metric": "recall@10", "mean": "0.2", "seeds": "2", "other": "g=0.1",
           "row": "g=0.3", "minus_other": "+0.00000", "other_low95": "+0.00000", "other_high95": "+0.00000",
           "p_other": "1"}  # fmt: skip
    rule = verdicts.differences("toy", "freedom", lambda label: label == "g=0.3", "minus_other", "-")
    assert rule([row])[1] == "does not"
    assert rule([row | {"seeds": "1", "other_low95": "", "other_high95": ""}])[1] == "cannot be told"
    used = row | {"best_epoch": "77 81", "virtual_since": "80 80"}
    assert "the backbone itself in 1 of 2 seeds" in rule([used])[0]
    plan = [mdvt.PLAIN, mdvt.Cell("amr", (("", "+A"),), amr=()), mdvt.Cell("hybrid", (("", "g=0.3"),), mdvt=())]
    never = {"best_epoch": "3 4", "virtual_since": "never never"}
    assert mdvt.never_on([row | never | {"row": label} for label in ("backbone", "+A")], plan) == []
    assert mdvt.never_on([used], plan)[0] == (
        "Seeds whose best epoch has no virtual triplets yet, so the backbone's: g=0.3 in 1 of 2."
    )


def test_warm_ups_are_alike_where_they_are_near() -> None:
    row = {"data": "toy", "model": "freedom", "metric": "recall@10", "seeds": "2", "valid": "0.1"}
    rows = [row | {"row": "T = 5", "valid": "0.2"}, row | {"row": "T = 20"},
            row | {"row": "dynamic", "plain_epochs": "4 7"},
            row | {"row": "hybrid", "plain_epochs": "3 7"}]  # fmt: skip
    assert verdicts.alike("toy")(rows) == ("plain epochs, 2 seeds: static 5, dynamic 4 7, hybrid 3 7", "holds")
    for picked, found in (
        ("4 8", "partly"),
        ("8 9", "does not"),
        ("4", "cannot be told"),
        ("never 5", "cannot be told"),
    ):
        assert verdicts.alike("toy")([*rows[:2], rows[2] | {"plain_epochs": picked}, rows[3]])[1] == found
    assert verdicts.alike("other")(rows) == ("", "open")


def test_claims_about_two_rows_read_their_own_comparison() -> None:
    row = {"data": "toy", "model": "freedom", "metric": "recall@10", "mean": "0.2", "seeds": "3", "other": "MDVT",
           "minus_base": "+0.1", "diff_low95": "+0.05", "diff_high95": "+0.15", "p": "0.001",
           "minus_other": "-0.1", "other_low95": "-0.15", "other_high95": "-0.05", "p_other": "0.001"}  # fmt: skip
    rows = [row | {"row": "MDVT", "other": "", "minus_other": "", "p_other": ""}, row | {"row": "w/o-Aggr"}]
    parts = verdicts.differences("toy", "freedom", lambda label: label.startswith("w/o"), "minus_other", "-")
    assert parts(rows) == ("R@10, 3 seeds: MDVT 0.2000, w/o-Aggr 0.2000 (-0.15 to -0.05)", "holds")
    assert verdicts.differences("toy", "freedom")(rows)[1] == "holds"  # both are better than the backbone
    assert (
        verdicts.differences("toy", "freedom", lambda label: label == "w/o-Aggr", "minus_other")(rows)[1] == "does not"
    )
    assert parts([rows[0]]) == ("", "open") and parts([rows[0], rows[1] | {"seeds": "1"}])[1] == "cannot be told"


def test_a_ladder_is_judged_whole() -> None:
    row = {"data": "toy", "metric": "recall@20", "mean": "0.2", "seeds": "3", "other": "lower", "rate": "0.9",
           "minus_other": "+0.1", "other_low95": "+0.05", "other_high95": "+0.15", "p_other": "0.0001",
           "minus_base": "+0.1", "diff_low95": "+0.05", "diff_high95": "+0.15", "p": "0.0001"}  # fmt: skip
    assert [cell.label for cell in table3.QUICKER][1:] == [f"{cell.label}, prototypes" for cell in table3.LADDER[3:]]
    exact, quick = ([row | {"model": cell.label} for cell in cells] for cells in (table3.LADDER[2:], table3.QUICKER))
    rule = verdicts.ladder("toy")
    assert rule(exact)[1] == rule(quick)[1] == "holds"
    worse = {"minus_base": "-0.1", "diff_low95": "-0.15", "diff_high95": "-0.05"}  # below LightGCN-M, above Eq. 2's ids
    assert rule([exact[0] | worse, *exact[1:]])[1] == rule([*exact[:-1], exact[-1] | worse])[1] == "partly"
    assert rule(exact[:2])[1] == rule(quick[:2])[1] == "cannot be told"
    assert "prototypes" not in rule([*exact, *quick[1:]])[0]
    assert "+ Conl, prototypes" in rule([*exact[3:], *quick])[0]
    assert verdicts.ladder("other")(exact) == ("", "open")


SCRIPTS = {"fig3": ablation, "mining": mining, "table2": table2, "table3": sources, "table4": table4,
           "table5": table5, "table6_7": table6_7, "fig7_8": fig7_8, "fig9": fig9}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_claim_finds_its_rows_in_a_whole_table(name, monkeypatch) -> None:
    """A claim about a metric or a row that its script does not write would be open for ever."""
    script, told = SCRIPTS[name], {}
    monkeypatch.setattr(script, "main", lambda *args, **how: told.update(how, args=args))
    script.run([])
    metrics, against = told.get("metrics", ("recall@5", "recall@10", "ndcg@10")), told.get("against", lambda _: None)
    row = {"mean": "0.2", "seeds": "3", "refresh": "epoch", "minus_base": "+0.1", "diff_low95": "+0.05", "p": "0.001",
           "diff_high95": "+0.15", "minus_other": "+0.1", "other_low95": "+0.05", "other_high95": "+0.15",
           "p_other": "0.001"}  # fmt: skip
    rows = []
    for data, model in itertools.product({*claims.SETS, *mdvt.PAPER_NAME}, (*mdvt.TITLE, "mmgcn")):
        if hasattr(script, "cells"):
            labels = [label for cell in script.cells(data, model) for _, label in cell.rows]
        else:
            grid = Grid(
                told.get("lams", (0.2,)), told.get("ns") or (mdvt_grid.recommended(model),), gaps=mdvt_grid.GAPS
            )
            labels = [label for label, _ in script.view(data, model, [types.SimpleNamespace(grid=grid, trunks={})])[1]]
        about = {"data": data, "model": model}
        rows += [row | about | {"row": r, "metric": m, "other": against(r)} for r in labels for m in metrics]
    mine = [claim for claim in claims.CLAIMS if claim.file == f"mdvt_{name}.csv"]
    assert mine
    for claim in mine:
        assert claim.ours(rows)[1] in ("holds", "does not"), claim.says


def test_two_ways_are_as_good_where_the_whole_interval_is_small() -> None:
    row = {"data": "toy", "model": "freedom", "metric": "recall@10", "mean": "0.2", "seeds": "3", "row": "S",
           "minus_other": "", "p_other": ""}  # fmt: skip
    often = row | {"row": "S often", "other": "S", "minus_other": "+0.001", "other_low95": "-0.002",
                   "other_high95": "+0.004", "p_other": "0.3"}  # fmt: skip
    both = verdicts.within("toy", "freedom", lambda label: True)
    assert both([row, often]) == ("R@10, 3 seeds: S often 0.2000 (-0.002 to +0.004), against S 0.2000", "holds")
    assert both([row, often | {"other_high95": "+0.005"}])[1] == "cannot be told"
    assert both([row, often | {"other_high95": "+0.05", "p_other": "0.001"}])[1] == "does not"
    assert both([row, often | {"other_low95": "", "other_high95": "", "p_other": ""}])[1] == "cannot be told"
    no_worse, no_better = (verdicts.within("toy", "freedom", lambda label: True, side) for side in "-+")
    more = [row, often | {"other_high95": "+0.05", "p_other": "0.001"}]
    assert no_worse(more)[1] == "holds" and no_better(more)[1] == "does not"
    assert both([row]) == ("", "open")


def test_verdicts_hold_for_all_differences_at_once() -> None:
    row = {"seeds": "3", "minus_base": "+0.1"}
    assert verdicts.decided([row | {"p": "0.004"}]) == "holds"
    assert verdicts.decided([row | {"p": "0.004"}] * 3) == "cannot be told"  # Holm: .012
    assert verdicts.decided([row | {"minus_base": "-0.1", "p": "0.02"}] * 3) == "cannot be told"
    assert [one["p"] for one in verdicts.adjusted([row | {"p": "0.01"}, row | {"p": "0.01", "seeds": "1"}])] == [
        "0.01",
        "",
    ]
