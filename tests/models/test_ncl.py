"""NCL: contrasts by hand, the E-step, the warm-up and options that the common properties cannot see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.graph import propagate_bipartite
from jmmrec.models import make
from tests.models.test_properties import batch_of, data, prepared

KEY = jax.random.key(1)


def unit(x) -> np.ndarray:
    return np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True)


def contrast(query, keys, own, tau: float) -> float:
    logits = unit(query) @ unit(keys).T / tau
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), own]))


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_loss_by_hand(reduce) -> None:
    weights = {"ssl_weight": 0.3, "alpha": 2.0, "proto_weight": 0.2, "reg": 0.1, "nominal_batch": 10}
    model = make("ncl", embed_dim=4, n_layers=1, tau=0.5, n_clusters=3, warmup=0, reduce=reduce, **weights)
    batch = batch_of(data())
    static, params, state = prepared(model, data())
    state, aux = model.epoch(params, state, static, KEY)
    encoded = model.encode(params, state, static, aux, train=True)
    total, parts = model.loss(params, encoded, batch, KEY)
    layers = [(params["user"], params["item"])]
    for _ in range(2):
        layers.append(propagate_bipartite(static["graph"], *layers[-1]))
    expected = {}
    for n, (side, nodes) in enumerate((("user", batch.user), ("item", batch.positive))):
        nodes = np.asarray(nodes)
        np.testing.assert_allclose(getattr(encoded, side), (layers[0][n] + layers[1][n]) / 2, rtol=1e-5)
        expected[f"structure_{side}"] = contrast(layers[2][n][nodes], params[side], nodes, 0.5)
        found = aux[side]
        expected[f"proto_{side}"] = contrast(
            params[side][nodes], found.centroids, np.asarray(found.assigned)[nodes], 0.5
        )
    for name, value in expected.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-5, err_msg=name)
    scale = 10 if reduce == "sum" else 1
    near = expected["structure_user"] + 2 * expected["structure_item"]
    alike = expected["proto_user"] + expected["proto_item"]
    whole = parts["bpr"] + 0.1 * parts["reg"] + scale * (0.3 * near + 0.2 * alike)
    np.testing.assert_allclose(total, whole, rtol=1e-5)


def test_warm_up_counts_epochs_and_leaves_the_prototypes_out() -> None:
    model, batch = make("ncl", embed_dim=4, n_clusters=3, warmup=2, proto_weight=1.0), batch_of(data())
    static, params, state = prepared(model, data())
    seen = []
    for epoch in range(4):
        state, aux = model.epoch(params, state, static, jax.random.fold_in(KEY, epoch))
        encoded = model.encode(params, state, static, aux, train=True)
        seen.append(float(model.loss(params, encoded, batch, KEY)[1]["proto_user"]))
    assert seen[0] == seen[1] == 0.0 and seen[2] > 0 and seen[3] > 0 and int(state["epoch"]) == 4


def test_both_ends_of_the_structure_contrast_are_trained_and_clusters_are_constant() -> None:
    model, batch = make("ncl", embed_dim=4, n_clusters=3, warmup=0), batch_of(data())
    static, params, state = prepared(model, data())
    aux = model.epoch(params, state, static, KEY)[1]

    def term(params, name):
        return model.loss(params, model.encode(params, state, static, aux, train=True), batch, KEY)[1][name]

    structure = jax.grad(term)(params, "structure_user")
    assert float(jnp.abs(structure["user"]).max()) > 0
    other = np.setdiff1d(np.arange(13), batch.user)  # only as keys
    assert (np.abs(structure["user"][other]).max(axis=1) > 0).all()
    prototype = jax.grad(term)(params, "proto_user")
    np.testing.assert_array_equal(prototype["user"][other], 0.0)
    np.testing.assert_array_equal(prototype["item"], 0.0)


def test_no_more_clusters_than_nodes() -> None:
    model = make("ncl", embed_dim=4)
    static, params, state = prepared(model, data())
    aux = model.epoch(params, state, static, KEY)[1]
    for side, n in (("user", 13), ("item", 11)):
        assert sorted(aux[side].assigned.tolist()) == list(range(n))
        np.testing.assert_allclose(aux[side].distance, 0.0, atol=1e-10)


@pytest.mark.parametrize(
    "option", [{"tau": 0.0}, {"hyper_layers": 0}, {"n_clusters": 0}, {"kmeans_iters": -1}, {"warmup": -1},
               {"reduce": "none"}, {"alpha": -1.0}, {"proto_weight": float("nan")}, {"norm": "mean"}],
)  # fmt: skip
def test_options_outside_their_range(option) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        make("ncl", **option)
