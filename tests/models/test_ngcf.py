"""NGCF: values by hand, dropout and options that the common properties cannot see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.models import make
from tests.models.test_properties import ITEMS, USERS, batch_of, data, prepared

KEY = jax.random.key(1)
N = USERS + ITEMS


def matrix(norm: str) -> np.ndarray:
    a = np.zeros((N, N))
    user, item = data().train.T
    a[user, USERS + item] = a[USERS + item, user] = 1.0
    degree = a.sum(axis=1)
    safe = np.where(degree > 0, degree, np.inf)
    return {
        "row_selfloop": (a + np.eye(N)) / (degree + 1)[:, None],
        "mean": a / safe[:, None],
        "mean_plus_i": a / safe[:, None] + np.eye(N),
        "sym_plus_i": safe[:, None] ** -0.5 * a * safe**-0.5 + np.eye(N),
    }[norm]


def bent(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.2 * x)


def by_hand(params, norm: str, act_on: str, n_layers: int) -> np.ndarray:
    x = np.concatenate([params["user"], params["item"]])
    blocks = [x]
    for number in range(1, n_layers + 1):
        s, layer = matrix(norm) @ x, params[f"layer{number}"]
        inputs = {"sum": s, "product": x * s}
        terms = [inputs[n] @ np.asarray(layer[n]["weight"]).T + np.asarray(layer[n]["bias"]) for n in inputs]
        x = bent(terms[0] + terms[1]) if act_on == "sum" else bent(terms[0]) + bent(terms[1])
        blocks.append(x / np.linalg.norm(x, axis=1, keepdims=True))
    return np.concatenate(blocks, axis=1)


@pytest.mark.parametrize(
    ("norm", "act_on"), [("row_selfloop", "sum"), ("mean_plus_i", "terms"), ("mean", "sum"), ("sym_plus_i", "sum")]
)
def test_tables_and_loss_by_hand(norm, act_on) -> None:
    model, batch = make("ngcf", embed_dim=4, n_layers=2, norm=norm, act_on=act_on, reg=0.1), batch_of(data())
    static, params, state = prepared(model, data())
    encoded = model.encode(params, state, static, None, train=False)
    whole = by_hand(params, norm, act_on, 2)
    np.testing.assert_allclose(encoded.user, whole[:USERS], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoded.item, whole[USERS:], rtol=1e-4, atol=1e-5)
    user, item, other = (whole[rows] for rows in (batch.user, USERS + batch.positive, USERS + batch.negative))
    total, parts = model.loss(params, encoded, batch, KEY)
    expected = np.log1p(np.exp(-(user * (item - other)).sum(axis=1))).mean()
    np.testing.assert_allclose(parts["bpr"], expected, rtol=1e-5)
    reg = 0.5 * sum((rows**2).sum() for rows in (user, item, other)) / len(user)
    np.testing.assert_allclose(parts["reg"], reg, rtol=1e-5)
    np.testing.assert_allclose(total, expected + 0.1 * reg, rtol=1e-5)


def test_weights_and_biases_are_drawn_as_xavier_does() -> None:
    _, params, _ = prepared(make("ngcf", embed_dim=64, n_layers=1), data())
    for part in ("sum", "product"):
        layer = params["layer1"][part]
        for leaf, bound in ((layer["weight"], (6 / 128) ** 0.5), (layer["bias"], (6 / 65) ** 0.5)):
            assert 0.8 * bound < float(jnp.abs(leaf).max()) <= bound
    assert not np.array_equal(params["layer1"]["sum"]["weight"], params["layer1"]["product"]["weight"])


def test_dropped_edges_keep_the_mean_and_nodes_drop_all_they_send() -> None:
    edges = prepared(make("ngcf", embed_dim=4), data())[0]["edges"]
    drawn = jax.vmap(lambda k: make("ngcf", embed_dim=4, node_dropout=0.3).draws(k, edges))(jax.random.split(KEY, 500))
    for mask in (drawn["down"], drawn["up"], *drawn["loops"]):
        np.testing.assert_allclose(np.unique(mask), [0, 1 / 0.7], rtol=1e-6)
        assert abs(float(mask.mean()) - 1) < 0.05
    assert not np.array_equal(drawn["down"], drawn["up"])
    nodes = make("ngcf", embed_dim=4, node_dropout=0.5, drop_unit="node").draws(KEY, edges)
    assert nodes["loops"] is None
    for mask, sender in ((nodes["down"], edges.item), (nodes["up"], edges.user)):
        assert all(len(np.unique(np.asarray(mask)[np.asarray(sender) == n])) == 1 for n in np.unique(sender))


def test_dropout_acts_in_training_alone_and_the_dropped_layer_goes_on() -> None:
    static, params, state = prepared(make("ngcf", embed_dim=4), data())
    off, messages, edges = (
        make("ngcf", embed_dim=4, n_layers=2, message_dropout=m, node_dropout=n)
        for m, n in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5))
    )
    whole = off.encode(params, state, static, (), key=KEY, train=True).user
    for model in (messages, edges):
        np.testing.assert_array_equal(model.encode(params, state, static, None, train=False).user, whole)
        found = model.encode(params, state, static, (), key=KEY, train=True).user
        np.testing.assert_array_equal(found[:, :4], whole[:, :4])
        assert not np.allclose(found[:, 8:], whole[:, 8:])
    dropped = messages.encode(params, state, static, (), key=KEY, train=True).user[:, 4:8]
    kept = np.asarray(messages.draws(KEY, static["edges"])["messages"][0][0]) > 0
    np.testing.assert_array_equal(np.asarray(dropped) != 0, kept)


def test_regulariser_on_the_first_layer() -> None:
    model, batch = make("ngcf", embed_dim=4, reg_on="ego"), batch_of(data())
    static, params, state = prepared(model, data())
    parts = model.loss(params, model.encode(params, state, static, None, train=False), batch, KEY)[1]
    rows = (params["user"][batch.user], params["item"][batch.positive], params["item"][batch.negative])
    np.testing.assert_allclose(parts["reg"], sum(0.5 * (r**2).sum() for r in rows) / len(batch.user), rtol=1e-5)


@pytest.mark.parametrize(
    "option", [{"norm": "sym_eps7"}, {"act_on": "both"}, {"node_dropout": 1.0}, {"drop_unit": "user"},
               {"message_dropout": -0.1}, {"reg_on": "all"}, {"reg": -1.0}, {"n_layers": 33}],
)  # fmt: skip
def test_options_outside_their_range(option) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        make("ngcf", **option)
