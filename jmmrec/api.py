"""The calls of a notebook: `fit` trains, `open_run` reads a run back, `evaluate` opens a split."""

import contextlib
import dataclasses
import json
import operator
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jmmrec.data import Dataset, as_dataset, load
from jmmrec.errors import CheckpointError, ConfigError, DivergenceError
from jmmrec.models import MODELS, Backbone, as_backbone
from jmmrec.report.progress import Progress, peak_memory
from jmmrec.result import Result
from jmmrec.runs import DataLike, data_of, data_record, open_run, run_record, write_result
from jmmrec.train import (
    Checkpoints,
    Evaluation,
    Lane,
    Mdvt,
    Search,
    TrainConfig,
    Trainer,
    WarmupConfig,
    check_monitor,
    check_tables,
    train_lanes,
    trainer,
    with_mdvt,
)
from jmmrec.train.record import RunFolder, class_record, default_record, environment, folder_of
from jmmrec.train.resume import check_same, lengthened
from jmmrec.train.search import STRATEGIES
from jmmrec.train.wrapper import innermost


def fit(
    model: str | Backbone,
    data: DataLike,
    *,
    warmup: str | WarmupConfig = "none",
    mdvt: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (0,),
    config: TrainConfig | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Result:
    """Trains a model, with or without virtual triplets, and keeps what was best on valid.

    Args:
      model: a name (`freedom`, or `mine.py:Mine` of a file of your own) or a backbone, one of your own too.
      data: a data set, or what `jmmrec.load` takes.
      warmup: `none`, `static`, `dynamic`, `hybrid`, `all`, or a `WarmupConfig`; anything but `none` adds MDVT.
      mdvt: options of `Mdvt`, e.g. {"n": 4, "lam": 0.2}. seeds: one run each, in one vmapped
        program, or in programs of `seeds_per_program`; where branches are searched (static with several thresholds,
        hybrid, all) each alone unless that is given.
      config: a `TrainConfig`, or give its fields as keyword `options`; the rest is what the model's authors use.
      out: a run folder to write; needed to resume. resume: continue what stands there, bit-identically; a run without
        a search, finished or not, may be given more `epochs` than before.
      quiet: no progress display.

    Returns:
      a `Result`; nothing has looked at test rows yet.

    Raises:
      JmmrecError: bad options or data, or training diverged; one sentence each.

    >>> result = fit("bpr", "synthetic", epochs=2, quiet=True)
    >>> len(result.history[0])
    2
    """
    backbone = as_backbone(model)
    _check_kinds(warmup, config, mdvt)
    seeds = check_seeds(seeds)
    said = config is not None or "epochs" in options
    config = _config(backbone, config, options)
    dataset = as_dataset(data)
    warmup = WarmupConfig(warmup) if isinstance(warmup, str) else warmup
    backbone = _with_virtual(backbone, warmup, mdvt or {})
    record = run_record(backbone, warmup, config, seeds, dataset)
    folder = _open_folder(out, resume, record, backbone, longer=said)
    check_monitor(config, dataset.for_training(), warmup.searches)
    bound = trainer(backbone, dataset.for_training(), config)
    if type(innermost(backbone)[0]) not in MODELS.values():
        check_tables(bound)
    search = Search(warmup, warmup.strategies, config.reset_patience) if warmup.searches else None
    with folder.lock() if folder else contextlib.nullcontext():  # only now: what does not fit leaves no folder behind
        if folder and not resume:
            _check_free(folder)  # once more: another process may have finished here meanwhile
            folder.write(record | environment() | {"status": "running"})
        lanes = _train(bound, search, warmup, seeds, folder, resume, quiet)
        if folder:
            folder.write_history(lanes)  # in one order, whether or not the run was ever interrupted
        result = _result(bound, dataset, search, warmup, lanes, seeds, folder)
        if folder:
            write_result(folder, result)
    return result


def _check_kinds(warmup: Any, config: Any, mdvt: Any) -> None:
    for option, given, kind, other in (
        ("warmup", warmup, str | WarmupConfig, f"{', '.join((*STRATEGIES, 'all'))}, or a WarmupConfig"),
        ("config", config, TrainConfig | None, "a TrainConfig, or its fields as keyword arguments"),
        ("mdvt", mdvt, Mapping | None, "options of Mdvt by name, such as {'n': 4, 'lam': 0.2}"),
    ):
        if not isinstance(given, kind):
            raise ConfigError(f"{option} is {given!r}; give {other}.")


def _with_virtual(model: Backbone, warmup: WarmupConfig, mdvt: Mapping[str, Any]) -> Backbone:
    """The model with virtual triplets if the warm-up brings them in; two answers to when or how are refused."""
    if not isinstance(model, Mdvt):
        if warmup.strategy != "none":
            return with_mdvt(model, **mdvt)
        if mdvt:
            raise ConfigError("mdvt options were given but virtual triplets are off; choose a warmup.")
        return model
    if mdvt:
        raise ConfigError("mdvt options were given but the model has its own; give all of them to with_mdvt.")
    if model.active != (warmup.strategy == "none"):
        off = "never come in with warmup 'none'; choose static, dynamic or hybrid, or active=True for all epochs"
        on = f"are active from the first epoch, so warmup {warmup.strategy!r} has nothing to decide; leave one out"
        raise ConfigError(f"the model's virtual triplets {on if model.active else off}.")
    return model


def check_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Seeds as plain numbers.

    Raises:
      ConfigError: none, one twice, or something else than whole numbers from 0.

    >>> check_seeds(range(3))
    (0, 1, 2)
    """
    try:
        found = tuple(operator.index(seed) for seed in seeds)
    except TypeError:
        raise ConfigError(f"seeds are {seeds!r}; give whole numbers in a sequence, such as range(3).") from None
    if not found or len(set(found)) < len(found) or min(found) < 0 or max(found) >= 1 << 32:
        raise ConfigError(f"seeds are {list(found)}; give at least one, each once, from 0 to 2**32 - 1.")
    return found


def _config(model: Backbone, config: TrainConfig | None, options: Mapping[str, Any]) -> TrainConfig:
    kind = type(model).__name__
    for name in options:
        if name in getattr(model, "__dataclass_fields__", {}) and name not in TrainConfig.__dataclass_fields__:
            raise ConfigError(f"{name} is an option of the model, not of training; give it as {kind}({name}=...).")
    if config is not None and options:
        raise ConfigError(f"both config and {', '.join(options)} were given; put everything into config.")
    said = "epochs" in options if config is None else config.epochs != TrainConfig.epochs
    config = config or TrainConfig.of(model, **options)
    if not config.judged and not said:
        raise ConfigError("monitor is none, so nothing tells when to stop; say how many epochs.")
    return config


def _check_free(folder: RunFolder) -> None:
    if folder.exists:
        raise ConfigError(f"{folder.path} already holds a run; continue it with resume, or choose another folder.")


def _open_folder(
    out: str | Path | None, resume: bool, record: dict[str, Any], model: Backbone, longer: bool
) -> RunFolder | None:
    """The folder to write to, if any; what stands there has to be the same run, with more epochs if `longer`."""
    out = folder_of(out)
    if out is None:
        if resume:
            raise ConfigError("resume needs the run folder: pass out=.")
        return None
    folder = RunFolder(out)
    if not resume:
        _check_free(folder)
    if not folder.exists:
        if resume:
            raise CheckpointError(f"{folder.path} holds no run to resume; start it without resume.")
        return folder
    before = folder.read()
    if before.get("status") == "finished" and not Checkpoints(folder.path).manifests():
        raise CheckpointError(f"the run in {folder.path} is finished and holds no checkpoint to go on from; open it.")
    defaults = {
        "model": default_record(model),
        "warmup": dataclasses.asdict(WarmupConfig()),
        "config": dataclasses.asdict(TrainConfig()),
    }
    now, usual = json.loads(json.dumps((record, defaults)))
    check_same(before, now, usual, folder.path, longer and not WarmupConfig(**record["warmup"]).searches)
    return folder


def _train(
    bound: Trainer,
    search: Search | None,
    warmup: WarmupConfig,
    seeds: Sequence[int],
    folder: RunFolder | None,
    resume: bool,
    quiet: bool,
) -> list[Lane]:
    checkpoints = Checkpoints(folder.path) if folder else None
    fresh = search.trunks(bound, seeds) if search else [bound.start(seed, warmup.policy) for seed in seeds]
    lanes = checkpoints.load(bound) if checkpoints and resume and checkpoints.manifests() else fresh
    if folder and resume:
        lanes = lengthened(folder, lanes, bound.config)
        folder.update(**class_record(bound.model))  # where the class lies now
    for sentence in checkpoints.refused if checkpoints else ():
        print(f"jmmrec: {sentence} The one before it is used.", file=sys.stderr)
    if folder:
        folder.write_history(lanes)
    with _reporting(bound, 0 if search else len(seeds), folder, quiet) as on_epoch:
        try:
            grow = search.grow if search else None
            lanes = train_lanes(bound, lanes, grow=grow, on_epoch=on_epoch, checkpoints=checkpoints)
            if search:
                for seed in seeds:
                    search.outcomes(lanes, seed)  # raises where a strategy has lost all its branches
        except DivergenceError as error:
            if folder and folder.read()["status"] == "finished":  # with fewer epochs, and that it stays
                raise DivergenceError(f"{error} The run in {folder.path} is what it was before.") from None
            if folder:
                folder.update(status="diverged", reason=str(error))
                raise DivergenceError(f"{error} The last good checkpoint is in {folder.path}.") from None
            raise
    for lane in lanes:
        if lane.lost:
            print(f"jmmrec: {lane.stopped} The search went on without it.", file=sys.stderr)
    return lanes


@contextlib.contextmanager
def _reporting(
    bound: Trainer, n_seeds: int, folder: RunFolder | None, quiet: bool
) -> Iterator[Callable[[Sequence[Lane]], None]]:
    monitor, config = bound.config.monitor, bound.config
    first, rounds = 0.0, 0
    with Progress(config.epochs, n_seeds, quiet=quiet) as progress:

        def _on_epoch(lanes: Sequence[Lane]) -> None:
            nonlocal first, rounds
            # Counted in rounds, from the end of the first, which holds the compilation.
            first, rounds = first or time.monotonic(), rounds + 1
            if folder:
                folder.append_history(lanes)
            memory = peak_memory()
            scores = [lane.history[-1].get(f"valid/{monitor}") for lane in lanes]
            known = [score for score in scores if score is not None]
            progress.update(
                {
                    "epoch": max(lane.epoch for lane in lanes),
                    "loss": sum(lane.history[-1]["loss"] for lane in lanes) / len(lanes),
                    "metric": monitor,
                    "valid": sum(known) / len(known) if known else None,
                    "best": sum(lane.best_score for lane in lanes) / len(lanes) if config.judged else None,
                    "patience_left": max(config.patience + 1 - lane.stale for lane in lanes) if config.judged else None,
                    "epochs_per_s": (rounds - 1) / (time.monotonic() - first) if rounds > 1 else None,
                    "active_seeds": len(lanes),
                    "memory_bytes": memory.device or memory.process,
                }
            )

        yield _on_epoch


def _result(
    bound: Trainer,
    dataset: Dataset,
    search: Search | None,
    warmup: WarmupConfig,
    lanes: Sequence[Lane],
    seeds: Sequence[int],
    folder: RunFolder | None,
) -> Result:
    if search is None:
        trained = sum(lane.epoch for lane in lanes)
        chosen = {lane.seed: lane for lane in lanes}
        outcomes, epochs = {}, (trained, trained)
    else:
        by_seed = {seed: search.outcomes(lanes, seed) for seed in seeds}
        outcomes = {name: {seed: by_seed[seed][name] for seed in seeds} for name in search.strategies}
        chosen = outcomes[search.strategies[-1]]
        costs = [search.cost(lanes, seed) for seed in seeds]
        epochs = (sum(c[0] for c in costs), sum(c[1] for c in costs))
    path = folder.path if folder else None
    return Result(bound.model, dataset, bound.config, bound.static, chosen, outcomes, epochs, path, warmup)


def evaluate(
    result: Result | str | Path,
    data: DataLike | None = None,
    split: str = "test",
    mask: str = "train",
    *,
    model: Backbone | None = None,
    missing_mask: str | Path | None = None,
    **options: Any,
) -> Evaluation:
    """Metrics of a finished run on a split, see `Result.evaluate`; a run folder's record notes what was opened.

    Args:
      result: what `fit` returned, or its folder. data: the data set that it was trained on, if it lies elsewhere now.
      model, missing_mask: of a folder, the backbone, if it is one of your own, and the file of what is hidden, if it
        lies elsewhere now.

    Raises:
      CheckpointError: other data than the run was trained on.

    >>> found = evaluate(fit("bpr", "synthetic", epochs=1, quiet=True), split="valid", ks=(10,))
    >>> found.split, found.mask, found.seeds
    ('valid', 'train', (0,))
    """
    if isinstance(result, str | Path):
        result = open_run(result, data, model, missing_mask)
    elif not isinstance(result, Result):
        raise ConfigError(f"result is {result!r}; give what fit returned, or a run folder.")
    elif data is not None:
        dataset = data_of(data_record(result.dataset), data, f"this run of {result.name}")
        result = dataclasses.replace(result, dataset=dataset)
    if options.get("strategy") == "best":
        options["strategy"] = result.best_strategy
    found = result.evaluate(split, mask, **options)
    if result.folder:
        run = RunFolder(result.folder)
        entry = {
            "split": split,
            "mask": mask,
            "strategy": options.get("strategy"),
            "seeds": list(found.seeds),
            "left_out": found.left_out,
            "mean": found.mean,
        }
        which = [split, mask, options["strategy"]] if options.get("strategy") else [split, mask]
        try:
            run.update(evaluations=[*run.read().get("evaluations", []), entry])
            _keep_users(result.folder / f"per_user-{'-'.join(which)}.npz", {"users": found.users, **found.per_user})
        except (CheckpointError, OSError) as error:  # a run that one may only read
            reason = getattr(error.__cause__ or error, "strerror", error)
            print(f"jmmrec: this evaluation could not be noted in {result.folder} ({reason}).", file=sys.stderr)
    return found


def _keep_users(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes metrics of users, beside those of the same users and seeds that the file has."""
    before: dict[str, np.ndarray] = {}
    with contextlib.suppress(OSError, ValueError, zipfile.BadZipFile), np.load(path) as kept:
        same = np.array_equal(kept["users"], arrays["users"])
        before = {name: kept[name] for name in kept.files if name not in arrays} if same else {}
    whole: dict[str, Any] = {**before, **arrays}
    np.savez_compressed(path, **whole)


__all__ = ["evaluate", "fit", "load", "open_run"]
