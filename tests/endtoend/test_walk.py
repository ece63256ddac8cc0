"""From files with names as ids to a report and recommendations, by the command line alone."""

import csv
import json
import pathlib
import re

import numpy as np
import pyarrow.parquet
import pytest

from jmmrec.cli import main
from jmmrec.data import SyntheticConfig, synthesize

FAST = ("--epochs", "3", "--batch-size", "128", "--quiet", "--seeds", "0:2", "--model.embed-dim", "8")


@pytest.fixture(scope="module")
def ratings() -> dict[str, set[str]]:
    """User -> items, by name."""
    data = synthesize(SyntheticConfig(n_users=40, n_items=30, interactions_per_user=8, cold_items=0.0)).dataset
    found: dict[str, set[str]] = {}
    for user, item in np.concatenate([data.train, data.valid, data.test]).tolist():
        found.setdefault(f"anna-{user}", set()).add(f"shoe {item}")
    return found


@pytest.fixture
def shop(ratings: dict[str, set[str]], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder with interactions and features by name, as a shop would export them."""
    monkeypatch.chdir(tmp_path)
    shop = tmp_path / "shop"
    shop.mkdir()
    rows = [(user, item) for user, items in ratings.items() for item in sorted(items)]
    dated = [f"{u},{i},{np.datetime64('2024-01-01') + day}\n" for day, (u, i) in enumerate(rows)]
    (shop / "sales.csv").write_text("user_id,item_id,date\n" + "".join(dated))
    rng = np.random.default_rng(0)
    lines = [f"{item},{','.join(map(str, rng.random(4)))}\n" for item in sorted({item for _, item in rows})]
    (shop / "image.csv").write_text("item_id,a,b,c,d\n" + "".join(lines))
    return shop


def test_from_a_shop_to_recommendations(
    ratings: dict[str, set[str]], shop: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*argv: str) -> str:
        assert main(argv) == 0
        return capsys.readouterr().out

    assert "no split column" in said("data", "describe", "shop")
    assert "written to split" in said("data", "split", "shop", "split", "--rule", "leave_one_out")
    assert "40" in said("data", "describe", "split")
    said("data", "convert", "split", "again")
    for name in ("bpr", "vbpr"):
        text = said("train", name, "--data", "again", "--out", name, *FAST)
        assert "split: test; masked: train; users: 40; seeds: 0:2." in text and f"Everything is in {name}" in text
    table = said("evaluate", "vbpr", "--split", "valid", "--ks", "5", "10", "--sparsity")
    assert re.search(r"recall +\d\.\d{4} ± \d\.\d{4}", table) and "split: valid" in table and "1-5" in table
    table = said("evaluate", "vbpr", "--ks", "5", "--metrics", "coverage,recall")
    assert "recall" in table and "coverage" in table and "novelty" not in table and "ndcg" not in table
    assert "± " in said("compare", "bpr", "vbpr", "--metrics", "recall@5,ndcg@5", "--out", "table.csv")
    assert pathlib.Path("table.csv").read_text().startswith("model,recall@5,recall@5_low")
    assert "Differences to bpr" in said("compare", "bpr", "vbpr", "--differences", "--out", "table.tex")
    assert "anna-" in said("recommend", "vbpr", "--k", "3")
    lists = recommended(said)
    assert set(lists) == set(ratings)
    for user, items in lists.items():
        # Everything but the one item held out for testing has been seen.
        assert len(set(items)) == 3 and len(set(items) & ratings[user]) <= 1


def recommended(said: object) -> dict[str, list[str]]:
    """The same lists from all three kinds of file."""
    for suffix in ("csv", "jsonl", "parquet"):
        assert callable(said) and "40 users" in said("recommend", "vbpr", "--k", "3", "--out", f"top.{suffix}")
    with open("top.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lists: dict[str, list[str]] = {}
    for row in rows:
        lists.setdefault(row["user"], []).append(row["item"])
        assert int(row["rank"]) == len(lists[row["user"]])
    objects = [json.loads(line) for line in pathlib.Path("top.jsonl").read_text().splitlines()]
    assert {line["user"]: line["items"] for line in objects} == lists
    table = pyarrow.parquet.read_table("top.parquet").to_pydict()
    assert table["item"] == [item for items in lists.values() for item in items]
    assert np.allclose(table["score"], [float(row["score"]) for row in rows])
    return lists


def test_a_search_is_reported_beside_its_baseline(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = ("--n-users", "30", "--n-items", "24", "--interactions-per-user", "8", "--modalities", "image:6:0.9")
    assert main(["data", "synthetic", "tiny", *made]) == 0
    options = ("--model.knn-k", "3", "--warmup", "static", "--thresholds", "0", "2", "--seeds-per-program", "1")
    assert main(["train", "freedom", "--data", "tiny", *FAST, *options]) == 0
    text = capsys.readouterr().out
    assert re.search(r"\n *freedom +0\.\d", text) and re.search(r"\n *freedom\+mdvt, static +0\.\d", text)
    # Two seeds: trunk 3, branches at 0 (3 epochs) and 2 (1 epoch more); from scratch each takes 3.
    assert "14 epochs were trained where runs from scratch would have trained 18." in text
    assert "virtual triplets from epoch" in text and "against freedom: t-test over" in text
    run = tmp_path / "runs" / "synthetic-freedom-1"
    for strategy in ("none", "static"):
        assert main(["recommend", str(run), "--k", "2", "--strategy", strategy]) == 0
    assert main(["evaluate", str(run), "--split", "valid", "--sparsity", "--out", "told.csv"]) == 0
    assert "told.csv, told-sparsity.csv" in capsys.readouterr().out and pathlib.Path("told-sparsity.csv").exists()
    record = json.loads((run / "run.json").read_text())
    opened = [(entry["split"], entry["strategy"]) for entry in record["evaluations"]]
    assert opened == [("valid", "none"), ("valid", "static"), ("test", "none"), ("test", "static"), ("valid", None)]


def test_a_run_on_data_without_test_rows(shop: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For going live: all but a few interactions to choose by."""
    lines = (shop / "sales.csv").read_text().splitlines()[1:]
    split = [f"{line.rsplit(',', 1)[0]},{'valid' if row % 8 == 7 else 'train'}\n" for row, line in enumerate(lines)]
    (shop / "sales.csv").write_text("user_id,item_id,split\n" + "".join(split))
    assert main(["train", "bpr", "--data", "shop", "--out", "run", *FAST]) == 0
    assert "shop has no test rows" in capsys.readouterr().out and pathlib.Path("run/valid.md").exists()
    assert main(["recommend", "run", "--k", "2"]) == 0


def test_a_model_of_all_data(shop: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--data", "shop", "--split", "leave_one_out", "--all-data")
    assert main(["train", "bpr", *options, "--model.embed-dim", "4", "--quiet"]) == 2
    assert "say how many epochs by --epochs" in capsys.readouterr().err
    for wrong, word in ((("--patience", "3"), "--patience is about valid"), (("--warmup", "hybrid"), "take dynamic")):
        assert main(["train", "bpr", *options, "--epochs", "3", *wrong]) == 2
        assert word in capsys.readouterr().err
    assert main(["train", "bpr", *options[:-1], "--monitor", "none"]) == 2
    assert "say how many epochs by --epochs" in capsys.readouterr().err
    assert main(["train", "bpr", *options, "--out", "run", *FAST]) == 0
    assert "neither valid nor test rows" in capsys.readouterr().out and not list(pathlib.Path("run").glob("*.csv"))
    assert main(["train", "--resume", "run", "--quiet"]) == main(["recommend", "run", "--k", "2"]) == 0
    record = json.loads(pathlib.Path("run/run.json").read_text())
    assert record["data"]["steps"] == [{"do": "join"}] and record["lanes"]["chosen"]["0"]["best_valid"] is None


def test_help_without_jax(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == main(["data", "--help"]) == 0
    assert "recommend" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [("models",), ("models", "--data", "synthetic"), ("doctor",)])
def test_small_commands(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "freedom" in out or "Nothing is broken" in out
    assert ("102,400" in out) == ("--data" in argv)  # parameters of lightgcn
