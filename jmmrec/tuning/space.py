"""What a search may choose from: options by name, each with values or a range."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jmmrec.errors import ConfigError

PARTS = ("model", "config", "mdvt", "warmup", "amr")
WORDS = {"true": True, "false": False, "none": None}


@dataclasses.dataclass(frozen=True)
class Choices:
    """Some values.

    >>> Choices((1, 2)).draw(np.random.default_rng(0)) in (1, 2)
    True
    """

    values: tuple[Any, ...]

    def draw(self, rng: np.random.Generator) -> Any:
        """One of them."""
        return self.values[int(rng.integers(len(self.values)))]


@dataclasses.dataclass(frozen=True)
class Range:
    """All numbers from low to high, both included.

    Attributes:
      low, high: bounds; whole numbers if both are. log: evenly spread over magnitudes.

    >>> 1 <= Range(1, 4).draw(np.random.default_rng(0)) <= 4
    True
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ConfigError(
                f"a range goes from {self.low} to {self.high}{' by magnitude' if self.log else ''}; "
                "give the smaller bound first, and by magnitude only numbers above 0."
            )

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, rng: np.random.Generator) -> float:
        """One of them."""
        if self.log:
            found = float(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
            return max(int(self.low), min(int(self.high), round(found))) if self.whole else found
        if self.whole:
            return int(rng.integers(int(self.low), int(self.high) + 1))
        return float(rng.uniform(self.low, self.high))


Axis = Choices | Range


def axis(text: str) -> tuple[str, Axis]:
    """A name and what it may be: `model.reg=1e-4,1e-3`, `config.learning_rate=1e-4:1e-2:log`.

    Raises:
      ConfigError: no name, no value, or no part of a run by that name.

    >>> axis("model.n_layers=1:4"), axis("model.norm=sym_exact,sym_eps7")[1].values
    (('model.n_layers', Range(low=1, high=4, log=False)), ('sym_exact', 'sym_eps7'))
    """
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise ConfigError(
            f"{text!r} says nothing to choose from; write model.reg=1e-4,1e-3 or model.reg=1e-4:1e-2:log."
        )
    check_name(name)
    bounds = values.split(":")
    if len(bounds) in (2, 3):
        low, high = (value(bound) for bound in bounds[:2])
        if any(isinstance(bound, str) or bound is None for bound in (low, high)) or bounds[2:] not in ([], ["log"]):
            raise ConfigError(f"{values!r} is no range; write LOW:HIGH or LOW:HIGH:log with numbers.")
        return name, Range(low, high, len(bounds) == 3)
    return name, Choices(tuple(value(word) for word in values.split(",")))


def check_name(name: str) -> None:
    """Raises:
    ConfigError: a name that does not begin with a part of a run.
    """
    part, dot, option = name.partition(".")
    if part not in PARTS or not dot or not option:
        raise ConfigError(f"{name!r} is no option of a run; begin with {', '.join(f'{p}.' for p in PARTS)[:-1]}.")


def value(word: str) -> Any:
    """A number, true, false, none, or the word itself.

    >>> [value(word) for word in ("3", "1e-3", "true", "sum")]
    [3, 0.001, True, 'sum']
    """
    if word.lower() in WORDS:
        return WORDS[word.lower()]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def product(space: Mapping[str, Axis]) -> Iterator[dict[str, Any]]:
    """All combinations, the last name fastest.

    Raises:
      ConfigError: a range, which has no end of values.

    >>> list(product({"model.a": Choices((1, 2)), "model.b": Choices((3,))}))
    [{'model.a': 1, 'model.b': 3}, {'model.a': 2, 'model.b': 3}]
    """
    for name, one in space.items():
        if not isinstance(one, Choices):
            raise ConfigError(f"{name} is a range, which a grid cannot walk through; list values, or search at random.")
    for values in itertools.product(*(one.values for one in space.values() if isinstance(one, Choices))):
        yield dict(zip(space, values, strict=True))


def draw(space: Mapping[str, Axis], seed: int, number: int) -> dict[str, Any]:
    """The settings of a random search's trial; the same for the same seed and number.

    >>> draw({"model.a": Range(0.0, 1.0)}, 0, 3) == draw({"model.a": Range(0.0, 1.0)}, 0, 3)
    True
    """
    rng = np.random.default_rng([seed, number])
    return {name: one.draw(rng) for name, one in space.items()}


def as_space(over: Mapping[str, Axis | Sequence[Any]]) -> dict[str, Axis]:
    """Plain sequences as `Choices`, names checked.

    >>> as_space({"model.reg": [0.1, 0.2]})
    {'model.reg': Choices(values=(0.1, 0.2))}
    """
    if not over:
        raise ConfigError("there is nothing to search over; name an option and its values, e.g. model.reg=1e-4,1e-3.")
    for name, values in over.items():
        check_name(name)
        if not isinstance(values, Choices | Range) and (isinstance(values, str) or not len(values)):
            raise ConfigError(f"{name} has {values!r} to choose from; give a list of values or a range.")
    return {name: v if isinstance(v, Choices | Range) else Choices(tuple(map(plain, v))) for name, v in over.items()}


def plain(one: Any) -> Any:
    """NumPy's numbers as Python's, which search.json can hold.

    >>> plain(np.int64(4))
    4
    """
    return one.item() if isinstance(one, np.generic) else one


def by_part(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings of each part of a run; dots within a part become groups.

    >>> by_part({"model.reg": 1, "model.ot.refresh": "step"})["model"]
    {'reg': 1, 'ot': {'refresh': 'step'}}
    """
    parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for name, one in settings.items():
        *groups, option = name.split(".")
        place: Any = parts
        for group in groups:
            place = place.setdefault(group, {})
        place[option] = one
    return parts
