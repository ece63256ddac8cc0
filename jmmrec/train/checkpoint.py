"""Checkpoints that survive a kill: safetensors and JSON, written aside, flushed, renamed, and checked on reading.

A checkpoint is a manifest `checkpoints/<epochs>.json` naming one file `checkpoints/lanes/<sha256>.safetensors` for
each lane. Files are named by their content, so an unchanged lane is never written twice, and the last two
checkpoints are kept: should the newest be damaged, the one before it is used.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy

from jmmrec.errors import CheckpointError
from jmmrec.train.lane import Lane
from jmmrec.train.step import TrainState
from jmmrec.train.trainer import Trainer
from jmmrec.train.warmup import WarmupState, policy_from, policy_record

KEPT = 2
ARRAYS = ("train", "best")


def write_file(path: Path, content: bytes) -> None:
    """Writes a file so that either the old or the whole new content is there, whatever happens.

    Raises:
      CheckpointError: the disk is full or the folder cannot be written; what was there before is intact.
    """
    aside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True) if path.parent.is_dir() else None
        raise CheckpointError(
            f"could not write {path} ({error.strerror}); free space or choose another folder. What was saved before is "
            "intact: a run goes on from there with --resume."
        ) from error


def pack(tree: Any, prefix: str) -> dict[str, np.ndarray]:
    """A pytree as named arrays, `prefix` and the path of each leaf.

    >>> list(pack({"a": np.zeros(1)}, "best"))
    ["best['a']"]
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {prefix + jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def unpack(arrays: dict[str, np.ndarray], prefix: str, like: Any, source: Path) -> Any:
    """The inverse of `pack`, in the shape of `like` (arrays or abstract arrays).

    Raises:
      CheckpointError: a missing array or another shape than `like` has.
    """

    def _leaf(path: Any, wanted: Any) -> jax.Array:
        name = prefix + jax.tree_util.keystr(path)
        if name not in arrays or arrays[name].shape != wanted.shape:
            found = arrays[name].shape if name in arrays else "nothing"
            raise CheckpointError(
                f"{source} holds {found} for {name} where this model has {wanted.shape}; "
                "it belongs to another model or data set."
            )
        return jax.numpy.asarray(arrays[name], wanted.dtype)

    return jax.tree_util.tree_map_with_path(_leaf, like)


class Checkpoints:
    """The checkpoints of one run folder.

    Attributes:
      folder: `<run>/checkpoints`. refused: a sentence for each damaged checkpoint met while loading.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / "checkpoints"
        self.refused: list[str] = []
        self._written: dict[str, tuple[Lane, dict]] = {}

    def manifests(self) -> list[Path]:
        """Manifests, oldest first."""
        return sorted(self.folder.glob("*.json"))

    def save(self, lanes: Sequence[Lane]) -> Path:
        """Writes a checkpoint and removes what is no longer needed; returns the manifest's path.

        Raises:
          CheckpointError: it could not be written; the one before is intact.
        """
        records = [self._save_lane(lane) for lane in lanes]
        epochs = sum(lane.epoch - lane.born for lane in lanes)
        path = self.folder / f"{epochs:08d}.json"
        body = json.dumps({"lanes": records}, sort_keys=True)
        write_file(path, json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}).encode())
        self._remove_old()
        return path

    def _save_lane(self, lane: Lane) -> dict:
        known = self._written.get(lane.label)
        if known is not None and known[0] is lane:
            return known[1]
        content = safetensors.numpy.save(pack(lane.train, "train") | pack(lane.best, "best"))
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / "lanes" / f"{digest}.safetensors"
        if not path.exists():
            write_file(path, content)
        record = {f.name: getattr(lane, f.name) for f in dataclasses.fields(lane) if f.name not in ARRAYS}
        record |= {"policy": policy_record(lane.policy), "warmup": list(lane.warmup), "sha256": digest}
        record |= {"has": [name for name in ARRAYS if getattr(lane, name) is not None]}
        self._written[lane.label] = (lane, record)
        return record

    def _remove_old(self) -> None:
        old, kept = self.manifests()[:-KEPT], self.manifests()[-KEPT:]
        for path in old:
            path.unlink()
        wanted = set()
        for path in kept:
            try:
                wanted |= {lane["sha256"] for lane in _read_manifest(path)}
            except CheckpointError:
                continue
        for path in (self.folder / "lanes").glob("*.safetensors"):
            if path.stem not in wanted:
                path.unlink()

    def load(self, trainer: Trainer) -> list[Lane]:
        """Lanes of the newest checkpoint that is whole; damaged ones are named in `refused`.

        Raises:
          CheckpointError: there is no checkpoint, none is whole, or it belongs to another model.
        """
        for path in reversed(self.manifests()):
            try:
                contents = [(record, self._read_lane(path, record)) for record in _read_manifest(path)]
            except CheckpointError as error:
                self.refused.append(str(error))
                continue
            return [self._restore(trainer, record, arrays, path) for record, arrays in contents]
        reason = self.refused[0] if self.refused else "there is none"
        raise CheckpointError(f"no usable checkpoint in {self.folder}: {reason} Start the run anew without --resume.")

    def _read_lane(self, manifest: Path, record: dict) -> dict[str, np.ndarray]:
        path = self.folder / "lanes" / f"{record['sha256']}.safetensors"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"checkpoint {manifest} lacks {path.name} ({error.strerror}).") from error
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            # Gone, so that a later save of the same lane writes it anew.
            path.unlink()
            raise CheckpointError(
                f"checkpoint {manifest} is damaged: {path.name} has been truncated or edited since it was written."
            )
        return safetensors.numpy.load(content)

    def _restore(self, trainer: Trainer, record: dict, arrays: dict, source: Path) -> Lane:
        fresh = jax.eval_shape(lambda: trainer.start(record["seed"]).train)
        train = best = None
        if "train" in record["has"]:
            train = TrainState(*unpack(arrays, "train", fresh, source))
        if "best" in record["has"]:
            best = unpack(arrays, "best", (fresh.params, trainer.model.kept(fresh.state)), source)
        special = ("sha256", "has", "policy", "warmup", "history", "times")
        plain = {k: v for k, v in record.items() if k not in special}
        lane = Lane(
            **plain,
            policy=policy_from(record["policy"]),
            warmup=WarmupState(*record["warmup"]),
            history=tuple(record["history"]),
            times=tuple(record.get("times", ())),  # older checkpoints have none
            train=train,
            best=best,
        )
        self._written[lane.label] = (lane, record)
        return lane


def _read_manifest(path: Path) -> list[dict]:
    try:
        outer = json.loads(path.read_text())
        if hashlib.sha256(outer["body"].encode()).hexdigest() != outer["sha256"]:
            raise ValueError("digest")
        return json.loads(outer["body"])["lanes"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"checkpoint {path} is damaged: it has been truncated or edited since it was written."
        ) from error
