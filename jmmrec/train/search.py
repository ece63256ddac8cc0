"""Warm-up searches by trunk and branches: until it is activated, every run with one seed is the same run.

One trunk per seed is trained without virtual triplets. At each epoch count that some strategy may switch on, a
snapshot becomes a branch and continues with them. A branch is bit-identical to the run from scratch when every
program holds one run (`seeds_per_program=1`), because keys and batches depend on (seed, epoch, step) alone.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from jmmrec.errors import DivergenceError, as_tuple, check_choice, check_range
from jmmrec.train.lane import Lane
from jmmrec.train.trainer import Trainer
from jmmrec.train.warmup import PAPER_THRESHOLDS, Dynamic, Hybrid, Never, Policy, Static, WarmupState

STRATEGIES = ("none", "static", "dynamic", "hybrid")


@dataclasses.dataclass(frozen=True)
class WarmupConfig:
    """Which warm-up, with the options of MDVT.

    Attributes:
      strategy: `none` (the backbone alone), `static`, `dynamic`, `hybrid`, or `all` of them on shared branches.
      thresholds: T_S, plain epochs to try for `static`; one or several, of which the best on valid
        is kept.
      gap: g, the relative fall of the loss below which `dynamic` and `hybrid` switch on.
      span: s, `hybrid` tries up to s epochs before and after the dynamic one.
      static_rule: `text` (T_S plain epochs), `alg1` (one fewer) or `code` (one more).
      dynamic_rule: how the fall is measured, `code`, `abs` or `alg1`, see `Dynamic`.
      dynamic_min_epoch: the first epoch that it looks at; the rule `alg1` looks at all.

    >>> WarmupConfig("hybrid").searches
    True
    """

    strategy: str = "none"
    thresholds: tuple[int, ...] = PAPER_THRESHOLDS
    gap: float = 0.1
    span: int = 2
    static_rule: str = "text"
    dynamic_rule: str = "code"
    dynamic_min_epoch: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", as_tuple(self.thresholds))
        check_choice("warmup", self.strategy, (*STRATEGIES, "all"))
        check_range("the number of thresholds", len(self.thresholds), 1, 1000)
        for threshold in self.thresholds:
            Static(threshold, self.static_rule)
        assert self.hybrid

    @property
    def hybrid(self) -> Hybrid:
        """The hybrid search these options describe; its `dynamic` is the dynamic machine."""
        return Hybrid(Dynamic(self.gap, self.dynamic_rule, self.dynamic_min_epoch), self.span)

    @property
    def searches(self) -> bool:
        """Whether one policy is not enough and branches have to be tried."""
        return self.strategy in ("hybrid", "all") or (self.strategy == "static" and len(self.thresholds) > 1)

    @property
    def reads(self) -> tuple[str, ...]:
        """The options that this strategy depends on."""
        static = ("thresholds", "static_rule") if self.strategy in ("static", "all") else ()
        dynamic = ("gap", "dynamic_rule", "dynamic_min_epoch") if self.strategy not in ("none", "static") else ()
        return ("strategy", *static, *dynamic, *(("span",) if self.strategy in ("hybrid", "all") else ()))

    @property
    def strategies(self) -> tuple[str, ...]:
        """What a search with these options compares, the chosen one last."""
        return STRATEGIES if self.strategy == "all" else ("none", self.strategy)

    @property
    def policy(self) -> Policy:
        """The policy of a run that needs no search."""
        if self.strategy == "static":
            return Static(self.thresholds[0], self.static_rule)
        return self.hybrid.dynamic if self.strategy == "dynamic" else Never()


def wanted(
    count: int, trunk: Lane, firsts: Collection[int], reach: Sequence[tuple[Dynamic, int]]
) -> Literal["branch", "waiting"] | None:
    """The role of a branch that switches on after `count` plain epochs; None if nobody wants it.

    Args:
      firsts: of static searches. reach: dynamic rules, and how far around their T_cur branches are wanted.
    """
    role: Literal["branch", "waiting"] | None = "branch" if count in firsts else None
    for dynamic, span in reach:
        current = switched_on(trunk, dynamic)
        if current is not None and abs(count - current) <= span:
            role = "branch"
        elif current is None and count >= trunk.epoch - span and trunk.running:
            role = role or "waiting"
    return role


@dataclasses.dataclass(frozen=True)
class Search:
    """Grows branches on trunks and reads the strategies' outcomes from them.

    Attributes:
      warmup: options. strategies: which are wanted; several share their branches.
      reset_patience: as in `TrainConfig`.
    """

    warmup: WarmupConfig
    strategies: tuple[str, ...]
    reset_patience: bool = False

    @property
    def firsts(self) -> dict[int, int]:
        """T_S -> first epoch with the virtual loss, for the static strategy."""
        if "static" not in self.strategies:
            return {}
        return {t: Static(t, self.warmup.static_rule).first for t in self.warmup.thresholds}

    @property
    def span(self) -> int | None:
        """How far around T_cur branches are wanted; None if T_cur is not asked for."""
        if "hybrid" in self.strategies:
            return self.warmup.span
        return 0 if "dynamic" in self.strategies else None

    def trunks(self, trainer: Trainer, seeds: Sequence[int]) -> list[Lane]:
        """One fresh trunk for each seed."""
        return [trainer.start(seed, label=f"seed {seed}, trunk", role="trunk") for seed in seeds]

    def current(self, trunk: Lane) -> int | None:
        """T_cur: plain epochs of the dynamic run, or None if it never switched on."""
        return switched_on(trunk, self.warmup.hybrid.dynamic)

    def grow(self, lanes: Sequence[Lane]) -> list[Lane]:
        """All lanes, with a snapshot of each trunk that needs one now and without those no longer needed."""
        grown = []
        for lane in lanes:
            trunk = next(other for other in lanes if other.role == "trunk" and other.seed == lane.seed)
            if lane.role == "waiting":
                lane = self._settle(lane, trunk)
            grown += [] if lane is None else [lane]
        have = {lane.label for lane in grown}
        buds = [self._bud(lane) for lane in lanes if lane.role == "trunk"]
        return grown + [bud for bud in buds if bud is not None and bud.label not in have]

    def _wanted(self, count: int, trunk: Lane) -> str | None:
        reach = [] if self.span is None else [(self.warmup.hybrid.dynamic, self.span)]
        return wanted(count, trunk, self.firsts.values(), reach)

    def _settle(self, lane: Lane, trunk: Lane) -> Lane | None:
        role = self._wanted(lane.born, trunk)
        if role is None:
            return None
        return lane if role == lane.role else dataclasses.replace(lane, role=role)

    def _bud(self, trunk: Lane) -> Lane | None:
        role = self._wanted(trunk.epoch, trunk)
        return None if role is None or trunk.train is None else snapshot(trunk, role, self.reset_patience)

    def outcomes(self, lanes: Sequence[Lane], seed: int) -> dict[str, Lane]:
        """The lane that each wanted strategy ends with, chosen on valid alone; the trunk where it never switched on.

        Raises:
          DivergenceError: every branch of a strategy diverged.
        """
        mine = [lane for lane in lanes if lane.seed == seed]
        trunk = next(lane for lane in mine if lane.role == "trunk")
        at = {lane.born: lane for lane in mine if lane.role == "branch"}
        current = self.current(trunk)
        found = {"none": trunk}
        if self.firsts:
            found["static"] = max(
                (at.get(first, trunk) for _, first in sorted(self.firsts.items())), key=lambda lane: lane.best_score
            )
        found["dynamic"] = trunk if current is None else at.get(current, trunk)
        if "hybrid" in self.strategies:
            found["hybrid"] = trunk if current is None else at.get(self._best(at, trunk, current), trunk)
        for name in self.strategies:
            if found[name].lost:
                raise DivergenceError(f"every {name} warm-up of seed {seed} is lost: {found[name].stopped}")
        return {name: found[name] for name in self.strategies}

    def _best(self, at: Mapping[int, Lane], trunk: Lane, current: int) -> int:
        candidates = self.warmup.hybrid.candidates(current)
        return self.warmup.hybrid.choose({t: at.get(t, trunk).best_score for t in candidates}, current)

    def cost(self, lanes: Sequence[Lane], seed: int) -> tuple[int, int]:
        """Epochs trained for a seed, and epochs that runs from scratch for the same settings would train."""
        mine = [lane for lane in lanes if lane.seed == seed]
        trunk = next(lane for lane in mine if lane.role == "trunk")
        at = {lane.born: lane for lane in mine if lane.role == "branch"}
        current = self.current(trunk)
        counts = list(self.firsts.values())
        if self.span is not None:
            counts += [-1] if current is None else list(Hybrid(span=self.span).candidates(current))
        scratch = sum(at.get(count, trunk).epoch for count in counts)
        scratch += trunk.epoch if "none" in self.strategies else 0
        return sum(lane.epoch - lane.born for lane in mine), scratch


def snapshot(trunk: Lane, role: str, reset_patience: bool = False) -> Lane:
    """A trunk as it stands, switched on: the branch that continues from here with virtual triplets."""
    count = trunk.epoch
    stale = trunk.stale
    if reset_patience and count:  # as if just before the last plain epoch was judged, if it was
        stale = int("best" in trunk.history[-1] and trunk.best_epoch != count - 1)
    return dataclasses.replace(
        trunk,
        label=f"seed {trunk.seed}, T={count}",
        role=role,
        policy=Static(count),
        warmup=WarmupState(True, count, trunk.history[-1]["loss"] if trunk.history else None),
        stale=stale,
        born=count,
        times=(),
    )


def switched_on(trunk: Lane, dynamic: Dynamic) -> int | None:
    """T_cur: plain epochs before the dynamic rule switches on in this trunk's losses; None if it never does."""
    state = WarmupState()
    for record in trunk.history:
        state = dynamic.update(state, record["epoch"], record["loss"])
    return state.since
