"""Settings of a search that differ in numbers alone, trained in vmapped programs of as many as fit."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jmmrec.data import Dataset
from jmmrec.models import Backbone
from jmmrec.result import Result
from jmmrec.runs import run_record, save_run
from jmmrec.train import Lane, Mdvt, TrainConfig, Trainer, WarmupConfig, train_lanes, trainer, with_mdvt
from jmmrec.train.adversarial import Amr
from jmmrec.train.record import RunFolder, environment
from jmmrec.train.wrapper import Wrapper, innermost

RATE = "config.learning_rate"


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting ready to be trained.

    Attributes:
      model: with all it is wrapped in. warmup, config: as in a run of its own. given: option -> value.
    """

    model: Backbone
    warmup: WarmupConfig
    config: TrainConfig
    given: Mapping[str, Any]


class Member(NamedTuple):
    """A setting in a group.

    Attributes:
      bound: its trainer, as it would be alone. numbers: what is its own, by its place in the model. warmup: its own.
    """

    bound: Trainer
    numbers: dict[str, float]
    warmup: WarmupConfig


def setting_of(backbone: Backbone, parts: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> Setting:
    """What `fit` would train of these options.

    Raises:
      ConfigError: an option that does not exist, or a value outside its range.
    """
    warmup, config = WarmupConfig(**parts["warmup"]), TrainConfig.of(backbone, **parts["config"])
    model = backbone if warmup.strategy == "none" else with_mdvt(backbone, **parts["mdvt"])
    return Setting(model, warmup, config, given)


def number_of(model: Backbone, name: str) -> str | None:
    """Where an option stands in a model, as `with_numbers` takes it; None unless it is a number by default.

    MDVT's n is one as `taken`: its items are the first ones of a larger n.

    >>> from jmmrec.models import Vbpr
    >>> number_of(with_mdvt(Vbpr()), "model.reg"), number_of(Vbpr(), "model.embed_dim")
    ('backbone.reg', None)
    """
    if name == "mdvt.n" and isinstance(model, Mdvt):
        return "taken" if model.n and model.variant.choose != "similar_frequent" else None
    part, _, option = name.partition(".")
    kind = {"mdvt": Mdvt, "amr": Amr, "model": Backbone}.get(part)
    path, holder = "", model
    while kind and isinstance(holder, Wrapper) and (kind is Backbone or not isinstance(holder, kind)):
        path, holder = f"{path}backbone.", holder.backbone
    *groups, last = option.split(".")
    for group in groups:
        holder = getattr(holder, group, None)
    fields = getattr(type(holder), "__dataclass_fields__", {})
    found = kind and last in fields and isinstance(fields[last].default, float)
    return path + option if found else None


def groups(
    dataset: Dataset, settings: Mapping[int, Setting], tell: Callable[[str], None]
) -> Iterator[dict[int, Member]]:
    """Settings that may share a program, by their number.

    They agree in all that is no number and in what the model prepares, and the model's program takes these numbers as
    arguments; when virtual triplets come in is each run's own affair. What stands alone in its group is left out, and
    so is what searches its warm-up.
    """
    left = {number: one for number, one in settings.items() if not one.warmup.searches}
    apart: set[str] = set()
    while left:
        first = next(iter(left.values()))
        names = [name for name in _numbers(first) if name not in apart]
        same = {n: one for n, one in left.items() if _others(one, names) == _others(first, names)}
        varied = [name for name in names if len({one.given[name] for one in same.values()}) > 1]
        found = _prepared(dataset, same, varied) if len(same) > 1 else {}
        if len(found) > 1 and (culprit := _read_early(next(iter(found.values())).bound, first, varied)):
            apart.add(culprit)  # from now on its values are so many groups
            tell(f"{culprit} is read while a program is built, so settings that differ in it train apart.")
            continue
        left = {n: one for n, one in left.items() if one is not first and n not in found}
        if len(found) > 1:
            yield found


def _numbers(one: Setting) -> list[str]:
    """Options that may be arguments of a program."""
    plain = [name for name, given in one.given.items() if type(given) in (int, float)]
    return [name for name in plain if name == RATE or number_of(one.model, name)]


def _others(one: Setting, names: Sequence[str]) -> dict[str, Any]:
    free = {*names} & {*_numbers(one)}
    if isinstance(one.model, Mdvt):
        free |= {name for name in one.given if name.startswith("warmup.")}
    return {name: "its own" if name in free else value for name, value in one.given.items()}


def _prepared(dataset: Dataset, same: Mapping[int, Setting], varied: Sequence[str]) -> dict[int, Member]:
    """The settings that prepare what the first one does, and hold it together."""
    data, found = dataset.for_training(), {}
    leader: Trainer | None = None
    for number, one in same.items():
        if leader is None:
            leader = trainer(one.model, data, one.config)
        elif not _equal(leader.static, one.model.prepare(data)):
            continue
        numbers = {place: float(one.given[name]) for name in varied if (place := number_of(one.model, name))}
        own = dataclasses.replace(leader, model=one.model, config=one.config)
        found[number] = Member(own, numbers, one.warmup)
    return found


def _read_early(bound: Trainer, one: Setting, names: Sequence[str]) -> str | None:
    """The first of these options that the program cannot take as an argument."""
    lane = bound.start(0)
    for name in names:
        place = number_of(one.model, name)
        try:
            bound.traced([dataclasses.replace(lane, numbers=((place, 0.5),) if place else ())])
        except (jax.errors.JAXTypeError, TypeError):
            return name
    return None


def _equal(first: Any, other: Any) -> bool:
    if jax.tree.structure(first) != jax.tree.structure(other):
        return False
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True))


def train_together(
    group: Mapping[int, Member], seeds: Sequence[int], memory: int
) -> Iterator[tuple[int, Trainer, list[Lane]]]:
    """Trains a group, all its seeds too, in programs of as many as `memory` bytes hold.

    Returns:
      of each setting its number, its trainer and its lanes, seed by seed, as if each had been trained alone; those
      that diverged are lost.

    Raises:
      ConfigError: not even one fits.
    """
    jobs = [(number, seed) for number in group for seed in seeds]
    bound = _roomiest(group)
    size = min(len(jobs), bound.fitting(_lane(bound, group, *jobs[0]), memory))
    bound = dataclasses.replace(bound, config=dataclasses.replace(bound.config, seeds_per_program=size))
    done: dict[int, list[Lane]] = {}
    for low in range(0, len(jobs), size):
        lanes = [_lane(bound, group, number, seed) for number, seed in jobs[low : low + size]]
        for (number, seed), lane in zip(jobs[low : low + size], train_lanes(bound, lanes), strict=True):
            plain = dataclasses.replace(lane, label=f"seed {seed}", role="plain", numbers=(), rate=None)
            done.setdefault(number, []).append(plain)
            if len(done[number]) == len(seeds):
                yield number, group[number].bound, done.pop(number)


def _roomiest(group: Mapping[int, Member]) -> Trainer:
    """The trainer of the program: the largest n of all."""
    bounds = [member.bound for member in group.values()]
    return max(bounds, key=lambda bound: bound.model.n if isinstance(bound.model, Mdvt) else 0)


def _lane(bound: Trainer, group: Mapping[int, Member], number: int, seed: int) -> Lane:
    own = group[number]
    model = own.bound.model
    if innermost(model)[0] != innermost(bound.model)[0]:  # a number may be read in `init` as well
        if isinstance(model, Mdvt) and isinstance(bound.model, Mdvt):
            model = dataclasses.replace(model, n=bound.model.n)  # with room for the mined items of all
        bound = dataclasses.replace(bound, model=model)
    lane = bound.start(seed, own.warmup.policy, label=f"setting {number}, seed {seed}", role="branch")
    return dataclasses.replace(lane, numbers=tuple(own.numbers.items()), rate=own.bound.config.learning_rate)


def kept(
    bound: Trainer, warmup: WarmupConfig, dataset: Dataset, lanes: Sequence[Lane], path: Path | None
) -> Result | None:
    """What `fit` would return and write; None, and so noted, where a seed diverged."""
    lost = [lane.stopped for lane in lanes if lane.lost]
    if lost:
        if path:
            record = run_record(bound.model, warmup, bound.config, [lane.seed for lane in lanes], dataset)
            RunFolder(path).write(record | environment() | {"status": "diverged", "reason": lost[0]})
        return None
    trained = sum(lane.epoch for lane in lanes)
    chosen, epochs = {lane.seed: lane for lane in lanes}, (trained, trained)
    result = Result(bound.model, dataset, bound.config, bound.static, chosen, {}, epochs, warmup=warmup)
    return dataclasses.replace(result, folder=save_run(result, path)) if path else result
