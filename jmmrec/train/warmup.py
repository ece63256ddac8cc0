"""When virtual triplets come in: pure state machines on the host over the losses of finished epochs (MDVT §3.4).

Epochs count from 0. `start` says whether epoch 0 already has the virtual loss; `update`, called after each epoch
with its loss, says whether the next one has it. Once on, never off. Before that the backbone's loss is unscaled.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from jmmrec.errors import check_choice, check_range, check_whole

PAPER_THRESHOLDS = (0, 5, 10, 20, 40, 80)


class WarmupState(NamedTuple):
    """Attributes: active, whether the next epoch has the virtual loss; since, the first epoch that had it or will
    have it; previous, loss of the last epoch before activation."""

    active: bool = False
    since: int | None = None
    previous: float | None = None


@dataclasses.dataclass(frozen=True)
class Never:
    """The backbone alone.

    >>> Never().update(Never().start(), 0, 1.0).active
    False
    """

    def start(self) -> WarmupState:
        """State before epoch 0."""
        return WarmupState()

    def update(self, state: WarmupState, epoch: int, loss: float) -> WarmupState:
        """State after an epoch."""
        return state._replace(previous=loss)


@dataclasses.dataclass(frozen=True)
class Static:
    """On after a fixed number of epochs.

    Attributes:
      threshold: T_S. rule: first epoch with the virtual loss, counting from 0: `text` T_S (exactly T_S plain
        epochs), `alg1` max(T_S, 1) - 1 (Algorithm 1 as printed), `code` T_S + 1 (public code).

    >>> [Static(2, rule).first for rule in ("text", "alg1", "code")]
    [2, 1, 3]
    """

    threshold: int
    rule: str = "text"

    def __post_init__(self) -> None:
        check_whole("threshold", self.threshold, 0, 1_000_000)
        check_choice("static_rule", self.rule, ("text", "alg1", "code"))

    @property
    def first(self) -> int:
        """First epoch with the virtual loss."""
        return {"text": self.threshold, "alg1": max(self.threshold, 1) - 1, "code": self.threshold + 1}[self.rule]

    def start(self) -> WarmupState:
        """State before epoch 0."""
        return WarmupState(self.first == 0, self.first)

    def update(self, state: WarmupState, epoch: int, loss: float) -> WarmupState:
        """State after an epoch."""
        return state if state.active else WarmupState(epoch + 1 >= self.first, self.first, loss)


@dataclasses.dataclass(frozen=True)
class Dynamic:
    """On when the loss has nearly stopped falling.

    Attributes:
      gap: g. min_epoch: first epoch after which the test is made.
      rule: with T the loss of an epoch and P that of the one before, `code` `(P - T) / T < g`, which a rising loss
        passes too; `abs` `|P - T| / P <= g`; `alg1` `(T - P) / P <= g` from the second epoch on, as Algorithm 1 is
        printed, which every falling loss passes whatever g.

    >>> Dynamic(0.1).update(WarmupState(previous=1.0), 3, 0.95).active
    True
    """

    gap: float = 0.1
    rule: str = "code"
    min_epoch: int = 3

    def __post_init__(self) -> None:
        check_range("gap", self.gap, 0, 1e6, open_low=True)
        check_choice("dynamic_rule", self.rule, ("code", "abs", "alg1"))
        check_whole("min_epoch", self.min_epoch, 1, 1_000_000)

    def start(self) -> WarmupState:
        """State before epoch 0."""
        return WarmupState()

    def update(self, state: WarmupState, epoch: int, loss: float) -> WarmupState:
        """State after an epoch."""
        if state.active:
            return state
        if state.previous is not None and self._flat(epoch, state.previous, loss):
            return WarmupState(True, epoch + 1, loss)
        return WarmupState(previous=loss)

    def _flat(self, epoch: int, previous: float, loss: float) -> bool:
        # Multiplied out, so that a loss of zero needs no case of its own.
        if self.rule == "alg1":
            return loss - previous <= self.gap * previous
        if epoch < self.min_epoch:
            return False
        if self.rule == "abs":
            return abs(previous - loss) <= self.gap * previous
        return previous - loss < self.gap * loss


@dataclasses.dataclass(frozen=True)
class Hybrid:
    """A dynamic run gives T_cur, then every threshold within `span` of it is tried and the best on valid kept.

    Attributes:
      dynamic: finds T_cur. span: s.

    >>> Hybrid(span=2).candidates(1)
    (0, 1, 2, 3)
    """

    dynamic: Dynamic = Dynamic()
    span: int = 2

    def __post_init__(self) -> None:
        check_whole("span", self.span, 0, 1000)

    def candidates(self, current: int) -> tuple[int, ...]:
        """The integers of [T_cur - s, T_cur + s], clipped at 0."""
        return tuple(range(max(0, current - self.span), current + self.span + 1))

    def choose(self, scores: Mapping[int, float], current: int) -> int:
        """The threshold with the best valid score; T_cur stays unless another is strictly better.

        >>> Hybrid().choose({3: 0.5, 4: 0.5, 5: 0.5}, 4)
        4
        """
        best = current
        for threshold in sorted(scores):
            if scores[threshold] > scores[best]:
                best = threshold
        return best


Policy = Never | Static | Dynamic
POLICIES: dict[str, type] = {"never": Never, "static": Static, "dynamic": Dynamic}


def policy_record(policy: Policy) -> dict:
    """A policy as plain values, for run records.

    >>> policy_record(Static(5))
    {'kind': 'static', 'threshold': 5, 'rule': 'text'}
    """
    return {"kind": type(policy).__name__.lower()} | dataclasses.asdict(policy)


def policy_from(record: dict) -> Policy:
    """The inverse of `policy_record`.

    >>> policy_from({"kind": "never"})
    Never()
    """
    return POLICIES[record["kind"]](**{k: v for k, v in record.items() if k != "kind"})
