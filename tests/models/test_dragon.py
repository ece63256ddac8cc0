"""What the property suite cannot see of DRAGON: its equations by hand, its lists over epochs, its options."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Modality
from jmmrec.errors import ConfigError
from jmmrec.graph.cooccurrence import user_neighbours
from jmmrec.models import make
from tests.models.test_properties import ITEMS, USERS, batch_of, data, prepared

KEY = jax.random.key(4)


def model(**options):
    return make("dragon", **{"embed_dim": 4, "hidden": 6, "knn_k": 3, "user_k": 5} | options)


def scene(given, dataset=None):
    """Static part, parameters that zero biases and equal weights cannot hide in, and the state after a hook."""
    dataset = dataset or data()
    static, params, state = prepared(given, dataset)
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(KEY, len(leaves))
    noise = [leaf + 0.3 * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    params = jax.tree.unflatten(structure, noise)
    return static, params, given.epoch(params, state, static, KEY)[0]


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def by_hand(given, static, params, state) -> tuple[np.ndarray, np.ndarray]:
    seen = np.asarray(static["graph"].user_item.bcoo.todense(), np.float64)
    square = np.block([[np.zeros((USERS, USERS)), seen], [seen.T, np.zeros((ITEMS, ITEMS))]])
    walks = sum((np.linalg.matrix_power(square, n) for n in range(given.n_ui_layers + 1)), np.zeros(square.shape))
    users, items = [], []
    logits = np.hstack([params["weight"][name] for name in sorted(static["features"])])
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) if given.weight_softmax else logits
    for place, name in enumerate(sorted(static["features"])):
        hidden, out = params["hidden"][name], params["out"][name]
        inner = np.asarray(static["features"][name], np.float64) @ np.asarray(hidden["weight"]).T + hidden["bias"]
        inner = np.where(inner > 0, inner, 0.01 * inner)
        table = walks @ np.vstack([unit(np.asarray(params["user"][name])), unit(inner @ out["weight"].T + out["bias"])])
        users.append(share[:, [place]] * table[:USERS])
        items.append(table[USERS:])
    user, item = np.hstack(users), np.hstack(items)
    graph = np.asarray(given.draws(state, static).bcoo.todense(), np.float64)
    near = np.asarray(static["items"].bcoo.todense(), np.float64)
    powers = np.linalg.matrix_power(graph, given.user_layers), np.linalg.matrix_power(near, given.n_mm_layers)
    return user + powers[0] @ user, item + powers[1] @ item


@pytest.mark.parametrize(
    "options",
    [{}, {"user_layers": 2, "n_mm_layers": 2, "n_ui_layers": 1}, {"weight_softmax": True, "user_graph": "cosine"}],
)
def test_tables_and_loss_are_the_equations(options) -> None:
    given = model(**options)
    static, params, state = scene(given)
    encoded = given.encode(params, state, static, (), train=True)
    user, item = by_hand(given, static, params, state)
    np.testing.assert_allclose(encoded.user, user, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoded.item, item, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(encoded.modal["text"][1], encoded.item[:, 4:])
    batch = batch_of(data())
    total, parts = given.loss(params, encoded, batch, KEY)
    margin = (user[batch.user] * (item[batch.positive] - item[batch.negative])).sum(axis=1)
    np.testing.assert_allclose(parts["bpr"], np.log2(1 + np.exp(-margin)).mean(), rtol=1e-5)
    squares = [np.mean(np.asarray(params["user"][name])[batch.user] ** 2) for name in ("image", "text")]
    squares.append(np.mean(np.hstack(list(params["weight"].values())) ** 2))
    np.testing.assert_allclose(total, parts["bpr"] + given.reg * sum(squares), rtol=1e-5)


def test_gradients_through_rows_are_those_through_tables() -> None:
    """The loss makes the users of the batch only; the derivative is that of whole tables."""
    given = model(user_layers=2)
    static, params, state = scene(given)
    batch = batch_of(data())

    def of_rows(params):
        return given.loss(params, given.encode(params, state, static, (), train=True), batch, KEY)[1]["bpr"]

    def of_tables(params):
        encoded = given.encode(params, state, static, (), train=True)
        margin = encoded.user[batch.user] * (encoded.item[batch.positive] - encoded.item[batch.negative])
        return jnp.mean(jax.nn.softplus(-margin.sum(axis=1))) / jnp.log(2.0)

    first, second = jax.grad(of_rows)(params), jax.grad(of_tables)(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), first, second)


def test_short_lists_are_filled_anew_every_epoch() -> None:
    given, dataset = model(user_k=40), data()
    static, params, state = scene(given, dataset)
    other = given.epoch(params, state, static, jax.random.key(9))[0]
    near, counts = user_neighbours(dataset.train, USERS, ITEMS)
    assert (np.asarray(state["repeats"]).sum(axis=1) == 40).all()
    assert (state["repeats"] != other["repeats"]).any()
    first, second = (given.draws(s, static) for s in (state, other))
    np.testing.assert_array_equal(first.indices, second.indices)
    for user in range(USERS):
        length = (near[user] >= 0).sum()
        mass = np.asarray(state["repeats"])[user, :length] * np.exp(counts[user, :length])
        found = np.asarray(first.values).reshape(USERS, -1)[user]
        np.testing.assert_allclose(found[:length], mass / mass.sum(), rtol=1e-5)
        assert not found[length:].any()


def test_before_the_first_epoch_nobody_is_repeated() -> None:
    given = model()
    static, _, state = prepared(given, data())
    assert (np.asarray(state["repeats"]) == 1).all()
    np.testing.assert_allclose(given.draws(state, static).bcoo.todense().sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("names", [("image",), ("text", "image", "audio")])
def test_any_number_of_modalities(names) -> None:
    sound = Modality(np.random.default_rng(7).normal(size=(ITEMS, 2)))
    dataset = data()
    dataset = dataclasses.replace(dataset, modalities={**dataset.modalities, "audio": sound}).select(*names)
    given = model()
    static, params, state = scene(given, dataset)
    encoded = given.encode(params, state, static, (), train=False)
    assert encoded.user.shape == (USERS, 4 * len(names)) and set(encoded.modal) == set(names)
    fresh = prepared(given, dataset)[1]
    np.testing.assert_allclose(sum(fresh["weight"].values()), 1.0, rtol=1e-6)
    user, item = by_hand(given, static, params, state)
    np.testing.assert_allclose(encoded.user @ encoded.item.T, user @ item.T, rtol=1e-4, atol=1e-5)


def test_users_without_neighbours_keep_their_own_vector() -> None:
    dataset = data()
    alone = np.array([(0, 10)])
    train = np.vstack([dataset.train[dataset.train[:, 0] != 0], alone])
    dataset = dataclasses.replace(dataset, train=train, valid=np.array([(1, 10)]))
    given = model()
    static, params, state = scene(given, dataset)
    encoded = given.encode(params, state, static, (), train=True)
    np.testing.assert_array_equal(encoded.user[0], encoded.extra["user"][0])


def test_other_base_scales_only_the_ranking() -> None:
    static, params, state = scene(model())
    encoded = model().encode(params, state, static, (), train=True)
    parts = [model(log_base=base).loss(params, encoded, batch_of(data()), KEY)[1] for base in ("2", "e")]
    np.testing.assert_allclose(parts[0]["bpr"] * np.log(2), parts[1]["bpr"], rtol=1e-6)
    assert parts[0]["reg_image"] == parts[1]["reg_image"]


@pytest.mark.parametrize(
    ("option", "value"),
    [("user_k", 201), ("user_layers", 0), ("user_graph", "jaccard"), ("log_base", "10"), ("reg", -1)],
)
def test_options_are_checked(option, value) -> None:
    with pytest.raises(ConfigError, match=option if option != "user_graph" else "jaccard"):
        model(**{option: value})
