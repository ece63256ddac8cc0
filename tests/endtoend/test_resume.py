"""Runs that are killed, interrupted or damaged end with the bits of the run that was left alone."""

import json
import multiprocessing
import pathlib
import re
import shutil
import signal
import time
from collections.abc import Callable

import numpy as np
import pytest

import jmmrec
from jmmrec import api
from jmmrec.cli import main
from jmmrec.data import SyntheticConfig
from jmmrec.errors import CheckpointError, ConfigError, DivergenceError
from jmmrec.train.record import RunFolder
from jmmrec.train.trainer import Trainer

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


def longer(options: tuple[str, ...], epochs: int) -> tuple[str, ...]:
    """The same command with other epochs."""
    at = options.index("--epochs") + 1
    return *options[:at], str(epochs), *options[at + 1 :]


@pytest.mark.parametrize("judged", [True, False], ids=["judged", "all data"])
def test_more_epochs_for_a_finished_run(judged: bool, place: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(place / "tiny", tmp_path / "tiny")
    options = PLAIN if judged else (*PLAIN, "--all-data")
    common = [word for word in COMMON if judged or word not in ("--patience", "999")]
    runs = {epochs: str(tmp_path / f"run{epochs}") for epochs in (6, 9)}
    for epochs, run in runs.items():
        begun = ["train", *longer(options, epochs), *common, "--data", str(tmp_path / "tiny"), "--out", run]
        assert main(begun) == 0
    before = jmmrec.open_run(runs[6])
    assert main(["train", "--resume", runs[6], "--epochs", "9", "--quiet"]) == 0
    assert outcome(runs[6]) == outcome(runs[9])
    after = json.loads(pathlib.Path(runs[6], "run.json").read_text())
    assert after["config"]["epochs"] == 9
    if judged:
        assert len(after["evaluations"]) == 2  # of the longer run, valid and test
        assert jmmrec.open_run(runs[6]).history[0][:6] == before.history[0]


def test_more_epochs_and_then_killed(place: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(place / "tiny", tmp_path / "tiny")
    run, alone = str(tmp_path / "run"), str(tmp_path / "alone")
    undisturbed(longer(PLAIN, 6), run)
    undisturbed(longer(PLAIN, 12), alone)
    before = jmmrec.open_run(run).metrics
    with pytest.MonkeyPatch.context() as patch:
        interrupt(0, patch)
        assert main(["train", "--resume", run, "--epochs", "12", "--quiet"]) == 130
    between = jmmrec.open_run(run)  # until it is longer it is what it was
    assert (between.config.epochs, len(between.history[0]), between.metrics) == (6, 6, before)
    assert len(RunFolder(run).read()["evaluations"]) == 2 and len(list(pathlib.Path(run).glob("per_user-*"))) == 2
    with pytest.raises(CheckpointError, match="is on its way to 12 epochs; give these, or more"):
        jmmrec.fit("lightgcn", tmp_path / "tiny", config=between.config, out=run, resume=True)
    assert main(["train", "--resume", run, "--epochs", "7", "--quiet"]) == 2
    assert main(["train", "--resume", run, "--quiet"]) == 0
    assert outcome(run) == outcome(alone)


def test_a_run_that_stopped_by_itself_wants_no_more_epochs(place: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(place / "tiny", tmp_path / "tiny")
    options = {"patience": 1, "learning_rate": 1e-6, "batch_size": 64, "out": tmp_path / "run", "quiet": True}
    jmmrec.fit("lightgcn", tmp_path / "tiny", epochs=50, **options)
    jmmrec.evaluate(tmp_path / "run")
    before = outcome(str(tmp_path / "run"))
    jmmrec.fit("lightgcn", tmp_path / "tiny", epochs=80, **options, resume=True)
    assert outcome(str(tmp_path / "run")) == before
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["config"]["epochs"], len(record["evaluations"])) == (80, 1)


def test_patience_that_ended_with_the_last_epoch(place: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """By a judgement that a longer run would not have had."""
    shutil.copytree(place / "tiny", tmp_path / "tiny")
    options = {"patience": 0, "eval_every": 3, "learning_rate": 1e-9, "batch_size": 64, "quiet": True}
    run = jmmrec.fit("bpr", tmp_path / "tiny", epochs=4, **options, out=tmp_path / "run")
    assert run.lanes[0].stopped == "no better recall@20 in 1 evaluations" and run.epochs[0] == 4
    with pytest.raises(ConfigError, match="was judged after its last epoch, 4, which is no multiple of eval_every 3"):
        jmmrec.fit("bpr", tmp_path / "tiny", epochs=60, **options, out=tmp_path / "run", resume=True)


def test_a_run_that_another_process_finished_meanwhile(
    place: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(place / "tiny", tmp_path / "tiny")
    really, out = api.trainer, tmp_path / "run"

    def slow(*given):
        monkeypatch.setattr(api, "trainer", really)
        jmmrec.fit("bpr", tmp_path / "tiny", epochs=1, out=out, quiet=True)
        return really(*given)

    monkeypatch.setattr(api, "trainer", slow)
    with pytest.raises(ConfigError, match="already holds a run"):
        jmmrec.fit("lightgcn", tmp_path / "tiny", epochs=1, out=out, quiet=True)
    assert jmmrec.open_run(out).name == "bpr"


def test_epochs_that_cannot_be_added(
    place: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(place / "tiny", tmp_path / "tiny")
    run, search = tmp_path / "run", tmp_path / "search"
    options = {"batch_size": 64, "patience": 999, "quiet": True}
    jmmrec.fit("bpr", tmp_path / "tiny", epochs=4, eval_every=3, **options, out=run)
    jmmrec.fit("bpr", tmp_path / "tiny", epochs=4, **options, warmup="hybrid", out=search)
    for folder, epochs, said in (
        (run, "3", "--epochs is 3, but the run in .* goes to 4"),
        (run, "6", "was judged after its last epoch, 4, which is no multiple of eval_every 3"),
        (search, "6", "searched its warm-up within 4 epochs"),
    ):
        assert main(["train", "--resume", str(folder), "--epochs", epochs, "--quiet"]) == 2
        assert re.search(said, capsys.readouterr().err)
    assert main(["train", "bpr", "--data", str(tmp_path / "tiny"), "--out", str(run), "--resume"]) == 2
    assert "was started with another config" in capsys.readouterr().err  # 1000 epochs, which nobody said
    with pytest.raises(CheckpointError, match="started with another config"):
        jmmrec.fit("bpr", tmp_path / "tiny", eval_every=3, **options, out=run, resume=True)
    assert jmmrec.open_run(run).config.epochs == 4
    with pytest.raises(CheckpointError, match="started with another config"):
        jmmrec.fit("bpr", tmp_path / "tiny", epochs=6, **options, warmup="hybrid", out=search, resume=True)


def test_more_epochs_that_diverge_leave_the_run_as_it_was(
    place: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"batch_size": 64, "quiet": True, "out": tmp_path / "run"}
    before = jmmrec.fit("bpr", place / "tiny", epochs=3, **options).metrics
    jmmrec.evaluate(tmp_path / "run")
    monkeypatch.setattr(Trainer, "_broken", lambda self, lane, *_: "seed 0 diverged." if lane.epoch == 5 else "")
    with pytest.raises(DivergenceError, match=r"run in .* is what it was before"):
        jmmrec.fit("bpr", place / "tiny", epochs=9, **options, resume=True)
    assert jmmrec.open_run(tmp_path / "run").metrics == before
    assert len(RunFolder(tmp_path / "run").read()["evaluations"]) == 1


def test_more_epochs_before_there_is_a_checkpoint(place: pathlib.Path, tmp_path: pathlib.Path) -> None:
    options = {"batch_size": 64, "quiet": True, "out": tmp_path / "run"}
    jmmrec.fit("bpr", place / "tiny", epochs=3, **options)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    RunFolder(tmp_path / "run").update(status="running")  # killed as soon as it had begun
    jmmrec.fit("bpr", place / "tiny", epochs=5, **options, resume=True)
    assert jmmrec.open_run(tmp_path / "run").config.epochs == 5
