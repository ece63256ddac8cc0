"""The experiment scripts run: on a small stand-in for one of their data sets, from training to both files."""

import csv
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time
import types

import numpy as np
import pytest

from experiments import baselines, below_lightgcn, claims, compare, ledger, shelf, sizes, verdicts
from experiments.ci2mg import fig3, study, table1, table3
from experiments.ci2mg import table2 as eleven
from experiments.mdvt import fig3 as ablation
from experiments.mdvt import fig4, fig5, fig6, fig7_8, fig9, mining, table2, table4, table5, table6_7
from experiments.mdvt import grid as mdvt_grid
from experiments.mdvt import study as mdvt
from experiments.mdvt import table1 as mdvt_table1
from experiments.mdvt import table3 as sources
from jmmrec.data import SyntheticConfig, save, synthesize
from jmmrec.report.stats import crossed_test, paired_test
from jmmrec.tuning import Grid


@pytest.fixture
def folder(tmp_path):
    """Data sets under the names that the scripts look for."""
    made = synthesize(SyntheticConfig(n_users=60, n_items=40)).dataset.select("image", "text")
    save(made, tmp_path / "data" / "amazon_scientific")
    return tmp_path


def test_baselines(folder, monkeypatch) -> None:
    monkeypatch.setattr(baselines, "RESULTS", folder / "results")
    command = [
        "--data",
        str(folder / "data"),
        "--runs",
        str(folder / "runs"),
        "--only",
        "amazon_scientific",
        "--jobs",
        "0",
    ]
    baselines.main([*command, "--models", "lightgcn", "bpr", "--seeds", "0:2"])
    with open(folder / "results" / "baselines.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    models = ["popularity", "item-kNN", "bpr", "lightgcn"]
    assert [row["model"].partition(",")[0] for row in rows[:: len(baselines.METRICS)]] == models * 2
    assert {row["mask"] for row in rows} == {"train", "train+valid"} and {row["split"] for row in rows} == {"test"}
    assert [row["seeds"] for row in rows if row["model"] == "lightgcn"] == ["2"] * 8
    page = (folder / "results" / "baselines.md").read_text()
    assert page.count("| lightgcn | 2 |") == 2 and "LightGCN at p < 0.01" in page
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("run.json")}
    baselines.main([*command, "--models", "lightgcn", "--seeds", "0:2"])  # what is finished is not trained again
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("run.json")}


def test_below_lightgcn(folder, monkeypatch) -> None:
    """What the baselines mark as worse is searched, and nothing else."""
    results = folder / "results"
    results.mkdir()
    monkeypatch.setattr(below_lightgcn, "RESULTS", results)
    monkeypatch.setitem(below_lightgcn.GRIDS, "bpr", {"model.reg": (0.01, 0.1), "config.epochs": (2,)})
    marked = {"bpr": "-0.1,0.001", "vbpr": "-0.1,0.2", "freedom": "+0.1,0.001", "bm3": ","}
    lines = [f"amazon_scientific,{name},recall@20,train,1,0.2,{told}" for name, told in marked.items()]
    head = "data,model,metric,mask,seeds,mean,minus_lightgcn,p"
    (results / "baselines.csv").write_text("\n".join([head, *lines, lines[0].replace("train", "train+valid")]))
    command = ["--data", str(folder / "data"), "--runs", str(folder / "runs"), "--jobs", "0"]
    with pytest.raises(SystemExit, match="no search is finished"):
        below_lightgcn.main([*command, "--report"])
    below_lightgcn.main(command)
    with open(results / "below_lightgcn.csv", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["model"], row["settings"], row["default"], row["lightgcn"]) == ("bpr", "2", "0.20000", "0.30000")
    assert float(row["searched"]) <= float(row["best_on_test"])
    assert "| bpr | 0.2000 |" in (results / "below_lightgcn.md").read_text()


def test_ci2mg(folder, monkeypatch) -> None:
    monkeypatch.setattr(study, "RESULTS", folder / "results")
    (folder / "data" / "amazon_scientific").rename(folder / "data" / "amazon_sports")
    command = ["--data", str(folder / "data"), "--runs", str(folder / "runs"), "--only", "amazon_sports"]
    command += ["--jobs", "0", "--seeds", "0:1", "--epochs", "2"]
    table3.run([*command, "--models", "LightGCN-M", "+ Intra", "--rates", "0.5", "0.9"])
    with open(folder / "results" / "ci2mg_table3.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["rate"], row["model"]) for row in rows[:: len(study.METRICS)]] == [
        (rate, model) for rate in ("0.5", "0.9") for model in ("LightGCN-M", "+ Intra")
    ]
    assert {row["protocol"] for row in rows} == {"item_subset"}
    found = study.collect(table3.LADDER, "amazon_sports", 0.9, study.Masks(), range(1), str(folder / "runs"), epochs=2)
    assert list(found) == ["LightGCN-M", "+ Intra"]
    fig3.plot([row | {"rate": float(row["rate"])} for row in rows], folder / "fig3.png")
    assert (folder / "fig3.png").stat().st_size > 1000
    with pytest.raises(SystemExit, match="nothing is finished"):
        table3.run([*command, "--report", "--rates", "0.6"])
    quick = {cell.label: cell for cell in eleven.CELLS}[eleven.QUICK].made()
    assert (quick.ot.sinkhorn.mode, quick.terms.negatives) == ("prototype:64", "batch")


@pytest.fixture
def mdvt_command(folder, monkeypatch) -> list[str]:
    monkeypatch.setattr(mdvt, "RESULTS", folder / "results")
    monkeypatch.setattr(table6_7, "TAUS", (0.0,))
    return ["--data", str(folder / "data" / "amazon_scientific"), "--runs", str(folder / "runs"), "--models", "vbpr",
            "--jobs", "0", "--seeds", "0:2", "--epochs", "3"]  # fmt: skip


def table_of(folder, name: str) -> list[dict]:
    with open(folder / "results" / f"mdvt_{name}.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_mdvt_table2_and_what_shares_its_runs(folder, mdvt_command) -> None:
    table2.run(mdvt_command)
    rows = table_of(folder, "table2")
    labels = ["backbone", "+MDVT (S)", "+MDVT (D)", "+MDVT (H)"]
    assert [row["row"] for row in rows[::4]] == labels and {row["seeds"] for row in rows} == {"2"}
    assert all((row["p"] == "") == (row["row"] == "backbone") for row in rows)
    assert (folder / "results" / "mdvt_table2.png").exists()
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("run.json")}
    for script, name in ((fig4, "fig4"), (fig5, "fig5")):
        script.run(mdvt_command)
        page = (folder / "results" / f"mdvt_{name}.md").read_text()
        assert f"mdvt_{name}_amazon_scientific_vbpr.png" in page
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("run.json")}
    gains = table_of(folder, "fig4_groups")
    assert all((row["p"] == "") == (row["row"] == "backbone") and int(row["users"]) >= 5 for row in gains)
    assert len({row["training_items"] for row in gains}) * 4 == len(gains) and gains[0]["row"] == "backbone"
    table4.run([*mdvt_command, "--report"])  # two of its rows are outcomes of those runs
    shared = {row["row"]: row for row in table_of(folder, "table4") if row["metric"] == "recall@5"}
    bits = {row["row"]: row["mean"] for row in rows if row["metric"] == "recall@5"}
    assert {name: row["mean"] for name, row in shared.items()} == {"backbone": bits[labels[0]], "+M": bits[labels[3]]}
    mining.run(mdvt_command)  # trains the half that mines for every batch
    often = {row["row"]: row["other"] for row in table_of(folder, "mining") if row["minus_other"]}
    assert often == {f"{label} mined for every batch": label for label in labels[1:]}
    new = [path.parent.name for path in (folder / "runs").rglob("run.json") if path not in before]
    assert sorted(new) == [f"amazon_scientific-vbpr-mdvt-batch-3epochs-seed{seed}" for seed in (0, 1)]
    assert mdvt.needed(mining.cells("", "")) == [mdvt.FULL, mining.OFTEN]  # where none is there both halves are


def test_mdvt_with_one_run_in_place_of_each_search(folder, mdvt_command) -> None:
    mining.run([*mdvt_command, "--warmup", "dynamic"])
    rows = {row["row"]: row for row in table_of(folder, "mining") if row["metric"] == "recall@10"}
    labels = ["backbone", "+MDVT (D)", "+MDVT (D) mined for every batch"]
    assert list(rows) == labels and {row["warmup"] for row in rows.values()} == {"dynamic"}
    assert rows[labels[2]]["other"] == labels[1] and rows[labels[0]]["setting"] == "plain"
    assert "one run, in place of every search" in (folder / "results" / "mdvt_mining.md").read_text()
    before = list((folder / "runs").iterdir())
    assert sorted(path.name for path in before) == [
        f"amazon_scientific-vbpr-{name}-3epochs-seed{seed}" for name in ("dynamic-batch", "dynamic-epoch", "plain")
        for seed in (0, 1)
    ]  # fmt: skip
    sources.run([*mdvt_command, "--warmup", "dynamic", "--report"])  # its MDVT is one of those runs
    assert {row["row"]: row["mean"] for row in table_of(folder, "table3") if row["metric"] == "recall@10"} == {
        "backbone": rows[labels[0]]["mean"], "MDVT": rows[labels[1]]["mean"]
    }  # fmt: skip
    searched = [cell for cell in table6_7.cells("", "vbpr") if cell.warmup == mdvt.HYBRID]
    assert [cell.key for cell in mdvt.lone(searched)] == [c.key.replace("hybrid", "dynamic") for c in searched]


def test_mdvt_variants(folder, mdvt_command) -> None:
    mdvt_command[mdvt_command.index("0:2")] = "0:1"
    expected = {
        "fig3": ["backbone", "MDVT", "w/o-Aggr", "w/o-Scale"],
        "table3": ["backbone", "MDVT", "MDVT_id", "MDVT_image", "MDVT_text", "MDVT_id-image", "MDVT_id-text",
                   "MDVT_image-text", "MDVT_F1", "MDVT_F2"],
        "table4": ["backbone", "+M", "+A", "+M+A"],
        "table6_7": ["backbone", "MDVT", "MDVT (w p w/o n)", "MDVT (w p w/o w,n)", "MDVT (w p)", "MDVT+ (w p)"],
    }  # fmt: skip
    for script, (name, labels) in zip((ablation, sources, table4, table6_7), expected.items(), strict=True):
        script.run(mdvt_command)
        rows = table_of(folder, name)
        assert list(dict.fromkeys(row["row"] for row in rows)) == labels, name
        others = {row["row"]: row["other"] for row in rows if row["minus_other"]}
        more = {"table3": {"MDVT_id"}, "table6_7": {"MDVT (w p w/o n)"}}.get(name, set())
        assert set(others.values()) - more == {"+M" if name == "table4" else "MDVT"} and others[labels[-1]], name
        assert more <= set(others.values())
    settings = {row["row"]: row["setting"] for row in rows}
    assert settings["MDVT"] == "hybrid" and settings["MDVT (w p)"].startswith("hybrid-tau0.")
    assert {row["virtual_since"] for row in rows if row["row"] == "MDVT (w p w/o w,n)"} == {"0"}
    assert "Chosen on valid: MDVT (w p): hybrid-tau0." in (folder / "results" / "mdvt_table6_7.md").read_text()


def test_mdvt_grids_show_what_is_finished_and_train_nothing_for_it(folder, mdvt_command, monkeypatch) -> None:
    monkeypatch.setattr(mdvt_grid, "RESULTS", folder / "results")
    with pytest.raises(SystemExit, match="nothing is finished yet"):
        fig9.run([*mdvt_command, "--report"])
    assert not (folder / "runs").exists()
    mdvt_command[mdvt_command.index("0:2")] = "0:1"
    fig9.run(mdvt_command)
    assert [row["row"] for row in table_of(folder, "fig9")[::3]] == ["backbone", *(f"s = {s}" for s in range(1, 6))]
    assert (folder / "results" / "mdvt_fig9.png").stat().st_size > 1000
    assert "△ / ▽: the same, against s = 2." in (folder / "results" / "mdvt_fig9.md").read_text()
    mdvt_command[mdvt_command.index("0:1")] = "0:2"  # the second seed is not there: the first alone is shown
    fig6.run([*mdvt_command, "--report"])
    assert {row["seeds"] for row in table_of(folder, "fig6")} == {"1"}
    plain = {row["row"]: row["plain_epochs"] for row in table_of(folder, "fig6")}
    assert plain["backbone"] == plain["T = 80"] == "never" and plain["T = 0"] == "0"


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


def own_cores(path: str) -> str:
    pathlib.Path(path).write_text(" ".join(map(str, os.sched_getaffinity(0))))
    return sleep(0.5)  # so that both are there at once


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores")
def test_processes_share_the_cores_out(tmp_path) -> None:
    shelf.carry_out(own_cores, [(str(tmp_path / str(n)),) for n in range(3)], 2)
    seen = [set(map(int, (tmp_path / str(n)).read_text().split())) for n in range(3)]
    if len(os.sched_getaffinity(0)) > 1:
        assert not seen[0] & seen[1] and seen[0] | seen[1] == os.sched_getaffinity(0) and seen[2] in seen[:2]
    assert set(shelf.cores(10**4)) == {frozenset(os.sched_getaffinity(0))}


def either(number: int) -> str:
    if number:
        raise SystemExit(3)
    return "done"


def fails_or_sleeps(seconds: float) -> str:
    return sleep(seconds) if seconds else either(1)


def test_processes_and_their_budget(capfd) -> None:
    shelf.carry_out(sleep, [(0.0,), (0.1,)], 2)
    assert capfd.readouterr().out.count("finished slept") == 2
    shelf.carry_out(sleep, [(60.0,), (60.0,), (60.0,)], 2, minutes=0.02)
    assert "3 runs are left" in capfd.readouterr().out
    with pytest.raises(SystemExit, match="1 of 2 runs failed"):
        shelf.carry_out(either, [(0,), (1,)], 1)
    with pytest.raises(SystemExit, match="1 of 2 runs failed"):  # said, though the budget ends it
        shelf.carry_out(fails_or_sleeps, [(0.0,), (60.0,)], 2, minutes=0.25)
    assert "1 runs are left" in capfd.readouterr().out


def test_figures_that_cannot_be_drawn_are_said_before_anything_is_trained(folder, mdvt_command, monkeypatch) -> None:
    monkeypatch.setattr(shelf.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="matplotlib is not installed"):
        table2.run(mdvt_command)
    assert not (folder / "runs").exists()


def noted(path: str) -> str:
    pathlib.Path(path).write_text(str(os.getpid()))
    return sleep(60.0)


def gone(pid: int) -> bool:
    stat = pathlib.Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().split()[2] == "Z"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are looked up in /proc")
def test_runs_end_with_their_script(tmp_path) -> None:
    note = tmp_path / "pid"
    call = "from experiments import shelf; from tests.endtoend.test_experiments import noted\n"
    call += f"if __name__ == '__main__': shelf.carry_out(noted, [({str(note)!r},)], 1)"
    script = tmp_path / "script.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parents[2])!r})\n{call}")
    with subprocess.Popen([sys.executable, str(script)]) as parent:
        end = time.monotonic() + 60
        while not (note.exists() and note.read_text()) and time.monotonic() < end:
            time.sleep(0.1)
        parent.kill()
    while not gone(int(note.read_text())) and time.monotonic() < end:
        time.sleep(0.1)
    assert gone(int(note.read_text()))


def test_the_ledger_is_what_the_results_say() -> None:
    page = (ledger.HERE / "README.md").read_text(encoding="utf-8")
    assert page == ledger.ledger(), "run `make ledger` and commit experiments/README.md"
    row = {"p": "0.001", "minus_base": "-0.1", "seeds": "3"}
    assert verdicts.better(row) is False and verdicts.better(row | {"minus_base": "+0.1"}) is True
    assert verdicts.better(row | {"p": "0.2"}) is verdicts.better(row | {"seeds": "1"}) is verdicts.better({}) is None


def test_differences_hold_for_other_seeds_where_there_are_several() -> None:
    rng = np.random.default_rng(0)
    ours, base = rng.normal(size=(2, 3, 40))
    assert compare.tested(ours, base).p == crossed_test(ours, base).p != paired_test(ours.mean(0), base.mean(0)).p
    one = compare.gap(ours[:1], base)
    assert one["minus_base"] and not one["p"] and not one["diff_low95"]  # one seed says nothing of other seeds
    assert compare.tested(ours, ours) is compare.tested(ours, None) is None


def test_a_page_says_the_command_without_the_folders_of_this_machine() -> None:
    words = ["--data", "/here", "--runs=/there", "--note", "two words", "--report", "--seeds", "0:2"]
    assert shelf.called("a.py", words) == "python experiments/a.py --data DATA --seeds 0:2"
    for one in (["--data", "/here/tiktok"], ["--data=/here/tiktok"]):
        assert shelf.called("a.py", one) == "python experiments/a.py --data DATA/tiktok"
    assert shelf.called("a.py", ["--only", "tiktok"]) == "python experiments/a.py --data DATA --only tiktok"


def test_the_ledger_on_users_with_few_items_and_on_epochs() -> None:
    about = {"data": "toy", "model": "freedom", "training_items": "1-5", "users": "9", "recall@10": "0.2", "seeds": "2"}
    gain = {"row": "H", "diff_low95": "+0.1", "diff_high95": "+0.3", "minus_base": "+0.2", "p": "0.001"}
    rows = [about | {"row": "backbone", "p": ""}, about | gain, about | gain | {"training_items": ">20", "p": "0.5"}]
    said, found = verdicts.groups("toy", False)(rows)
    assert found == "holds" and said == "R@10, 2 seeds, 9 users with 1-5, alone 0.2: H +0.2 (+0.1 to +0.3)"
    said, found = verdicts.groups("toy", True)(rows)
    assert found == "partly" and "9 users with >20" in said
    assert verdicts.groups("toy", False)(rows[:1])[1] == verdicts.groups("other", True)(rows)[1] == "open"
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
    assert first(rows) == ("R@20, 90 %: CI²MG 0.2000, best of 10 others other 0 0.1000 (-0.15 to -0.05)", "holds")
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


def test_the_sizes_of_data_sets(folder, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sizes, "RESULTS", folder / "results")
    for one, name in ((table1, "ci2mg"), (mdvt_table1, "mdvt")):
        one.run(["--data", str(folder / "data"), "--only", "amazon_scientific"])
        assert "| amazon_scientific | ours | 60 | 40 |" in capsys.readouterr().out
        page = (folder / "results" / f"{name}_table1.md").read_text()
        assert f"Table 1 of {'CI²MG' if name == 'ci2mg' else 'MDVT'}" in page
    row = {"data": "toy", "row": "paper", "users": "9", "items": "5", "train": "", "train and valid": "7", "all": ""}
    ours = row | {"row": "ours", "train": "6"}
    assert verdicts.same_numbers([row, ours]) == ("toy the same", "holds")
    assert verdicts.same_numbers([row, ours | {"users": "8"}]) == ("toy users 8", "cannot be told")


def test_verdicts_hold_for_all_differences_at_once() -> None:
    row = {"seeds": "3", "minus_base": "+0.1"}
    assert verdicts.decided([row | {"p": "0.004"}]) == "holds"
    assert verdicts.decided([row | {"p": "0.004"}] * 3) == "cannot be told"  # Holm: .012
    assert verdicts.decided([row | {"minus_base": "-0.1", "p": "0.02"}] * 3) == "cannot be told"
    assert [one["p"] for one in verdicts.adjusted([row | {"p": "0.01"}, row | {"p": "0.01", "seeds": "1"}])] == [
        "0.01",
        "",
    ]


def test_a_difference_is_marked_on_its_page_and_drawn(tmp_path) -> None:
    rows = [{"data": "toy", "model": "m", "row": label, "metric": "recall@10", "mean": "0.2", "low95": "0.1",
             "high95": "0.3", "std": "0.01", "seeds": 2, "minus_base": "", "p": "", "minus_other": "-0.1",
             "p_other": p} for label, p in (("backbone", ""), ("s = 1", "0.001"))]  # fmt: skip
    assert [compare.shown(row) for row in rows] == ["0.2000 ± 0.0100", "0.2000 ± 0.0100 ▽"]
    assert compare.points(rows, tmp_path / "a.png", "recall@10", "backbone") == "a.png"
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_results_are_never_replaced_by_fewer(tmp_path, capsys) -> None:
    path, row = tmp_path / "a.csv", {"data": "toy", "model": "bpr", "seeds": 3, "mean": 0.1}
    shelf.write_rows(path, [row, row | {"model": "vbpr"}])
    before = path.read_text()
    for fewer in ([row], [row, row | {"model": "vbpr", "seeds": 2}]):
        assert shelf.write_rows(path, fewer).name == "a-selection.csv"
        assert "a.csv has toy, vbpr, of which fewer seeds or none are here" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="nothing is finished yet"):
        shelf.write_rows(path, [])
    assert path.read_text() == before
    assert shelf.write_rows(path, [row | {"seeds": 4}, row | {"model": "vbpr"}, row | {"model": "new"}]) == path
    both = [row | {"warmup": "none", "seeds": 5}, row | {"warmup": "static"}]  # the baseline may have more seeds
    assert shelf.write_rows(shelf.write_rows(tmp_path / "b.csv", both), both).name == "b.csv"
    parser = shelf.options("about", "runs", names=("bpr",))
    assert parser.parse_args(["--seeds", "4"]).seeds == (4,) and parser.parse_args([]).seeds == (0, 1, 2)
    for wrong, said in ((["--seeds", "5:2"], "write 0:5 for five"), (["--models", "vbrp"], "invalid choice: 'vbrp'")):
        with pytest.raises(SystemExit):
            parser.parse_args(wrong)
        assert said in capsys.readouterr().err


def test_a_larger_finished_grid_is_read(tmp_path) -> None:
    larger = mdvt_grid.Sizes((0.1, 0.2), (2, 4))
    job = mdvt_grid.Job("toy", "vbpr", mdvt_grid.Sizes((0.2,), (2,)), "epoch", 0, "data", str(tmp_path), 3)
    where = (other := job._replace(sizes=larger)).where
    assert where.name == "toy-vbpr-grid-epoch-lam0.1_0.2-n2_4-3epochs-seed0"
    where.mkdir()
    (where / "grid.json").write_text(json.dumps({"grid": larger._asdict(), "config": {"epochs": 3}}))
    assert mdvt_grid.held(job) == job
    (where / mdvt_grid.FINISHED).touch()
    assert mdvt_grid.held(job) == other
    cross = job._replace(sizes=mdvt_grid.Sizes((0.1, 0.2), (2, 4), (), (0.1,), (2,), (0.2, 2)))
    assert cross.where.name == "toy-vbpr-grid-epoch-lam0.1_0.2-n2_4-T-g0.1-s2-cross0.2_2-3epochs-seed0"
    assert mdvt_grid.held(cross) == other
    for more in (job._replace(sizes=mdvt_grid.Sizes((0.2,), (8,))), job._replace(epochs=1000)):
        assert mdvt_grid.held(more) == more and more.where != where
