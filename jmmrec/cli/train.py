"""`jmmrec train MODEL --data PATH`, and `jmmrec train --resume RUN`."""

import dataclasses
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

from jmmrec.cli import missing, options
from jmmrec.cli.main import STOPPED
from jmmrec.errors import CheckpointError, ConfigError

ABOUT = "Trains a model, keeps what was best on valid, evaluates it on valid and test."


@dataclasses.dataclass(frozen=True)
class Running:
    """What is said anew each time a run is started or continued."""

    quiet: bool = False
    """No progress display."""
    compile_cache: Path | None = None
    """Folder that keeps compiled programs for the next time."""


@dataclasses.dataclass(frozen=True)
class Resume:
    """`jmmrec train --resume RUN`: everything else stands in the run's record."""

    resume: Path
    """Run folder to continue, bit-identically."""
    epochs: int | None = None
    """So many in all, in place of fewer: a run that ended with its last epoch goes on, and ends as if it had been
    started with so many."""
    running: tyro.conf.OmitArgPrefixes[Running] = Running()


@dataclasses.dataclass(frozen=True)
class Common:
    """What every model is trained with."""

    data: str
    """Data set: folder, interaction file, or synthetic."""
    out: Path | None = None
    """Run folder to make; default runs/DATA-MODEL-NUMBER."""
    resume: bool = False
    """Continue the run in --out, which must have been started with the same options."""
    seeds: options.Seeds = (0,)
    """One run for each, together in one program."""
    all_data: bool = False
    """Train on the rows of valid and test as well, --epochs epochs, keeping the last: to serve, as nothing is left to
    judge the model by. The best epoch of a run on the split says how many."""
    adversarial: bool = False
    """Rank moved features beside the real ones (AMR), see --amr."""
    reading: tyro.conf.OmitArgPrefixes[options.DataOptions] = options.DEFAULT
    hiding: tyro.conf.OmitArgPrefixes[missing.Hiding] = missing.NOTHING_HIDDEN
    running: tyro.conf.OmitArgPrefixes[Running] = Running()


def run(argv: list[str]) -> int:
    """Trains or continues a run, evaluates it, prints what came out.

    Raises:
      JmmrecError: bad options or data, a damaged run, or training diverged.
    """
    # Set before jax is loaded: no lines about CPU features for each program that a cache holds.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if argv[:1] and not argv[0].startswith("-"):
        return _fresh(argv[0], argv[1:])
    asked = {word.partition("=")[0] for word in argv}
    if not asked & {"--resume", "-h", "--help"}:
        raise ConfigError("name what to train first: jmmrec train MODEL --data PATH; jmmrec models lists the models.")
    given = options.parse(Resume, argv, "jmmrec train", f"{ABOUT} A new run: jmmrec train MODEL --help.")
    return _carry_out(given.running, given.resume, _longer(_recorded(given.resume), given.epochs, given.resume))


def _options_of(name: str) -> Any:
    """What `jmmrec train NAME` is parsed into: options of reading, training, warm-up, model and combinators."""
    from jmmrec.models import class_of
    from jmmrec.train import Amr, Mdvt, TrainConfig, WarmupConfig

    flat, cls = tyro.conf.arg(name=""), class_of(name)
    groups = {
        "warmup": options.arguments(WarmupConfig, rename={"strategy": "warmup"}),
        "config": options.arguments(TrainConfig),
        "model": options.arguments(cls),
        "mdvt": options.arguments(Mdvt, omit=("backbone", "active", "taken")),
        "amr": options.arguments(Amr, omit=("backbone",)),
    }
    shapes: Any = {name: Annotated[one, flat] if name in ("warmup", "config") else one for name, one in groups.items()}
    defaults = {name: made() for name, made in groups.items()} | {"config": groups["config"](**cls.training)}
    fields = [(part, shapes[part], dataclasses.field(default=default)) for part, default in defaults.items()]
    return dataclasses.make_dataclass("Train", [("common", Annotated[Common, flat]), *fields], frozen=True)


def _fresh(name: str, argv: list[str]) -> int:
    from jmmrec.models import make, name_of
    from jmmrec.train import TrainConfig, WarmupConfig, with_amr, with_mdvt

    given = options.parse(_options_of(name), argv, f"jmmrec train {name}", ABOUT)
    common, mdvt, amr = given.common, options.changed(given.mdvt), options.changed(given.amr)
    model = make(name, **options.values(given.model))
    warmup, config = options.make(WarmupConfig, given.warmup), options.make(TrainConfig, given.config)
    for option in options.changed(given.warmup):
        if option not in warmup.reads:
            flag = option.replace("_", "-")
            raise ConfigError(f"--{flag} was given but a warm-up {warmup.strategy!r} does not read it.")
    for kind, asked, on, fix in (
        ("mdvt", mdvt, warmup.strategy != "none", "virtual triplets are off; choose a --warmup"),
        ("amr", amr, common.adversarial, "features are not moved; add --adversarial"),
    ):
        if asked and not on:
            raise ConfigError(f"--{kind}.{next(iter(asked)).replace('_', '-')} was given but {fix}.")
    short = name_of(model)
    if common.adversarial:
        model = with_amr(model, **amr)
    if warmup.strategy != "none":
        model = with_mdvt(model, **mdvt)
    if common.resume and common.out is None:
        raise ConfigError("--resume needs --out RUN, or say only: jmmrec train --resume RUN.")
    if common.all_data:
        _check_all_data(options.changed(given.config), warmup)
        config = dataclasses.replace(config, monitor="none")
    training = dataclasses.asdict(config)
    if "--epochs" not in {word.partition("=")[0] for word in argv}:
        if not config.judged:
            raise ConfigError("no valid metric tells when to stop; say how many epochs by --epochs.")
        del training["epochs"]  # a run is given more only where that is said
    data = common.hiding.apply(common.reading.load(common.data))
    data = data.all_in_train() if common.all_data else data
    arguments = {"model": model, "data": data, "warmup": warmup, "seeds": common.seeds, **training}
    folder = common.out or _unused(f"{data.name}-{short}")
    return _carry_out(common.running, folder, arguments | {"resume": common.resume})


def _check_all_data(asked: Mapping[str, Any], warmup: Any) -> None:
    """Raises `ConfigError` for options that need valid rows."""
    for option in ("monitor", "patience", "eval_every", "round_digits", "reset_patience"):
        if option in asked:
            raise ConfigError(f"--{option.replace('_', '-')} is about valid rows, of which --all-data leaves none.")
    if warmup.searches:
        raise ConfigError(
            f"--warmup {warmup.strategy} chooses by valid rows, of which --all-data leaves none; take dynamic, or "
            "static with the one of --thresholds that was chosen before."
        )


def _unused(stem: str) -> Path:
    """`runs/STEM-1`, or the first number that is not taken."""
    stem, number = re.sub(r"[^\w.-]+", "_", stem), 1
    while Path("runs", f"{stem}-{number}").exists():
        number += 1
    return Path("runs", f"{stem}-{number}")


def _recorded(folder: Path) -> dict[str, Any]:
    """The arguments of `jmmrec.fit` that a run was started with."""
    from jmmrec.data import load, replay
    from jmmrec.train import TrainConfig, WarmupConfig
    from jmmrec.train.record import RunFolder, model_of

    found = RunFolder(folder)
    if not found.exists:
        raise CheckpointError(f"{folder} holds no run to resume; start one with: jmmrec train MODEL --data PATH.")
    record = found.read()
    try:
        source, steps, warmup = record["data"]["source"], record["data"].get("steps", ()), record["warmup"]
        settings: dict[str, Any] = {
            "model": model_of(record),
            "warmup": WarmupConfig(**warmup),
            "seeds": record["seeds"],
            "resume": True,
            **dataclasses.asdict(TrainConfig(**record["config"])),
            "epochs": record.get("lengthened_to", record["config"]["epochs"]),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{folder / 'run.json'} is not the record of a run ({error!r}); train it anew."
        ) from error
    if not source:
        raise CheckpointError(f"the run in {folder} was trained on data made in memory; resume it from Python.")
    return settings | {"data": replay(load(**source), steps)}


def _longer(arguments: dict[str, Any], epochs: int | None, folder: Path) -> dict[str, Any]:
    """The arguments of a run with another number of epochs.

    Raises:
      ConfigError: fewer than it was started with, or more in a search.
    """
    before = arguments["epochs"]
    if epochs is None or epochs == before:
        return arguments
    if epochs < before:
        raise ConfigError(f"--epochs is {epochs}, but the run in {folder} goes to {before}; give more, or none.")
    if arguments["warmup"].searches:
        raise ConfigError(f"the run in {folder} searched its warm-up within {before} epochs; start another for more.")
    return arguments | {"epochs": epochs}


def _carry_out(running: Running, folder: Path, arguments: dict[str, Any]) -> int:
    import jax

    from jmmrec.api import fit
    from jmmrec.cli.outcome import announce

    if running.compile_cache:
        jax.config.update("jax_compilation_cache_dir", str(running.compile_cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    return _interruptible(folder, lambda: announce(fit(**arguments, out=folder, quiet=running.quiet)))


def _interruptible(folder: Path, job: Callable[[], None]) -> int:
    try:
        job()
    except KeyboardInterrupt:
        print(f"stopped; continue with: jmmrec train --resume {folder}", file=sys.stderr)
        return STOPPED
    return 0
