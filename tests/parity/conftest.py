"""Reads a folder of numbers that the PyTorch models output; every size and setting comes from its files."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Dataset, Modality
from jmmrec.graph import keep_edges
from jmmrec.models import Batch, BprMf, Freedom, LightGcn, Vbpr
from jmmrec.train import with_mdvt

BUILD = {
    "BPR": lambda c: BprMf(embed_dim=c["embedding_size"], reg=c["reg_weight"], reg_form="norm"),
    "VBPR": lambda c: Vbpr(embed_dim=c["embedding_size"], reg=c["reg_weight"], reg_form="norm"),
    "LightGCN": lambda c: LightGcn(
        embed_dim=c["embedding_size"], n_layers=c["n_layers"], reg=c["reg_weight"], reg_form="norm"
    ),
    "FREEDOM": lambda c: Freedom(
        embed_dim=c["embedding_size"],
        n_ui_layers=c["n_ui_layers"],
        n_mm_layers=c["n_mm_layers"],
        knn_k=c["knn_k"],
        visual_weight=c["mm_image_weight"],
        edge_drop=c["dropout"],
        modal_bpr_weight=c["reg_weight"],
    ),
}


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
        model = BUILD[name.removesuffix("_VP")](numbers.meta["config"])
        if name.endswith("_VP"):
            lam = numbers.meta.get("s_weight", numbers.meta["config"]["s_weight"])
            model = with_mdvt(model, lam=lam, log_base="2", **mdvt)
        key = (name, str(numbers.meta["config"]))
        if key not in self.kept:
            self.kept[key] = model.prepare(self.dataset.for_training())
        return model, self.kept[key]


def aux_of(static, kept):
    """FREEDOM's pruned graph from the stored positions; nothing for the others."""
    if kept is None:
        return ()
    static = static.get("backbone", static)
    return keep_edges(static["edges"], jnp.sort(jnp.asarray(kept)))


def state_of(model):
    """The state of models that keep none."""
    return {"backbone": (), "mined": ()} if hasattr(model, "backbone") else ()


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
def pruned():
    return aux_of


@pytest.fixture(scope="session")
def stateless():
    return state_of


@pytest.fixture(scope="session")
def gap():
    return largest_gap
