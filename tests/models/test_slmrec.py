"""SLMRec: channels, chain, views and options that the common properties cannot see."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Modality
from jmmrec.errors import ConfigError
from jmmrec.graph import bipartite
from jmmrec.interop.pytorch import dump_params, load_params
from jmmrec.losses import info_nce
from jmmrec.models import Batch, make
from jmmrec.models.channels import channel_means
from jmmrec.models.common import layer_mean
from jmmrec.models.slmrec_tasks import chain_init, foretell
from jmmrec.retrieval import normalise_rows
from jmmrec.train import TrainConfig, trainer
from tests.models.test_properties import ITEMS, USERS, batch_of, data, prepared

KEY = jax.random.key(1)


def with_modalities(*names: str):
    """The small data set with these modalities; the last one of two or more lacks item 1."""
    rng = np.random.default_rng(1)
    present = np.arange(ITEMS) != 1
    found = {n: Modality(rng.normal(size=(ITEMS, 3)), present if len(names) > 1 and n == names[-1] else None)
             for n in names}  # fmt: skip
    return dataclasses.replace(data(), modalities=found)


def terms(model, dataset, batch: Batch | None = None, key=KEY):
    static, params, state = prepared(model, dataset)
    encoded = model.encode(params, state, static, (), key=key, train=True)
    return encoded, *model.loss(params, encoded, batch or batch_of(dataset), KEY)


@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
def test_channels_that_share_users_are_layer_means(n_layers) -> None:
    rng = np.random.default_rng(0)
    user, item = (jnp.asarray(rng.normal(size=(n, w)), jnp.float32) for n, w in ((USERS, 2), (ITEMS, 6)))
    graph = bipartite(data().train, USERS, ITEMS, "mean")
    for ours, whole in zip(
        zip(*channel_means(graph, user, item, n_layers), strict=True),
        layer_mean(graph, jnp.tile(user, (1, 3)), item, n_layers),
        strict=True,
    ):
        np.testing.assert_allclose(jnp.tile(ours[0], (1, 3)) + ours[1], whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "stages"),
    [(("text",), 1), (("text", "image"), 2), (("image", "smell", "text", "audio"), 4)],
)
def test_any_number_of_modalities(names, stages) -> None:
    model = make("slmrec", embed_dim=4)
    encoded, total, parts = terms(model, with_modalities(*names))
    assert set(parts) == {"bpr", *(f"fac_{n}" for n in names)} and np.isfinite(total)
    assert set(encoded.modal) == {"id", *names}
    _, params, _ = prepared(model, with_modalities(*names))
    assert ("between" in params["chain"]) == (stages == 2)
    widths = {n: layer["weight"].shape for n, layer in params["chain"]["own"].items()}
    assert widths.pop(names[0] if stages == 1 else "text") == ((4, 4) if stages == 1 else (2, 4))
    assert set(widths.values()) <= {(4, 4)}


def test_a_third_modality_leaves_the_layers_of_the_others() -> None:
    model = make("slmrec", embed_dim=4)
    two, three = (prepared(model, with_modalities(*n))[1] for n in (("image", "text"), ("image", "audio", "text")))
    for name in ("image", "text"):
        jax.tree.map(np.testing.assert_array_equal, two["project"][name], three["project"][name])
        jax.tree.map(np.testing.assert_array_equal, two["chain"]["own"][name], three["chain"]["own"][name])


def test_chain_of_three_by_hand() -> None:
    order = ("image", "audio", "text")
    layers = chain_init(KEY, order, 4)
    rows = {n: jax.random.normal(jax.random.key(i), (5, 4)) for i, n in enumerate(("id", *order))}
    told = rows["id"]
    for name, (c, own) in foretell(layers, order, rows).items():
        told = told @ layers["chain"][name]["weight"].T + layers["chain"][name]["bias"]
        np.testing.assert_allclose(c, told, rtol=1e-5)
        expected = rows[name] @ layers["own"][name]["weight"].T + layers["own"][name]["bias"]
        np.testing.assert_allclose(own, expected, rtol=1e-5)


def test_items_without_a_modality_are_neither_rows_nor_columns_of_its_term() -> None:
    model, dataset = make("slmrec", embed_dim=4), with_modalities("image", "text")
    batch = batch_of(dataset)
    batch = batch._replace(positive=batch.positive.at[2].set(1))
    known = np.asarray(batch.positive) != 1
    without = batch._replace(mask=jnp.asarray(known))
    parts, fewer = (terms(model, dataset, b)[2] for b in (batch, without))
    np.testing.assert_allclose(parts["fac_text"], fewer["fac_text"], rtol=1e-6)
    assert abs(parts["fac_image"] - fewer["fac_image"]) > 1e-4


@pytest.mark.parametrize("task", ["fd", "fm", "fd+fm"])
def test_views_train(task) -> None:
    model = make("slmrec", embed_dim=4, ssl_task=task)
    _, total, parts = terms(model, data())
    assert set(parts) == {"bpr", "views_user", "views_item"}
    np.testing.assert_allclose(total, parts["bpr"] + 0.1 * (parts["views_user"] + parts["views_item"]), rtol=1e-6)
    t = trainer(model, data().for_training(), TrainConfig(batch_size=16, learning_rate=0.02, monitor="recall@5"))
    lane = t.start(0)
    for _ in range(8):
        lane = t.advance([lane])[0]
    losses = [record["loss"] for record in lane.history]
    assert losses[-1] < losses[0]


def test_views_leave_out_two_different_channels_or_drop_entries() -> None:
    masked, _, _ = terms(make("slmrec", embed_dim=4, ssl_task="fm", fusion="mean", n_layers=0), data())
    _, *views = masked.extra["tables"]
    gone = [np.flatnonzero(~np.asarray(item).reshape(ITEMS, 3, 4).any(axis=(0, 2))) for _, item in views]
    assert [len(g) for g in gone] == [1, 1] and gone[0] != gone[1]
    whole, _, parts = terms(make("slmrec", embed_dim=4, ssl_task="fd", drop=0.0), data())
    main, first, second = whole.extra["tables"]
    np.testing.assert_allclose(first[0], main[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(first[1], second[1])
    rows = normalise_rows(whole.item[batch_of(data()).positive])
    np.testing.assert_allclose(parts["views_item"], info_nce(rows, rows, tau=0.2), rtol=1e-5)
    dropped, _, _ = terms(make("slmrec", embed_dim=4, ssl_task="fd"), data())
    assert not np.allclose(dropped.extra["tables"][1][0], dropped.extra["tables"][2][0])


def test_bpr_of_cosines_and_mean_of_channels_by_hand() -> None:
    model, batch = make("slmrec", embed_dim=4, main="bpr", fusion="mean"), batch_of(data())
    encoded, _, parts = terms(model, data(), batch)
    mean = np.mean([np.asarray(item) for _, item in encoded.modal.values()], axis=0)
    np.testing.assert_allclose(encoded.item, mean, rtol=1e-5)
    user, item = (np.asarray(normalise_rows(t)) for t in (encoded.user, encoded.item))
    margin = (user[batch.user] * (item[batch.positive] - item[batch.negative])).sum(axis=1)
    np.testing.assert_allclose(parts["bpr"], np.log1p(np.exp(-margin)).mean(), rtol=1e-5)


def test_names_of_other_modalities_there_and_back() -> None:
    model, modalities = make("slmrec", embed_dim=4), {"text": "audio", "image": "image"}
    static, params, _ = prepared(model, with_modalities("image", "audio"))
    arrays = dump_params(model, params, modalities)
    assert arrays["embedding_user_after_GCN.weight"].shape == (4, 12)
    back = load_params(model, arrays, static, modalities)
    jax.tree.map(np.testing.assert_array_equal, back, params)


@pytest.mark.parametrize(
    "option", [{"tau": 0.0}, {"ssl_tau": -1.0}, {"ssl_task": "audio"}, {"main": "softmax"}, {"norm": "row_selfloop"},
               {"drop": 1.0}, {"fusion": "sum"}, {"ssl_weight": -0.1}],
)  # fmt: skip
def test_options_outside_their_range(option) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        make("slmrec", **option)
