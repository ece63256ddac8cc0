"""A tiny data set and a finished run on it, made once; every test that changes them works on a copy."""

import pathlib
import shutil
from collections.abc import Callable

import pytest

import jmmrec
from jmmrec.data import SyntheticConfig

SMALL = SyntheticConfig(
    n_users=30, n_items=24, interactions_per_user=8, modalities=(("image", 6, 0.9), ("text", 4, 0.5)), name="tiny"
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the data set `tiny` and the run `run` of BPR-MF on it, seeds 0 and 1."""
    place = tmp_path_factory.mktemp("made")
    jmmrec.save(jmmrec.synthesize(SMALL).dataset, place / "tiny")
    options = {"epochs": 2, "batch_size": 64, "checkpoint_seconds": 0, "quiet": True}
    jmmrec.fit(jmmrec.BprMf(embed_dim=4), place / "tiny", seeds=(0, 1), out=place / "run", **options)
    return place


@pytest.fixture
def place(made: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A fresh copy of both, and the current folder; the run's data stay where it was trained."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`complaint(*argv)` runs a command line that must fail, and returns its one sentence."""
    from jmmrec.cli import main

    def run(*argv: str) -> str:
        capsys.readouterr()
        code = main(argv)
        error = capsys.readouterr().err
        assert code == 2, error
        assert "Traceback" not in error
        assert error.startswith("jmmrec: ") and error.endswith(".\n") and error.count("\n") == 1, error
        return error

    return run
