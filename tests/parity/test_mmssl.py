"""MMSSL as its authors published it: tables, the discriminator's step, the generator's loss, later graphs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.interop.pytorch import dump_params, load_params
from jmmrec.models import Mmssl
from jmmrec.models import mmssl_adversary as adversary
from jmmrec.models import mmssl_graphs as graphs
from jmmrec.models.mmssl_terms import modal_rows
from jmmrec.retrieval import top_n
from tests.parity.cases import replayed
from tests.parity.conftest import KEY

NAMES = ("image", "text")  # the order of their stacked rows
PLACES = {
    "net.0": "first", "net.2": "norm_first", "net.4": "second", "net.6": "norm_second", "net.8": "last",
}  # fmt: skip
# Batch normalisation takes away what is added before it, so these gradients are rounding noise and Adam's first step,
# a sign, moves them at random; with slope 1 that holds through the second normalisation as well.
NOISE = ("net.0.bias", "net.2.bias", "net.4.bias")


def disc_params(arrays: dict) -> dict:
    """Our tree of the discriminator; the first weight is turned, items first."""
    found = {}
    for theirs, ours in PLACES.items():
        weight, bias = (jnp.asarray(arrays[f"{theirs}.{part}"]) for part in ("weight", "bias"))
        if ours.startswith("norm"):
            found[ours] = {"scale": weight, "shift": bias}
        else:
            found[ours] = {"weight": weight.T if ours == "first" else weight, "bias": bias}
    return found


def disc_arrays(tree: dict) -> dict:
    """The inverse."""
    found = {}
    for theirs, ours in PLACES.items():
        layer = tree[ours]
        weight = layer.get("weight", layer.get("scale"))
        found[f"{theirs}.weight"] = weight.T if ours == "first" else weight
        found[f"{theirs}.bias"] = layer.get("bias", layer.get("shift"))
    return found


@dataclasses.dataclass
class Scene:
    """The published model of the file; `dropped` tells which of its two sets of losses is meant."""

    numbers: dict
    model: Mmssl
    static: dict
    params: dict
    state: dict
    dropped: bool

    def masks(self, name: str):
        """A pass's dropout of both hidden layers, by modality."""
        shapes = [(len(self.numbers["batch/users"]), self.state["adversary"]["params"][k]["bias"].shape[0])
                  for k in ("first", "second")]  # fmt: skip
        found = {}
        for n, modality in enumerate(NAMES):
            rows = slice(n * shapes[0][0], (n + 1) * shapes[0][0])
            stored = [self.numbers[f"drop/dropout_mask/{name}/{layer}"][rows] for layer in (1, 2)]
            found[modality] = tuple(
                jnp.asarray(m / keep if self.dropped else np.ones(shape), jnp.float32)
                for m, keep, shape in zip(stored, adversary.KEEP, shapes, strict=True)
            )
        return found

    def draws(self, forward: str) -> dict:
        """What is random around the named forward pass."""
        keep = 1.0 - self.model.feature_dropout
        features = {}
        for name in NAMES:
            stored = self.numbers[f"drop/dropout_mask/{forward}/{name}"]
            features[name] = jnp.asarray(stored / keep if self.dropped else np.ones(stored.shape), jnp.float32)
        alpha = np.split(self.numbers["draws/alpha"], len(NAMES))
        return {
            "features": features,
            "uniform": jnp.asarray(self.numbers["draws/uniform"]),
            "alpha": {name: jnp.asarray(a) for name, a in zip(NAMES, alpha, strict=True)},
            **{name: self.masks(f"disc_{name}") for name in ("fake", "real", "penalty")},
            "adversarial": self.masks("adversarial"),
        }

    def before(self) -> tuple[dict, dict]:
        """State and log after the discriminator's step."""
        model = replayed(self.model, self.draws("detached_pass"))
        return jax.jit(model.before_batch)(self.params, self.state, self.static, (), self.numbers.batch(), KEY)

    def encoded(self, params, state):
        model = replayed(self.model, self.draws("generator_pass"))
        return model.encode(params, state, self.static, (), key=KEY, train=True)

    def loss(self, params, state):
        """Generator's loss."""
        model = replayed(self.model, self.draws("generator_pass"))
        return model.loss(params, self.encoded(params, state), self.numbers.batch(), KEY)

    @property
    def prefix(self) -> str:
        return "drop/" if self.dropped else ""


@pytest.fixture(params=[False, True], ids=["plain", "dropout"])
def scene(request, fixtures) -> Scene:
    """Everything that the numbers were made with."""
    numbers = fixtures.read("models/MMSSL")
    given = numbers.meta["arguments"]
    model = Mmssl(
        embed_dim=given["embed_size"], mode="published", tau=given["tau"], ssl_weight=given["cl_rate"],
        adv_weight=given["G_rate"], id_rate=given["id_cat_rate"], model_rate=given["model_cat_rate"],
        feature_dropout=given["drop_rate"], disc_rate=given["D_lr"], topk_rate=given["m_topk_rate"],
        feat_reg=given["feat_reg_decay"], n_heads=given["head_num"],
    )  # fmt: skip
    static = model.prepare(fixtures.dataset.for_training())
    params = load_params(model, numbers.part("param/"), static)
    state = model.init(KEY, static)[1]
    disc = disc_params(numbers.part("disc/param/"))
    state["adversary"] = {"params": disc, "opt": adversary.optimiser(model.disc_rate).init(disc)}
    return Scene(numbers, model, static, params, state, request.param)


def test_parity_mmssl_evaluation(scene, gap) -> None:
    numbers = scene.numbers.part("eval/")
    encoded = scene.model.encode(scene.params, scene.state, scene.static, None, train=False)
    ours = {"user_emb": encoded.user, "item_emb": encoded.item}
    for name in NAMES:
        ours |= dict(zip((f"{name}_user", f"{name}_item"), encoded.extra["modal"][name], strict=True))
        ours |= dict(zip((f"{name}_user_id", f"{name}_item_id"), encoded.extra["views"][name], strict=True))
    if "scores" in numbers:
        ours["scores"] = encoded.user @ encoded.item.T
    assert set(ours) == set(numbers)
    for name, table in ours.items():
        assert gap(table, numbers[name]) < 1e-5, name


def test_parity_mmssl_graphs(scene, gap) -> None:
    for side, ours in zip(("ui", "iu"), scene.static["graph"][:2], strict=True):
        theirs = scene.numbers.part(f"buffer/{side}_graph_")
        dense = np.zeros(theirs["shape"])
        np.add.at(dense, tuple(theirs["indices"]), theirs["values"])
        assert gap(ours.bcoo.todense(), dense) < 1e-6


def test_parity_mmssl_discriminator(scene, gap) -> None:
    numbers = scene.numbers
    state, log = scene.before()
    for term, value in log.items():
        assert gap(value, numbers[f"{scene.prefix}loss/{term}"]) < 1e-5, term
    if scene.dropped:
        return  # its gradients and parameters are not stored
    stepped = disc_arrays(state["adversary"]["params"])
    theirs = numbers.part("disc/param_after_step/")
    assert set(stepped) == set(theirs)
    for name in stepped.keys() - set(NOISE):
        assert gap(stepped[name], theirs[name]) < 1e-5, name
    # Adam's first moment after one step is half the gradient.
    gradients, theirs = disc_arrays(state["adversary"]["opt"][0].mu), numbers.part("disc/grad/")
    for name, array in gradients.items():
        if name in NOISE:
            assert np.abs(2 * array).max() < 1e-4 * np.abs(theirs[name.replace("bias", "weight")]).max()
        else:
            assert gap(2 * array, theirs[name]) < 1e-4, name


def test_parity_mmssl_loss_and_gradients(scene, gap) -> None:
    model, numbers = scene.model, scene.numbers
    state, _ = scene.before()
    graded = jax.jit(jax.value_and_grad(scene.loss, has_aux=True))
    (total, parts), gradients = graded(scene.params, state)
    weighted = {"reg": ("emb_weighted", model.reg), "features": ("feat_reg_weighted", model.feat_reg)}
    ours = {weighted.get(k, (k, 1.0))[0]: v * weighted.get(k, (k, 1.0))[1] for k, v in parts.items()}
    theirs = {k: v for k, v in numbers.part(f"{scene.prefix}loss/").items() if not k.startswith("disc_")}
    assert {"total", *ours} == set(theirs)
    for term, value in (ours | {"total": total}).items():
        assert gap(value, theirs[term]) < 1e-5, term
    ours, theirs = dump_params(model, gradients), numbers.part(f"{scene.prefix}grad/")
    assert set(ours) == set(theirs) - {"weight_dict.w_q"}
    assert np.abs(theirs["weight_dict.w_q"]).max() < 1e-12
    for name, array in ours.items():
        assert gap(array, theirs[name]) < 1e-4, name


def test_parity_mmssl_later_graphs(scene, gap) -> None:
    if scene.dropped:
        pytest.skip("one set of later graphs is stored, without dropout")
    numbers, batch = scene.numbers, scene.numbers.batch()
    stored = {name: jnp.asarray(numbers[f"later_graph/{name}_top_items"]) for name in NAMES}
    k = stored["image"].shape[1]
    rows, _ = modal_rows(scene.encoded(scene.params, scene.before()[0]), batch)
    cuts = numbers.meta["later_graph"]["smallest_gap_at_cut"]
    for name, cut in zip(NAMES, cuts, strict=True):
        if cut > 1e-6:  # else there is a tie
            np.testing.assert_array_equal(np.sort(top_n(rows[name], k)[1]), np.sort(stored[name]))
    learned = graphs.start(NAMES, scene.static["graph"], k)
    learned = graphs.rebuilt(graphs.append(learned, batch.user, stored, batch.mask, cycle=True))
    encoded = scene.model.encode(scene.params, scene.state | {"learned": learned}, scene.static, None, train=False)
    assert gap(encoded.user, numbers["later_graph/eval/user_emb"]) < 1e-5
    assert gap(encoded.item, numbers["later_graph/eval/item_emb"]) < 1e-5
    for name in NAMES:
        theirs = numbers.part(f"buffer/later_{name}_ui_graph_")
        plain, degree = learned["graph"][name].bcoo.todense(), jnp.diff(learned["graph"][name].indptr)
        dense = np.zeros(theirs["shape"])
        np.add.at(dense, tuple(theirs["indices"]), theirs["values"])
        assert gap(plain * (degree[:, None] + 1e-8) ** -0.5, dense) < 1e-6


def test_parity_mmssl_names_there_and_back(scene) -> None:
    theirs = scene.numbers.part("param/")
    for name, array in dump_params(scene.model, scene.params).items():
        np.testing.assert_array_equal(array, theirs[name])
