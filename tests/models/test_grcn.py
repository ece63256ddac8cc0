"""GRCN: a calculation edge by edge, routing, missing rows, order of blocks."""

import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.models import make
from tests.models.test_mmgcn import bend, with_modalities
from tests.models.test_properties import ITEMS, USERS, batch_of, data, prepared

MISSING = np.arange(ITEMS) != 1


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def softmax(scores, keep):
    weight = np.exp(scores) * keep
    return weight / np.where(weight.sum() > 0, weight.sum(), 1.0)


def attended(edges, user, item, present):
    """Dense weights of what users receive from items, and items from users."""
    to_user, to_item = np.zeros((USERS, ITEMS)), np.zeros((ITEMS, USERS))
    for u in range(USERS):
        mine = edges[edges[:, 0] == u, 1]
        to_user[u, mine] = softmax(item[mine] @ user[u], present[mine])
    for i in range(ITEMS):
        mine = edges[edges[:, 1] == i, 0]
        to_item[i, mine] = softmax(user[mine] @ item[i], present[i])
    return to_user, to_item


def by_hand(model, params, dataset, names):
    """The equations, one row at a time."""
    tables, weights = [], []
    for column, name in enumerate(names):
        modality, layer = dataset.modalities[name], params["project"][name]
        item = unit(bend(modality.features @ layer["weight"].T + layer["bias"])) * modality.present[:, None]
        user = unit(np.asarray(params["preference"][name]))
        for _ in range(model.n_routing):
            user = unit(user + attended(dataset.train, user, item, modality.present)[0] @ item)
        to_user, to_item = attended(dataset.train, user, item, modality.present)
        tables.append((user + to_user @ item, item + to_item @ user))
        trust = [np.asarray(params["trust"][side])[:, column] for side in ("item", "user")]
        weights.append((to_user * trust[0], to_item * trust[1]))
    choose = {"max": np.max, "mean": np.mean}[model.choose]
    down, up = (np.maximum(choose(np.stack(side), axis=0), 0) for side in zip(*weights, strict=True))
    user, item = unit(np.asarray(params["user"])), unit(np.asarray(params["item"]))
    total = [user, item]
    for _ in range(model.n_layers):
        user, item = down @ item, up @ user
        total = [total[0] + user, total[1] + item]
    return [
        np.concatenate([ids, *blocks], axis=1) for ids, blocks in zip(total, zip(*tables, strict=True), strict=True)
    ]


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("text",), {}),
        (("image", "text"), {"n_routing": 3}),
        (("image", "audio", "text"), {"n_layers": 3, "choose": "mean", "n_routing": 1}),
    ],
)
def test_tables_by_hand(names, options) -> None:
    model, dataset = make("grcn", embed_dim=4, **options), with_modalities(*names[::-1], present=MISSING)
    static, params, state = prepared(model, dataset)
    # Larger trust than a fresh one, so that ids feel it.
    params["trust"] = {side: 20.0 * c for side, c in params["trust"].items()}
    encoded = model.encode(params, state, static, (), train=True)
    for ours, theirs in zip((encoded.user, encoded.item), by_hand(model, params, dataset, names), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert list(encoded.modal) == ["id", *names]


def test_missing_rows_take_no_part() -> None:
    model, dataset = make("grcn", embed_dim=4, n_routing=2), with_modalities("image", "text", present=MISSING)
    static, params, state = prepared(model, dataset)
    moved = static["features"]["text"].at[1].set(7.0)
    tables = [model.encode(params, state, static, (), features=f, train=True) for f in ({}, {"text": moved})]
    np.testing.assert_array_equal(tables[0].user, tables[1].user)
    np.testing.assert_array_equal(tables[0].item, tables[1].item)
    assert not np.any(tables[0].modal["text"][1][1]) and np.any(tables[0].modal["image"][1][1])


def test_regulariser_by_hand() -> None:
    batch = batch_of(data())
    for whole in (True, False):
        model = make("grcn", embed_dim=4, reg=0.5, reg_whole=whole)
        static, params, state = prepared(model, data())
        total, parts = model.loss(params, model.encode(params, state, static, (), train=True), batch, None)
        expected = {
            f"reg_{name}": np.mean(np.asarray(table)[batch.user] ** 2) for name, table in params["preference"].items()
        }
        user, item = np.asarray(params["user"]), np.asarray(params["item"])
        both = np.concatenate([item[batch.positive], item[batch.negative]])
        expected["reg_id"] = np.mean(user[batch.user] ** 2) + np.mean(both**2)
        if whole:
            expected["reg_whole_image"] = np.mean(np.asarray(params["preference"]["image"]) ** 2)
        assert set(parts) == {"bpr", *expected}
        for name, value in expected.items():
            np.testing.assert_allclose(parts[name], value, rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(total, parts["bpr"] + 0.5 * sum(expected.values()), rtol=1e-5)


def test_options_are_checked() -> None:
    for options in ({"n_routing": -1}, {"n_layers": 33}, {"reg": -1.0}, {"choose": "min"}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            make("grcn", **options)
