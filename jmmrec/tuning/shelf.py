"""Where a grid's runs are: in memory alone, or in a folder, where finished ones are read instead of trained."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import safetensors.numpy

from jmmrec.errors import CheckpointError
from jmmrec.models import Backbone
from jmmrec.train import Checkpoints, Lane, Mdvt, Trainer, checksum, train_lanes
from jmmrec.train.checkpoint import pack, unpack, write_file
from jmmrec.train.loop import Grow
from jmmrec.train.record import agrees


class Shelf:
    """The runs of one grid.

    Raises:
      CheckpointError: the folder is of another grid, or what it says of it cannot be read.
    """

    def __init__(self, folder: Path | None, bound: Trainer, about: dict[str, Any], defaults: dict[str, Any]) -> None:
        self.folder, self.bound = folder, bound
        if folder is None:
            return
        path, now = folder / "grid.json", json.loads(json.dumps([about, defaults], default=str))
        if path.exists() and not agrees(_about(path), *now):
            raise CheckpointError(
                f"{path} is of another grid, model, code, data set or training; choose another folder."
            )
        write_file(path, json.dumps(now[0], indent=1).encode())

    def trunks(self, seeds: Sequence[int], grow: Grow, tell: Callable[[str], None]) -> list[Lane]:
        """Trunks and snapshots, trained or read."""
        fresh = [self.bound.start(seed, label=f"seed {seed}, trunk", role="trunk") for seed in seeds]
        points = None if self.folder is None else Checkpoints(self.folder / "trunks")
        lanes = points.load(self.bound) if points and points.manifests() else fresh
        found = train_lanes(self.bound, lanes, grow=grow, checkpoints=points)
        for lane in found:
            if lane.role == "trunk":
                tell(f"{lane.label}: valid {lane.best_score:.4f}, {lane.epoch} epochs")
        return found

    def branches(
        self, jobs: Sequence[tuple[Lane, Mdvt]], memory: int, tell: Callable[[str], None]
    ) -> Iterator[tuple[tuple[int, float, int, int], Lane]]:
        """Every snapshot continued with every arm: (seed, λ, n, plain epochs) and its lane."""
        size = 1
        if memory and not all(self._there(arm, start) for start, arm in jobs):
            size = min(len(jobs), self.bound.fitting(self._numbered(*jobs[0]), memory))
        for low in range(0, len(jobs), size):
            part = jobs[low : low + size]
            lanes = self.together(part, size) if size > 1 else [self.branch(arm, start) for start, arm in part]
            for number, (lane, (start, arm)) in enumerate(zip(lanes, part, strict=True), low + 1):
                what = f"{number}/{len(jobs)}: {start.label}, λ {arm.lam}, n {arm.n}"
                tell(f"{what}: valid {lane.best_score:.4f}, {lane.epoch} epochs")
                yield (start.seed, arm.lam, arm.n, start.born), lane

    def branch(self, arm: Mdvt, start: Lane) -> Lane:
        """A branch, trained or read; of a finished one only its best is kept, of one that diverged nothing."""
        bound = dataclasses.replace(self.bound, model=arm)
        lane = _armed(arm, bound, start)
        where = self._place(arm, lane)
        if where is None:
            return train_lanes(bound, [lane])[0]
        if self._there(arm, start):
            return _read(where, lane, arm)
        points = Checkpoints(where)
        lanes = points.load(bound) if points.manifests() else [lane]
        found = train_lanes(bound, lanes[:1], checkpoints=points)[0]
        _write(where, found)
        shutil.rmtree(points.folder, ignore_errors=True)
        return found

    def together(self, jobs: Sequence[tuple[Lane, Mdvt]], size: int) -> list[Lane]:
        """Several branches in one program of `size`; finished ones are read, nothing is kept of one half trained."""
        config = dataclasses.replace(self.bound.config, seeds_per_program=size)
        bound = dataclasses.replace(self.bound, config=config)
        lanes = [self._numbered(start, arm) for start, arm in jobs]
        places = [self._place(arm, start) for start, arm in jobs]
        have = [self._there(arm, start) for start, arm in jobs]
        trained = iter(train_lanes(bound, [lane for lane, there in zip(lanes, have, strict=True) if not there]))
        found = []
        for lane, place, there in zip(lanes, places, have, strict=True):
            one = _read(place, lane, bound.model) if place is not None and there else next(trained)
            if place is not None and not there:
                _write(place, one)
            found.append(one)
        return found

    def _numbered(self, start: Lane, arm: Mdvt) -> Lane:
        """A branch for a program of several: λ and n are numbers of its own."""
        model = self.bound.model
        assert isinstance(model, Mdvt)
        lane, numbers = _armed(model, self.bound, start), (("lam", arm.lam), ("taken", arm.n))
        return dataclasses.replace(lane, label=f"{lane.label}, λ {arm.lam}, n {arm.n}", numbers=numbers)

    def _there(self, arm: Mdvt, lane: Lane) -> bool:
        """Whether that branch is finished."""
        place = self._place(arm, lane)
        return place is not None and (place / "branch.json").exists()

    def _place(self, arm: Mdvt, lane: Lane) -> Path | None:
        if self.folder is None:
            return None
        return self.folder / "branches" / f"seed{lane.seed}-T{lane.born}-lam{arm.lam:g}-n{arm.n}"


def _about(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); restore it or choose another folder.") from error


def _armed(arm: Mdvt, bound: Trainer, start: Lane) -> Lane:
    """A snapshot with room for the mined items of this n."""
    assert start.train is not None
    train = start.train._replace(state=start.train.state | {"mined": arm.room(bound.static)})
    return dataclasses.replace(start, role="branch", train=train)


def _write(where: Path, lane: Lane) -> None:
    write_file(where / "best.safetensors", safetensors.numpy.save(pack(lane.best, "best")))
    about = {name: getattr(lane, name) for name in ("epoch", "best_score", "best_epoch", "stopped", "history", "times")}
    write_file(where / "branch.json", json.dumps(about | {"checksum": checksum(lane.best)}).encode())


def _read(where: Path, like: Lane, model: Backbone) -> Lane:
    try:
        about = json.loads((where / "branch.json").read_text())
        arrays = safetensors.numpy.load_file(where / "best.safetensors")
        assert like.train is not None
        shape = (like.train.params, model.kept(like.train.state)) if arrays else None
        best = unpack(arrays, "best", shape, where / "best.safetensors")
        if checksum(best) != about.pop("checksum"):
            raise ValueError("its parameters are not those that were written")
    except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"the branch in {where} cannot be read ({error}); remove that folder.") from error
    listed = {name: tuple(about.pop(name, ())) for name in ("history", "times")}  # older branches have no times
    return dataclasses.replace(like, train=None, best=best, **listed, **about)
