"""What the property suite cannot see of LATTICE: its graph by hand, when it is built, missing rows, options."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Modality
from jmmrec.errors import ConfigError
from jmmrec.graph.learned import learned_graph, learned_smooth
from jmmrec.models import make
from jmmrec.train import TrainConfig, trainer
from jmmrec.train.step import TrainState, step
from tests.models.test_properties import ITEMS, batch_of, data, prepared

KEY = jax.random.key(4)


def model(**options):
    return make("lattice", **{"embed_dim": 4, "knn_k": 3, "n_ui_layers": 1} | options)


def learned_by_hand(features: dict, params: dict, present: dict, k: int) -> np.ndarray:
    names = sorted(features)
    logits = np.concatenate([params["modal_weight"][name] for name in names])
    share = np.exp(logits) / np.exp(logits).sum()
    total = np.zeros((ITEMS, ITEMS))
    for a, name in zip(share, names, strict=True):
        table = np.asarray(features[name], np.float64) @ np.asarray(params["project"][name]["weight"]).T
        table = table + np.asarray(params["project"][name]["bias"])
        table /= np.linalg.norm(table, axis=1, keepdims=True)
        cosine = table @ table.T
        here = np.flatnonzero(present[name])
        for item in here:
            near = here[np.argsort(-cosine[item, here], kind="stable")[:k]]
            total[item, near] += a * cosine[item, near]
    row = total.sum(axis=1)
    root = np.where(row > 0, 1 / np.sqrt(np.where(row > 0, row, 1)), 0)
    return root[:, None] * total * root


@pytest.mark.parametrize("names", [("text",), ("image", "text"), ("text", "image", "audio")])
def test_the_graph_is_the_equation(names) -> None:
    """With missing rows, a zero row and any number of modalities."""
    dataset = data(awkward=True)
    sound = Modality(np.random.default_rng(7).normal(size=(ITEMS, 2)))
    dataset = dataclasses.replace(dataset, modalities={**dataset.modalities, "audio": sound}).select(*names)
    given = model()
    static, params, state = prepared(given, dataset)
    params["modal_weight"] = {name: jnp.array([0.3 * n]) for n, name in enumerate(sorted(names))}
    encoded = given.encode(params, state, static, (), train=True)
    found = np.asarray(encoded.extra["graph"].smooth(jnp.eye(ITEMS)))
    present = {name: m.present for name, m in dataset.modalities.items()}
    expected = learned_by_hand(static["features"], params, present, 3)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    if names == ("text",):
        for item in (1, 10):  # which have no text
            assert not found[item].any() and not found[:, item].any()
            np.testing.assert_array_equal(encoded.item[item], encoded.modal["id"][1][item])


def test_learned_smooth_is_automatic_differentiation() -> None:
    """Where the graph is due; where it is not, nothing flows into what it is made of."""
    rng = np.random.default_rng(0)
    vectors = {name: jnp.asarray(rng.normal(size=(ITEMS, 3)), jnp.float32) for name in ("a", "b")}
    sources = {"vectors": vectors, "share": {"a": jnp.float32(0.7), "b": jnp.float32(0.3)}}
    x, target = jnp.asarray(rng.normal(size=(2, ITEMS, 4)), jnp.float32)

    def build(sources, fixed, lists=None):
        return learned_graph(sources["vectors"], sources["share"], 3, None, lists)

    def smooth(graph, fixed, x, value_gradient):
        return graph.smooth(x, value_gradient)

    stored = build(sources, None)

    def given(due):
        return lambda s, x: jnp.sum(target * learned_smooth(build, smooth, due, stored, s, None, x)[0])

    def plain(s, x):
        return jnp.sum(target * smooth(build(s, None), None, x, True))

    expected = jax.value_and_grad(plain, argnums=(0, 1))(sources, x)
    compare = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # noqa: E731
    jax.tree.map(compare, jax.jit(jax.value_and_grad(given(True), argnums=(0, 1)))(sources, x), expected)
    value, (nothing, x_bar) = jax.jit(jax.value_and_grad(given(False), argnums=(0, 1)))(sources, x)
    jax.tree.map(compare, (value, x_bar), (expected[0], expected[1][1]))
    assert not any(leaf.any() for leaf in jax.tree.leaves(nothing))


def states(given, steps: int) -> list[TrainState]:
    dataset = data()
    static, params, state = prepared(given, dataset)
    optimiser = TrainConfig().optimiser(given)
    train = TrainState(params, optimiser.init(params), given.epoch(params, state, static, KEY)[0])
    run, batch, found = jax.jit(step, static_argnums=(0, 1)), batch_of(dataset), []
    for number in range(steps):
        train, _ = run(given, optimiser, train, static, (), batch._replace(step=jnp.int32(number)), KEY, 0.1)
        found.append(train)
    return found


def same(first, second) -> bool:
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), first, second)))


@pytest.mark.parametrize("rebuild", ["epoch", "batch"])
def test_when_the_graph_is_built(rebuild) -> None:
    first, second, third = states(model(rebuild=rebuild), 3)
    once = rebuild == "epoch"
    assert same(first.state["graph"], second.state["graph"]) == once
    for name in ("features", "project", "modal_weight"):
        assert same(second.params[name], third.params[name]) == once, name
    assert not same(second.params["user"], third.params["user"])


def test_seeds_in_one_program_build_once_an_epoch() -> None:
    """The flag is the same for all runs, so the search stays in a branch instead of running in every step."""
    t = trainer(model(), data().for_training(), TrainConfig(batch_size=16, patience=5, monitor="recall@5"))
    together = t.advance([t.start(0), t.start(1)])
    alone = t.advance([t.start(1)])[0]
    np.testing.assert_allclose(together[1].history[-1]["loss"], alone.history[-1]["loss"], rtol=1e-5)
    graph = together[1].train.state["graph"]
    np.testing.assert_allclose(graph.scale, alone.train.state["graph"].scale, rtol=1e-4)
    given, dataset = model(), data()
    static, params, state = prepared(given, dataset)
    several = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), (params, state))

    def encoded(pair, batch):
        before, _ = given.before_batch(*pair, static, (), batch, KEY)
        return given.encode(pair[0], before, static, (), train=True).item

    text = jax.jit(jax.vmap(encoded, in_axes=(0, None))).lower(several, batch_of(dataset)).as_text()
    assert "stablehlo.case" in text


def test_evaluation_builds_with_the_parameters_as_they_are() -> None:
    given = model()
    static, params, state = prepared(given, data())
    stale = state | {"due": jnp.array(False)}
    encoded = given.encode(params, stale, static, None, train=False)
    fresh = given.encode(params, state, static, (), train=True)
    np.testing.assert_allclose(encoded.item, fresh.item, rtol=1e-6)


def test_mf_and_fixed_features() -> None:
    given = model(cf_model="mf", train_raw_feats=False, nominal_batch=10, reg=0.5, n_layers=2)
    dataset = data()
    static, params, state = prepared(given, dataset)
    assert "features" not in params
    encoded, batch = given.encode(params, state, static, (), train=True), batch_of(dataset)
    np.testing.assert_array_equal(encoded.user, params["user"])
    learned = np.asarray(encoded.extra["graph"].smooth(jnp.eye(ITEMS)))
    original = sum(0.5 * np.asarray(g.bcoo.todense()) for g in static["original"].values())
    smooth = np.linalg.matrix_power(0.1 * learned + 0.9 * original, 2) @ np.asarray(params["item"])
    expected = np.asarray(params["item"]) + smooth / np.linalg.norm(smooth, axis=1, keepdims=True)
    np.testing.assert_allclose(encoded.item, expected, rtol=1e-4, atol=1e-6)
    total, parts = given.loss(params, encoded, batch, KEY)
    rows = np.concatenate([encoded.user[batch.user], encoded.item[batch.positive], encoded.item[batch.negative]])
    np.testing.assert_allclose(parts["reg"], 0.5 * (rows**2).sum() / 10, rtol=1e-5)
    np.testing.assert_allclose(total, parts["bpr"] + 0.5 * parts["reg"], rtol=1e-6)


def test_training_is_the_authors() -> None:
    config = TrainConfig.of(model())
    assert config.rate(50) == pytest.approx(0.96 * config.learning_rate)


@pytest.mark.parametrize(("option", "value"), [("cf_model", "gat"), ("rebuild", "never"), ("lambda_coeff", 1.5)])
def test_options_are_checked(option, value) -> None:
    with pytest.raises(ConfigError, match=option):
        model(**{option: value})
