"""MDVT's whole grid on shared trunks: λ, n, static thresholds, gaps and spans, every run from scratch but trained once.

Until virtual triplets come in, all settings of a seed are the same run. One trunk is trained for each seed; where some
setting may switch on a snapshot is kept, and each pair of λ and n continues from it. Dynamic and hybrid settings are
read from these branches, since a dynamic run is the branch of the epoch where its rule switched on.
"""

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jmmrec.api import DataLike, check_seeds
from jmmrec.data import Dataset, as_dataset
from jmmrec.errors import ConfigError, DivergenceError, as_tuple, check_whole
from jmmrec.models import Backbone, as_backbone
from jmmrec.report.stats import interval
from jmmrec.report.tables import Cell, Estimate, Table
from jmmrec.result import Result
from jmmrec.retrieval import parse_metric
from jmmrec.train import (
    Dynamic,
    Evaluation,
    Hybrid,
    Lane,
    Mdvt,
    Static,
    TrainConfig,
    WarmupConfig,
    check_monitor,
    evaluate_split,
    trainer,
    with_mdvt,
)
from jmmrec.train.record import default_record, folder_of, model_record, source_of
from jmmrec.train.search import snapshot, switched_on, wanted
from jmmrec.train.warmup import PAPER_THRESHOLDS
from jmmrec.tuning.shelf import Shelf

Key = tuple[str, float, int, float | None, int | None]  # strategy, λ, n, threshold or gap, span


@dataclasses.dataclass(frozen=True)
class Grid:
    """The paper's grid (MDVT, section 4.1.4), or another.

    Attributes:
      lams: λ. ns: n. thresholds: T_S. gaps: g. spans: s of the hybrid search around T_cur.
      static_rule, dynamic_rule, dynamic_min_epoch: as in `WarmupConfig`. cross: (λ, n); only pairs that differ from
        it in one of both, as figures over one of them need.

    >>> len(list(Grid().cells())), Grid(lams=(0.1, 0.2), ns=(2, 4), cross=(0.2, 2)).pairs
    (600, [(0.1, 2), (0.2, 2), (0.2, 4)])
    """

    lams: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
    ns: tuple[int, ...] = (1, 2, 4, 8)
    thresholds: tuple[int, ...] = PAPER_THRESHOLDS
    gaps: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4)
    spans: tuple[int, ...] = (1, 2, 3, 4, 5)
    static_rule: str = "text"
    dynamic_rule: str = "code"
    dynamic_min_epoch: int = 3
    cross: tuple[float, int] | None = None

    def __post_init__(self) -> None:
        for name in ("lams", "ns", "thresholds", "gaps", "spans"):
            values = as_tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if len(set(values)) < len(values) or (not values and name in ("lams", "ns")):
                raise ConfigError(f"{name} are {list(values)}; give each value once, and λ and n at all.")
        for threshold in self.thresholds:
            Static(threshold, self.static_rule)
        for gap, span in itertools.product(self.gaps, self.spans):
            Hybrid(self.dynamic(gap), span)
        if not (self.thresholds or self.gaps):
            raise ConfigError("the grid has neither thresholds nor gaps, so no cell; give some of either.")
        if 0 in self.lams:
            raise ConfigError("λ = 0 is the backbone alone, which is trained in any case; leave it out.")
        if self.cross is not None:
            object.__setattr__(self, "cross", tuple(self.cross))
            if self.cross not in itertools.product(self.lams, self.ns):
                raise ConfigError(f"cross is {self.cross}, which is not a λ of {self.lams} and an n of {self.ns}.")

    def dynamic(self, gap: float) -> Dynamic:
        """The dynamic rule with this gap."""
        return Dynamic(gap, self.dynamic_rule, self.dynamic_min_epoch)

    @functools.cached_property
    def known(self) -> frozenset:
        """All cells, to look one up."""
        return frozenset(self.cells())

    @property
    def pairs(self) -> list[tuple[float, int]]:
        """λ and n of all arms."""
        every, at = list(itertools.product(self.lams, self.ns)), self.cross
        return every if at is None else [(lam, n) for lam, n in every if lam == at[0] or n == at[1]]

    def cells(self) -> "list[Key]":
        """All cells: strategy, λ, n, its threshold or gap, its span."""
        found: list[Key] = []
        for lam, n in self.pairs:
            found += [("static", lam, n, t, None) for t in self.thresholds]
            found += [("dynamic", lam, n, g, None) for g in self.gaps]
            found += [("hybrid", lam, n, g, s) for g, s in itertools.product(self.gaps, self.spans)]
        return found

    def grow(self, lanes: Sequence[Lane], reset_patience: bool = False) -> list[Lane]:
        """All lanes, with the snapshots that some cell needs or may yet need."""
        trunks = {lane.seed: lane for lane in lanes if lane.role == "trunk"}
        have = {lane.label for lane in lanes}
        kept = [lane for lane in lanes if lane.role == "trunk" or self._wanted(lane.born, trunks[lane.seed])]
        ready = [t for t in trunks.values() if t.train is not None and self._wanted(t.epoch, t)]
        buds = [snapshot(trunk, "waiting", reset_patience) for trunk in ready]
        return kept + [bud for bud in buds if bud.label not in have]

    def _wanted(self, count: int, trunk: Lane) -> bool:
        firsts = {Static(t, self.static_rule).first for t in self.thresholds}
        reach = [(self.dynamic(gap), max(self.spans, default=0)) for gap in self.gaps]
        return wanted(count, trunk, firsts, reach) is not None


@dataclasses.dataclass(frozen=True, eq=False)
class GridResult:
    """A finished grid.

    Attributes:
      grid, monitor: what was searched, and the valid metric that chose. trunks: seed -> lane without virtual triplets.
      branches: (seed, λ, n, plain epochs) -> lane. model, static, dataset, config: for evaluations.
    """

    grid: Grid
    monitor: str
    trunks: Mapping[int, Lane]
    branches: Mapping[tuple[int, float, int, int], Lane]
    model: Mdvt
    static: Any
    dataset: Dataset
    config: TrainConfig

    def __repr__(self) -> str:
        return f"GridResult({len(self.grid.cells())} cells, seeds={list(self.trunks)}, epochs={self.epochs[0]:,})"

    def lane(self, key: Key, seed: int) -> Lane:
        """The run of a cell: what it would have ended with from scratch, bit for bit.

        Raises:
          ConfigError: a cell that the grid does not have.
        """
        if key not in self.grid.known:
            raise ConfigError(f"this grid has no {key[0]} cell with {setting(key)}; train one that has.")
        strategy, lam, n, first, span = key
        trunk = self.trunks[seed]

        def _at(count: int) -> Lane:
            return self.branches.get((seed, lam, n, count), trunk)

        if strategy == "static":
            return _at(Static(int(first or 0), self.grid.static_rule).first)
        dynamic = self.grid.dynamic(float(first or 0))
        current = switched_on(trunk, dynamic)
        if current is None or strategy == "dynamic":
            return trunk if current is None else _at(current)
        hybrid = Hybrid(dynamic, int(span or 0))
        return _at(hybrid.choose({t: _at(t).best_score for t in hybrid.candidates(current)}, current))

    def score(self, key: Key) -> list[float]:
        """Best valid score of a cell, seed by seed."""
        return [self.lane(key, seed).best_score for seed in self.trunks]

    @functools.cached_property
    def finished(self) -> tuple[Key, ...]:
        """Cells of which no run diverged."""
        return tuple(
            key for key in self.grid.cells() if all(self.lane(key, seed).best is not None for seed in self.trunks)
        )

    def best(self, strategy: str) -> Key:
        """The cell of a strategy with the best mean valid score; of equal ones the first.

        Raises:
          DivergenceError: all of them diverged.
        """
        cells = [key for key in self.finished if key[0] == strategy]
        if not cells:
            raise DivergenceError(f"every {strategy} cell diverged; lower the learning rate.")
        return max(cells, key=lambda key: np.mean(self.score(key)))

    def evaluate(self, key: Key | None, split: str = "test", mask: str = "train", **options: Any) -> Evaluation:
        """Metrics of a cell; None is the backbone alone.

        Raises:
          ConfigError: a cell that the grid does not have. DivergenceError: one of its seeds diverged.
        """
        runs = {seed: lane.best for seed, lane in self._whole(key).items() if lane.best}
        options.setdefault("memory", self.config.rank_memory)
        return evaluate_split(self.model, runs, self.static, self.dataset, split=split, mask=mask, **options)

    def _whole(self, key: Key | None) -> dict[int, Lane]:
        """The runs of a cell, seed by seed, all of them there."""
        lanes = {seed: trunk if key is None else self.lane(key, seed) for seed, trunk in self.trunks.items()}
        lost = [lane.stopped for lane in lanes.values() if lane.best is None]
        if lost:
            raise DivergenceError(f"the run of {setting(key) or 'the backbone'} is lost: {lost[0]}")
        return lanes

    def result(self, key: Key | None) -> Result:
        """The run of a cell, or the backbone's (None), as `fit` returns it: to recommend, to plot, for `save_run`.

        Raises:
          ConfigError: a cell that the grid does not have. DivergenceError: one of its seeds diverged.
        """
        lanes = self._whole(key)
        trained = sum(lane.epoch for lane in lanes.values())
        common = {"dataset": self.dataset, "config": self.config, "outcomes": {}, "epochs": (trained, trained)}
        if key is None:
            plain = {seed: (lane.best[0], lane.best[1]["backbone"]) for seed, lane in lanes.items() if lane.best}
            lanes = {seed: dataclasses.replace(lane, best=plain[seed]) for seed, lane in lanes.items()}
            return Result(self.model.backbone, static=self.static["backbone"], lanes=lanes, **common)
        strategy, lam, n, first, span = key
        found = {"thresholds": int(first or 0)} if strategy == "static" else {"gap": first}
        found |= {} if span is None else {"span": span}
        rules = {name: getattr(self.grid, name) for name in ("static_rule", "dynamic_rule", "dynamic_min_epoch")}
        model = dataclasses.replace(self.model, lam=lam, n=n)
        warmup = WarmupConfig(strategy, **found, **rules)  # pyright: ignore[reportArgumentType]
        return Result(model, static=self.static, lanes=lanes, warmup=warmup, **common)

    @property
    def epochs(self) -> tuple[int, int, int]:
        """Epochs trained; of all different runs from scratch, each once; of every cell from scratch."""
        trained = sum(lane.epoch for lane in self.trunks.values())
        trained += sum(lane.epoch - lane.born for lane in self.branches.values())
        once = sum(lane.epoch for lane in [*self.trunks.values(), *self.branches.values()])
        return trained, once, sum(lane.epoch for lane in self._scratch)

    @property
    def seconds(self) -> tuple[float, float] | None:
        """Wall time of the epochs trained; of every cell from scratch one after the other, at the pace of its epochs.

        Compiling is in the first alone, since a pace is a lane's median epoch. Branches that shared a program have an
        even share of its time, which is less than alone. None where an older version trained some of them.
        """
        lanes = [*self.trunks.values(), *self.branches.values()]
        if not all(lane.timed for lane in lanes):
            return None
        plain = {seed: trunk.pace for seed, trunk in self.trunks.items()}
        whole = {id(lane): plain[lane.seed] * lane.born + lane.pace * (lane.epoch - lane.born) for lane in lanes}
        return sum(sum(lane.times) for lane in lanes), sum(whole[id(lane)] for lane in self._scratch)

    @functools.cached_property
    def _scratch(self) -> list[Lane]:
        """The backbone's runs and those of every cell, as often as they would be trained from scratch."""
        cells = itertools.product(self.trunks, self.grid.cells())
        return [*self.trunks.values(), *(lane for seed, key in cells for lane in self._runs(key, seed))]

    def _runs(self, key: Key, seed: int) -> list[Lane]:
        """The runs that one cell trains when it stands alone."""
        strategy, lam, n, first, span = key
        current = None if strategy == "static" else switched_on(self.trunks[seed], self.grid.dynamic(float(first or 0)))
        if strategy != "hybrid" or current is None:
            return [self.lane(key, seed)]
        counts = Hybrid(self.grid.dynamic(float(first or 0)), int(span or 0)).candidates(current)
        return [self.branches.get((seed, lam, n, count), self.trunks[seed]) for count in counts]

    def table(self, metric: str = "recall@20") -> Table:
        """The backbone, and of each strategy of which a cell has finished the one best on valid, on valid and test."""
        name, k = parse_metric(metric)
        metric = f"{name}@{k}"
        rows: list[tuple[Cell, ...]] = []
        for strategy in ("none", *dict.fromkeys(key[0] for key in self.finished)):
            key = None if strategy == "none" else self.best(strategy)
            scores = [lane.best_score for lane in self.trunks.values()] if key is None else self.score(key)
            test = self.evaluate(key, ks=(k,), metrics=(name,)).per_seed[metric]
            rows.append((strategy, setting(key), Estimate(interval(scores)), Estimate(interval(test))))
        trained, once, every = self.epochs
        note = (
            f"{len(self.grid.cells())} cells: {trained:,} epochs trained; {once:,} if every different run began from "
            f"scratch, {every:,} if every cell did."
        )
        if self.seconds is not None:
            spent, alone = self.seconds
            note += f" Their wall time: {spent:,.0f} s; {alone:,.0f} s if every cell began from scratch, one by one."
        known = set(self.finished)
        lost = [f"{key[0]}, {setting(key)}" for key in self.grid.cells() if key not in known]
        notes = (note, *([f"Diverged: {'; '.join(lost)}."] if lost else []))
        facts = {"masked": "train", "seeds": ",".join(map(str, self.trunks))}
        columns = ("strategy", "setting", f"valid {self.monitor}", f"test {metric}")
        return Table("", columns, tuple(rows), notes, facts)

    def claims(self, metric: str = "recall@20") -> str:
        """What a choice of the cell on test rows would have claimed beside the honest number."""
        name, k = parse_metric(metric)
        metric = f"{name}@{k}"
        known: dict[tuple[int, ...], float] = {}
        found: dict[Key, float] = {}
        for key in self.finished:
            same = tuple(id(self.lane(key, seed)) for seed in self.trunks)
            known[same] = known.get(same) or self.evaluate(key, ks=(k,), metrics=(name,)).mean[metric]
            found[key] = known[same]
        if not found:
            return "Every cell diverged, so nothing was chosen."
        honest = max(found, key=lambda key: np.mean(self.score(key)))
        most = max(found, key=lambda key: found[key])
        return (
            f"Chosen on valid, test {metric} is {found[honest]:.4f} ({honest[0]}, {setting(honest)}). "
            f"Chosen on test it would be told as {found[most]:.4f} ({most[0]}, {setting(most)}), "
            f"{found[most] - found[honest]:.4f} more than it is worth."
        )


def setting(key: Key | None) -> str:
    """A cell in words.

    >>> setting(("hybrid", 0.2, 4, 0.1, 2))
    'λ 0.2, n 4, g 0.1, s 2'
    """
    if key is None:
        return ""
    strategy, lam, n, first, span = key
    which = f"T {first}" if strategy == "static" else f"g {first}"
    return f"λ {lam}, n {n}, {which}" + ("" if span is None else f", s {span}")


def mdvt_grid(
    model: str | Backbone,
    data: DataLike,
    grid: Grid = Grid(),
    *,
    mdvt: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (0,),
    config: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    memory: int = 0,
    say: Any = None,
) -> GridResult:
    """Trains MDVT's grid on one backbone and data set.

    Args:
      mdvt: options that all cells share, e.g. {"refresh": "epoch"}. config: fields of `TrainConfig`.
      out: a folder; called again with the same, the grid continues. memory: bytes for branches that train together in
        one vmapped program (for accelerators; equal to runs alone within float tolerance); 0 trains each alone, bit
        for bit. say: called with a line of text now and then.

    Raises:
      ConfigError: bad options, or some that cannot share a program. CheckpointError: the folder is of another grid.

    >>> small = Grid(lams=(0.2,), ns=(1,), thresholds=(0, 1), gaps=(), spans=())
    >>> found = mdvt_grid("bpr", "synthetic", small, config={"epochs": 2, "patience": 9})
    >>> found.epochs[0]
    5
    """
    dataset, backbone, seeds = as_dataset(data), as_backbone(model), check_seeds(seeds)
    settings = TrainConfig.of(backbone, **{"seeds_per_program": 1, **(config or {})})
    check_whole("n", max(grid.ns), 1, dataset.n_items)
    for name in {"lam", "n"} & set(mdvt or {}):
        raise ConfigError(f"mdvt has {name}, which the grid goes through; give it as the grid's {name}s instead.")
    base = with_mdvt(backbone, **{**(mdvt or {}), "n": max(grid.ns), "lam": grid.lams[0]})
    if memory and (0 in grid.ns or base.variant.choose == "similar_frequent"):
        raise ConfigError("n = 0 and choose='similar_frequent' are not the first items of a larger n; leave memory 0.")
    arms = [dataclasses.replace(base, lam=lam, n=n) for lam, n in grid.pairs]
    check_monitor(settings, dataset.for_training(), chooses=True)
    bound = trainer(base, dataset.for_training(), settings)
    about = {
        "grid": dataclasses.asdict(grid), "model": model_record(base), "config": dataclasses.asdict(settings),
        "data": dataset.digest, "seeds": list(seeds),
    }  # fmt: skip
    defaults: dict[str, Any] = {"grid": dataclasses.asdict(Grid()), "model": default_record(base)}
    defaults["config"] = dataclasses.asdict(TrainConfig())
    for record in (about, defaults):  # a folder that does not say whose code it is of is taken for this one's
        record["source"] = source_of(base)
    shelf = Shelf(folder_of(out), bound, about, defaults)
    tell = say or (lambda text: None)
    lanes = shelf.trunks(seeds, functools.partial(grid.grow, reset_patience=settings.reset_patience), tell)
    trunks = {lane.seed: lane for lane in lanes if lane.role == "trunk"}
    starts = [lane for lane in lanes if lane.role == "waiting"]
    jobs = list(itertools.product(starts, arms))
    branches = dict(shelf.branches(jobs, memory, tell))
    return GridResult(grid, settings.monitor, trunks, branches, base, bound.static, dataset, settings)
