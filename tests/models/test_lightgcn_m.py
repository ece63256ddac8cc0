"""LightGCN-M: every variant by hand, and what it shares with CI²MG."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Dataset, Modality, impute
from jmmrec.errors import ConfigError
from jmmrec.models import make
from tests.models.test_properties import ITEMS, USERS, batch_of, data, prepared

KEY = jax.random.key(1)


def tables(options: dict, dataset: Dataset) -> tuple:
    """Model, parameters (biases too are random), evaluated tables, and plain matrices R and the mean-filled X."""
    model = make("lightgcn_m", embed_dim=4, n_layers=2, **{"feature_norm": "none"} | options)
    static, params, state = prepared(model, dataset)
    rng = np.random.default_rng(2)
    params = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), params)
    found = model.encode(params, state, static, None, train=False)
    r = np.zeros((USERS, ITEMS))
    r[tuple(dataset.train.T)] = 1.0
    filled = {n: np.where(m.present[:, None], m.features, m.features[m.present].mean(axis=0))
              for n, m in sorted(dataset.modalities.items())}  # fmt: skip
    return model, params, found, r, filled


def walk(r: np.ndarray, user, item) -> list[np.ndarray]:
    """Mean of layers 0, 1, 2, with plain matrices."""
    scale = [np.where(d > 0, d, np.inf) ** -0.5 for d in (r.sum(axis=1), r.sum(axis=0))]
    a = scale[0][:, None] * r * scale[1]
    whole = np.block([[np.zeros((USERS, USERS)), a], [a.T, np.zeros((ITEMS, ITEMS))]])
    layer = np.concatenate([user, item])
    return np.split((layer + whole @ layer + whole @ whole @ layer) / 3, [USERS])


def by_hand(variant: str, params, r, filled) -> list:
    """Blocks of users and items."""
    project, user, item = params["project"], params["user"], params["item"]
    made = {n: x @ np.asarray(project[n]["weight"]).T + project[n].get("bias", 0.0) for n, x in filled.items()}
    if variant == "early":
        return [walk(r, user, item + sum(made.values()))]
    if variant == "channels":
        return [walk(r, user, table) for table in (item, *made.values())]
    if variant == "elliot":
        content = sum(made.values()) + params["bias"]
        return [walk(r, user, item), (params["taste"], content / np.linalg.norm(content, axis=1, keepdims=True))]
    degree = [np.maximum(r.sum(axis=axis), 1)[:, None] for axis in (1, 0)]
    users = {n: r @ f / degree[0] for n, f in made.items()}
    items = {n: np.where(r.sum(axis=0)[:, None] > 0, r.T @ users[n] / degree[1], f) for n, f in made.items()}
    return [walk(r, user, item), *((users[n], items[n]) for n in made)]


@pytest.mark.parametrize("variant", ["late", "channels", "early", "elliot"])
def test_tables_by_hand(variant) -> None:
    _, params, found, r, filled = tables({"variant": variant}, data(awkward=True))
    user, item = (np.concatenate(side, axis=1) for side in zip(*by_hand(variant, params, r, filled), strict=True))
    np.testing.assert_allclose(found.user, user, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.item, item, rtol=1e-4, atol=1e-5)
    assert set(found.modal) == ({"id", "image", "text"} if variant in ("late", "channels") else {"id"})


@pytest.mark.parametrize("variant", ["late", "channels", "early"])
def test_linear_fusion_by_hand(variant) -> None:
    _, params, found, r, filled = tables({"variant": variant, "fusion": "linear"}, data())

    def mapped(side: str, blocks) -> np.ndarray:
        layer = params["fusion"][side]
        weight = [np.asarray(layer["weight"][n]).T for n in ("id", "image", "text")]
        return sum((np.asarray(b) @ w for b, w in zip(blocks, weight, strict=True)), np.asarray(layer["bias"]))

    if variant == "early":
        made = [x @ np.asarray(params["project"][n]["weight"]).T + params["project"][n]["bias"]
                for n, x in filled.items()]  # fmt: skip
        user, item = walk(r, params["user"], mapped("item", [params["item"], *made]))
    else:
        blocks = zip(*by_hand(variant, params, r, filled), strict=True)
        user, item = (mapped(side, b) for side, b in zip(("user", "item"), blocks, strict=True))
    np.testing.assert_allclose(found.user, user, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.item, item, rtol=1e-4, atol=1e-4)


def test_late_is_ci2mg_with_every_part_switched_off() -> None:
    dataset = data(awkward=True)
    _, params, found, *_ = tables({"feature_norm": make("lightgcn_m").feature_norm}, dataset)
    rungs = dict.fromkeys(("intra", "inter", "conl", "task"), False)
    other = make("ci2mg", embed_dim=4, ids={"encoder": "lightgcn", "n_layers": 2}, **rungs)
    static, theirs, state = prepared(other, dataset)
    assert jax.tree.structure(theirs) == jax.tree.structure(params)
    same = other.encode(params, state, static, None, train=False)
    np.testing.assert_allclose(found.user, same.user, rtol=1e-6)
    np.testing.assert_allclose(found.item, same.item, rtol=1e-6)


@pytest.mark.parametrize("variant", ["late", "elliot"])
def test_loss_by_hand(variant) -> None:
    dataset = data()
    model, params, found, *_ = tables({"variant": variant, "reg": 0.1}, dataset)
    batch = batch_of(dataset)
    total, parts = model.loss(params, found, batch, KEY)
    margin = (found.user[batch.user] * (found.item[batch.positive] - found.item[batch.negative])).sum(axis=1)
    user, item = (found.user, found.item) if variant == "elliot" else (params["user"], params["item"])
    rows = (user[batch.user], item[batch.positive], item[batch.negative])
    np.testing.assert_allclose(parts["bpr"], np.log1p(np.exp(-margin)).mean(), rtol=1e-5)
    np.testing.assert_allclose(parts["reg"], sum(0.5 * (row**2).sum() for row in rows) / len(batch.user), rtol=1e-5)
    np.testing.assert_allclose(total, parts["bpr"] + 0.1 * parts["reg"], rtol=1e-6)


@pytest.mark.parametrize("variant", ["late", "channels", "early", "elliot"])
def test_every_parameter_has_a_gradient(variant) -> None:
    model, batch = make("lightgcn_m", embed_dim=4, variant=variant), batch_of(data(awkward=True))
    static, params, state = prepared(model, data(awkward=True))
    gradients = jax.grad(
        lambda p: model.loss(p, model.encode(p, state, static, (), key=KEY, train=True), batch, KEY)[0]
    )(params)
    assert all(np.isfinite(g).all() and np.any(g) for g in jax.tree.leaves(gradients))


def test_fills_of_the_data_are_kept_and_fills_of_the_model_are_made() -> None:
    dataset = data(awkward=True)
    text = dataset.modalities["text"]
    filled = Modality(np.where(text.present[:, None], text.features, 7.0), imputed=~text.present)
    for options, other in (({}, impute(dataset)), ({"impute": "zero"}, impute(dataset, "zero"))):
        here, there = (tables(options, d)[2] for d in (dataset, other))
        np.testing.assert_allclose(here.item, there.item, rtol=1e-5, atol=1e-6)
    own = dataclasses.replace(dataset, modalities=dataset.modalities | {"text": filled})
    static = prepared(make("lightgcn_m", embed_dim=4, feature_norm="none"), own)[0]
    np.testing.assert_array_equal(static["known"]["text"]["x"][1], 7.0)


def test_features_are_normalised_dropped_and_replaced() -> None:
    model = make("lightgcn_m", embed_dim=4, feature_norm="l2", dropout=0.5, variant="channels", n_layers=0)
    static, params, state = prepared(model, data())
    image, here = data().modalities["image"].features, data().modalities["image"].present
    unit = image / np.maximum(np.linalg.norm(image, axis=1, keepdims=True), 1e-12)

    def seen(**given):
        return np.asarray(model.encode(params, state, static, (), **given).modal["image"][1])

    plain = seen(train=False)
    expected = unit @ np.asarray(params["project"]["image"]["weight"]).T
    np.testing.assert_allclose(plain[here], expected[here], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(seen(train=False, features={"image": jnp.asarray(2 * image)}), plain, rtol=1e-5)
    mask = model.draws(KEY, ["image"], ITEMS)["image"]
    assert set(np.unique(mask)) == {0.0, 2.0}
    np.testing.assert_allclose(seen(train=True, key=KEY), plain * mask, rtol=1e-5)


@pytest.mark.parametrize(
    "option", [{"variant": "never"}, {"fusion": "max"}, {"impute": "ppr"}, {"feature_norm": "l1"}, {"dropout": 1.0},
               {"reg": -1.0}, {"norm": "mean"}, {"fusion": "linear", "variant": "elliot"}],
)  # fmt: skip
def test_options_outside_their_range(option) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        make("lightgcn_m", **option)
