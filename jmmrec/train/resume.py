"""Going on with a run that stands in a folder: what has to be as it was, and what more epochs mean."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from jmmrec.errors import CheckpointError, ConfigError
from jmmrec.train.config import TrainConfig
from jmmrec.train.lane import Lane
from jmmrec.train.record import RunFolder, agrees


def check_same(before: Mapping, now: Mapping, usual: Mapping, path: Path, longer: bool = False) -> None:
    """Raises `CheckpointError` where a run is continued with other data, code or options than it was started with.

    Args:
      before, now, usual: the record in the folder, the one of what is given, and defaults. longer: whether there may be
        more epochs than before.
    """
    source = now.get("model_source")
    if before.get("model_source", source) != source:  # a record of an earlier version may not say
        own = before.get("model_class", before["model"]["name"])
        raise CheckpointError(
            f"{path} was started with another version of {own}; restore it, or choose another folder."
        )
    on_its_way = before.get("lengthened_to", 0)
    if now["config"]["epochs"] < on_its_way:
        raise CheckpointError(f"the run in {path} is on its way to {on_its_way} epochs; give these, or more.")
    for part in ("data", "model", "warmup", "config", "seeds"):
        old, new = before.get(part), now[part]
        if part == "config" and longer and old and old["epochs"] < new["epochs"]:
            old = old | {"epochs": new["epochs"]}
        # Where the files lie may change, what is in them may not.
        if old["digest"] != new["digest"] if part == "data" and old else not agrees(old, new, usual.get(part)):
            raise CheckpointError(
                f"{path} was started with another {part} than now given; "
                "resume with what is written in its run.json, or choose another folder."
            )


def lengthened(folder: RunFolder, lanes: Sequence[Lane], config: TrainConfig) -> list[Lane]:
    """Lanes of a run that is continued, running again where they ended for want of epochs and `config` has more.

    They end with the bits of a run that had all these epochs from the start. Until they do, a finished run stays what
    it is, and its record says by `lengthened_to` what it is on its way to.

    Raises:
      ConfigError: the shorter run was judged after its last epoch, as the longer one would not have been.
      CheckpointError: an older version kept nothing to go on from.
    """
    record = folder.read()
    short = [lane for lane in lanes if lane.had_all and lane.epoch < config.epochs]
    for lane in lanes:  # patience may have ended it by the very judgement that a longer run would not have had
        if (
            lane.epoch == record["config"]["epochs"] < config.epochs
            and config.judged
            and lane.epoch % config.eval_every
        ):
            raise ConfigError(
                f"the run in {folder.path} was judged after its last epoch, {lane.epoch}, which is no multiple of "
                f"eval_every {config.eval_every}; a longer run would have been judged otherwise, so train it anew."
            )
    for lane in short:
        if lane.train is None:
            raise CheckpointError(
                f"the run in {folder.path} was finished by an older version, which kept its best epoch alone; "
                "train it anew for more epochs."
            )
    if config.epochs != record["config"]["epochs"]:
        finished = record["status"] == "finished"
        folder.update(**{"lengthened_to": config.epochs} if finished else {"config": dataclasses.asdict(config)})
    again = {lane.label for lane in short}
    return [dataclasses.replace(lane, stopped="") if lane.label in again else lane for lane in lanes]
