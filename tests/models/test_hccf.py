"""HCCF: layers and contrast by hand in all variants, and options that the common properties cannot see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.graph import propagate_bipartite
from jmmrec.models import make
from jmmrec.models.views import once_each
from tests.models.test_properties import batch_of, data, prepared

KEY = jax.random.key(1)
SIDES = ("user", "item")


def unit(x) -> np.ndarray:
    return np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True)


def bent(x):
    return np.where(x > 0, x, 0.5 * x)


def by_hand(params, static, variant: str) -> tuple[dict, list]:
    """Final tables, and per layer what came over edges and over hyperedges."""
    act = bent if variant == "tf" else np.asarray
    x = {s: np.asarray(params[s]) for s in SIDES}
    members = {s: 0.1 * x[s] if variant == "sparse" else x[s] @ np.asarray(params["hyper"][s]).T for s in SIDES}
    total, pairs = x, []
    for layer in range(2):
        near = {s: act(g) for s, g in zip(SIDES, propagate_bipartite(static["graph"], *x.values()), strict=True)}
        far = {}
        for s in SIDES:
            held = act(members[s].T @ x[s])
            for step in range(3 if variant == "tf" else 0):
                held = bent(np.asarray(params["maps"][s][layer, step]) @ held) + held
            far[s] = act(members[s] @ held)
        x = {s: near[s] + far[s] + (x[s] if variant == "tf" else 0.0) for s in SIDES}
        total = {s: total[s] + x[s] for s in SIDES}
        pairs.append((near, far))
    return total, pairs


@pytest.mark.parametrize("variant", ["torch", "tf", "sparse"])
def test_tables_and_loss_by_hand(variant) -> None:
    model = make("hccf", embed_dim=4, n_hyper=5, variant=variant, tau=0.5, ssl_weight=0.3, reg=0.1)
    batch = batch_of(data())
    batch = batch._replace(user=batch.user.at[1].set(batch.user[0]))  # a repeated user
    static, params, state = prepared(model, data())
    params = jax.tree.map(lambda leaf: 0.5 * leaf, params)
    encoded = model.encode(params, state, static, None, train=False)
    tables, pairs = by_hand(params, static, variant)
    np.testing.assert_allclose(encoded.user, tables["user"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoded.item, tables["item"], rtol=1e-4, atol=1e-5)
    total, parts = model.loss(params, encoded, batch, KEY)
    expected = {}
    for side, rows in zip(SIDES, (batch.user, batch.positive), strict=True):
        nodes, expected[f"ssl_{side}"] = np.unique(rows), 0.0
        for layer, (near, far) in enumerate(pairs):
            hyper = far[side] @ np.asarray(params["contrast"][side][layer, 0]).T if variant == "tf" else far[side]
            logits = unit(near[side][nodes]) @ unit(hyper[nodes]).T / 0.5
            expected[f"ssl_{side}"] += np.mean(np.log(np.exp(logits).sum(axis=1)) - logits.diagonal())
    expected["reg"] = sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(params))
    item = tables["item"]
    margin = (tables["user"][batch.user] * (item[batch.positive] - item[batch.negative])).sum(axis=1)
    expected["bpr"] = np.logaddexp(0.0, -margin).mean()
    assert set(parts) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-4, err_msg=name)
    whole = expected["bpr"] + 0.3 * (expected["ssl_user"] + expected["ssl_item"]) + 0.1 * expected["reg"]
    np.testing.assert_allclose(total, whole, rtol=1e-4)


def test_nodes_of_a_batch_once_each() -> None:
    rows, mask = jnp.array([3, 0, 3, 8, 8]), jnp.array([True, True, True, False, True])
    nodes, real = jax.jit(once_each, static_argnums=2)(rows, mask, 9)
    assert nodes[real].tolist() == [0, 3, 8]
    nodes, real = once_each(rows, mask & (rows != 8), 9)
    assert nodes[real].tolist() == [0, 3] and (nodes < 9).all()
    assert not once_each(rows, jnp.zeros(5, bool), 9)[1].any()


@pytest.mark.parametrize("detach", [True, False])
def test_the_graph_side_has_a_gradient_only_where_it_is_not_detached(detach) -> None:
    model, batch = make("hccf", embed_dim=4, n_hyper=5, drop=0.0, detach_graph=detach, n_layers=1), batch_of(data())
    static, params, state = prepared(model, data())
    encoded = model.encode(params, state, static, (), key=KEY, train=True)

    def term(near):
        (_, far), *_ = encoded.extra["pairs"]
        return model.loss(params, encoded.replace(extra={"pairs": [(near, far)]}), batch, KEY)[1]["ssl_user"]

    gradient = jax.grad(term)(encoded.extra["pairs"][0][0])
    assert bool(jnp.any(gradient["user"] != 0)) is not detach


def test_dropout_is_drawn_for_every_layer_and_scaled_up() -> None:
    model = make("hccf", embed_dim=4, n_hyper=5, drop=0.3)
    static, params, state = prepared(model, data())
    drawn = jax.vmap(lambda k: model.draws(k, static["edges"]))(jax.random.split(KEY, 400))
    assert [set(layer) for layer in drawn] == [{"down", "up", "user", "item"}] * 2
    for mask in jax.tree.leaves(drawn):
        np.testing.assert_allclose(np.unique(mask), [0, 1 / 0.7], rtol=1e-6)
        assert abs(float(mask.mean()) - 1) < 0.05
    assert not np.array_equal(drawn[0]["user"], drawn[1]["user"])
    kept = make("hccf", embed_dim=4, n_hyper=5, drop=0.0).encode(params, state, static, (), key=KEY, train=True)
    np.testing.assert_array_equal(kept.user, model.encode(params, state, static, None, train=False).user)


def test_hinge_and_all_candidates() -> None:
    model, batch = make("hccf", embed_dim=4, n_hyper=5, main="hinge", candidates="all", n_layers=1), batch_of(data())
    static, params, state = prepared(model, data())
    encoded = model.encode(params, state, static, None, train=False)
    parts = model.loss(params, encoded, batch, KEY)[1]
    user, item = np.asarray(encoded.user)[batch.user], np.asarray(encoded.item)
    margin = (user * (item[batch.positive] - item[batch.negative])).sum(axis=1)
    np.testing.assert_allclose(parts["bpr"], np.maximum(0, 1 - margin).mean(), rtol=1e-4)
    near, far = encoded.extra["pairs"][0]
    nodes = np.unique(batch.user)
    logits = unit(near["user"])[nodes] @ unit(far["user"]).T / 0.1
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(nodes)), nodes])
    np.testing.assert_allclose(parts["ssl_user"], expected, rtol=1e-4)


@pytest.mark.parametrize(
    "option", [{"variant": "jax"}, {"drop": 1.0}, {"tau": 0.0}, {"candidates": "some"}, {"main": "softmax"},
               {"n_hyper": 0}, {"slope": 2.0}, {"mult": -1.0}, {"norm": "mean"}, {"reg": float("nan")}],
)  # fmt: skip
def test_options_outside_their_range(option) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        make("hccf", **option)
