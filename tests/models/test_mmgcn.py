"""MMGCN: a dense calculation by hand, frozen and trained tables, missing rows, options."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Modality
from jmmrec.errors import ConfigError
from jmmrec.models import MmGcn, make
from tests.models.test_properties import ITEMS, USERS, batch_of, data, prepared, training_loss

SMALL = {"embed_dim": 4, "latent": 6}
EVERYWHERE = np.ones(ITEMS, bool)


def with_modalities(*names: str, present=EVERYWHERE):
    """The small data set with these modalities, the last one with missing rows."""
    rng = np.random.default_rng(1)
    found = {n: Modality(rng.normal(size=(ITEMS, 3)), present if n == names[-1] else EVERYWHERE) for n in names}
    return dataclasses.replace(data(), modalities=found)


def bend(x):
    return np.where(x > 0, x, 0.01 * x)


def by_hand(params, free, dataset, *, concat: bool):
    """The equations, users and items in one dense matrix."""
    linked = np.zeros((USERS + ITEMS,) * 2)
    linked[dataset.train[:, 0], USERS + dataset.train[:, 1]] = 1
    linked += linked.T
    mean = linked / np.maximum(linked.sum(axis=1, keepdims=True), 1)
    ids, total = np.concatenate([free["user"], free["item"]]), np.zeros(())
    for name, layers in params["branch"].items():
        item = dataset.modalities[name].features
        if "project" in layers:
            item = item @ layers["project"]["weight"].T + layers["project"]["bias"]
        x = np.concatenate([free["preference"][name], item])
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        for n in range(1, len(layers) + ("project" not in layers)):
            layer = layers[str(n)]
            received = bend(mean @ (x @ layer["conv"].T))
            own = bend(x @ layer["own"]["weight"].T + layer["own"]["bias"]) + ids
            mixed = np.concatenate([received, own], axis=1) if concat else received
            x = bend(mixed @ layer["mix"]["weight"].T + layer["mix"]["bias"] + (0 if concat else own))
        total = total + x / len(params["branch"])
    return total[:USERS], total[USERS:]


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("text",), {}),
        (("image", "text", "smell"), {"n_layers": 2}),
        (("image", "text"), {"concat": False}),
        (("image", "text"), {"project_all": True, "train_free": True}),
    ],
)
def test_tables_by_hand(names, options) -> None:
    model, dataset = MmGcn(**SMALL, **options), with_modalities(*names)
    static, params, state = prepared(model, dataset)
    aux = model.epoch(params, state, static, jax.random.key(0))[1]
    expected = by_hand(params, params.get("free", state), dataset, concat=model.concat)
    for encoded in (
        model.encode(params, state, static, aux, train=True),
        model.encode(params, state, static, None, train=False),
    ):
        np.testing.assert_allclose(encoded.user, expected[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(encoded.item, expected[1], rtol=1e-4, atol=1e-6)


def test_projected_modalities() -> None:
    dataset = with_modalities("image", "text")
    shapes = [prepared(make("mmgcn", **SMALL, project_all=p), dataset)[1]["branch"] for p in (False, True)]
    assert [("project" in s["image"], "project" in s["text"]) for s in shapes] == [(True, False), (True, True)]
    assert shapes[0]["text"]["1"]["conv"].shape == (3, 3) and shapes[1]["text"]["1"]["conv"].shape == (6, 6)


def test_regulariser_is_constant_unless_tables_are_trained() -> None:
    dataset, batch = data(), batch_of(data())
    for reg_tables, names in (("all", {"image", "text"}), ("visual", {"image"})):
        model = make("mmgcn", **SMALL, reg=0.5, reg_tables=reg_tables)
        static, params, state = prepared(model, dataset)
        total, parts = model.loss(params, model.encode(params, state, static, None, train=False), batch, None)
        ids = [np.asarray(state[side])[rows] for side, rows in (("user", batch.user), ("item", batch.positive))]
        other = np.asarray(state["item"])[batch.negative]
        expected = np.mean(ids[0] ** 2) + 0.5 * (np.mean(ids[1] ** 2) + np.mean(other**2))
        np.testing.assert_allclose(parts["reg_id"], expected, rtol=1e-5)
        assert set(parts) == {"bpr", "reg_id", *(f"reg_preference_{n}" for n in names)}
        np.testing.assert_allclose(
            total, parts["bpr"] + 0.5 * sum(v for k, v in parts.items() if k != "bpr"), rtol=1e-6
        )
    trained = make("mmgcn", **SMALL, train_free=True, reg=0.5)
    static, params, state = prepared(trained, dataset)
    gradients = jax.grad(training_loss(trained, static, state), has_aux=True)(params, batch)[0]["free"]
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradients))


def test_missing_rows_bring_nothing_in() -> None:
    present = np.arange(ITEMS) != 1
    for names in (("image", "text"), ("text", "image")):  # a raw and a projected modality with a missing row
        model, dataset = make("mmgcn", **SMALL), with_modalities(*names, present=present)
        static, params, state = prepared(model, dataset)
        moved = static["features"][names[-1]].at[1].set(7.0)
        tables = [model.encode(params, state, static, None, features=f, train=False) for f in ({}, {names[-1]: moved})]
        np.testing.assert_array_equal(tables[0].item, tables[1].item)
        np.testing.assert_array_equal(tables[0].user, tables[1].user)
    assert "image" in static["present"] and jnp.isfinite(tables[0].item).all()


def test_options_are_checked() -> None:
    for options in ({"n_layers": 0}, {"latent": 0}, {"reg": -1.0}, {"reg_tables": "some"}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            make("mmgcn", **options)
