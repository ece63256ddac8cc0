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
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"search.json", "trial-0000", "trial-0001"}


def test_the_grid(command, tmp_path, capsys) -> None:
    command.remove("--quiet")
    grid = ["--grid", "--mdvt.lams", "0.2", "--mdvt.ns", "1", "2", "--mdvt.thresholds", "0", "1", "--mdvt.gaps", "0.1"]
    assert main([*command, *grid, "--mdvt.spans", "1", "--metric", "recall@10"]) == 0
    captured = capsys.readouterr()
    assert "hybrid" in captured.out and "8 cells" in captured.out and "test recall@10" in captured.out
    assert "trunk: valid" in captured.err and "1/4" in captured.err
    assert len(list((tmp_path / "out" / "branches").iterdir())) == 4


def test_the_grid_of_the_command_line_is_the_papers() -> None:
    """The options repeat its defaults, because --help must not import jax."""
    given, paper = dataclasses.asdict(GridOptions()), dataclasses.asdict(Grid())
    assert given == {name: paper[name] for name in given}
