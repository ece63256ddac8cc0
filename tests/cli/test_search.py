"""`jmmrec search`, from the command line to its table."""

import dataclasses

import pytest

from jmmrec.cli.main import main
from jmmrec.cli.search import GridOptions
from jmmrec.data import SyntheticConfig, save, synthesize
from jmmrec.tuning import Grid

FIXED = ("--fixed", "config.epochs=3", "config.batch_size=64", "model.embed_dim=4")


@pytest.fixture
def command(tmp_path):
    save(synthesize(SyntheticConfig(n_users=40, n_items=30, interactions_per_user=8)).dataset, tmp_path / "toy")
    return ["search", "bpr", "--data", str(tmp_path / "toy"), "--out", str(tmp_path / "out"), "--quiet", *FIXED]


def test_over_options(command, tmp_path, capsys) -> None:
    assert main([*command, "--over", "model.reg=0.0,0.1", "--seeds", "0:2"]) == 0
    told = capsys.readouterr().out
    assert "model.reg=0.1" in told and "2 settings" in told and "Chosen on valid" in told
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} == {"search.json", "trial-0000", "trial-0001"}


def test_over_numbers_in_one_program(command, tmp_path, capsys) -> None:
    command.remove("--quiet")
    assert main([*command, "--over", "model.reg=0.0,0.1", "config.learning_rate=1e-3,1e-2", "--memory", "1"]) == 0
    captured = capsys.readouterr()
    assert "4 settings" in captured.out and "setting 3: 3 epochs" in captured.err
    assert all((tmp_path / "out" / f"trial-000{n}" / "model.safetensors").exists() for n in range(4))


def test_the_grid(command, tmp_path, capsys) -> None:
    command.remove("--quiet")
    grid = ["--grid", "--mdvt.lams", "0.2", "--mdvt.ns", "1", "2", "--mdvt.thresholds", "0", "1", "--mdvt.gaps", "0.1"]
    assert main([*command, *grid, "--mdvt.spans", "1", "--metric", "recall@10"]) == 0
    captured = capsys.readouterr()
    assert "hybrid" in captured.out and "8 cells" in captured.out and "test recall@10" in captured.out
    assert "trunk: valid" in captured.err and "1/4" in captured.err
    assert len(list((tmp_path / "out" / "branches").iterdir())) == 4


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--over", "model.reg=0.1,0.2", "--memory", "1e-6"), "memory is 9.99e-07 GB but one run in it needs"),
        (("--over", "model.reg=0.1", "--mdvt.lams", "0.3"), "--mdvt.lams is part of --grid; with --over search MDVT's"),
        (("--grid", "--trials", "3"), "--trials is for --over; --grid trains every cell"),
        (("--grid", "--over", "model.reg=0.1"), "either --over with options"),
        (("--grid", "--fixed", "amr.bogus=1"), "AMR has no option 'bogus'"),
    ],
)
def test_options_that_nothing_reads(command, capsys, given, words) -> None:
    command = command[: command.index("--fixed")]  # the last of several counts
    assert main([*command, *given]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_the_grid_of_the_command_line_is_the_papers() -> None:
    """The options repeat its defaults, because --help must not import jax."""
    given, paper = dataclasses.asdict(GridOptions()), dataclasses.asdict(Grid())
    assert given == {name: paper[name] for name in given}
