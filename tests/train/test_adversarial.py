"""AMR: the direction against finite differences, VBPR's loss by hand, and every backbone inside it."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Modality
from jmmrec.errors import ConfigError, DataError
from jmmrec.models import MODELS, BprMf, Freedom, Vbpr, make
from jmmrec.train import Amr, TrainConfig, activated, trainer, with_amr, with_mdvt
from jmmrec.train.adversarial import perturbation
from jmmrec.train.record import model_of, model_record
from tests.models.test_properties import batch_of as small_batch
from tests.models.test_properties import build, data, every_model
from tests.train.test_mdvt import BATCH, REAL

KEY = jax.random.key(4)


def prepared(model, dataset):
    static = model.prepare(dataset.for_training())
    return static, *model.init(jax.random.key(0), static)


def loss_of(model, dataset, params, state, static, batch):
    state, aux = model.epoch(params, state, static, KEY)
    encoded = model.encode(params, state, static, aux, key=KEY, train=True)
    return model.loss(params, encoded, batch, KEY)


def test_direction_is_that_of_finite_differences(dataset) -> None:
    """Along the perturbation the ranking loss rises as steeply as differences say, and nowhere steeper."""
    with jax.enable_x64(True):
        model = Vbpr(embed_dim=4)
        static, params, state = jax.tree.map(
            lambda a: jnp.asarray(a, jnp.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a,
            prepared(model, dataset),
        )
        clean = static["features"]

        def ranking(features):
            encoded = model.encode(params, state, static, (), features=features, key=KEY, train=True)
            return model.loss(params, encoded, BATCH, KEY)[1]["bpr"]

        steep = jax.grad(ranking)(clean)
        for name, x in clean.items():
            moved = perturbation(steep[name], 1.0)
            for row in np.flatnonzero(np.any(steep[name], axis=1)):
                differences = np.zeros(x.shape[1])
                for column in range(x.shape[1]):
                    step = jnp.zeros_like(x).at[row, column].set(1e-5)
                    up, down = (ranking(clean | {name: x + sign * step}) for sign in (1, -1))
                    differences[column] = (up - down) / 2e-5
                np.testing.assert_allclose(moved[row], differences / np.linalg.norm(differences), atol=1e-5)
            assert not np.any(moved[~np.any(steep[name], axis=1)])


def test_vbpr_by_hand(dataset) -> None:
    """ŷ = p_uᵀ q_i + t_uᵀ Φᵀ c_i, so δ_i is along ± Φ t_u; items in one pair of the batch alone are worked out."""
    dataset = dataset.select("image")
    model = with_amr(Vbpr(embed_dim=4), eps=0.2, weight=0.7)
    static, params, state = prepared(model, dataset)
    total, parts = loss_of(model, dataset, params, state, static, BATCH)
    inner = Vbpr(embed_dim=4)
    plain, clean = loss_of(inner, dataset, params, state["backbone"], static["backbone"], BATCH)
    assert float(clean["bpr"]) == float(parts["bpr"])
    x, weight = (np.asarray(a, np.float64) for a in (static["features"]["image"], params["weight"]["image"]))
    encoded = inner.encode(params, (), static["backbone"], (), train=True)
    user, item = np.asarray(encoded.user, np.float64), np.asarray(encoded.item, np.float64)
    u, i, j = (np.asarray(side)[REAL] for side in BATCH[:3])
    margin = (user[u] * (item[i] - item[j])).sum(axis=1)
    pull = 1 / (1 + np.exp(margin))  # -dL/dmargin
    gradient = np.zeros_like(x)
    np.add.at(gradient, i, -pull[:, None] * (user[u, 4:] @ weight))
    np.add.at(gradient, j, pull[:, None] * (user[u, 4:] @ weight))
    length = np.linalg.norm(gradient, axis=1, keepdims=True)
    delta = 0.2 * np.abs(x).max() * gradient / np.maximum(length, 1e-6)
    other = item + np.concatenate([np.zeros((len(x), 4)), delta @ weight.T], axis=1)
    hard = np.logaddexp(0, -(user[u] * (other[i] - other[j])).sum(axis=1)).mean()
    np.testing.assert_allclose(parts["amr"], hard, rtol=1e-4)
    np.testing.assert_allclose(total, plain + 0.7 * hard, rtol=1e-4)
    assert hard > float(parts["bpr"])


def test_moved_features_are_constants_and_trained_copies_learn_from_them(dataset) -> None:
    for model, target in ((Vbpr(embed_dim=4), "bpr"), (Freedom(embed_dim=4, knn_k=3), "total")):
        wrapped = with_amr(model, target=target)
        static, params, state = prepared(wrapped, dataset)
        found = jax.grad(lambda p, w=wrapped, s=static, t=state: loss_of(w, dataset, p, t, s, BATCH)[1]["amr"])(params)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
        weight = found["weight" if isinstance(model, Vbpr) else "project"]
        assert all(np.any(leaf) for leaf in jax.tree.leaves(weight) if leaf.ndim == 2)  # biases cancel, to rounding


def test_missing_rows_are_not_moved() -> None:
    found = perturbation(jnp.ones((2, 4)), 1.0, jnp.array([True, False]))
    assert found.tolist() == [[0.5] * 4, [0.0] * 4]


@every_model
def test_every_backbone_that_reads_features(name) -> None:
    """Moved features are ranked again."""
    model, dataset = build(name), data()
    if MODELS[name].card.modalities == "none":
        with pytest.raises(DataError, match="reads no features"):
            with_amr(model).prepare(dataset.for_training())
        return
    if model.ranks_by_ids:
        with pytest.raises(ConfigError, match="ranks by ids, so no feature moves its bpr loss"):
            with_amr(model).prepare(dataset.for_training())
    wrapped = with_amr(model, target="total" if model.ranks_by_ids else "bpr", eps=1.0)
    static, params, state = prepared(wrapped, dataset)
    found = jax.eval_shape(lambda p: loss_of(wrapped, dataset, p, state, static, small_batch(dataset)), params)
    assert {"bpr", "amr"} <= set(found[1])


FROZEN = [name for name in MODELS if hasattr(MODELS[name], "train_raw_feats")]


@pytest.mark.parametrize(
    ("name", "options"), [*((name, {}) for name in MODELS), *((name, {"train_raw_feats": False}) for name in FROZEN)]
)
def test_models_that_rank_by_ids_say_so(name, options) -> None:
    """The ranking loss has a gradient by features, or the model says that it has none."""
    model, dataset = build(name, **options), data()
    if MODELS[name].card.modalities == "none":
        assert not model.ranks_by_ids
        return
    static, params, state = prepared(model, dataset)
    state, aux = model.epoch(params, state, static, jax.random.key(0))
    features = {name: jnp.asarray(m.features) for name, m in dataset.modalities.items()}

    def ranked(features):
        encoded = model.encode(params, state, static, aux, features=features, key=jax.random.key(1), train=True)
        return model.loss(params, encoded, small_batch(dataset), jax.random.key(2))[1]["bpr"]

    assert any(np.any(g) for g in jax.tree.leaves(jax.jit(jax.grad(ranked))(features))) != model.ranks_by_ids


def test_without_weight_it_is_the_backbone_s_program() -> None:
    model, dataset = build("freedom"), data()
    static, params, state = prepared(model, dataset)
    wrapped = with_amr(model, target="total")
    outer = wrapped.prepare(dataset.for_training()) | {"backbone": static}
    parts = (model, static, state), *((m, outer, {"backbone": state}) for m in (with_amr(model, weight=0.0), wrapped))
    alone, weightless, on = (
        str(jax.make_jaxpr(lambda p, m=m, s=s, t=t: loss_of(m, dataset, p, t, s, small_batch(dataset))[0])(params))
        for m, s, t in parts
    )
    assert re.sub("0x[0-9a-f]+", "", weightless) == re.sub("0x[0-9a-f]+", "", alone)
    assert len(on) > 1.5 * len(alone)


@pytest.mark.parametrize(("name", "target"), [("vbpr", "bpr"), ("freedom", "total")])
def test_training_with_and_without_virtual_triplets(name, target) -> None:
    dataset = data()
    for amr in (with_amr(build(name), eps=0.5, target=target), with_amr(build(name), target=target)):
        model = amr if amr.eps == 0.5 else activated(with_mdvt(amr, n=2))
        t = trainer(model, dataset.for_training(), TrainConfig(batch_size=16, learning_rate=0.02, monitor="recall@5"))
        lane = t.start(0)
        for _ in range(5):
            lane = t.advance([lane])[0]
        first, last = (lane.history[n]["parts"] for n in (0, -1))
        assert last["amr"] < first["amr"] and last["bpr"] < first["bpr"]


def test_order_of_combinators_does_not_matter(dataset) -> None:
    first, second = with_amr(with_mdvt(Vbpr(), n=4), eps=0.2), with_mdvt(with_amr(Vbpr(), eps=0.2), n=4)
    assert first == second and hash(first) == hash(second)
    assert model_of({"model": model_record(first)}) == first
    with pytest.raises(ConfigError, match="MDVT stands around AMR"):
        Amr(with_mdvt(Vbpr()))


class Deaf(BprMf):
    """A backbone of one's own, which says nothing of what it reads, and reads nothing."""

    card = None


class Late(Deaf):
    """One that reads features in training alone, for its loss."""

    def encode(self, params, state, static, aux, *, features=None, key=None, train):
        encoded = super().encode(params, state, static, aux, features=features, key=key, train=train)
        return encoded.replace(extra={"text": (features or {}).get("text", jnp.ones(1)).sum()}) if train else encoded


def test_a_backbone_of_ones_own_has_to_read_features(dataset) -> None:
    with pytest.raises(DataError, match="Deaf reads no features, so none can be moved"):
        with_amr(Deaf(embed_dim=4)).prepare(dataset.for_training())
    assert list(with_amr(Late(embed_dim=4), modalities="text").prepare(dataset.for_training())["features"]) == ["text"]


def test_what_does_not_fit(dataset) -> None:
    with pytest.raises(DataError, match="no modality 'smell' to move"):
        with_amr(Vbpr(), modalities=("smell",)).prepare(dataset.for_training())
    with pytest.raises(DataError, match="BprMf reads no features"):
        with_amr(BprMf()).prepare(dataset.for_training())
    with pytest.raises(ConfigError, match="eps is -1"):
        with_amr(Vbpr(), eps=-1.0)
    alone = with_amr(make("vbpr", embed_dim=4), modalities="text")
    assert list(alone.prepare(dataset.for_training())["features"]) == ["text"]
    hidden = dataclasses.replace(
        dataset, modalities={"text": Modality(np.ones((dataset.n_items, 3)), np.arange(dataset.n_items) > 2)}
    )
    assert not np.any(np.asarray(with_amr(Vbpr()).prepare(hidden.for_training())["present"]["text"])[:3])
