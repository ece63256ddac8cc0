"""What a run folder says about its run: models, environment and results as plain values, and back."""

import contextlib
import dataclasses
import datetime
import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from jmmrec.errors import CheckpointError, ConfigError
from jmmrec.models import MODELS, Backbone, class_of, make, name_of
from jmmrec.models.own import named, source_digest
from jmmrec.train.adversarial import Amr
from jmmrec.train.checkpoint import write_file
from jmmrec.train.lane import Lane
from jmmrec.train.mdvt import Mdvt
from jmmrec.train.wrapper import Wrapper, innermost

COMBINATORS: dict[str, type[Wrapper]] = {"amr": Amr, "mdvt": Mdvt}  # from the inside out
PACKAGES = ("jmmrec", "jax", "jaxlib", "flax", "optax", "numpy", "scipy")


def model_record(model: Backbone) -> dict[str, Any]:
    """A model as plain values: name, options, and those of the combinators it is wrapped in.

    >>> from jmmrec.models import BprMf
    >>> model_record(BprMf(embed_dim=8))["options"]["embed_dim"]
    8
    """
    for kind, cls in COMBINATORS.items():
        if isinstance(model, cls):
            own = {f.name: getattr(model, f.name) for f in dataclasses.fields(model)}
            left_out = {"backbone"} if own.get("active") else {"backbone", "active"}  # the warm-up says when else
            own = {k: _plain(v) for k, v in own.items() if k not in left_out}
            return model_record(model.backbone) | {kind: own}
    options = dataclasses.asdict(model) if dataclasses.is_dataclass(model) else {}
    return {"name": name_of(model), "options": options}


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def default_record(model: Backbone) -> dict[str, Any]:
    """The record of the same model with every option at its default; empty where some have none.

    >>> default_record(make("bpr", embed_dim=8))["options"]["embed_dim"]
    64
    """
    try:
        return model_record(_default(model))
    except TypeError:
        return {}


def _default(model: Backbone) -> Backbone:
    return type(model)(_default(model.backbone)) if isinstance(model, Wrapper) else type(model)()


def agrees(before: Any, now: Any, default: Any) -> bool:
    """Whether two records say the same; an option that the earlier one does not know is at its default.

    >>> agrees({"lr": 0.1}, {"lr": 0.1, "new": 0}, {"lr": 1.0, "new": 0}), agrees({"lr": 0.1}, {"lr": 0.2}, {"lr": 0.1})
    (True, False)
    """
    if not (isinstance(before, dict) and isinstance(now, dict) and isinstance(default, dict)):
        return before == now
    return before.keys() <= now.keys() and all(
        agrees(before.get(name, default.get(name)), value, default.get(name)) for name, value in now.items()
    )


def wrappings(model: Backbone) -> list[str]:
    """Short names of the combinators around a backbone, from the inside out.

    >>> from jmmrec.models import Vbpr
    >>> wrappings(Mdvt(Amr(Vbpr())))
    ['amr', 'mdvt']
    """
    found = []
    while isinstance(model, Wrapper):
        found = [kind for kind, cls in COMBINATORS.items() if isinstance(model, cls)] + found
        model = model.backbone
    return found


def folder_of(out: str | Path | None) -> Path | None:
    """The folder to write to, if any.

    Raises:
      ConfigError: an empty name, which would be the working directory.

    >>> folder_of("runs/mine").name
    'mine'
    """
    if out == "":
        raise ConfigError("out is empty; name a folder, or leave it out to write nothing.")
    return None if out is None else Path(out)


def full_name(model: Backbone) -> str:
    """Name of a backbone with what stands around it, as tables have it.

    >>> from jmmrec.models import Vbpr
    >>> full_name(Mdvt(Amr(Vbpr())))
    'vbpr+amr+mdvt'
    """
    return "+".join([name_of(innermost(model)[0]), *wrappings(model)])


def class_record(model: Backbone) -> dict[str, str]:
    """Where the class of a backbone of one's own is found again, and of what code it is; empty for the library's.

    A class of a notebook or of a script that runs is not found again, but has code.

    >>> from jmmrec.models import BprMf
    >>> class_record(BprMf())
    {}
    """
    inner = innermost(model)[0]
    if type(inner) in MODELS.values():
        return {}
    where = named(inner)
    code = {"model_source": source_digest(type(inner), alone=where is None)}
    return code if where is None else {"model_class": where} | code


def source_of(model: Backbone) -> str:
    """Digest of the code of a backbone of one's own; empty for the library's.

    >>> from jmmrec.models import BprMf
    >>> source_of(BprMf())
    ''
    """
    return class_record(model).get("model_source", "")


def model_of(run: Mapping[str, Any]) -> Backbone:
    """The model of a run's record, the inverse of `model_record` and `class_record`.

    Raises:
      ConfigError: a backbone of one's own whose class cannot be found, or whose code has changed.
    """
    record, where = run["model"], run.get("model_class")
    name, fix = record["name"], "or open the run from Python with the model object: jmmrec.open_run(RUN, model=...)"
    if where is None and name not in MODELS:
        raise ConfigError(f"the run's model {name!r} is not one of jmmrec's; train it by FILE.py:CLASS, {fix}.")
    if where is not None:
        try:
            source = source_digest(class_of(where))
        except ConfigError as error:
            raise ConfigError(f"the run's model {name!r} is gone: {str(error).rstrip('.')}; {fix}.") from error
        if source != run.get("model_source", source):
            raise ConfigError(f"{where} has changed since the run was trained with it; restore it, {fix}.")
    backbone = make(where or name, **_tuples(record["options"]))
    for kind, cls in COMBINATORS.items():
        if kind in record:
            backbone = cls(backbone, **_tuples(record[kind]))
    return backbone


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that frozen configs hold."""
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def commit() -> str:
    """Of the checkout that jmmrec runs from, `-dirty` with changed code; empty where it runs from no checkout.

    >>> " " in commit()
    False
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # a release in an environment inside of somebody else's checkout
        return ""
    git = functools.partial(subprocess.check_output, cwd=root, text=True, stderr=subprocess.DEVNULL, timeout=10)
    try:
        head = git(["git", "rev-parse", "--short", "HEAD"]).strip()
        return head + "-dirty" * bool(git(["git", "status", "--porcelain", "--untracked-files=no", "--", "*.py"]))
    except (OSError, subprocess.SubprocessError):  # no git, no commit yet, or a very slow disk
        return ""


def environment() -> dict[str, Any]:
    """Versions, commit, machine and command of this process.

    >>> "jax" in environment()["versions"]
    True
    """
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    device = jax.devices()[0]
    return {
        "versions": versions | {"python": platform.python_version()},
        "commit": commit(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": f"{device.platform}: {device.device_kind}",
        "command": " ".join(sys.argv),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


class RunFolder:
    """Reads and writes `run.json` and `metrics.jsonl` of one run.

    Attributes:
      path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def exists(self) -> bool:
        """Whether a run was ever started here."""
        return (self.path / "run.json").exists()

    def read(self) -> dict[str, Any]:
        """The run record.

        Raises:
          CheckpointError: no run here, or its record cannot be read.
        """
        try:
            return json.loads((self.path / "run.json").read_text())
        except FileNotFoundError as error:
            raise CheckpointError(f"{self.path} is not a run folder: it has no run.json.") from error
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.path / 'run.json'} cannot be read ({error}); restore it or train anew."
            ) from error

    def write(self, record: dict[str, Any]) -> None:
        """Replaces the run record, at once or not at all."""
        write_file(self.path / "run.json", json.dumps(record, indent=1).encode() + b"\n")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes from training here; the lock ends with its process, however that ends.

        Raises:
          CheckpointError: another process trains here. (Not noticed where system or folder know no locks.)
        """
        with contextlib.ExitStack() as held:
            try:
                import fcntl

                self.path.mkdir(parents=True, exist_ok=True)
                file = held.enter_context(open(self.path / ".lock", "w"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CheckpointError(f"another process is at work in {self.path}; wait for it or end it.") from None
            except (ImportError, OSError):
                pass
            yield

    def update(self, **changes: Any) -> None:
        """Changes some entries of the run record."""
        self.write(self.read() | changes)

    def write_history(self, lanes: Sequence[Lane]) -> None:
        """Rewrites `metrics.jsonl` from lanes, so that a resumed run's log has no epoch twice."""
        lines = [_line(lane, record) for lane in lanes for record in lane.history[lane.born :]]
        write_file(self.path / "metrics.jsonl", "".join(lines).encode())

    def append_history(self, lanes: Sequence[Lane]) -> None:
        """Appends the last epoch of each lane to `metrics.jsonl`."""
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.writelines(_line(lane, lane.history[-1]) for lane in lanes)


def _line(lane: Lane, record: dict[str, Any]) -> str:
    return json.dumps({"lane": lane.label} | record, sort_keys=True) + "\n"  # as in checkpoints, which are read back
