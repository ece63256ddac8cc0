"""`jmmrec search MODEL --data PATH --over ...`, and MDVT's grid by `--grid`."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import tyro

from jmmrec.cli import missing, options
from jmmrec.errors import ConfigError

ABOUT = "Trains a model with many settings, chooses on valid, and says what choosing on test would have claimed."


@dataclasses.dataclass(frozen=True)
class GridOptions:
    """MDVT's grid; as it stands the paper's."""

    lams: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
    """λ."""
    ns: tuple[int, ...] = (1, 2, 4, 8)
    """Items on either side."""
    thresholds: tuple[int, ...] = (0, 5, 10, 20, 40, 80)
    """Static: plain epochs."""
    gaps: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4)
    """Dynamic and hybrid: g."""
    spans: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Hybrid: s."""
    cross: tuple[float, int] | None = None
    """A λ and an n: only pairs that differ from it in one of both."""


@dataclasses.dataclass(frozen=True)
class Search:
    """What to search."""

    model: tyro.conf.Positional[str]
    """jmmrec models lists them; FILE.py:CLASS is one of your own."""
    data: str
    """Data set: folder, interaction file, or synthetic."""
    over: tuple[str, ...] = ()
    """Options and what they may be: model.reg=1e-4,1e-3 config.learning_rate=1e-4:1e-2:log mdvt.n=1,2,4."""
    grid: bool = False
    """Instead of --over: MDVT's grid on shared trunks, see --mdvt."""
    fixed: tuple[str, ...] = ()
    """Options that all settings share: config.patience=10 mdvt.refresh=epoch warmup.strategy=static amr.eps=0.1."""
    method: str = "grid"
    """grid, random, or optuna."""
    trials: int | None = None
    """How many settings; a grid has as many as it has."""
    search_seed: int = 0
    """Of random and Optuna's proposals."""
    seeds: options.Seeds = (0,)
    """Each setting is trained with all of them."""
    metric: str = "recall@20"
    """Told on test at the end."""
    out: Path | None = None
    """Folder to make, or to continue; default runs/DATA-MODEL-search."""
    quiet: bool = False
    """No progress display."""
    memory: float = 0.0
    """GB for settings of --over that differ in numbers alone, or branches of --grid, that train in one program."""
    mdvt: GridOptions = GridOptions()
    reading: tyro.conf.OmitArgPrefixes[options.DataOptions] = options.DEFAULT
    hiding: tyro.conf.OmitArgPrefixes[missing.Hiding] = missing.NOTHING_HIDDEN


def run(argv: list[str]) -> int:
    """Searches, prints the table and the choice.

    Raises:
      JmmrecError: bad options or data, another search's folder, or training diverged.
    """
    given = options.parse(Search, argv, "jmmrec search", ABOUT)
    from jmmrec.models import make, name_of
    from jmmrec.retrieval import parse_metric

    short = name_of(make(given.model))
    parse_metric(given.metric)
    if given.grid == bool(given.over):
        raise ConfigError("say what to search: either --over with options and their values, or --grid for MDVT's.")
    _check_asked(given)
    data = given.hiding.apply(given.reading.load(given.data))
    out = given.out or Path("runs", f"{data.name}-{short}-{'grid' if given.grid else 'search'}")
    found = _grid(given, data, out) if given.grid else _search(given, data, out)
    best = "" if given.grid else f"; the best: {found.best.result.folder}"
    claims = (found.claims(given.metric),) if len(data.test) else ()
    options.show(found.table(given.metric) if given.grid else found.table(), "", *claims, f"Runs: {out}{best}")
    return 0


def _check_asked(given: Search) -> None:
    """Every option given is read by what is searched."""
    changed = options.changed(given)
    for option in ("method", "trials", "search_seed") if given.grid else ():
        if option in changed:
            raise ConfigError(f"--{option.replace('_', '-')} is for --over; --grid trains every cell of MDVT's grid.")
    if given.grid:
        return
    for option in options.changed(given.mdvt):
        raise ConfigError(f"--mdvt.{option} is part of --grid; with --over search MDVT's options as mdvt.lam=0.1,0.2.")


def _fixed(given: Search) -> dict[str, Any]:
    from jmmrec.tuning import Choices, axis

    found = {}
    for text in given.fixed:
        name, values = axis(text)
        if not isinstance(values, Choices) or len(values.values) != 1:
            raise ConfigError(f"--fixed {text} gives more than one value; put it into --over.")
        found[name] = values.values[0]
    return found


def _search(given: Search, data: Any, out: Path) -> Any:
    from jmmrec.tuning import axis, search

    over = dict(axis(text) for text in given.over)
    return search(
        given.model, data, over, method=given.method, trials=given.trials, seeds=given.seeds, given=_fixed(given),
        out=out, search_seed=given.search_seed, quiet=given.quiet, memory=int(given.memory * 2**30),
    )  # fmt: skip


def _grid(given: Search, data: Any, out: Path) -> Any:
    from jmmrec.tuning import Grid, mdvt_grid
    from jmmrec.tuning.space import by_part
    from jmmrec.tuning.trials import backbone_of

    parts = by_part(_fixed(given))
    warmup = {name: parts["warmup"].pop(name) for name in ("static_rule", "dynamic_rule", "dynamic_min_epoch")
              if name in parts["warmup"]}  # fmt: skip
    if parts["warmup"]:
        raise ConfigError(
            f"warmup.{next(iter(parts['warmup']))} is part of the grid; give --mdvt.thresholds and so on."
        )
    grid = Grid(**dataclasses.asdict(given.mdvt), **warmup)
    say = None if given.quiet else lambda text: print(text, file=sys.stderr, flush=True)
    return mdvt_grid(
        backbone_of(given.model, parts), data, grid, mdvt=parts["mdvt"], seeds=given.seeds, config=parts["config"],
        out=out, memory=int(given.memory * 2**30), say=say,
    )  # fmt: skip
