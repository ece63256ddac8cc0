"""`jmmrec train MODEL --data PATH`, and `jmmrec train --resume RUN`."""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from jmmrec.cli import options
from jmmrec.cli.main import STOPPED
from jmmrec.errors import CheckpointError, ConfigError, check_choice

ABOUT = "Trains a model, keeps what was best on valid, evaluates it on valid and test."


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """What is the same for a new and for a continued run."""

    quiet: bool = False
    """No progress display."""
    compile_cache: Path | None = None
    """Folder that keeps compiled programs for the next time."""


@dataclasses.dataclass(frozen=True)
class Resume:
    """`jmmrec train --resume RUN`: everything else stands in the run's record."""

    resume: Path
    """Run folder to continue, bit-identically."""
    run: tyro.conf.OmitArgPrefixes[RunOptions] = RunOptions()


def run(argv: list[str]) -> int:
    """Trains or continues a run, evaluates it, prints what came out.

    Raises:
      JmmrecError: bad options or data, a damaged run, or training diverged.
    """
    if argv[:1] and not argv[0].startswith("-"):
        return _fresh(argv[0], argv[1:])
    if not any(word.partition("=")[0] == "--resume" for word in argv) and not {"-h", "--help"} & set(argv):
        raise ConfigError("name what to train first: jmmrec train MODEL --data PATH; jmmrec models lists the models.")
    given = options.parse(Resume, argv, "jmmrec train", f"{ABOUT} A new run: jmmrec train MODEL --help.")
    return _carry_out(given.run, given.resume, lambda: _recorded(given.resume))


def _prepare(given: RunOptions) -> None:
    """Before jax is imported: where compiled programs go, and no lines about CPU features for each of them."""
    if given.compile_cache:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(given.compile_cache)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _recorded(folder: Path) -> dict[str, Any]:
    """The arguments of `jmmrec.fit` that a run was started with."""
    from jmmrec.train import TrainConfig, WarmupConfig
    from jmmrec.train.record import RunFolder, model_from

    found = RunFolder(folder)
    if not found.exists:
        raise CheckpointError(f"{folder} holds no run to resume; start one with: jmmrec train MODEL --data PATH.")
    record = found.read()
    try:
        if not record["data"]["source"]:
            raise CheckpointError(f"the run in {folder} was trained on data made in memory; resume it from Python.")
        warmup = record["warmup"] | {"thresholds": tuple(record["warmup"]["thresholds"])}
        return {
            "model": model_from(record["model"]),
            "data": _load(record["data"]["source"]),
            "warmup": WarmupConfig(**warmup),
            "config": TrainConfig(**record["config"]),
            "seeds": record["seeds"],
            "resume": True,
        }
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / 'run.json'} is not a record that this version can continue ({error}); train it anew."
        ) from error


def _load(source: dict[str, Any]) -> Any:
    from jmmrec.data import load

    return load(**source)


def _fresh(name: str, argv: list[str]) -> int:
    from jmmrec.models import MODELS

    check_choice("model", name, MODELS)
    given = options.parse(_options_of(name), argv, f"jmmrec train {name}", ABOUT)
    model, warmup, config = _settings(name, given)

    def arguments() -> dict[str, Any]:
        data = given.reading.load(given.data)
        if given.modalities_of_model(data):
            raise AssertionError
        return {"model": model, "data": data, "warmup": warmup, "config": config, "seeds": given.seeds}

    raise NotImplementedError(arguments)
