"""A lane is one training run on its way: all that continuing it needs, and nothing else."""

import dataclasses
import hashlib
import statistics
from typing import Any

import jax
import numpy as np

from jmmrec.train.step import TrainState
from jmmrec.train.warmup import Policy, WarmupState

ALL = "reached {} epochs"


@dataclasses.dataclass(frozen=True)
class Lane:
    """One run. Lanes are values: continuing one leaves the old one intact, which is what makes branching cheap.

    Attributes:
      label: unique among the lanes of a run, e.g. "seed 0" or "seed 0, T=5". seed. policy: its warm-up.
      role: `plain`; in searches `trunk` (never activated, branched from), `waiting` (a snapshot that may yet be
        needed) or `branch`.
      train: parameters, optimiser, state; None once the lane has stopped and only its best is kept (in a checkpoint
        there is more of a `plain` one that had all its epochs, to go on from).
      best: (params, state) at the best valid score; None before the first evaluation.
      epoch: epochs finished. stale: evaluations since the best.
      stopped: why, or "" while it runs. history: a record for each epoch, plain values.
      born: epochs it inherited from the trunk. numbers: options of the model that are this lane's own, by name; lanes
        that differ in nothing else can share one program; those inside a combinator as `backbone.NAME`.
      rate: a learning rate of its own, in place of the config's.
      times: seconds of each epoch of its own, evaluation included; of a program of several, an even share. Empty, or
        shorter than its epochs, where an older version trained some of them.
    """

    label: str
    seed: int
    policy: Policy
    warmup: WarmupState
    train: TrainState | None = dataclasses.field(repr=False)
    role: str = "plain"
    best: tuple[Any, Any] | None = dataclasses.field(default=None, repr=False)
    epoch: int = 0
    best_score: float = -1.0
    best_epoch: int = -1
    stale: int = 0
    stopped: str = ""
    history: tuple[dict, ...] = dataclasses.field(default=(), repr=False)
    born: int = 0
    numbers: tuple[tuple[str, float], ...] = ()
    times: tuple[float, ...] = dataclasses.field(default=(), repr=False)
    rate: float | None = None

    @property
    def running(self) -> bool:
        """Whether it wants another epoch."""
        return not self.stopped and self.role != "waiting"

    @property
    def had_all(self) -> bool:
        """Whether it stopped for having had all its epochs: given more of them it could go on."""
        return self.stopped == ALL.format(self.epoch)

    @property
    def lost(self) -> bool:
        """Whether it diverged: a branch of a search, out of the running; `stopped` says how."""
        return bool(self.stopped) and self.best is None

    @property
    def timed(self) -> bool:
        """Whether all epochs of its own have their times."""
        return len(self.times) >= self.epoch - self.born

    @property
    def pace(self) -> float:
        """Seconds of a usual epoch of its own, the median: the first one also compiles. 0 if it has none."""
        return statistics.median(self.times) if self.times else 0.0


def checksum(tree: Any) -> str:
    """SHA-256 over the bytes of every array in a pytree, in its order.

    >>> checksum({"a": np.zeros(2, np.float32)})[:8]
    'af5570f5'
    """
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
