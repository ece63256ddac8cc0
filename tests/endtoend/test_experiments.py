"""The experiment scripts run: on a small stand-in for one of their data sets, from training to both files."""

import csv
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments import baselines, below_lightgcn, compare, shelf, sizes, verdicts
from experiments.ci2mg import fig3, study, table1, table3
from experiments.ci2mg import table2 as eleven
from experiments.mdvt import fig3 as ablation
from experiments.mdvt import fig4, fig5, fig6, fig9, figures, mining, table2, table4, table6_7
from experiments.mdvt import grid as mdvt_grid
from experiments.mdvt import study as mdvt
from experiments.mdvt import table1 as mdvt_table1
from experiments.mdvt import table3 as sources
from jmmrec.data import SyntheticConfig, save, synthesize
from jmmrec.report.stats import crossed_test, paired_test
from jmmrec.train import Evaluation


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
    for wrong, said in (
        (["--seeds", "5:2"], "write 0:5 for five"),
        (["--models", "vbrp"], "there is no 'vbrp' here; there are bpr"),
    ):
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


def test_the_same_runs_have_no_difference_and_no_hits_tell_none() -> None:
    table = (np.random.default_rng(0).random((3, 60)) < 0.3).astype(float)
    once = compare.gap(table, table.copy())
    assert (once["diff_low95"], once["diff_high95"], once["p"]) == ("+0.00000", "+0.00000", "1")
    assert verdicts.same(once | {"seeds": "3"}, "minus_base") and verdicts.better(once | {"seeds": "3"}) is False
    few = slice(0, 6)  # other runs may agree there
    part = compare.gap(table[:, few], table[:, few].copy(), same=False)
    assert not verdicts.same(part | {"seeds": "3"}, "minus_base")
    none = compare.gap(0 * table, 0 * table)
    assert not none["p"] and verdicts.better(none | {"seeds": "3"}) is None


def test_figures_of_rows_that_are_not_trained_yet(tmp_path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    one = Evaluation(
        "test", "train", (0, 1), np.arange(40), {"recall@10": rng.random((2, 40))}, {}, np.arange(40) + 1, 0
    )
    monkeypatch.setattr(figures, "evaluations", lambda found, _: dict.fromkeys(found, one))
    monkeypatch.setattr(figures, "trained", lambda _: {"refresh": "epoch"})
    drawn = {
        ("a", "freedom"): {"backbone": (), "+MDVT (S)": ()},
        ("b", "freedom"): {"backbone": (), "+MDVT (S)": (), "+MDVT (D)": ()},
        ("c", "freedom"): {"+MDVT (S)": ()},
    }
    assert figures.differences(drawn, tmp_path / "a") == ["a.png"]
    assert figures.groups(drawn, tmp_path / "b") == ["b_a_freedom.png", "b_b_freedom.png"]
