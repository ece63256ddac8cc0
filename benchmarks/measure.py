"""Timing: variants take turns, so that whatever else the machine does meets all of them alike."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax


@dataclasses.dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some numbers.

    >>> str(Spread.of([1.0, 4.0, 2.0]))
    '2 (1–4)'
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """From the numbers themselves."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return "{} ({}–{})".format(*(_short(v) for v in (self.median, self.low, self.high)))


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the report.

    Attributes:
      part: heading it stands under. what: variant measured. seconds: one for each round, of `scale` repeats of it.
      against: seconds of the variant it is compared with, round by round; None for that variant itself.
      bytes: temporary memory of the compiled program. note: anything else worth a column.
    """

    part: str
    what: str
    seconds: tuple[float, ...]
    against: tuple[float, ...] | None = None
    bytes: int | None = None
    note: str = ""

    @property
    def milliseconds(self) -> Spread:
        """Time of one round."""
        return Spread.of([1e3 * s for s in self.seconds])

    @property
    def ratio(self) -> Spread | None:
        """Time over that of the compared variant, paired within rounds: above 1 is slower than it."""
        if self.against is None:
            return None
        return Spread.of([mine / other for mine, other in zip(self.seconds, self.against, strict=True)])


def temporary_bytes(compiled: Any) -> int:
    """Temporary memory of a compiled program, without its inputs and outputs.

    >>> temporary_bytes(jax.jit(lambda x: x + 1).lower(1.0).compile()) >= 0
    True
    """
    return int(compiled.memory_analysis().temp_size_in_bytes)


def alternate(variants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds of every variant in every round; each runs once beforehand, and rounds start with another one each.

    >>> {k: len(v) for k, v in alternate({"a": lambda: 1, "b": lambda: 2}, 3).items()}
    {'a': 3, 'b': 3}
    """
    for run in variants.values():
        jax.block_until_ready(run())
    names, seconds = list(variants), {name: [] for name in variants}
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            start = time.perf_counter()
            jax.block_until_ready(variants[name]())
            seconds[name].append(time.perf_counter() - start)
    return {name: tuple(values) for name, values in seconds.items()}


def lines_of(
    part: str,
    seconds: Mapping[str, tuple[float, ...]],
    memory: Mapping[str, int] | None = None,
    notes: Mapping[str, str] | None = None,
) -> list[Line]:
    """Lines of one part; the first variant is what the others are compared with.

    >>> [str(line.ratio) for line in lines_of("p", {"ours": (1.0,), "theirs": (2.0,)})]
    ['None', '2 (2–2)']
    """
    memory, notes, (first, *_) = memory or {}, notes or {}, seconds
    return [
        Line(part, name, times, None if name == first else seconds[first], memory.get(name), notes.get(name, ""))
        for name, times in seconds.items()
    ]
