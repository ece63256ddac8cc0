"""Finished runs on disk: what `fit` writes at its end or `save_run` later, and `open_run`, which reads it back."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import safetensors.numpy

from jmmrec.data import Dataset, load, replay
from jmmrec.errors import CheckpointError, ConfigError, DataError
from jmmrec.models import Backbone
from jmmrec.models.own import check_backbone
from jmmrec.result import Result
from jmmrec.train import Lane, TrainConfig, Trainer, WarmupConfig, WarmupState, checksum, trainer
from jmmrec.train.checkpoint import pack, unpack, write_file
from jmmrec.train.record import (
    RunFolder,
    agrees,
    class_record,
    default_record,
    environment,
    folder_of,
    model_of,
    model_record,
)
from jmmrec.train.warmup import Never

DataLike = Dataset | str | Path


def run_record(
    model: Backbone, warmup: WarmupConfig, config: TrainConfig, seeds: Sequence[int], dataset: Dataset
) -> dict[str, Any]:
    """What a run folder says of its run before anything is trained."""
    return {
        "model": model_record(model),
        **class_record(model),
        "warmup": dataclasses.asdict(warmup),
        "config": dataclasses.asdict(config),
        "seeds": list(seeds),
        "data": data_record(dataset),
    }


def data_record(dataset: Dataset) -> dict[str, Any]:
    """What a run's record says of its data: where they come from, what was done to them, digests and sizes."""
    return {
        "name": dataset.name,
        "source": dict(dataset.source),
        "steps": [dict(step) for step in dataset.steps],
        "digest": dataset.digest,
        "split_digest": dataset.split_digest,
        "users": dataset.n_users,
        "items": dataset.n_items,
        "interactions": {s: len(getattr(dataset, s)) for s in ("train", "valid", "test")},
        "modalities": {n: list(m.features.shape) for n, m in dataset.modalities.items()},
    }


def write_result(folder: RunFolder, result: Result) -> None:
    """Writes what a finished run is worth keeping: the best parameters of every seed and outcome, and their record.

    Raises:
      CheckpointError: it could not be written.
    """
    file, ends = _packed(result)
    before = folder.read()
    write_file(folder.path / "model.safetensors", file)
    after = before | ends | {"config": dataclasses.asdict(result.config)}
    other = before.get("lanes", ends["lanes"]) != ends["lanes"]  # than the run was with fewer epochs
    gone = ("lengthened_to", "evaluations") if other else ("lengthened_to",)
    folder.write({name: value for name, value in after.items() if name not in gone})
    for path in folder.path.glob("per_user-*.npz") if other else ():
        path.unlink()


def _packed(result: Result) -> tuple[bytes, dict[str, Any]]:
    """Best parameters of every outcome and seed as a file, and what the record of a finished run says."""
    groups = dict(result.outcomes) or {"chosen": result.lanes}
    arrays, lanes = {}, {}
    for group, members in groups.items():
        for seed, lane in members.items():
            arrays |= pack(lane.best, f"{group}/{seed}/")
            lanes.setdefault(group, {})[str(seed)] = {
                "lane": lane.label,
                "epochs": lane.epoch,
                "best_epoch": lane.best_epoch,
                "best_valid": lane.best_score if result.config.judged else None,
                "virtual_since": lane.warmup.since if lane.warmup.active else None,
                "stopped": lane.stopped,
                "checksum": checksum(lane.best),
            }
    trained, scratch = result.epochs
    ends = {"status": "finished", "lanes": lanes, "epochs_trained": trained, "epochs_from_scratch": scratch}
    return safetensors.numpy.save(arrays), ends


def save_run(result: Result, folder: str | Path) -> Path:
    """Writes a result to a run folder of its own, for `open_run` and every command; what `fit` does with `out`.

    Args:
      result: of `fit` without a folder, or of a cell of a grid. folder: one that holds no run.

    Returns:
      the folder. There is nothing in it to resume from.

    Raises:
      ConfigError: no result, no folder, or one that holds a run. CheckpointError: it could not be written.

    >>> import tempfile
    >>> from jmmrec import fit
    >>> result = fit("bpr", "synthetic", epochs=1, quiet=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     open_run(save_run(result, folder + "/run")).metrics == result.metrics
    True
    """
    if not isinstance(result, Result):
        raise ConfigError(f"result is {result!r}; give what fit returned, or a cell of a grid.")
    path = folder_of(folder)
    if path is None:
        raise ConfigError("a result is saved to a folder; name one that holds no run yet.")
    run = RunFolder(path)
    if run.exists:
        raise ConfigError(f"{path} already holds a run; choose another folder.")
    about = run_record(result.model, result.warmup, result.config, tuple(result.lanes), result.dataset)
    before = RunFolder(result.folder).read() if result.folder else {}
    about |= {name: before.get(name, value) for name, value in environment().items()}  # of who trained it
    groups = result.outcomes or {"chosen": result.lanes}
    lanes = {lane.label: dataclasses.replace(lane, born=0) for group in groups.values() for lane in group.values()}
    run.write_history(list(lanes.values()))
    file, ends = _packed(result)
    write_file(path / "model.safetensors", file)
    run.write(about | ends | {name: before[name] for name in ("evaluations",) if name in before})
    return path


def open_run(
    folder: str | Path,
    data: DataLike | None = None,
    model: Backbone | None = None,
    missing_mask: str | Path | None = None,
) -> Result:
    """Reads a finished run back.

    Args:
      folder: what `fit` wrote with out=. data, missing_mask: the data set and the file of what is hidden, if they lie
        no longer where the run found them. model: the backbone, if it is one of your own.

    Raises:
      CheckpointError: no finished run, damaged, of other data than now found, or of another model than given.
    """
    run = RunFolder(folder)
    record = run.read()
    status = record.get("status", "unknown")
    if status != "finished":
        what = f"finish it with: jmmrec train --resume {run.path}"
        lost = f"{record.get('reason', '')} Train it anew in another folder, with a lower learning rate"
        raise CheckpointError(f"the run in {run.path} is {status}; {lost if status == 'diverged' else what}.")
    dataset = data_of(record["data"], data, f"the run in {run.path}", missing_mask)
    backbone = model_of(record) if model is None else _checked(model, record["model"], run.path)
    config = TrainConfig(**record["config"])
    bound = trainer(backbone, dataset.for_training(), config)
    outcomes = _read_lanes(run, record, bound)
    chosen = outcomes[list(outcomes)[-1]]
    epochs = (record["epochs_trained"], record["epochs_from_scratch"])
    kept = {} if list(outcomes) == ["chosen"] else outcomes
    warmup = WarmupConfig(**record["warmup"])
    return Result(backbone, dataset, config, bound.static, chosen, kept, epochs, run.path, warmup)


def _checked(model: Backbone, before: Mapping[str, Any], path: Path) -> Backbone:
    """The model given for a run, which has to be the one that it was trained with, whatever is around both."""
    check_backbone(model)
    now, usual = json.loads(json.dumps((model_record(model), default_record(model))))
    inner = ("name", "options")
    if not agrees(*({part: record.get(part) for part in inner} for record in (before, now, usual))):
        raise CheckpointError(
            f"the run in {path} is not of the {now['name']} given, or not with its options; give the {before['name']} "
            "that it was trained with."
        )
    return model


def data_of(
    about: Mapping[str, Any], data: DataLike | None, run: str, missing_mask: str | Path | None = None
) -> Dataset:
    """The data set a run was trained on, loaded as it was then, or from elsewhere.

    Args:
      about: the run's record of it. run: what messages call it.

    Raises:
      DataError: the run's data came from memory and none is given, or they or a mask lie there no longer.
      ConfigError: a mask for a run without one. CheckpointError: it is other data.
    """
    if isinstance(data, Dataset) and missing_mask is not None:
        raise ConfigError("data is a data set, with or without its mask; leave missing_mask out.")
    source, steps = about["source"], _with_mask_at(about.get("steps", ()), missing_mask, run)
    if data is None and not source:
        raise DataError(f"{run} was trained on data made in memory; pass the data set.")
    if isinstance(data, Dataset):
        dataset = data
    else:
        source = source if data is None else source | {"path": data}
        _check_there(source["path"], "data", run)
        for step in steps:
            _check_there(step.get("path"), "missing_mask", run)
        dataset = replay(load(**source), steps)
    if dataset.digest != about["digest"]:
        raise CheckpointError(
            f"{dataset.name} is not the data {run} was trained on (its digest differs); "
            "give the same files, split and modalities."
        )
    return dataset


def _with_mask_at(steps: Sequence[Mapping], path: str | Path | None, run: str) -> list[Mapping]:
    """The steps with the mask file where it lies now."""
    if path is not None and not any(step["do"] == "mask" for step in steps):
        raise ConfigError(f"{run} was trained without a mask file; leave the mask out.")
    moved = {} if path is None else {"path": str(Path(path).absolute())}
    return [{**step, **moved} if step["do"] == "mask" else step for step in steps]


def _check_there(path: str | Path | None, option: str, run: str) -> None:
    if path is not None and path != "synthetic" and not Path(path).exists():
        raise DataError(f"{run} was trained with {path}, which is not there; say where it lies now: {option}='PATH'.")


def _read_lanes(run: RunFolder, record: dict[str, Any], bound: Trainer) -> dict[str, dict[int, Lane]]:
    path = run.path / "model.safetensors"
    try:
        arrays = safetensors.numpy.load_file(path)
        lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    except Exception as error:
        raise CheckpointError(f"the run in {run.path} cannot be read ({error}); train it anew.") from error
    outcomes: dict[str, dict[int, Lane]] = {}
    for group, members in record["lanes"].items():
        for text, about in members.items():
            seed = int(text)
            fresh = jax.eval_shape(lambda seed=seed: bound.start(seed).train)
            best = unpack(arrays, f"{group}/{seed}/", (fresh.params, bound.model.kept(fresh.state)), path)
            if checksum(best) != about["checksum"]:
                fix = f" Finish it with: jmmrec train --resume {run.path}" if "lengthened_to" in record else ""
                raise CheckpointError(
                    f"{path} is damaged: the parameters of seed {seed} are not those that were written.{fix}"
                )
            since = about["virtual_since"]
            outcomes.setdefault(group, {})[seed] = Lane(
                label=about["lane"],
                seed=seed,
                policy=Never(),
                warmup=WarmupState(since is not None, since),
                train=None,
                best=best,
                epoch=about["epochs"],
                best_score=Lane.best_score if about["best_valid"] is None else about["best_valid"],
                best_epoch=about["best_epoch"],
                stopped=about["stopped"],
                history=_history(lines, seed, about["lane"], since)[: about["epochs"]],
            )
    return outcomes


def _history(lines: list[dict], seed: int, label: str, since: int | None) -> tuple[dict, ...]:
    """A lane's own epochs, after those it inherited from the trunk of its seed."""
    own = [line for line in lines if line["lane"] == label]
    trunk = [line for line in lines if line["lane"] == f"seed {seed}, trunk"]
    first = own[0]["epoch"] if own else 0
    kept = [line for line in trunk if line["epoch"] < first] + own
    return tuple({key: value for key, value in line.items() if key != "lane"} for line in kept)
