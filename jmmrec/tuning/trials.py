"""A search over any options of a run: by grid, at random or with Optuna. It chooses on valid and can be continued."""

import contextlib
import dataclasses
import itertools
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jmmrec.api import check_seeds, fit
from jmmrec.data import Dataset, as_dataset
from jmmrec.errors import CheckpointError, ConfigError, DivergenceError, check_choice, check_names, check_whole
from jmmrec.models import Backbone, varied
from jmmrec.report.stats import interval
from jmmrec.report.tables import Estimate, Table
from jmmrec.result import Result
from jmmrec.retrieval import parse_metric
from jmmrec.runs import DataLike, open_run
from jmmrec.train import TrainConfig, WarmupConfig, with_amr, with_mdvt
from jmmrec.train.checkpoint import write_file
from jmmrec.train.record import RunFolder, folder_of, model_record, source_of
from jmmrec.train.wrapper import Wrapper
from jmmrec.tuning.space import Axis, Choices, Range, as_space, by_part, draw, plain, product
from jmmrec.tuning.together import Setting, groups, kept, setting_of, train_together

METHODS = ("grid", "random", "optuna")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One setting, trained.

    Attributes:
      settings: option -> value. scores: seed -> best valid score. epochs: trained. result: of the run, None if it
        diverged, which scores NaN and is never the best.
    """

    settings: Mapping[str, Any]
    scores: Mapping[int, float]
    epochs: int
    result: Result | None

    @property
    def score(self) -> float:
        """Mean valid score over seeds."""
        return float(np.mean(list(self.scores.values())))

    @property
    def name(self) -> str:
        """The settings, for tables."""
        return ", ".join(f"{name}={value}" for name, value in self.settings.items())


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
      monitor: valid metric that chose. trials: in the order of training. folder: where they are, or None.
    """

    monitor: str
    trials: tuple[Trial, ...]
    folder: Path | None = None

    @property
    def best(self) -> Trial:
        """The trial with the best valid score; of equal ones the first.

        Raises:
          DivergenceError: all of them diverged.
        """
        if not self.finished:
            raise DivergenceError(f"all {len(self.trials)} settings diverged; search smaller learning rates.")
        return max(self.finished, key=lambda trial: trial.score)

    @property
    def finished(self) -> tuple[Trial, ...]:
        """Trials that did not diverge."""
        return tuple(trial for trial in self.trials if trial.result is not None)

    @property
    def epochs(self) -> int:
        """Epochs trained in all."""
        return sum(trial.epochs for trial in self.trials)

    def table(self, most: int = 20) -> Table:
        """Trials by valid score, the best first."""
        ranked = sorted(self.finished, key=lambda trial: -trial.score)
        rows = tuple((t.name, Estimate(interval(list(t.scores.values()))), t.epochs) for t in ranked[:most])
        notes = [f"{len(self.trials)} settings, {self.epochs} epochs."]
        lost = [trial.name for trial in self.trials if trial.result is None]
        notes += [f"Diverged, and not counted: {'; '.join(lost)}."] if lost else []
        notes += [f"The first {most} are shown."] if len(ranked) > most else []
        seeds = ",".join(map(str, self.trials[0].scores))
        return Table("", ("setting", f"valid {self.monitor}", "epochs"), rows, tuple(notes), {"seeds": seeds})

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.table().html()

    def claims(self, metric: str | None = None) -> str:
        """What a choice on test rows would have claimed beside the honest number; opens test rows for all trials."""
        name, k = parse_metric(metric or self.monitor)
        found = [
            trial.result.evaluate(split="test", ks=(k,), metrics=(name,)).mean[f"{name}@{k}"]
            for trial in self.finished
            if trial.result is not None
        ]
        honest, most = found[self.finished.index(self.best)], int(np.argmax(found))
        return (
            f"Chosen on valid, test {name}@{k} is {honest:.4f} ({self.best.name}). "
            f"Chosen on test it would be told as {found[most]:.4f} ({self.finished[most].name}), "
            f"{found[most] - honest:.4f} more than it is worth."
        )


def search(
    model: str | Backbone,
    data: DataLike,
    over: Mapping[str, Axis | Sequence[Any]],
    *,
    method: str = "grid",
    trials: int | None = None,
    seeds: Sequence[int] = (0,),
    given: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    search_seed: int = 0,
    quiet: bool = False,
    memory: int = 0,
) -> Found:
    """Trains a model with many settings and keeps what is best on valid.

    Args:
      model: a name, or a backbone, one of your own too, whose options are what the settings leave as it is.
      over: option -> values or `Range`; options are `model.…`, `config.…` (training), `mdvt.…`, `warmup.…`, `amr.…`
        (one of these, also given, wraps the model in AMR).
      method: `grid` walks through all combinations, `random` draws, `optuna` learns where to look (extra `tune`).
      trials: how many; needed but for a grid. given: options that all trials share.
      out: a folder with a run folder for each trial; called again with the same, the search continues.
      search_seed: of random and Optuna's proposals.
      memory: bytes for settings that differ in numbers alone or in when virtual triplets come in, and for their seeds,
        to train together in vmapped programs (for accelerators; equal to runs alone within float tolerance); 0 trains
        each alone.

    Raises:
      ConfigError: an unknown option, one given twice, a grid over a range, no number of trials, a value outside its
        range. CheckpointError: another search's folder.

    >>> found = search("bpr", "synthetic", {"model.embed_dim": [4, 8]}, given={"config.epochs": 1}, quiet=True)
    >>> len(found.trials), sorted(found.best.settings)
    (2, ['model.embed_dim'])
    """
    check_choice("method", method, METHODS)
    space, given = as_space(over), {name: plain(one) for name, one in (given or {}).items()}
    if method != "grid" and trials is None:
        raise ConfigError(f"method {method!r} has no end of its own; say how many settings by trials.")
    if trials is not None:
        check_whole("trials", trials, 1, 1 << 20)
    if memory and method == "optuna":
        raise ConfigError("optuna learns from each setting what to try next, so none share a program; leave memory 0.")
    _check_read(space, given)
    seeds = check_seeds(seeds)
    dataset = as_dataset(data)
    folder = folder_of(out)
    listed = None if method == "optuna" else _listed(space, method, trials, search_seed)
    for settings in listed or ():  # all of them now, rather than one in the middle of the night
        parts = by_part(given | settings)
        setting_of(backbone_of(model, parts), parts, given | settings)
    about = {
        "model": model if isinstance(model, str) else model_record(model), "method": method,
        "code": source_of(varied(model, {})),
        "search_seed": search_seed, "seeds": list(seeds), "given": given,
        "space": {name: dataclasses.asdict(one) for name, one in space.items()}, "data": dataset.digest,
    }  # fmt: skip
    done: list[Trial] = []
    ready: dict[int, Trial] = {}
    with _kept_from_others(folder):
        book = _Book(folder, about)
        proposals = _learned(space, trials or 0, search_seed, book, done) if listed is None else listed
        if memory and listed:
            for number, settings in enumerate(listed):
                book.note(number, settings)
            ready = _together(model, dataset, dict(enumerate(listed)), given, seeds, folder, memory, quiet)
        for number, settings in enumerate(proposals):
            book.note(number, settings)
            path = folder and folder / f"trial-{number:04d}"
            done.append(ready.get(number) or _trained(model, dataset, given | settings, settings, seeds, path, quiet))
    monitor = next((one.result.config.monitor for one in done if one.result), TrainConfig.monitor)
    return Found(monitor, tuple(done), folder)


@contextlib.contextmanager
def _kept_from_others(folder: Path | None) -> Iterator[None]:
    """A search's folder, for one process at a time.

    Raises:
      CheckpointError: it cannot be made, or another process searches in it.
    """
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be made ({error.strerror}); choose another folder.") from error
    with RunFolder(folder).lock():
        yield


def _check_read(space: Mapping[str, Axis], given: Mapping[str, Any]) -> None:
    """Options are given once, one metric compares all, and some strategy reads the options of virtual triplets."""
    for name in space:
        if name in given:
            raise ConfigError(f"{name} is both searched and given for all trials; leave one of them out.")
    metrics = space.get("config.monitor")
    if "none" in (given.get("config.monitor"), *(metrics.values if isinstance(metrics, Choices) else ())):
        raise ConfigError("config.monitor is none, but a search chooses by a valid metric; name one.")
    if metrics is not None and not (isinstance(metrics, Choices) and len(metrics.values) == 1):
        raise ConfigError("config.monitor is what settings are compared by; give all of them the same one.")
    options = by_part({**given, **space})["warmup"]
    check_names("warmup", options, WarmupConfig.__dataclass_fields__)
    asked = space.get("warmup.strategy")
    kinds = asked.values if isinstance(asked, Choices) else (given.get("warmup.strategy", "none"),)
    read = {f"warmup.{option}" for kind in kinds for option in WarmupConfig(kind).reads}
    for name in (*space, *given):
        if (name.startswith("warmup.") and name not in read) or (name.startswith("mdvt.") and set(kinds) == {"none"}):
            told = " or ".join(map(str, kinds))
            raise ConfigError(f"{name} changes nothing with warmup.strategy={told}; fix another, e.g. to hybrid.")


def backbone_of(model: str | Backbone, parts: Mapping[str, Mapping[str, Any]]) -> Backbone:
    """The model with its options, inside AMR if there is any option of that.

    Args:
      parts: of the settings, see `jmmrec.tuning.space.by_part`.

    Raises:
      ConfigError: a model or an option that does not exist, or a value outside its range.

    >>> backbone_of("vbpr", {"model": {"embed_dim": 4}, "amr": {"eps": 0.2}}).eps
    0.2
    """
    if isinstance(model, Wrapper):
        raise ConfigError("give the backbone itself to a search; options mdvt.… and amr.… put these around it.")
    backbone = varied(model, parts["model"])
    return with_amr(backbone, **parts["amr"]) if parts["amr"] else backbone


def _trained(
    model: str | Backbone, dataset: Dataset, options: Mapping, settings: Mapping, seeds, path, quiet: bool
) -> Trial:
    parts = by_part(options)
    backbone = backbone_of(model, parts)
    warmup, config = WarmupConfig(**parts["warmup"]), TrainConfig.of(backbone, **parts["config"])
    mdvt = None if warmup.strategy == "none" else parts["mdvt"]  # given for the other strategies of a search
    record = RunFolder(path) if path else None
    status = record.read()["status"] if record and record.exists else ""
    lost = Trial(dict(settings), dict.fromkeys(seeds, math.nan), 0, None)
    if status == "diverged":
        return lost
    if status == "finished":
        own = with_mdvt(backbone, **mdvt) if mdvt is not None else backbone
        result = open_run(path, dataset, None if isinstance(model, str) else own)
    else:
        try:
            result = fit(
                backbone, dataset, warmup=warmup, mdvt=mdvt, seeds=seeds, config=config, out=path, resume=bool(status),
                quiet=quiet,
            )  # fmt: skip
        except DivergenceError:
            return lost
    scores = {seed: lane.best_score for seed, lane in result.lanes.items()}
    return Trial(dict(settings), scores, result.epochs[0], result)


def _together(
    model: str | Backbone,
    dataset: Dataset,
    proposals: Mapping[int, dict],
    given: dict,
    seeds,
    folder,
    memory: int,
    quiet: bool,
) -> dict[int, Trial]:
    """Trials that can share a program, trained; the others, and those that have begun, are left for later."""
    paths = {number: folder and folder / f"trial-{number:04d}" for number in proposals}
    settings: dict[int, Setting] = {}
    for number, own in proposals.items():
        parts, path = by_part(given | own), paths[number]
        if path is None or not RunFolder(path).exists:
            settings[number] = setting_of(backbone_of(model, parts), parts, given | own)
    found: dict[int, Trial] = {}
    tell = (lambda text: None) if quiet else (lambda text: print(f"jmmrec: {text}", file=sys.stderr))
    for group in groups(dataset, settings, tell):
        for number, bound, lanes in train_together(group, seeds, memory):
            result = kept(bound, group[number].warmup, dataset, lanes, paths[number])
            tell(f"setting {number}: {'diverged' if result is None else f'{lanes[0].epoch} epochs'}")
            scores = {lane.seed: lane.best_score if result else math.nan for lane in lanes}
            found[number] = Trial(dict(proposals[number]), scores, result.epochs[0] if result else 0, result)
    return found


class _Book:
    """`search.json`: what is searched, and each trial's settings before it is trained."""

    def __init__(self, folder: Path | None, about: dict[str, Any]) -> None:
        self.path = folder and folder / "search.json"
        self.content: dict[str, Any] = {"about": json.loads(json.dumps(about)), "trials": []}
        if self.path and self.path.exists():
            try:
                found = json.loads(self.path.read_text())
                before = found["about"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise CheckpointError(f"{self.path} cannot be read ({error}); choose another folder.") from error
            before = {"code": self.content["about"]["code"]} | before  # searches that do not say
            if before != self.content["about"]:
                if not any(self.path.parent.glob("trial-*")):
                    return  # stopped before anything was trained
                what = next(k for k in about if before.get(k) != self.content["about"][k])
                raise CheckpointError(f"{self.path} is of a search with another {what}; choose another folder.")
            self.content = found

    def settings(self, number: int) -> dict[str, Any] | None:
        """Of a trial that was begun before."""
        trials = self.content["trials"]
        return trials[number] if number < len(trials) else None

    def note(self, number: int, settings: Mapping[str, Any]) -> None:
        """Writes down the settings of a trial that begins now."""
        if self.settings(number) is None:
            self.content["trials"].append(dict(settings))
            if self.path:
                write_file(self.path, json.dumps(self.content, indent=1).encode() + b"\n")


def _listed(space: Mapping[str, Axis], method: str, trials: int | None, seed: int) -> list[dict[str, Any]]:
    """Settings that do not depend on how others did."""
    if method == "grid":
        return list(itertools.islice(product(space), trials))
    return [draw(space, seed, number) for number in range(trials or 0)]


def _learned(
    space: Mapping[str, Axis], trials: int, seed: int, book: _Book, done: Sequence[Trial]
) -> Iterator[dict[str, Any]]:
    """Optuna's settings one after the other; `done` grows while they are asked for."""
    study, distributions, sampler = _study(space, seed)
    asked = None
    for number in range(trials):
        if asked is not None:
            told = {"values": done[-1].score} if done[-1].result else {"state": _failed()}
            study.tell(asked, **told)
        before = book.settings(number)
        # A sampler for each trial, so that a search that was stopped proposes what it would have proposed.
        study.sampler = sampler(number)
        if before is not None:
            study.enqueue_trial(before)
        asked = study.ask(distributions)
        yield dict(before or asked.params)


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL


def _study(space: Mapping[str, Axis], seed: int) -> tuple[Any, dict[str, Any], Any]:
    try:
        import optuna
        from optuna import distributions as kinds
    except ImportError as error:
        raise ConfigError("method optuna needs the package: pip install 'jmmrec[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found: dict[str, Any] = {}
    for name, one in space.items():
        if isinstance(one, Range):
            kind = kinds.IntDistribution if one.whole else kinds.FloatDistribution
            found[name] = kind(one.low, one.high, log=one.log)  # pyright: ignore[reportArgumentType]
        else:
            found[name] = kinds.CategoricalDistribution(one.values)

    def _sampler(number: int) -> Any:
        return optuna.samplers.TPESampler(seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))

    return optuna.create_study(direction="maximize"), found, _sampler
