"""BM3: values by hand, missing rows, options that the common properties cannot see."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Modality
from jmmrec.errors import ConfigError
from jmmrec.models import make
from tests.models.test_properties import ITEMS, batch_of, data, prepared

KEY = jax.random.key(1)


def lacking(name: str):
    """The small data set; item 1 lacks this modality."""
    dataset = data()
    missing = Modality(dataset.modalities[name].features, np.arange(ITEMS) != 1)
    return dataclasses.replace(dataset, modalities={**dataset.modalities, name: missing})


def run(model, dataset, batch=None):
    static, params, state = prepared(model, dataset)
    encoded = model.encode(params, state, static, (), key=KEY, train=True)
    return params, encoded, *model.loss(params, encoded, batch or batch_of(dataset), KEY)


def gap(first, second) -> float:
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(np.mean(1 - (first * second).sum(axis=1) / norms))


def test_loss_by_hand() -> None:
    model, batch = make("bm3", embed_dim=4, drop=0.0, reg=0.5, modal_weight=3.0, n_layers=2), batch_of(data())
    params, encoded, total, parts = run(model, data(), batch)
    whole_user, whole_item = (np.asarray(table) for table in encoded.modal["id"])
    h_user, h_item = whole_user[batch.user], whole_item[batch.positive]
    weight, bias = (np.asarray(params["predict"][part]) for part in ("weight", "bias"))
    expected = {"user_item": gap(h_user @ weight.T + bias, h_item), "item_user": gap(h_item @ weight.T + bias, h_user)}
    for name in ("image", "text"):
        f = np.asarray(encoded.modal[name][1])[batch.positive]
        expected[f"align_{name}"] = gap(f @ weight.T + bias, h_item)
        expected[f"self_{name}"] = gap(f @ weight.T + bias, f)
    modal = sum(value for name, value in expected.items() if name[:5] in ("align", "self_"))
    expected["reg"] = (np.linalg.norm(whole_user) + np.linalg.norm(whole_item)) / ITEMS
    expected["bpr"] = expected["user_item"] + expected["item_user"]
    assert set(parts) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(total, expected["bpr"] + 3.0 * modal + 0.5 * expected["reg"], rtol=1e-5)
    np.testing.assert_allclose(encoded.user, whole_user @ weight.T + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("names", [("text",), ("image", "text", "smell")])
def test_any_number_of_modalities(names) -> None:
    rng = np.random.default_rng(1)
    dataset = dataclasses.replace(data(), modalities={n: Modality(rng.normal(size=(ITEMS, 3))) for n in names})
    _, encoded, total, parts = run(make("bm3", embed_dim=4), dataset)
    assert set(encoded.modal) == {"id", *names} and np.isfinite(total)
    assert {n for n in parts if n.startswith("align_")} == {f"align_{n}" for n in names}


def test_items_without_a_modality_do_not_count_in_its_terms() -> None:
    model, dataset = make("bm3", embed_dim=4), lacking("text")
    batch = batch_of(dataset)
    batch = batch._replace(positive=batch.positive.at[2].set(1))
    without = batch._replace(mask=jnp.asarray(np.asarray(batch.positive) != 1))
    parts, fewer = (run(model, dataset, b)[3] for b in (batch, without))
    for name in ("align_text", "self_text"):
        np.testing.assert_allclose(parts[name], fewer[name], rtol=1e-6)
    assert abs(parts["align_image"] - fewer["align_image"]) > 1e-4


def test_negatives_play_no_part_and_targets_are_dropped_at_the_given_rate() -> None:
    model, batch = make("bm3", embed_dim=4, drop=0.3), batch_of(data())
    first, second = (run(model, data(), b)[2] for b in (batch, batch._replace(negative=batch.positive)))
    assert float(first) == float(second)
    for mask in model.draws(KEY, 5000, ("text",)).values():
        np.testing.assert_allclose(np.unique(mask), [0, 1 / 0.7], rtol=1e-6)
        assert abs(float(mask.mean()) - 1) < 0.02


def test_tables_that_virtual_triplets_see() -> None:
    static, params, state = prepared(make("bm3", embed_dim=4), data())
    scored, pre = (make("bm3", embed_dim=4, vt_space=space) for space in ("scored", "pre"))
    trained = pre.encode(params, state, static, (), train=True)
    np.testing.assert_array_equal(trained.user, trained.modal["id"][0])
    tables = [m.encode(params, state, static, None, train=False) for m in (scored, pre)]
    np.testing.assert_array_equal(tables[0].item, tables[1].item)
    np.testing.assert_array_equal(tables[0].item, scored.encode(params, state, static, (), train=True).item)


def test_features_may_stay_as_they_are() -> None:
    model, dataset = make("bm3", embed_dim=4, train_raw_feats=False), data()
    static, params, state = prepared(model, dataset)
    assert "features" not in params
    stored, doubled = (
        model.encode(params, state, static, (), features=given, train=True)
        for given in (None, {"image": 2 * static["features"]["image"]})
    )
    losses = [model.loss(params, e, batch_of(dataset), KEY)[1] for e in (stored, doubled)]
    assert float(losses[0]["align_text"]) == float(losses[1]["align_text"])
    assert abs(losses[0]["align_image"] - losses[1]["align_image"]) > 1e-5


@pytest.mark.parametrize("option", [{"drop": 1.0}, {"vt_space": "both"}, {"reg": -1.0}, {"modal_weight": float("nan")}])
def test_options_outside_their_range(option) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        make("bm3", **option)
