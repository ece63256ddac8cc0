"""Runs that are killed, interrupted or damaged end with the bits of the run that was left alone."""

import json
import multiprocessing
import pathlib
import shutil
import signal
import time
from collections.abc import Callable

import numpy as np
import pytest

import jmmrec
from jmmrec.cli import main
from jmmrec.data import SyntheticConfig
from jmmrec.train.record import RunFolder

# Real processes, forked from one that has loaded jax but not used it: loading it ten times would take a minute.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["jmmrec.cli.train", "jmmrec.api", "jmmrec.cli.outcome"])
PLAIN = ("lightgcn", "--epochs", "170", "--seeds", "0:2", "--model.embed-dim", "4", "--model.n-layers", "1")
SEARCH = ("freedom", "--epochs", "14", "--warmup", "hybrid", "--span", "1", "--model.embed-dim", "4",
          "--model.knn-k", "3", "--seeds-per-program", "1")  # fmt: skip
COMMON = ("--batch-size", "64", "--patience", "999", "--checkpoint-seconds", "0", "--quiet")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the data set `tiny`; runs are made beside it."""
    place = tmp_path_factory.mktemp("resume")
    config = SyntheticConfig(n_users=30, n_items=24, interactions_per_user=8, modalities=(("image", 6, 0.9),), name="t")
    jmmrec.save(jmmrec.synthesize(config).dataset, place / "tiny")
    return place


def command(options: tuple[str, ...], run: str) -> list[str]:
    """Arguments that start a run, or continue it where it has begun."""
    if pathlib.Path(run, "run.json").exists():
        return ["train", "--resume", run, "--quiet"]
    return ["train", *options, *COMMON, "--data", str(pathlib.Path(run).parent / "tiny"), "--out", run]


def undisturbed(options: tuple[str, ...], run: str) -> None:
    """The same run in this process, from its beginning to its end."""
    assert main(command(options, run)) == 0


def saved_epochs(run: str) -> int:
    """Epochs in the newest checkpoint."""
    return max((int(path.stem) for path in pathlib.Path(run, "checkpoints").glob("*.json")), default=0)


def killed(options: tuple[str, ...], run: str, epochs: int, delay: float) -> bool:
    """Carries a run on in a process of its own, and kills it `delay` seconds after it has saved so many more epochs.

    With 0 epochs it is killed as soon as the run folder is there. False if it finished before.
    """
    before = saved_epochs(run)
    process = PROCESSES.Process(target=main, args=(command(options, run),))
    process.start()
    while process.is_alive():
        started = pathlib.Path(run, "run.json").exists()
        if started and saved_epochs(run) >= before + epochs:
            time.sleep(delay)
            process.kill()
            break
        time.sleep(0.003)
    process.join()
    return process.exitcode == -signal.SIGKILL


def outcome(run: str) -> tuple[dict, bytes]:
    """Everything that must not depend on interruptions: checksums and best epochs of all lanes, and the whole log."""
    record = json.loads(pathlib.Path(run, "run.json").read_text())
    assert record["status"] == "finished"
    return record["lanes"], pathlib.Path(run, "metrics.jsonl").read_bytes()


def test_killed_ten_times(place: pathlib.Path) -> None:
    killed_run, alone = str(place / "killed"), str(place / "alone")
    undisturbed(PLAIN, alone)
    rng = np.random.default_rng(7)
    moments = [(0, 0.0), *((int(2 * rng.integers(1, 10)), float(rng.uniform(0, 0.03))) for _ in range(9))]
    assert [killed(PLAIN, killed_run, *moment) for moment in moments] == [True] * 10
    assert main(command(PLAIN, killed_run)) == 0
    assert outcome(killed_run) == outcome(alone)


def test_search_killed_among_its_branches(place: pathlib.Path) -> None:
    killed_run, alone = str(place / "searched"), str(place / "search")
    undisturbed(SEARCH, alone)
    assert [killed(SEARCH, killed_run, epochs, 0.01) for epochs in (3, 12)] == [True, True]
    assert main(command(SEARCH, killed_run)) == 0
    assert outcome(killed_run) == outcome(alone)


def interrupt(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Presses Ctrl-C in the middle of an epoch's report."""
    really, calls = RunFolder.append_history, iter(range(after))

    def append(self: RunFolder, lanes: list) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        really(self, lanes)

    monkeypatch.setattr(RunFolder, "append_history", append)


def cut(path: pathlib.Path) -> None:
    """A file that lost its end."""
    path.write_bytes(path.read_bytes()[:-7])


def newest_lane(run: pathlib.Path) -> pathlib.Path:
    """The parameters that the newest checkpoint names and the one before does not."""
    manifests = sorted((run / "checkpoints").glob("*.json"))
    names = [{lane["sha256"] for lane in json.loads(json.loads(m.read_text())["body"])["lanes"]} for m in manifests]
    return run / "checkpoints" / "lanes" / f"{min(names[-1] - names[-2])}.safetensors"


def edited(path: pathlib.Path) -> None:
    """A manifest that claims another epoch."""
    path.write_text(path.read_text().replace('\\"epoch\\": 7', '\\"epoch\\": 9'))


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: cut(newest_lane(run)),
        lambda run: newest_lane(run).unlink(),
        lambda run: edited(sorted((run / "checkpoints").glob("*.json"))[-1]),
        lambda run: cut(sorted((run / "checkpoints").glob("*.json"))[-1]),
    ],
    ids=["lane cut", "lane gone", "manifest edited", "manifest cut"],
)
def test_the_checkpoint_before_a_damaged_one_is_used(
    damage: Callable[[pathlib.Path], None],
    place: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = (*PLAIN[:1], "--epochs", "12", *PLAIN[3:])
    shutil.copytree(place / "tiny", tmp_path / "tiny")
    run, alone = str(tmp_path / "run"), str(tmp_path / "alone")
    undisturbed(short, alone)
    with monkeypatch.context() as patch:
        interrupt(7, patch)
        assert main(command(short, run)) == 130
    assert capsys.readouterr().err.splitlines() == [f"stopped; continue with: jmmrec train --resume {run}"]
    damage(pathlib.Path(run))
    assert main(command(short, run)) == 0
    said = capsys.readouterr().err.splitlines()
    assert (
        len(said) == 1 and said[0].startswith("jmmrec: checkpoint ") and said[0].endswith("The one before it is used.")
    )
    assert outcome(run) == outcome(alone)
