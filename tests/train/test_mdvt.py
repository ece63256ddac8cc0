"""The combinator: bitwise the backbone while off, and each option against a value worked out in NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.models import Batch, BprMf, Freedom
from jmmrec.train import Static, TrainConfig, activated, trainer, with_mdvt
from jmmrec.train.step import TrainState, step

BACKBONE = BprMf(embed_dim=4, reg=0.1)
USER = np.array([0, 3, 3, 7, 0])
BATCH = Batch(
    *(jnp.asarray(a) for a in (USER, [1, 2, 4, 6, 0], [5, 5, 8, 9, 0])),
    jnp.array([True, True, True, True, False]),
    jnp.int32(0),
)
REAL = np.asarray(BATCH.mask)


def parts_of(dataset, batch=BATCH, **options):
    """Tables, total, parts of an active combinator on fresh parameters."""
    model = with_mdvt(BACKBONE, active=True, **({"n": 2, "lam": 0.3} | options))
    static = model.prepare(dataset.for_training())
    params, state = model.init(jax.random.key(0), static)
    state, aux = model.epoch(params, state, static, jax.random.key(1))
    encoded = model.encode(params, state, static, aux, train=True)
    total, parts = model.loss(params, encoded, batch, jax.random.key(0))
    return np.asarray(params["user"], np.float64), np.asarray(params["item"], np.float64), float(total), parts


def per_row(user, item, n=2, forbid_top=None, forbid_bottom=None) -> np.ndarray:
    """-ln σ of every row's virtual margin."""
    cosine = (user / np.linalg.norm(user, axis=1)[:, None]) @ (item / np.linalg.norm(item, axis=1)[:, None]).T
    top = np.argsort(-cosine if forbid_top is None else np.where(forbid_top, np.inf, -cosine), axis=1)[:, :n]
    bottom = np.argsort(cosine if forbid_bottom is None else np.where(forbid_bottom, np.inf, cosine), axis=1)[:, :n]
    margin = ((item[top].mean(axis=1) - item[bottom].mean(axis=1)) * user).sum(axis=1)
    return np.logaddexp(0.0, -margin)


def known(dataset) -> np.ndarray:
    seen = np.zeros((dataset.n_users, dataset.n_items), bool)
    seen[tuple(dataset.train.T)] = True
    return seen


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, lambda u, i, seen: per_row(u, i).mean()),
        ({"n": 3}, lambda u, i, seen: per_row(u, i, 3).mean()),
        ({"reduction": "sum"}, lambda u, i, seen: per_row(u, i).sum()),
        ({"log_base": "2"}, lambda u, i, seen: per_row(u, i).mean() / np.log(2)),
        ({"users": "batch"}, lambda u, i, seen: per_row(u, i)[USER[REAL]].mean()),
        ({"users": "batch", "reduction": "sum"}, lambda u, i, seen: per_row(u, i)[USER[REAL]].sum()),
        ({"exclude_train": "neg"}, lambda u, i, seen: per_row(u, i, forbid_bottom=seen).mean()),
        ({"exclude_train": "both"}, lambda u, i, seen: per_row(u, i, 2, seen, seen).mean()),
        (
            {"exclude_train": "both", "users": "batch"},
            lambda u, i, seen: per_row(u, i, 2, seen, seen)[USER[REAL]].mean(),
        ),
        ({"refresh": "epoch"}, lambda u, i, seen: per_row(u, i).mean()),
        ({"refresh": "epoch", "users": "batch"}, lambda u, i, seen: per_row(u, i)[USER[REAL]].mean()),
    ],
    ids=lambda o: ",".join(f"{k}={v}" for k, v in o.items()) or "defaults" if isinstance(o, dict) else "",
)
def test_options_by_hand(dataset, options, expected) -> None:
    user, item, total, parts = parts_of(dataset, **options)
    virtual = expected(user, item, known(dataset))
    np.testing.assert_allclose(parts["virtual"], virtual, rtol=1e-5)
    np.testing.assert_allclose(total, 0.7 * float(parts["model"]) + 0.3 * virtual, rtol=1e-5)
    np.testing.assert_allclose(parts["model"], parts["bpr"] + 0.1 * parts["reg"], rtol=1e-6)


def test_batch_pool_by_hand(dataset) -> None:
    """Rows: the batch's users; columns: its positives and negatives, padding left out."""
    user, item, _, parts = parts_of(dataset, users="batch", item_pool="batch")
    columns = np.stack([BATCH.positive, BATCH.negative], axis=1)[REAL].ravel()
    # Item 5 stands there twice, as in the public code: both of its copies may be chosen.
    np.testing.assert_allclose(parts["virtual"], per_row(user[USER[REAL]], item[columns]).mean(), rtol=1e-5)


def test_a_batch_with_fewer_items_than_are_mined(dataset) -> None:
    """A short last batch has one real row: its two items are all that can be chosen, four times or not."""
    few = BATCH._replace(mask=jnp.arange(len(BATCH.mask)) == int(np.flatnonzero(REAL)[0]))
    how = {"users": "batch", "item_pool": "batch"}
    four, two = (parts_of(dataset, few, n=n, **how)[3]["virtual"] for n in (4, 2))
    np.testing.assert_allclose(four, two, rtol=1e-6)


def test_scaling_of_the_ranking_loss_alone(dataset) -> None:
    *_, total, parts = parts_of(dataset, scale_target="bpr")
    expected = 0.7 * parts["bpr"] + 0.1 * parts["reg"] + 0.3 * parts["virtual"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)


def test_ends_of_lambda(dataset) -> None:
    *_, total, parts = parts_of(dataset, lam=1.0)
    assert total == pytest.approx(float(parts["virtual"]), rel=1e-6)
    *_, total, parts = parts_of(dataset, lam=0.0)
    assert "virtual" not in parts
    assert total == pytest.approx(float(parts["bpr"] + 0.1 * parts["reg"]), rel=1e-6)


def trained(model, dataset, epochs: int = 3, **policy):
    t = trainer(model, dataset.for_training(), TrainConfig(batch_size=8, monitor="recall@5"))
    lane = t.start(0, **policy)
    for _ in range(epochs):
        lane = t.advance([lane])[0]
    return lane


@pytest.mark.parametrize("backbone", [BACKBONE, Freedom(embed_dim=4, knn_k=3, edge_drop=0.5)], ids=["bpr", "freedom"])
def test_inactive_is_bitwise_the_backbone(dataset, backbone) -> None:
    alone = trained(backbone, dataset)
    for model in (with_mdvt(backbone), with_mdvt(backbone, refresh="epoch", exclude_train="both")):
        wrapped = trained(model, dataset)
        jax.tree.map(np.testing.assert_array_equal, alone.train.params, wrapped.train.params)
        assert [r["loss"] for r in alone.history] == [r["loss"] for r in wrapped.history]


def test_active_with_lambda_zero_is_the_backbone(dataset) -> None:
    alone, nothing = trained(BACKBONE, dataset), trained(with_mdvt(BACKBONE, lam=0.0, active=True), dataset)
    jax.tree.map(np.testing.assert_array_equal, alone.train.params, nothing.train.params)


def test_warm_up_switches_the_loss_on(dataset) -> None:
    lane = trained(with_mdvt(BACKBONE), dataset, epochs=4, policy=Static(2))
    assert [r["virtual_active"] for r in lane.history] == [False, False, True, True]
    assert ["virtual" in r["parts"] for r in lane.history] == [False, False, True, True]
    before = trained(BACKBONE, dataset, epochs=2)
    assert [r["loss"] for r in lane.history[:2]] == [r["loss"] for r in before.history]


@pytest.mark.parametrize(("refresh", "renewed"), [("epoch", []), (1, [0, 1, 2, 3]), (2, [1, 3]), (3, [2])])
def test_stored_items_are_renewed_when_they_should(dataset, refresh, renewed) -> None:
    model = with_mdvt(BACKBONE, n=1, refresh=refresh, active=True)
    static = model.prepare(dataset.for_training())
    params, state = model.init(jax.random.key(0), static)
    optimiser = TrainConfig().optimiser(model)
    state, aux = model.epoch(params, state, static, jax.random.key(0))
    assert any(np.any(side) for side in state["mined"])  # the hook mined
    train = TrainState(params, optimiser.init(params), state)
    run = jax.jit(step, static_argnums=(0, 1))
    changed = []
    for number in range(4):
        # Fresh tables before every step: whatever is mined from them differs.
        fresh = model.init(jax.random.key(10 + number), static)[0]
        batch = BATCH._replace(step=jnp.int32(number))
        old = train.state["mined"]
        train = run(model, optimiser, train._replace(params=fresh), static, aux, batch, jax.random.key(0), 1e-3)[0]
        changed += [number] if any(map(np.any, jax.tree.map(np.not_equal, old, train.state["mined"]))) else []
    assert changed == renewed


def test_refresh_each_batch_keeps_no_state(dataset) -> None:
    model = with_mdvt(BACKBONE, active=True)
    assert model.init(jax.random.key(0), model.prepare(dataset.for_training()))[1]["mined"] == ()


def test_the_virtual_loss_is_off_in_evaluation(dataset) -> None:
    model = activated(with_mdvt(BACKBONE))
    static = model.prepare(dataset.for_training())
    params, state = model.init(jax.random.key(0), static)
    plain = BACKBONE.encode(params, (), static["backbone"], None, train=False)
    jax.tree.map(np.testing.assert_array_equal, model.encode(params, state, static, None, train=False), plain)


def test_activated_leaves_other_models_alone() -> None:
    assert activated(BACKBONE) is BACKBONE
    assert activated(with_mdvt(BACKBONE)) == dataclasses.replace(with_mdvt(BACKBONE), active=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": 65}, "n is 65"),
        ({"lam": 1.5}, "lam is 1.5"),
        ({"users": "some"}, "users is 'some'"),
        ({"refresh": "often"}, "refresh is 'often'"),
        ({"refresh": 0}, "refresh is 0"),
        ({"exclude_train": "pos"}, "exclude_train is 'pos'"),
        ({"scale_target": "all"}, "scale_target is 'all'"),
        ({"item_pool": "batch"}, "item_pool='batch' looks inside one batch"),
    ],
)
def test_wrong_options(options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        with_mdvt(BACKBONE, **options)


def test_more_items_than_there_are(dataset) -> None:
    with pytest.raises(ConfigError, match="n is 12 but small has only 11 items"):
        with_mdvt(BACKBONE, n=12).prepare(dataset.for_training())
