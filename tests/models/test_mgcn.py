"""MGCN: values by hand, missing rows, frozen features, numbers of modalities, the authors' schedule."""

import dataclasses

import jax
import numpy as np
import pytest

from jmmrec.data import Modality
from jmmrec.errors import ConfigError
from jmmrec.models import make
from jmmrec.train import TrainConfig
from tests.models.test_properties import ITEMS, USERS, batch_of, data, prepared, training_loss

KEY = jax.random.key(1)


def with_modalities(*names: str, here=None):
    rng = np.random.default_rng(4)
    modalities = {name: Modality(rng.normal(size=(ITEMS, 3 + n)), here) for n, name in enumerate(names)}
    return dataclasses.replace(data(), modalities=modalities)


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dense(layer, x):
    return x @ layer["weight"].T + layer["bias"]


def by_hand(model, dataset, params, static):
    """Content and side of users and of items in float64 with whole matrices."""
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    chosen = np.zeros((USERS, ITEMS))
    chosen[tuple(dataset.train.T)] = 1.0
    degree = chosen.sum(axis=1, keepdims=True), np.maximum(chosen.sum(axis=0, keepdims=True), 1)
    a = chosen / np.sqrt(degree[0] * degree[1])
    layer = total = (params["user"], params["item"])
    for _ in range(model.n_ui_layers):
        layer = a @ layer[1], a.T @ layer[0]
        total = tuple(map(np.add, total, layer))
    content = np.concatenate(total) / (model.n_ui_layers + 1)
    views, asked, wanted = [], [], []
    for name, graph in static["items"].items():
        x = params["features"][name]
        e = params["item"] * sigmoid(dense(params["gate"][name], dense(params["project"][name], x)))
        for _ in range(model.n_layers):
            e = np.asarray(graph.bcoo.todense(), np.float64) @ e
        views.append(np.concatenate([a @ e, e]))
        asked.append(np.tanh(dense(params["query"], views[-1])) @ params["score"].T)
        wanted.append(sigmoid(dense(params["prefer"][name], content)))
    shares = np.exp(asked) / np.exp(asked).sum(axis=0)
    common = sum(s * v for s, v in zip(shares, views, strict=True))
    side = (sum(w * (v - common) for w, v in zip(wanted, views, strict=True)) + common) / (1 + len(views))
    return content, side


def contrast(first, second, tau):
    logits = unit(first) @ unit(second).T / tau
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - np.diag(logits))


@pytest.mark.parametrize("names", [("smell",), ("text", "image"), ("image", "text", "audio")], ids=len)
def test_tables_and_terms_by_hand(names) -> None:
    model = make("mgcn", embed_dim=4, knn_k=3, n_layers=2, cl_weight=0.3, tau=0.5, reg=0.2, nominal_batch=10)
    dataset, batch = with_modalities(*names), batch_of(data())
    static, params, state = prepared(model, dataset)
    encoded = model.encode(params, state, static, (), key=KEY, train=True)
    content, side = by_hand(model, dataset, params, static)
    tables = content + side
    np.testing.assert_allclose(encoded.user, tables[:USERS], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(encoded.item, tables[USERS:], rtol=1e-4, atol=1e-6)
    user, items = np.asarray(batch.user), [USERS + np.asarray(a) for a in (batch.positive, batch.negative)]
    margin = np.sum(tables[user] * (tables[items[0]] - tables[items[1]]), axis=1)
    expected = {
        "bpr": np.mean(np.log1p(np.exp(-margin))),
        "cl_user": contrast(side[user], content[user], 0.5),
        "cl_item": contrast(side[items[0]], content[items[0]], 0.5),
        "reg": 0.5 * sum(np.sum(tables[rows] ** 2) for rows in (user, *items)) / 10,
    }
    total, parts = model.loss(params, encoded, batch, KEY)
    assert set(parts) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-4, err_msg=name)
    whole = expected["bpr"] + 0.3 * (expected["cl_user"] + expected["cl_item"]) + 0.2 * expected["reg"]
    np.testing.assert_allclose(total, whole, rtol=1e-4)


@pytest.mark.parametrize("n_layers", [0, 1])
def test_items_without_a_modality_have_an_empty_view_and_teach_nothing(n_layers) -> None:
    here = np.arange(ITEMS) != 1
    model = make("mgcn", embed_dim=4, knn_k=3, n_layers=n_layers)
    dataset = with_modalities("text", here=here)
    static, params, state = prepared(model, dataset)
    encoded = model.encode(params, state, static, (), key=KEY, train=True)
    assert not np.any(np.asarray(encoded.modal["text"][1])[1]) and np.any(np.asarray(encoded.modal["text"][1])[0])
    loss = training_loss(model, static, state)
    gradient = jax.grad(loss, has_aux=True)(params, batch_of(dataset))[0]["features"]["text"]
    assert not np.any(np.asarray(gradient)[1]) and np.any(np.asarray(gradient)[0])


def test_frozen_features_are_no_parameters_and_start_with_the_same_tables() -> None:
    frozen, trained = (make("mgcn", embed_dim=4, knn_k=3, train_raw_feats=t) for t in (False, True))
    assert "features" not in prepared(frozen, data())[1]
    tables = []
    for model in (frozen, trained):
        static, params, state = prepared(model, data())
        tables.append(model.encode(params, state, static, None, train=False).user)
    np.testing.assert_array_equal(*tables)


def test_it_trains_with_the_authors_schedule() -> None:
    config = TrainConfig.of(make("mgcn"))
    np.testing.assert_allclose([config.rate(0), config.rate(50)], [1e-3, 0.96e-3])


@pytest.mark.parametrize("option", ["tau", "nominal_batch", "knn_k"])
def test_wrong_options_are_named(option) -> None:
    with pytest.raises(ConfigError, match=f"{option} is 0"):
        make("mgcn", **{option: 0})
