"""`jmmrec data describe|convert|split|missing|audit-modalities|augment-text|synthetic`; only the audit trains."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from jmmrec.cli import audit, augment, missing, options
from jmmrec.errors import ConfigError

ABOUT = {
    "describe": "statistics and findings of a data set, also of one that cannot be loaded",
    "convert": "any supported layout to MMRec's folder layout",
    "split": "the same with a new split",
    "missing": "what is missing, or would be with a drawn mask, which --out writes to a file",
    "audit-modalities": "whether a model uses each modality: trained with real, permuted, noise, constant, absent rows",
    "augment-text": "item texts improved by a language model, resumable, with a dry run",
    "synthetic": "a generated data set with known truth",
}


def run(argv: list[str]) -> int:
    """Runs one of the data commands.

    Raises:
      JmmrecError: no such command, or what it says itself.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print("\n".join(["usage: jmmrec data COMMAND ...", "", *(f"  {k:<16} {v}" for k, v in ABOUT.items())]))
        return 0
    runs = (_describe, _convert, _split, missing.run, audit.run, augment.run, _synthetic)
    commands = dict(zip(ABOUT, runs, strict=True))
    if argv[0] not in commands:
        raise ConfigError(f"there is no command 'data {argv[0]}'; there are {', '.join(commands)}.")
    commands[argv[0]](argv[1:], f"jmmrec data {argv[0]}", ABOUT[argv[0]])
    return 0


@dataclasses.dataclass(frozen=True)
class Describe:
    """What to look at."""

    path: tyro.conf.Positional[str]
    """Folder, interaction file, or synthetic."""
    inter: str | None = None
    """Which interaction file, where a folder has several."""
    modalities: options.Words = ()
    """Which to read; default all."""


@dataclasses.dataclass(frozen=True)
class Convert:
    """What to write where."""

    path: tyro.conf.Positional[str]
    """Folder, interaction file, or synthetic."""
    out: tyro.conf.Positional[Path]
    """Folder to make."""
    reading: tyro.conf.OmitArgPrefixes[options.DataOptions] = options.DEFAULT
    overwrite: bool = False
    """Replace a folder that holds nothing but such files."""


@dataclasses.dataclass(frozen=True)
class Split:
    """What to split how."""

    path: tyro.conf.Positional[str]
    """Folder or interaction file."""
    out: tyro.conf.Positional[Path]
    """Folder to make."""
    rule: str = "per_user"
    """per_user (MMRec's), leave_one_out or global_time."""
    core: int = 0
    """First reduce to the k-core of this k, e.g. 5."""
    seed: int = 0
    """Of the random order."""
    inter: str | None = None
    """Which interaction file, where a folder has several."""
    modalities: options.Words = ()
    """Which to write as well, e.g. image,audio; default all."""
    duplicates: str = "error"
    """error, or drop to keep the first of repeated rows."""
    missing: str = "marked"
    """marked, or nan to take all-NaN feature rows as missing items."""
    overwrite: bool = False
    """Replace a folder that holds nothing but such files."""


def _describe(argv: list[str], prog: str, about: str) -> None:
    from jmmrec.data import describe, inspect, load

    given = options.parse(Describe, argv, prog, about)
    if given.path == "synthetic" and not Path(given.path).exists():
        found = describe(load("synthetic", modalities=given.modalities or None))
    else:
        found = inspect(given.path, inter=given.inter, modalities=given.modalities or None)
    print(options.spelled(str(found)))


def _convert(argv: list[str], prog: str, about: str) -> None:
    given = options.parse(Convert, argv, prog, about)
    _save(given.reading.load(given.path), given.out, given.overwrite)


def _split(argv: list[str], prog: str, about: str) -> None:
    from jmmrec.data import load

    given = options.parse(Split, argv, prog, about)
    data = load(
        given.path, inter=given.inter, modalities=given.modalities or None, split=given.rule, seed=given.seed,
        core=given.core, duplicates=given.duplicates, missing=given.missing,
    )  # fmt: skip
    _save(data, given.out, given.overwrite)


def _synthetic(argv: list[str], prog: str, about: str) -> None:
    from jmmrec.data import SyntheticConfig, synthesize

    settings: Any = options.arguments(SyntheticConfig)
    fields = [
        ("out", tyro.conf.Positional[Annotated[Path, tyro.conf.arg(help="Folder to make.")]]),
        ("settings", Annotated[settings, tyro.conf.arg(name="")], dataclasses.field(default=settings())),
        (
            "overwrite",
            Annotated[bool, tyro.conf.arg(help="Replace a folder that holds nothing but such files.")],
            False,
        ),
    ]
    given: Any = options.parse(dataclasses.make_dataclass("SyntheticData", fields), argv, prog, about)
    _save(synthesize(options.make(SyntheticConfig, given.settings)).dataset, given.out, given.overwrite)


def _save(data: Any, out: Path, overwrite: bool) -> None:
    from jmmrec.data import save

    folder, parts = save(data, out, overwrite=overwrite), ("train", "valid", "test")
    counts = ", ".join(f"{len(getattr(data, part)):,} {part}" for part in parts)
    print(f"{data.n_users:,} users, {data.n_items:,} items, {counts} interactions written to {folder}.")
