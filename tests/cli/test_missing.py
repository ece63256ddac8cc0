"""Hiding modalities from the command line: what is printed, what a run remembers, how it is judged by group."""

import json
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import pytest

import jmmrec
from jmmrec.cli import main
from jmmrec.data import item_groups, read_mask, with_missing

TRAIN = ("train", "bpr", "--data", "tiny", "--quiet", "--model.embed-dim", "4", "--epochs", "1", "--out", "new")
HIDE = ("--missing-rate", "0.9", "--missing-protocol", "per_modality", "--missing-seed", "3", "--impute", "mean")


def test_shares_are_printed_and_the_mask_is_written(place: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "missing", "tiny", "--rate", "0.5", "--out", "mask.npz"]) == 0
    said = capsys.readouterr().out
    for words in ("tiny, 50 % missing (item_subset, seed 0)", "items complete        12 (50.0 %)", "mask.npz"):
        assert words in said
    tiny = jmmrec.load(place / "tiny")
    assert (item_groups(with_missing(tiny, 0.5)) > 0).tolist() == (~read_mask("mask.npz", tiny)).any(axis=1).tolist()
    assert main(["data", "missing", "tiny", "--mask", "mask.npz"]) == 0
    assert "12 (50.0 %)" in capsys.readouterr().out
    assert main(["data", "missing", "tiny"]) == 0
    assert "items complete        24 (100.0 %)" in capsys.readouterr().out


def test_a_run_remembers_its_mask(place: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, *HIDE]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "tiny, 90 % missing (per_modality, seed 3), imputed by mean: test" in said
    steps = json.loads((place / "new" / "run.json").read_text())["data"]["steps"]
    assert [step["do"] for step in steps] == ["draw", "impute"] and len(steps[0]["digest"]) == 32
    again = jmmrec.open_run(place / "new").dataset
    expected = jmmrec.load(place / "tiny")
    assert again.digest == jmmrec.impute(jmmrec.with_missing(expected, 0.9, "per_modality", 3)).digest
    assert jmmrec.open_run(place / "new", place / "tiny").dataset.digest == again.digest != expected.digest
    assert main(["train", "--resume", "new", "--quiet"]) == 0
    assert main([*TRAIN, *HIDE, "--resume"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "new", "--groups", "--ks", "5", "--metrics", "recall"]) == 0
    said = capsys.readouterr().out
    for words in ("By modalities of the relevant items", "complete", "partly missing", "all missing", "recall@5"):
        assert words in said


def test_a_run_by_a_mask_file(place: pathlib.Path) -> None:
    rows = [f"{item}\t{item % 2}\t{int(item % 3 == 0)}" for item in range(24)]
    (place / "missing_items.tsv").write_text("\n".join(["itemID\tt\tall", *rows]) + "\n")
    assert main([*TRAIN, "--missing-mask", "missing_items.tsv"]) == 0
    present = jmmrec.open_run(place / "new").dataset.modalities["text"].present
    np.testing.assert_array_equal(present, [item % 2 == 0 and item % 3 > 0 for item in range(24)])


def test_a_run_whose_files_were_moved(
    place: pathlib.Path, complaint: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "lost.tsv").write_text("\n".join(["itemID\tt", *(f"{item}\t{item % 2}" for item in range(24))]) + "\n")
    assert main([*TRAIN, "--missing-mask", "lost.tsv"]) == 0
    (place / "lost.tsv").rename("mask.tsv")
    (place / "tiny").rename("elsewhere")
    here = ("new", "--data", "elsewhere", "--missing-mask", "mask.tsv")
    assert "tiny, which is not there; say where it lies now: --data PATH" in complaint("evaluate", "new")
    said = complaint("evaluate", "new", "--data", "elsewhere")
    assert "lost.tsv, which is not there; say where it lies now: --missing-mask PATH" in said
    assert "without a mask file" in complaint("evaluate", "run", "--missing-mask", "mask.tsv")
    assert main([*TRAIN[:-1], "plain", "--data", "elsewhere"]) == 0
    assert main(["compare", "plain", *here, "--metrics", "recall@5"]) == 0
    capsys.readouterr()
    assert main(["evaluate", *here, "--ks", "5"]) == main(["recommend", *here, "--k", "2"]) == 0
    shutil.copytree("new", "again")
    assert main(["compare", "again", *here, "--metrics", "recall@5"]) == 0
    assert main(["report", "again", *here, "--metrics", "recall@5"]) == 0
    (place / "mask.tsv").write_text("\n".join(["itemID\tt", *(f"{item}\t0" for item in range(24))]) + "\n")
    assert "is not the one that is recorded" in complaint("recommend", *here)
