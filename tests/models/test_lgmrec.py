"""LGMRec: values by hand, missing rows, noise in evaluation, numbers of modalities and of hyperedges."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Modality
from jmmrec.errors import ConfigError
from jmmrec.losses import info_nce
from jmmrec.models import make
from jmmrec.retrieval import normalise_rows
from tests.models.test_properties import ITEMS, USERS, batch_of, data, prepared

KEY = jax.random.key(1)


def with_features(**present):
    """The small data set with one modality for each name; `present` says which items have it."""
    rng = np.random.default_rng(4)
    modalities = {n: Modality(rng.normal(size=(ITEMS, 3 + k)), here) for k, (n, here) in enumerate(present.items())}
    return dataclasses.replace(data(), modalities=modalities)


def run(model, dataset, **options):
    static, params, state = prepared(model, dataset)
    encoded = model.encode(params, state, static, (), **({"key": KEY, "train": True} | options))
    return params, static, encoded, *model.loss(params, encoded, batch_of(dataset), KEY)


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def by_hand(model, dataset, params, static, draws):
    """Everything in float64 with whole matrices."""
    params, draws = jax.tree.map(lambda a: np.asarray(a, np.float64), (params, draws))
    chosen = np.zeros((USERS, ITEMS))
    chosen[tuple(dataset.train.T)] = 1.0
    degree = chosen.sum(axis=1, keepdims=True), chosen.sum(axis=0, keepdims=True)
    a = chosen * (degree[0] + 1e-7) ** -0.5 * (degree[1] + 1e-7) ** -0.5

    def step(user, item):
        return a @ item, a.T @ user

    ids, total = (params["user"], params["item"]), (params["user"], params["item"])
    for _ in range(model.n_ui_layers):
        ids = step(*ids)
        total = tuple(map(np.add, total, ids))
    ids = tuple(t / (model.n_ui_layers + 1) for t in total)
    local, spread = list(ids), {}
    for name, x in static["features"].items():
        x = np.asarray(x, np.float64)
        f, b = x @ params["project"][name].T, x @ params["hyper"][name].T
        tables = chosen @ f / (degree[0] + 1e-7), f
        for _ in range(model.n_mm_layers):
            tables = step(*tables)
        logits = chosen @ b, b
        users, items = (softmax((t + g) / model.tau) * k for t, (g, k) in zip(logits, draws[name], strict=True))
        y = ids[1]
        for _ in range(model.n_hyper_layers):
            z = items.T @ y
            y = items @ z
        spread[name] = users @ z, y
        local = [t + unit(m) for t, m in zip(local, tables, strict=True)]
    both = [t + model.alpha * unit(sum(y[s] for y in spread.values())) for s, t in enumerate(local)]
    return both, spread


def contrast(first, second, rows, tau):
    logits = unit(first)[rows] @ unit(second).T / tau
    return np.sum(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(rows)), rows])


@pytest.mark.parametrize("hyper_num", [3, 64])
def test_tables_and_terms_by_hand(hyper_num) -> None:
    model = make("lgmrec", embed_dim=4, hyper_num=hyper_num, n_hyper_layers=3, n_mm_layers=1, cl_weight=0.1, reg=0.5)
    dataset, batch = with_features(text=None, image=None), batch_of(data())
    params, static, encoded, total, parts = run(model, dataset)
    draws = model.draws(KEY, ("image", "text"), (USERS, ITEMS), True)
    (user, item), spread = by_hand(model, dataset, params, static, draws)
    np.testing.assert_allclose(encoded.user, user, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoded.item, item, rtol=1e-4, atol=1e-5)
    image, text = spread["image"], spread["text"]
    expected = {
        "bpr": np.mean(np.log1p(np.exp(np.sum(user[batch.user] * (item[batch.negative] - item[batch.positive]), 1)))),
        "hcl_user": contrast(image[0], text[0], np.asarray(batch.user), model.tau),
        "hcl_item": contrast(image[1], text[1], np.asarray(batch.positive), model.tau),
        "reg": sum(np.linalg.norm(t) for t in (user[batch.user], item[batch.positive], item[batch.negative])) / 7,
    }
    assert set(parts) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(
        total, parts["bpr"] + 0.1 * (parts["hcl_user"] + parts["hcl_item"]) + 0.5 * parts["reg"], rtol=1e-6
    )


def test_mean_is_the_sum_by_rows() -> None:
    parts = [run(make("lgmrec", embed_dim=4, hcl_reduction=r), data())[4] for r in ("sum", "mean")]
    for name in ("hcl_user", "hcl_item"):
        np.testing.assert_allclose(parts[0][name], 7 * parts[1][name], rtol=1e-5)


def test_one_modality_has_no_contrast_and_three_have_three_pairs() -> None:
    model, batch = make("lgmrec", embed_dim=4), batch_of(data())
    parts = run(model, with_features(smell=None))[4]
    assert float(parts["hcl_user"]) == float(parts["hcl_item"]) == 0.0
    dataset = with_features(text=None, audio=None, visual=None)
    _, _, encoded, _, parts = run(model, dataset)
    tables = {n: [normalise_rows(t) for t in h.tables] for n, h in encoded.extra["hyper"].items()}
    for side, (name, rows) in enumerate((("hcl_user", batch.user), ("hcl_item", batch.positive))):
        expected = sum(
            info_nce(tables[a][side][rows], tables[b][side], rows, tau=model.tau, reduction="sum")
            for a, b in (("visual", "audio"), ("visual", "text"), ("audio", "text"))
        )
        np.testing.assert_allclose(parts[name], expected, rtol=1e-4)


def test_items_without_a_modality_join_no_hyperedge_and_no_contrast() -> None:
    here = np.arange(ITEMS) != int(batch_of(data()).positive[0])
    encoded, _, parts = run(make("lgmrec", embed_dim=4), with_features(image=None, text=here))[2:]
    assert not np.any(np.asarray(encoded.extra["hyper"]["text"].item)[~here])
    assert np.any(np.asarray(encoded.extra["hyper"]["image"].item)[~here])
    image, text = (normalise_rows(encoded.extra["hyper"][n].tables[1]) for n in ("image", "text"))
    rows = np.asarray(batch_of(data()).positive)
    rows = rows[here[rows]]
    expected = info_nce(image[rows], text, rows, tau=0.2, keep=jnp.asarray(here), reduction="sum")
    np.testing.assert_allclose(parts["hcl_item"], expected, rtol=1e-4)


def test_evaluation_repeats_itself_with_noise_or_without() -> None:
    tables = {}
    for option in ("fixed", "off"):
        model = make("lgmrec", embed_dim=4, eval_gumbel=option)
        first, second = (run(model, data(), key=k, train=False)[2].user for k in (None, KEY))
        np.testing.assert_array_equal(first, second)
        tables[option] = first
    assert not np.allclose(tables["fixed"], tables["off"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eval_gumbel": "per_batch"}, "eval_gumbel is 'per_batch'"),
        ({"keep_rate": 0.0}, "keep_rate is 0.0"),
        ({"n_hyper_layers": 0}, "n_hyper_layers is 0"),
        ({"hcl_reduction": "max"}, "hcl_reduction is 'max'"),
        ({"tau": 0.0}, "tau is 0.0"),
    ],
)
def test_wrong_options_are_named(options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        make("lgmrec", **options)
