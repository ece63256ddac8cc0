"""What breaks in the middle: training diverges, the disk is full, a file may not be read."""

import builtins
import errno
import json
import os
import pathlib
from collections.abc import Callable

import pytest

from jmmrec.cli import main
from tests.cli.test_bad_inputs import TRAIN


def test_divergence_says_where_and_keeps_the_last_good_state(
    place: pathlib.Path, complaint: Callable[..., str]
) -> None:
    sentence = complaint(*TRAIN, "--learning-rate", "1e30", "--checkpoint-seconds", "0")
    for word in ("seed 0", "diverged in epoch", "step", "loss is", "checkpoint is in new"):
        assert word in sentence
    assert json.loads((place / "new" / "run.json").read_text())["status"] == "diverged"


def test_full_disk(place: pathlib.Path, complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in complaint(*TRAIN)
    assert "no space left" in complaint("data", "convert", "tiny", "copy")
    assert not (place / "copy").exists()
    assert not list(place.rglob("*.part"))


@pytest.mark.parametrize(("suffix", "argv"), [(".inter", TRAIN), ("run.json", ("evaluate", "run"))])
def test_file_that_may_not_be_read(
    suffix: str,
    argv: tuple[str, ...],
    place: pathlib.Path,
    complaint: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = builtins.open

    def guarded(self: pathlib.Path, *args: object, **kwargs: object) -> object:
        if str(self).endswith(suffix):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return really(self, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(pathlib.Path, "open", guarded)
    monkeypatch.setattr("io.open", guarded)
    assert "ermission denied" in complaint(*argv)


def test_a_run_that_may_only_be_read_is_evaluated(
    place: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def readonly(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", readonly)
    assert main(["evaluate", "run", "--ks", "5"]) == 0
    said = capsys.readouterr()
    assert "this evaluation could not be noted in run (Permission denied)" in said.err and "recall" in said.out


def test_data_without_valid_rows(place: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (place / "tiny" / "tiny.inter").read_text().splitlines()
    (place / "tiny" / "tiny.inter").write_text("\n".join(line for line in lines if not line.endswith("\t1")) + "\n")
    assert main([*TRAIN, "--monitor", "none"]) == 0
    assert "tiny has no valid rows, so there is nothing to tell of them" in capsys.readouterr().out
    assert main(["report", "new", "--out", "page"]) == 0
    assert (place / "page" / "test.md").exists() and not (place / "page" / "valid.md").exists()
