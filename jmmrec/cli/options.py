"""Command-line options made from the library's dataclasses: same names, defaults and texts, checked in one place."""

import contextlib
import dataclasses
import io
import re
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from jmmrec.errors import ConfigError

T = TypeVar("T")


def parse(cls: Callable[..., T], argv: Sequence[str], prog: str, about: str = "") -> T:
    """An instance of a dataclass from arguments; prints help and leaves with code 0 where that was asked for.

    Raises:
      ConfigError: unknown, missing or unreadable options, in one sentence.

    >>> @dataclasses.dataclass
    ... class Options:
    ...     k: int = 3
    >>> parse(Options, ["--k", "5"], "jmmrec")
    Options(k=5)
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(cls, args=list(argv), prog=prog, description=about)
    except SystemExit as leaving:
        if leaving.code in (0, None):
            raise
        raise ConfigError(_sentence(said.getvalue(), prog)) from None


def _sentence(box: str, prog: str) -> str:
    """What tyro drew as a box, as one sentence: without the frame and what it says about single options."""
    parts: list[list[str]] = [[]]
    for line in box.splitlines()[1:]:
        line = line.strip("│╰╯").rstrip()
        if not line.strip("─ "):
            parts.append([])
        elif not line.startswith(" " * 8):  # deeper lines are help texts
            parts[-1].append(line.strip())
    kept = [" ".join(part) for part in parts if part and not part[0].startswith(("For full", "Argument helptext"))]
    text = re.sub(r"\.\s+(?=[A-Z])", ", ", "; ".join(part.rstrip(".") for part in kept))
    return f"{text[:1].lower()}{text[1:]}; see {prog} --help."


def texts(cls: type) -> dict[str, str]:
    """What the `Attributes:` of a dataclass's docstring say about each field.

    >>> @dataclasses.dataclass
    ... class Sizes:
    ...     '''Two.
    ...
    ...     Attributes:
    ...       n, m: sizes. k: how many.
    ...     '''
    ...     n: int
    ...     m: int
    ...     k: int
    >>> texts(Sizes)
    {'n': 'sizes.', 'm': 'sizes.', 'k': 'how many.'}
    """
    section = (cls.__doc__ or "").partition("Attributes:")[2].split("\n\n")[0]
    section = " ".join(section.split())
    name = "|".join(sorted((f.name for f in dataclasses.fields(cls)), key=len, reverse=True))
    heads = list(re.finditer(rf"(?:^|(?<=[.;] ))((?:{name})(?:, (?:{name}))*): ", section))
    found = {}
    for head, after in zip(heads, [*heads[1:], None], strict=False):
        text = section[head.end() : after.start() if after else None].strip()
        found |= dict.fromkeys(head[1].split(", "), text)
    return found


def arguments(
    cls: type, *, omit: Sequence[str] = (), rename: dict[str, str] | None = None, standing: Any = None
) -> Any:
    """A plain dataclass with the fields of `cls` for `parse`; it checks nothing, `make` does.

    A field that is a dataclass itself becomes a group of options, `--field.option`.

    Args:
      omit: fields left out. rename: field -> option. standing: one of the class, whose values are the defaults.

    >>> from jmmrec.data import SyntheticConfig
    >>> arguments(SyntheticConfig, omit=["seed"])().n_users
    600
    """
    about, rename, kinds = texts(cls), rename or {}, typing.get_type_hints(cls)
    fields = []
    for f in dataclasses.fields(cls):
        if f.name not in omit:
            option, kind = tyro.conf.arg(help=about.get(f.name, ""), name=rename.get(f.name)), kinds[f.name]
            default = f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
            default = default if standing is None else getattr(standing, f.name)
            group = isinstance(kind, type) and dataclasses.is_dataclass(kind)
            kind = arguments(kind, standing=default) if group else kind
            shape: Any = Annotated[kind, option, SHAPES[kind]] if kind in SHAPES else Annotated[kind, option]
            fields.append((f.name, shape, dataclasses.field(default=kind() if group else default)))
    made = dataclasses.make_dataclass(cls.__name__, fields, frozen=True)
    made.__doc__ = (cls.__doc__ or "").strip().splitlines()[0]
    return made


def make(cls: Callable[..., T], given: Any) -> T:
    """The real dataclass from what was parsed as `arguments(cls)`.

    Raises:
      ConfigError: a value outside its range.

    >>> from jmmrec.data import SyntheticConfig
    >>> make(SyntheticConfig, arguments(SyntheticConfig)(n_users=7)).n_users
    7
    """
    return cls(**values(given))


def values(given: Any) -> dict[str, Any]:
    """The fields of a parsed dataclass by name; groups, being checked by the model itself, as dictionaries.

    >>> from jmmrec.data import SyntheticConfig
    >>> values(arguments(SyntheticConfig, omit=["seed"])())["n_users"]
    600
    """
    found = {f.name: getattr(given, f.name) for f in dataclasses.fields(given)}
    return {name: values(value) if dataclasses.is_dataclass(value) else value for name, value in found.items()}


def changed(given: Any) -> dict[str, Any]:
    """The fields of a parsed dataclass that differ from their defaults.

    >>> from jmmrec.data import SyntheticConfig
    >>> changed(arguments(SyntheticConfig)(n_users=7))
    {'n_users': 7}
    """
    found = {f.name: (getattr(given, f.name), f.default) for f in dataclasses.fields(given)}
    return {
        name: values(value) if dataclasses.is_dataclass(value) else value
        for name, (value, default) in found.items()
        if value != default
    }


def _words(arguments: list[str]) -> list[str]:
    words = [word for text in arguments for word in text.split(",") if word]
    if not words:  # such as an empty "$STOCK", which must not mean everything
        raise ConfigError("nothing is named there; name something, or leave the option out")
    return words


def _many(read: Callable[[str], Any], metavar: str, show: Callable[[Any], str] = str) -> PrimitiveConstructorSpec:
    """Values separated by spaces or commas, read one by one."""
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=metavar,
        instance_from_str=lambda arguments: tuple(read(word) for word in _words(arguments)),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [show(one) for one in value],
    )


def _one(read: Callable[[str], Any], metavar: str, show: Callable[[Any], str] = str) -> PrimitiveConstructorSpec:
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda arguments: read(arguments[0]),
        is_instance=lambda value: value is not None,
        str_from_instance=lambda value: [show(value)],
    )


def _weight(word: str) -> tuple[str, float]:
    name, equals, number = word.partition("=")
    try:
        if not equals:
            raise ValueError
        return name, float(number)
    except ValueError:
        raise ConfigError(f"{word!r} is no weight; write NAME=NUMBER, e.g. image=0.1,audio=0.9") from None


def _kind(word: str) -> tuple[str, int, float]:
    try:
        name, dim, informativeness = word.split(":")
        return name, int(dim), float(informativeness)
    except ValueError:
        raise ConfigError(f"{word!r} is no modality; write NAME:DIM:INFORMATIVENESS, e.g. image:64:0.8") from None


def seeds_of(text: str) -> tuple[int, ...]:
    """Seeds as they are written: `0:5` (0 to 4), `0,3,7` or `4`.

    Raises:
      ConfigError: anything else, or none.

    >>> seeds_of("0:3"), seeds_of("0,3,7"), seeds_of("4")
    ((0, 1, 2), (0, 3, 7), (4,))
    """
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match and int(match[1]) < int(match[2]) <= int(match[1]) + 10_000:
        return tuple(range(int(match[1]), int(match[2])))
    if re.fullmatch(r"\d+(,\d+)*", text):
        return tuple(map(int, text.split(",")))
    raise ConfigError(f"seeds are {text!r}; write 0:5 for five from 0, 0,3,7 for these, or one number")


Words = Annotated[tuple[str, ...], _many(str, "NAME,NAME")]
Numbers = Annotated[tuple[int, ...], _many(int, "INT INT")]
Seeds = Annotated[tuple[int, ...], _one(seeds_of, "0:5|0,3,7|4", lambda seeds: ",".join(map(str, seeds)))]
SHAPES: dict[Any, PrimitiveConstructorSpec] = {
    tuple[int, ...]: _many(int, "INT INT"),
    tuple[str, ...]: _many(str, "NAME,NAME"),
    tuple[tuple[str, float], ...]: _many(_weight, "NAME=NUMBER,...", lambda pair: f"{pair[0]}={pair[1]}"),
    tuple[tuple[str, int, float], ...]: _many(_kind, "NAME:DIM:INFORMATIVENESS,...", lambda k: ":".join(map(str, k))),
    str | int: _one(lambda text: int(text) if text.lstrip("-").isdigit() else text, "NAME|INT"),
}


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """How to read a data set."""

    inter: str | None = None
    """Which interaction file, where a folder has several."""
    modalities: Words = ()
    """Which to read, e.g. image,audio; default all."""
    split: str | None = None
    """Split anew by per_user, leave_one_out or global_time; default: the labels in the file."""
    split_seed: int = 0
    """Seed of that split."""
    core: int = 0
    """With --split: first reduce to the k-core of this k."""
    duplicates: str = "error"
    """error, or drop to keep the first of repeated rows."""
    missing: str = "marked"
    """marked, or nan to take all-NaN feature rows as missing items."""

    def load(self, path: Path | str) -> Any:
        """The data set at a path, see `jmmrec.load`."""
        from jmmrec.data import load

        if self.split_seed and self.split is None and str(path) != "synthetic":
            raise ConfigError("--split-seed was given but nothing is split anew; add --split, or leave it out.")
        given = {"inter": self.inter, "modalities": self.modalities or None, "split": self.split, "core": self.core}
        return load(path, seed=self.split_seed, duplicates=self.duplicates, missing=self.missing, **given)


DEFAULT = DataOptions()


@dataclasses.dataclass(frozen=True)
class Moved:
    """Where the data of a finished run lie now."""

    data: str | None = None
    """The data set, if it is no longer where the run found it."""
    missing_mask: Path | None = None
    """The file of what is hidden, likewise."""

    def open(self, run: Path) -> Any:
        """The run in a folder, see `jmmrec.open_run`."""
        return self.open_all([run])[0]

    def open_all(self, runs: Sequence[Path]) -> list[Any]:
        """The runs in folders; the mask is for those that were trained with one.

        Raises:
          ConfigError: a mask, and no run that was trained with one. CheckpointError: see `jmmrec.open_run`.
        """
        from jmmrec.runs import open_run
        from jmmrec.train.record import RunFolder

        steps = {run: RunFolder(run).read().get("data", {}).get("steps", ()) for run in runs}
        masked = {run for run, done in steps.items() if any(step["do"] == "mask" for step in done)}
        if self.missing_mask is not None and not masked:
            raise ConfigError(f"--missing-mask was given but {runs[0]} was trained without a mask file; leave it out.")
        return [open_run(run, self.data, missing_mask=self.missing_mask if run in masked else None) for run in runs]


IN_PLACE = Moved()


@dataclasses.dataclass(frozen=True)
class Nothing:
    """No options."""


FLAGS = (
    "data", "duplicates", "impute", "inter", "items", "missing", "missing_mask", "monitor", "over", "skip_unknown",
    "split",
)  # fmt: skip


def spelled(sentence: str) -> str:
    """A sentence of the library with the options that commands have too as these have them.

    >>> spelled("load with duplicates='drop'; skip_unknown=True leaves them out.")
    'load with --duplicates drop; --skip-unknown leaves them out.'
    """

    def _flag(found: re.Match) -> str:
        return f"--{found[1].replace('_', '-')}" + ("" if found[2] == "True" else f" {found[2].strip(chr(39))}")

    return re.sub(rf"(?<![\w.])({'|'.join(FLAGS)})=('[^']*'|True)", _flag, sentence)


def show(*things: Any) -> None:
    """Prints text and tables, options spelled as here; where output is no terminal, tables are as wide as they need."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 200)
    for thing in things:
        if isinstance(thing, str):
            thing = spelled(thing)
        elif getattr(thing, "notes", ()):
            thing = dataclasses.replace(thing, notes=tuple(map(spelled, thing.notes)))
        console.print(thing, highlight=False, markup=not isinstance(thing, str), soft_wrap=isinstance(thing, str))
