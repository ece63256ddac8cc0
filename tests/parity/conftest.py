"""Reads a folder of numbers that the PyTorch models output; every size and setting comes from its files."""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Dataset, Modality
from jmmrec.interop.pytorch import load_params
from jmmrec.models import Batch
from jmmrec.train import with_mdvt
from tests.parity.cases import CASES, Case, Replay, replayed


class Numbers(dict):
    """Arrays of one file by key, small integers widened; `meta` is its record."""

    def __init__(self, path: pathlib.Path):
        if not path.is_file():
            pytest.skip(f"{path.name} is not in {path.parent}")
        with np.load(path) as archive:
            super().__init__((k, archive[k]) for k in archive.files if k != "meta")
            self.meta = json.loads(str(archive["meta"])) if "meta" in archive.files else {}
        for key, array in self.items():
            if array.dtype.kind == "i":
                self[key] = array.astype(np.int32)

    def part(self, prefix: str) -> dict:
        """The arrays below a prefix, without it."""
        return {k.removeprefix(prefix): v for k, v in self.items() if k.startswith(prefix)}

    def batch(self) -> Batch:
        """The fixed batch."""
        rows = [jnp.asarray(self[f"batch/{side}"]) for side in ("users", "pos", "neg")]
        return Batch(*rows, jnp.ones(len(rows[0]), bool), jnp.int32(0))


class Fixtures:
    """One folder."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.kept: dict = {}

    def read(self, name: str) -> Numbers:
        """A file, or a skip where it is missing."""
        if name not in self.kept:
            self.kept[name] = Numbers(self.root / f"{name}.npz")
        return self.kept[name]

    @property
    def dataset(self) -> Dataset:
        """The interactions with the two modalities that the toolbox reads."""
        return self.with_modalities("image", "text")

    def with_modalities(self, *names: str) -> Dataset:
        """The interactions with these modalities."""
        z = self.read("data/interactions")
        splits = [np.stack([z[f"{s}_user"], z[f"{s}_item"]], axis=1) for s in ("train", "valid", "test")]
        features = {n: Modality(np.load(self.root / "data" / f"{n}_feat.npy")) for n in names}
        return Dataset(int(z["n_users"]), int(z["n_items"]), *splits, features, name=self.root.name)

    def model(self, name: str, numbers: Numbers, **mdvt):
        """The backbone that a file's settings describe, and its static part; with virtual triplets for _VP."""
        case = CASES[name.removesuffix("_VP")]
        model = case.build(numbers.meta["config"])
        if name.endswith("_VP"):
            lam = numbers.meta.get("s_weight", numbers.meta["config"]["s_weight"])
            model = with_mdvt(model, lam=lam, log_base="2", **case.mdvt, **mdvt)
        key = (name, str(numbers.meta["config"]))
        if key not in self.kept:
            self.kept[key] = model.prepare(self.dataset.for_training())
        return model, self.kept[key]

    def scene(self, name: str, **mdvt) -> "Scene":
        """Everything that the numbers of one model file were made with."""
        case, numbers = CASES[name.removesuffix("_VP")], self.read(f"models/{name}")
        model, static = self.model(name, numbers, **mdvt)
        params = load_params(model, numbers.part("param/"), static)
        if not name.endswith("_VP"):
            return Scene(case, numbers, model, static, params, case.replay(numbers, model, static))
        replay = case.replay(numbers, model.backbone, static["backbone"])
        replay = replay._replace(state={"backbone": replay.state, "mined": ()})
        return Scene(case, numbers, model, static, params, replay)


@dataclasses.dataclass
class Scene:
    """A model as the numbers of one file were made with it."""

    case: Case
    numbers: Numbers
    model: Any
    static: Any
    params: Any
    replay: Replay

    def trained(self, params, model=None):
        """Tables of the training pass."""
        model = replayed(model or self.model, self.replay.draws)
        return model.encode(
            params, self.replay.state, self.static, self.replay.aux, features=self.replay.features, key=KEY, train=True
        )

    def loss(self, params, model=None):
        """Total and parts on the fixed batch, their names as in the toolbox."""
        model = replayed(model or self.model, self.replay.draws)
        total, parts = model.loss(params, self.trained(params, model), self.numbers.batch(), KEY)
        named = {self.case.terms.get(name, name): value for name, value in parts.items()}
        return total, {name: value for name, value in named.items() if name is not None}

    def evaluated(self, params):
        """Tables of the evaluation pass."""
        model = replayed(self.model, self.replay.eval_draws)
        return model.encode(params, self.replay.state, self.static, None, features=self.replay.features, train=False)


KEY = jax.random.key(0)


def largest_gap(ours, theirs) -> float:
    """Largest difference in units of the largest entry (absolute where theirs are all zero)."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1.0))


@pytest.fixture(scope="session")
def fixtures(fixtures_root: pathlib.Path) -> Fixtures:
    """The folder named by JMMREC_FIXTURES."""
    return Fixtures(fixtures_root)


@pytest.fixture(scope="session")
def gap():
    return largest_gap
