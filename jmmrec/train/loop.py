"""The loop over epochs: carries all running lanes on, reports, saves, until none is running."""

import dataclasses
import time
from collections.abc import Callable, Sequence

from jmmrec.train.checkpoint import Checkpoints
from jmmrec.train.lane import Lane
from jmmrec.train.trainer import Trainer

OnEpoch = Callable[[Sequence[Lane]], None]
Grow = Callable[[Sequence[Lane]], list[Lane]]


def train_lanes(
    trainer: Trainer,
    lanes: Sequence[Lane],
    *,
    grow: Grow | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoints: Checkpoints | None = None,
) -> list[Lane]:
    """Trains lanes until each has stopped.

    Args:
      grow: called with all lanes before the first and after every epoch, returns them with new branches.
      on_epoch: called with the lanes that have just finished an epoch; one that diverged has not.
      checkpoints: where to save, every `checkpoint_seconds` and at the end; on an interrupt or divergence the last
        good state is saved too, so that nothing is lost.

    Returns:
      all lanes, stopped, in their order of birth.

    Raises:
      DivergenceError: see `Trainer.advance`. CheckpointError: a checkpoint could not be written.
    """
    lanes = grow(lanes) if grow else list(lanes)
    saved = time.monotonic()
    try:
        while any(lane.running for lane in lanes):
            advanced = trainer.advance([lane for lane in lanes if lane.running])
            by_label = {lane.label: lane for lane in advanced}
            lanes = [by_label.get(lane.label, lane) for lane in lanes]
            lanes = grow(lanes) if grow else lanes
            if on_epoch and (whole := [lane for lane in advanced if not lane.lost]):
                on_epoch(whole)
            if checkpoints and time.monotonic() - saved >= trainer.config.checkpoint_seconds:
                checkpoints.save(lanes)
                saved = time.monotonic()
    finally:
        if checkpoints:
            checkpoints.save(lanes)
    return [dataclasses.replace(lane, train=None) if lane.stopped else lane for lane in lanes]
