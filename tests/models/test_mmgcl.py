"""MMGCL: channels, views and losses by hand with plain matrices, and options that the common properties cannot see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.models import make
from jmmrec.models.mmgcl_views import spread
from tests.models.test_properties import ITEMS, batch_of, data, prepared
from tests.models.test_sgl import unit, walk

KEY, NAMES = jax.random.key(1), ("id", "image", "text")


class ByHand:
    """A model with two layers on data with missing text, its parameters, and what it encodes in training."""

    def __init__(self, **options):
        self.model = make("mmgcl", embed_dim=4, n_layers=2, drop=0.3, **options)
        self.data = data(awkward=True)
        self.static, self.params, self.state = prepared(self.model, self.data)
        self.encoded = self.model.encode(self.params, self.state, self.static, (), key=KEY, train=True)
        self.drawn = self.model.draws(KEY, self.static["edges"], self.static["weights"])
        self.pairs = np.stack([self.static["edges"].user, self.static["edges"].item], axis=1)
        self.items = [np.asarray(self.params["item"]), *(self.projected(n) for n in NAMES[1:])]

    def projected(self, name: str) -> np.ndarray:
        modality, layer = self.data.modalities[name], self.params["project"][name]
        x = np.where(modality.present[:, None], modality.features, modality.features[modality.present].mean(axis=0))
        length = np.linalg.norm(x, axis=1, keepdims=True)
        return x / np.maximum(length, 1e-12) @ np.asarray(layer["weight"]).T + layer["bias"]

    def channel(self, pairs: np.ndarray, items) -> tuple[np.ndarray, np.ndarray]:
        return walk(pairs, self.params["user"], items, 2)

    def fused(self, side: str, channels) -> np.ndarray:
        layer = self.params["fusion"][side]
        mapped = [c @ np.asarray(layer["weight"][n]).T for n, c in zip(NAMES, channels, strict=True)]
        return sum(mapped, np.asarray(layer["bias"]))

    def views(self) -> list[list[tuple]]:
        """Channels of the whole graph, of the thinned ones, and with one replaced."""
        kept = [np.asarray(k) for k in self.drawn["kept"]]
        kept = kept * 3 if len(kept) == 1 else kept
        main = [self.channel(self.pairs, x) for x in self.items]
        thin = [self.channel(self.pairs[k], x) for k, x in zip(kept, self.items, strict=True)]
        masked, other = 1 + int(self.drawn["masked"]), list(main)
        if self.model.mask == "node_drop":
            other[masked] = self.channel(self.pairs[np.asarray(self.drawn["stay"])], self.items[masked])
        else:
            present = self.data.modalities[NAMES[masked]].present
            noise = self.drawn["noise"] * self.items[masked][present].std() if self.model.mask == "random" else 0.0
            other[masked] = self.channel(self.pairs, noise * np.ones((ITEMS, 4)))
        return [main, thin, other]


@pytest.mark.parametrize(("mask", "ed"), [("random", "per_channel"), ("zero", "shared"), ("node_drop", "per_channel")])
def test_views_by_hand(mask, ed) -> None:
    case = ByHand(mask=mask, ed=ed)
    assert len(case.drawn["kept"]) == (1 if ed == "shared" else 3)
    for found, expected in zip(case.encoded.extra["tables"], case.views(), strict=True):
        for side in (0, 1):
            np.testing.assert_allclose(found[side], np.concatenate([c[side] for c in expected], axis=1),
                                       rtol=1e-4, atol=1e-5)  # fmt: skip
    main = case.views()[0]
    np.testing.assert_allclose(case.encoded.user, case.fused("user", [c[0] for c in main]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(case.encoded.item, case.fused("item", [c[1] for c in main]), rtol=1e-4, atol=1e-5)


def nce(query, keys, more=None) -> float:
    """Mean over rows; `more`: logits of every row's own negative, minus infinity for none."""
    logits = query @ keys.T / 0.2
    total = np.exp(logits).sum(axis=1) + (0.0 if more is None else np.exp(more))
    return float(np.mean(np.log(total) - logits.diagonal()))


@pytest.mark.parametrize(("ssl", "cn"), [("paper", True), ("paper", False), ("code", True), ("port", True)])
def test_loss_by_hand(ssl, cn) -> None:
    case = ByHand(ssl=ssl, cn=cn)
    batch = batch_of(case.data)
    u, i, j = (np.asarray(a) for a in batch[:3])
    total, parts = case.model.loss(case.params, case.encoded, batch, KEY)
    _, thin, other = case.views()
    margin = (case.encoded.user[u] * (case.encoded.item[i] - case.encoded.item[j])).sum(axis=1)
    np.testing.assert_allclose(parts["bpr"], np.log1p(np.exp(-margin)).mean(), rtol=1e-4)
    users, items = ([unit(case.fused(side, [c[k] for c in view])[rows]) for view in (thin, other)]
                    for k, side, rows in ((0, "user", u), (1, "item", i)))  # fmt: skip
    swapped = 1 + int(case.drawn["swapped"])
    assert swapped != 1 + int(case.drawn["masked"])
    mixed = unit(case.fused("item", [c[1][j if k == swapped else i] for k, c in enumerate(other)]))
    present = case.data.modalities[NAMES[swapped]].present

    def more(query):
        return np.where(present[i] & present[j], (query * mixed).sum(axis=1) / 0.2, -np.inf) if cn else None

    expected = {
        "paper": {"ssl_user": nce(*users, more(users[0])), "ssl_item": nce(*items, more(items[0]))},
        "code": {"ssl_edges": nce(users[0], items[0])},
        "port": {"ssl_edges": nce(users[0], items[0]), "ssl_masked": nce(users[0], items[1])},
    }[ssl]
    assert set(parts) == {"bpr", *expected}
    for name, value in expected.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-4, err_msg=name)
    weight = {"paper": 0.5, "code": 2.0, "port": 1.0}[ssl]
    np.testing.assert_allclose(total, parts["bpr"] + 0.4 * weight * sum(expected.values()), rtol=1e-4)


def test_every_parameter_has_a_gradient_and_alpha_0_is_bpr_alone() -> None:
    case = ByHand()
    batch = batch_of(case.data)

    def ssl(params):
        encoded = case.model.encode(params, case.state, case.static, (), key=KEY, train=True)
        parts = case.model.loss(params, encoded, batch, KEY)[1]
        return parts["ssl_user"] + parts["ssl_item"]

    gradients = jax.grad(ssl)(case.params)
    assert all(np.isfinite(g).all() and np.any(g) for g in jax.tree.leaves(gradients))
    plain = make("mmgcl", embed_dim=4, ssl_weight=0.0)
    encoded = plain.encode(case.params, case.state, case.static, (), key=KEY, train=True)
    total, parts = plain.loss(case.params, encoded, batch, KEY)
    assert set(parts) == {"bpr"} and float(total) == float(parts["bpr"])


def test_modalities_are_masked_as_often_as_weighed_and_another_one_is_swapped() -> None:
    model = make("mmgcl", embed_dim=4, modal_weights=(("image", 3.0), ("text", 1.0)), mask="zero")
    static = prepared(model, data())[0]
    drawn = jax.vmap(lambda k: model.draws(k, static["edges"], static["weights"]))(jax.random.split(KEY, 400))
    assert abs(float(drawn["masked"].mean()) - 0.25) < 0.08
    np.testing.assert_array_equal(drawn["swapped"], 1 - drawn["masked"])
    n = int(0.95 * len(static["edges"].user))
    assert drawn["kept"].shape == (400, 3, n)
    with pytest.raises(ConfigError, match="modal_weights names image"):
        make("mmgcl", modal_weights=(("image", 1.0),)).prepare(data().for_training())


def test_a_lone_modality_and_one_that_no_item_has() -> None:
    model = make("mmgcl", embed_dim=4)
    static = prepared(model, data().select("text"))[0]
    drawn = model.draws(KEY, static["edges"], static["weights"])
    assert int(drawn["masked"]) == int(drawn["swapped"]) == 0
    nowhere = {"text": {"rows": jnp.zeros(0, int), "own": jnp.zeros(0, bool)}}
    assert spread([jnp.ones((3, 2))], nowhere).tolist() == [0.0]


def test_given_features_are_read_as_the_stored_ones() -> None:
    case = ByHand()
    image = jnp.asarray(case.data.modalities["image"].features)

    def table(features):
        return case.model.encode(case.params, case.state, case.static, (), features=features, train=False).item

    np.testing.assert_allclose(table({"image": 3 * image}), table(None), rtol=1e-5)
    assert not np.allclose(table({"image": image[::-1]}), table(None))


@pytest.mark.parametrize(
    "option", [{"ssl": "all"}, {"ed": "some"}, {"mask": "mean"}, {"drop": 1.0}, {"tau": 0.0}, {"ssl_weight": -1.0},
               {"norm": "mean"}, {"impute": "ppr"}, {"modal_weights": (("text", 0.0),)}],
)  # fmt: skip
def test_options_outside_their_range(option) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        make("mmgcl", **option)
