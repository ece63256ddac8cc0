"""SGL: sub-graphs, values by hand and options that the common properties cannot see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.models import make
from tests.models.test_properties import ITEMS, USERS, batch_of, data, prepared

KEY = jax.random.key(1)


def unit(x) -> np.ndarray:
    return np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True)


def walk(pairs: np.ndarray, user, item, n_layers: int) -> tuple[np.ndarray, np.ndarray]:
    """Layer mean over these pairs, with plain matrices."""
    a = np.zeros((USERS, ITEMS))
    a[tuple(pairs.T)] = 1.0
    scale = [np.where(d > 0, d, np.inf) ** -0.5 for d in (a.sum(axis=1), a.sum(axis=0))]
    a = scale[0][:, None] * a * scale[1]
    whole = np.block([[np.zeros((USERS, USERS)), a], [a.T, np.zeros((ITEMS, ITEMS))]])
    layers = [np.concatenate([user, item])]
    for _ in range(n_layers):
        layers.append(whole @ layers[-1])
    mean = np.mean(layers, axis=0)
    return mean[:USERS], mean[USERS:]


def contrast(first, second, rows, tau: float) -> float:
    logits = unit(first)[rows] @ unit(second).T / tau
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(rows)), rows]))


@pytest.mark.parametrize("augment", ["ed", "nd"])
def test_loss_by_hand(augment) -> None:
    model = make("sgl", embed_dim=4, n_layers=2, augment=augment, drop=0.3, ssl_weight=0.5, tau=0.4, reg=0.1)
    batch = batch_of(data())
    static, params, state = prepared(model, data())
    aux = model.epoch(params, state, static, KEY)[1]
    encoded = model.encode(params, state, static, aux, train=True)
    total, parts = model.loss(params, encoded, batch, KEY)
    edges, tables = static["edges"], (params["user"], params["item"])
    pairs = np.stack([edges.user, edges.item], axis=1)
    views = [walk(pairs[np.asarray(stay)], *tables, 2) for (stay,) in model.draws(KEY, edges)]
    user, item = walk(pairs, *tables, 2)
    margin = (user[batch.user] * (item[batch.positive] - item[batch.negative])).sum(axis=1)
    rows = (params["user"][batch.user], params["item"][batch.positive], params["item"][batch.negative])
    expected = {
        "bpr": np.log1p(np.exp(-margin)).mean(),
        "ssl_user": contrast(views[0][0], views[1][0], np.asarray(batch.user), 0.4),
        "ssl_item": contrast(views[0][1], views[1][1], np.asarray(batch.positive), 0.4),
        "reg": sum(0.5 * (np.asarray(r) ** 2).sum() for r in rows) / len(batch.user),
    }
    assert set(parts) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-5, err_msg=name)
    whole = expected["bpr"] + 0.5 * (expected["ssl_user"] + expected["ssl_item"]) + 0.1 * expected["reg"]
    np.testing.assert_allclose(total, whole, rtol=1e-5)


def test_two_different_sub_graphs_or_one_for_every_layer() -> None:
    static = prepared(make("sgl", embed_dim=4), data())[0]
    edges = static["edges"]
    drawn = make("sgl", drop=0.2, n_layers=3).draws(KEY, edges)
    n = int(len(edges.user) * 0.8 + 1e-6)
    assert [len(view) for view in drawn] == [1, 1] and drawn[0][0].shape == (n,)
    assert not np.array_equal(drawn[0][0], drawn[1][0])
    drawn = make("sgl", drop=0.2, n_layers=3, augment="rw").draws(KEY, edges)
    assert [len(view) for view in drawn] == [3, 3]
    assert len({tuple(np.asarray(stay)) for view in drawn for stay in view}) == 6
    for augment in ("ed", "nd"):
        flags = make("sgl", augment=augment, sampling="bernoulli", drop=0.0).draws(KEY, edges)
        assert all(stay.all() for (stay,) in flags)


def test_nothing_dropped_makes_both_views_the_main_branch() -> None:
    model = make("sgl", embed_dim=4, drop=0.0)
    static, params, state = prepared(model, data())
    encoded = model.encode(params, state, static, model.epoch(params, state, static, KEY)[1], train=True)
    for view in encoded.extra["views"]:
        np.testing.assert_allclose(view["user"], encoded.user, rtol=1e-5)
        np.testing.assert_allclose(view["item"], encoded.item, rtol=1e-5)


def test_terms_of_one_side_in_the_batch_drawn_in_the_step() -> None:
    batch = batch_of(data())
    model = make("sgl", embed_dim=4, ssl_side="item", candidates="batch", refresh="step", augment="rw", tau=0.5)
    static, params, state = prepared(model, data())
    assert model.epoch(params, state, static, KEY)[1] == ()
    encoded = model.encode(params, state, static, (), key=KEY, train=True)
    parts = model.loss(params, encoded, batch, KEY)[1]
    assert set(parts) == {"bpr", "ssl_item", "reg"}
    first, second = (unit(view["item"][batch.positive]) for view in encoded.extra["views"])
    logits = first @ second.T / 0.5
    np.testing.assert_allclose(parts["ssl_item"], np.mean(np.log(np.exp(logits).sum(axis=1)) - logits.diagonal()),
                               rtol=1e-5)  # fmt: skip
    evaluated = model.encode(params, state, static, None, train=False)
    assert set(model.loss(params, evaluated, batch, KEY)[1]) == {"bpr", "reg"}


def test_gradients_of_the_contrast_reach_both_tables() -> None:
    model, batch = make("sgl", embed_dim=4), batch_of(data())
    static, params, state = prepared(model, data())
    aux = model.epoch(params, state, static, KEY)[1]

    def term(params):
        encoded = model.encode(params, state, static, aux, train=True)
        return model.loss(params, encoded, batch, KEY)[1]["ssl_user"]

    gradients = jax.grad(term)(params)
    assert all(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(gradients))


@pytest.mark.parametrize(
    "option", [{"augment": "xx"}, {"drop": 1.0}, {"tau": 0.0}, {"ssl_side": "none"}, {"candidates": "some"},
               {"sampling": "fixed"}, {"refresh": "never"}, {"ssl_weight": -1.0}, {"norm": "mean"}],
)  # fmt: skip
def test_options_outside_their_range(option) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        make("sgl", **option)
