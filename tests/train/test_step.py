"""One epoch is its steps; Adam is the textbook's; a backbone of one's own needs nothing but the methods."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data.sampling import draw_negatives, epoch_order, negative_table
from jmmrec.errors import ConfigError, DataError, DivergenceError
from jmmrec.models import Backbone, Batch, BprMf, Encoded, Freedom
from jmmrec.train import TrainConfig, trainer, with_mdvt
from jmmrec.train.config import epoch_key, init_key
from jmmrec.train.step import TrainState, single, step


def start(model, dataset, config):
    static = model.prepare(dataset.for_training())
    params, state = model.init(init_key(0), static)
    return static, TrainState(params, config.optimiser(model).init(params), state)


def test_an_epoch_is_a_loop_of_steps(dataset) -> None:
    model, config = Freedom(embed_dim=4, knn_k=3, edge_drop=0.5), TrainConfig(batch_size=16)
    static, train = start(model, dataset, config)
    table, rows = negative_table(dataset.train, dataset.n_users), jnp.asarray(dataset.train)
    order, key = jnp.asarray(epoch_order(dataset.train, 16, seed=0, epoch=0)), epoch_key(0, 0)
    scanned, log = single(model, config, train, static, table, rows, order, key, 1e-2)
    hook, steps = jax.random.split(key)
    state, aux = model.epoch(train.params, train.state, static, hook)
    one, looped = jax.jit(step, static_argnums=(0, 1)), train._replace(state=state)
    optimiser = config.optimiser(model)
    for number, places in enumerate(order):
        negative, own = jax.random.split(jax.random.fold_in(steps, number))
        user, positive = rows[jnp.maximum(places, 0)].T
        batch = Batch(user, positive, draw_negatives(negative, table, user), places >= 0, jnp.int32(number))
        looped, parts = one(model, optimiser, looped, static, aux, batch, own, 1e-2)
        for name, value in parts.items():
            np.testing.assert_allclose(log[name][number], value, rtol=1e-5)
    assert int(np.sum(order < 0)) > 0
    for name in ("user", "item"):
        np.testing.assert_allclose(scanned.params[name], looped.params[name], atol=1e-5)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adam_is_the_textbook_s(dataset, weight_decay) -> None:
    """Weight decay is coupled: added to the gradient before the moments."""
    model, config = BprMf(embed_dim=3, reg=0.0), TrainConfig(weight_decay=weight_decay)
    static, train = start(model, dataset, config)
    batch = Batch(*(jnp.array([0, 1]),) * 2, jnp.array([2, 3]), jnp.ones(2, bool), jnp.int32(0))

    def loss(params):
        return model.loss(params, model.encode(params, (), static, (), train=True), batch, None)[0]

    table = np.asarray(train.params["user"], np.float64)
    first, second = np.zeros_like(table), np.zeros_like(table)
    for t in range(1, 4):
        gradient = np.asarray(jax.grad(loss)(train.params)["user"], np.float64) + weight_decay * table
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        table = table - 0.01 * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        train, _ = step(model, config.optimiser(model), train, static, (), batch, jax.random.key(0), 0.01)
        np.testing.assert_allclose(train.params["user"], table, atol=2e-6)


def test_learning_rate_decays_by_epochs() -> None:
    config = TrainConfig(learning_rate=0.1, decay=0.96, decay_epochs=50)
    assert config.rate(0) == 0.1
    assert config.rate(50) == pytest.approx(0.096)
    assert config.rate(25) == pytest.approx(0.1 * 0.96**0.5)


def test_keys_differ_by_seed_and_epoch() -> None:
    keys = [init_key(0), init_key(1), epoch_key(0, 0), epoch_key(0, 1), epoch_key(1, 0)]
    assert len({tuple(np.asarray(jax.random.key_data(k)).tolist()) for k in keys}) == len(keys)


@dataclasses.dataclass(frozen=True)
class Own(Backbone):
    """Two tables, and a count of the batches seen; not registered anywhere."""

    def prepare(self, data):
        return {"sizes": (jnp.zeros((data.n_users, 0)), jnp.zeros((data.n_items, 0)))}

    def init(self, key, static):
        user, item = (jax.random.normal(key, (len(s), 2)) for s in static["sizes"])
        return {"user": user, "item": item}, {"batches": jnp.int32(0), "epochs": jnp.int32(0)}

    def epoch(self, params, state, static, key):
        return state | {"epochs": state["epochs"] + 1}, ()

    def encode(self, params, state, static, aux, *, features=None, key=None, train):
        return Encoded(params["user"], params["item"])

    def loss(self, params, encoded, batch, key):
        margin = jnp.sum(encoded.user[batch.user] * encoded.item[batch.positive], axis=-1)
        loss = jnp.sum(jnp.where(batch.mask, jax.nn.softplus(-margin), 0.0))
        return loss, {"bpr": loss}

    def after_batch(self, state, encoded, batch):
        return state | {"batches": state["batches"] + jnp.sum(batch.mask)}


def test_a_backbone_of_one_s_own(dataset) -> None:
    t = trainer(Own(), dataset.for_training(), TrainConfig(batch_size=8, monitor="recall@5"))
    lanes = t.advance(t.advance([t.start(0), t.start(1)]))
    for lane in lanes:
        assert int(lane.train.state["epochs"]) == 2
        assert int(lane.train.state["batches"]) == 2 * len(dataset.train)


def test_divergence_names_epoch_step_and_part(dataset) -> None:
    class Broken(Own):
        def loss(self, params, encoded, batch, key):
            total, parts = super().loss(params, encoded, batch, key)
            return jnp.where(batch.step == 1, jnp.nan, total), parts

    t = trainer(Broken(), dataset.for_training(), TrainConfig(batch_size=8, monitor="recall@5"))
    with pytest.raises(DivergenceError, match=r"seed 0 diverged in epoch 0, step 1: loss is nan"):
        t.advance([t.start(0)])


def test_training_code_cannot_reach_test_rows(dataset) -> None:
    view = dataset.for_training()
    with pytest.raises(AttributeError, match=r"out of reach of training code; evaluate a finished run with"):
        _ = view.test
    with pytest.raises(AttributeError, match="has no attribute 'tests'"):
        _ = view.tests
    t = trainer(BprMf(embed_dim=2), view)
    assert not hasattr(t.data, "test")
    held = {tuple(row) for row in dataset.test.tolist()}
    assert not held & {tuple(row) for row in np.concatenate([t.data.train, t.data.valid]).tolist()}


def test_selection_needs_valid_rows(dataset) -> None:
    bare = dataclasses.replace(dataset, valid=np.zeros((0, 2)))
    with pytest.raises(DataError, match="small has no valid rows"):
        trainer(BprMf(), bare.for_training())


@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}, {"patience": -1},
     {"monitor": "recall"}, {"sampler": "items"}, {"eval_every": 0}, {"weight_decay": -1.0}],
)  # fmt: skip
def test_wrong_settings(options) -> None:
    with pytest.raises(ConfigError):
        TrainConfig(**options)


class Rarely(Own):
    """Trains its users in the first step of an epoch only, and counts its steps before they are taken."""

    rare = ("user",)

    def epoch(self, params, state, static, key):
        return state | {"first": jnp.bool_(True)}, ()

    def init(self, key, static):
        params, state = super().init(key, static)
        return params, state | {"first": jnp.bool_(True), "before": jnp.int32(0)}

    def due(self, state):
        return state["first"]

    def before_batch(self, params, state, static, aux, batch, key):
        before = state["before"] + 1
        return state | {"before": before}, {"before": before}

    def after_batch(self, state, encoded, batch):
        return super().after_batch(state, encoded, batch) | {"first": jnp.bool_(False)}


@pytest.mark.parametrize("virtual", [False, True])
def test_rare_parameters_rest_with_their_moments(dataset, virtual) -> None:
    """Two epochs of Adam on the users' own gradients give where they end, however many steps lie between."""
    model = with_mdvt(Rarely(), n=1, lam=0.0, active=True) if virtual else Rarely()
    config = TrainConfig(batch_size=8, monitor="recall@5")
    static, train = start(model, dataset, config)
    optimiser, batches = config.optimiser(model), []
    plain = TrainConfig().optimiser(Own())
    alone = train.params["user"], plain.init(train.params["user"])
    for number in range(6):
        if number % 3 == 0:
            train = train._replace(state=model.epoch(train.params, train.state, static, jax.random.key(0))[0])
        rows = jnp.asarray(dataset.train[np.arange(8 * number, 8 * number + 8) % len(dataset.train)])
        batches.append(Batch(rows[:, 0], rows[:, 1], rows[:, 1], jnp.ones(8, bool), jnp.int32(number % 3)))
        if number % 3 == 0:

            def loss(user, params=train.params, batch=batches[-1]):
                return Own.loss(model, None, Encoded(user, params["item"]), batch, None)[0]

            updates, moments = plain.update(jax.grad(loss)(alone[0]), alone[1], alone[0])
            alone = alone[0] - 0.01 * updates, moments
        train, log = step(model, optimiser, train, static, (), batches[-1], jax.random.key(0), 0.01)
        assert int(log["before"]) == number + 1
        np.testing.assert_allclose(train.params["user"], alone[0], rtol=1e-6)


def test_weight_decay_before_and_after_the_moments() -> None:
    """By hand, first step: Adam's direction is the gradient's sign; AdamW adds the decay to it."""
    params, gradients = {"w": jnp.array([4.0, -2.0])}, {"w": jnp.array([0.1, 0.1])}
    after = TrainConfig(decoupled_decay=0.5).optimiser(Own())
    updates, _ = after.update(gradients, after.init(params), params)
    np.testing.assert_allclose(updates["w"], [3.0, 0.0], atol=1e-5)
    before = TrainConfig(weight_decay=0.5).optimiser(Own())
    updates, _ = before.update(gradients, before.init(params), params)
    np.testing.assert_allclose(updates["w"], [1.0, -1.0], atol=1e-5)


def test_a_model_s_own_training_is_used_unless_said_otherwise() -> None:
    class Decayed(Own):
        training: ClassVar[Mapping[str, Any]] = {"weight_decay": 1e-4, "batch_size": 64}

    assert TrainConfig.of(Decayed(), batch_size=8) == TrainConfig(weight_decay=1e-4, batch_size=8)
    assert TrainConfig.of(with_mdvt(Decayed())).batch_size == 64
