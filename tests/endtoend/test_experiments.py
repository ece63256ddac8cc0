"""The experiment scripts run: on a small stand-in for one of their data sets, from training to both files."""

import csv

import pytest

from experiments import baselines
from experiments.ci2mg import fig3, study, table3
from jmmrec.data import SyntheticConfig, save, synthesize


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


def test_ci2mg(folder, monkeypatch) -> None:
    monkeypatch.setattr(study, "RESULTS", folder / "results")
    monkeypatch.setitem(study.DATA, "amazon_sports", ("image", "text"))
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
    found = study.collect(table3.LADDER, "amazon_sports", 0.9, study.Masks(), range(1), str(folder / "runs"))
    assert list(found) == ["LightGCN-M", "+ Intra"]
    fig3.plot([row | {"rate": float(row["rate"])} for row in rows], folder / "fig3.png")
    assert (folder / "fig3.png").stat().st_size > 1000
    with pytest.raises(SystemExit, match="nothing is finished"):
        table3.run([*command, "--report", "--rates", "0.6"])
