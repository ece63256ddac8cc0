"""MMSSL's three modes: what every backbone owes, for the two with a discriminator; schedules, options, by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Dataset, Modality
from jmmrec.errors import ConfigError
from jmmrec.graph import bipartite
from jmmrec.models import Batch, Mmssl
from jmmrec.models import mmssl_adversary as adversary
from jmmrec.models import mmssl_graphs as graphs
from jmmrec.models import mmssl_terms as terms
from jmmrec.models.common import shared_items
from jmmrec.models.mmssl_hooks import real_rows
from jmmrec.train import TrainConfig, trainer, with_mdvt
from jmmrec.train.step import TrainState, step
from tests.models import test_properties as shared
from tests.models.test_properties import ITEMS, USERS, batch_of, close, prepared

# Rates of 0.2 list two of eleven items; published_empty is the authors' rate, which lists none.
MODES = {
    "published": {"mode": "published", "topk_rate": 0.2},
    "published_empty": {"mode": "published"},
    "paper": {"mode": "paper", "topk": 3},
}
every_mode = pytest.mark.parametrize("name", MODES)
KEY = jax.random.key(0)
run = jax.jit(step, static_argnums=(0, 1))


def build(name: str, **options) -> Mmssl:
    return Mmssl(**({"embed_dim": 4} | MODES[name] | options))


@functools.cache
def optimiser(name: str):
    """One object for each mode, so that steps compile once."""
    return TrainConfig.of(build(name)).optimiser(build(name))


def begin(model, dataset, adam):
    static, params, state = prepared(model, dataset)
    return static, TrainState(params, adam.init(params), state)


def finite(tree) -> bool:
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating))


@jax.jit(static_argnums=0)
def follow(model, params, state, static, batch):
    """Tables and loss of the evaluation pass, and the state after it."""
    encoded = model.encode(params, state, static, (), train=False)
    total = model.loss(params, encoded, batch, KEY)
    return model.after_batch(state, encoded, batch), (encoded.user, encoded.item, total)


def test_jit_changes_nothing() -> None:
    """The paper's mode has all that the published one has."""
    model, dataset = build("paper"), shared.data(awkward=True)
    static, params, state = prepared(model, dataset)
    batch = batch_of(dataset)

    def both(params):
        encoded = model.encode(params, state, static, (), key=KEY, train=True)
        fake, seen = terms.modal_rows(encoded, batch)
        chance = model.draws(KEY, "disc", sorted(fake), seen.shape)
        real = real_rows(seen, fake["text"], chance["uniform"], True)
        disc = adversary.losses(state["adversary"]["params"], fake, real, chance, batch.mask, model.slope)
        return model.loss(params, encoded, batch, KEY), disc, model.after_batch(state, encoded, batch)["learned"]

    close(both(params), jax.jit(both)(params), 1e-4)


@pytest.mark.parametrize("name", ["published", "paper"])
def test_padding_changes_nothing_on_awkward_data(name) -> None:
    model, dataset, adam = build(name), shared.data(awkward=True), optimiser(name)
    static, train = begin(model, dataset, adam)
    batch = batch_of(dataset)
    padded = Batch(*(jnp.pad(a, (0, 4)) for a in batch[:4]), batch.step)
    (first, log), (second, other) = (run(model, adam, train, static, (), b, KEY, 1e-3) for b in (batch, padded))
    assert finite((first, log)) and {"disc_real", "disc_fake", "disc_gradient_penalty", "disc_total"} <= set(log)
    close(log, other, 1e-5)
    close(first.opt, second.opt, 1e-5)
    close(first.state["adversary"]["opt"], second.state["adversary"]["opt"], 1e-5)
    jax.tree.map(np.testing.assert_array_equal, first.state["learned"], second.state["learned"])


@every_mode
def test_nobody_and_nothing(name) -> None:
    """An all-masked batch moves no discriminator; parameters of zero give finite gradients."""
    model, dataset, adam = build(name), shared.data(awkward=True), optimiser(name)
    static, train = begin(model, dataset, adam)
    batch = batch_of(dataset)
    after, log = run(model, adam, train, static, (), batch._replace(mask=jnp.zeros(7, bool)), KEY, 1e-3)
    assert finite((after, log))
    assert all(float(log[term]) == 0.0 for term in ("bpr", "reg", "adversarial", "disc_fake", "contrastive_text"))
    close(train.state["adversary"]["params"], after.state["adversary"]["params"], 0)
    zero = train._replace(params=jax.tree.map(jnp.zeros_like, train.params))
    assert finite(run(model, adam, zero, static, (), batch, KEY, 1e-3))


@every_mode
def test_permuting_users_and_items_permutes_the_result(name) -> None:
    model, dataset, rng = build(name), shared.data(), np.random.default_rng(5)
    new = {USERS: rng.permutation(USERS), ITEMS: rng.permutation(ITEMS)}

    def moved(table):
        order = new.get(len(table) if jnp.ndim(table) else 0)
        return table if order is None else jnp.asarray(table)[np.argsort(order)]

    rows = [np.stack([new[USERS][s[:, 0]], new[ITEMS][s[:, 1]]], axis=1) for s in (dataset.train, dataset.valid)]
    modalities = {
        n: Modality(*(np.asarray(moved(a)) for a in (m.features, m.present))) for n, m in dataset.modalities.items()
    }
    other = Dataset(USERS, ITEMS, *rows, np.zeros((0, 2)), modalities)
    batch = batch_of(dataset)
    sides = zip(("user", "positive", "negative"), (USERS, ITEMS, ITEMS), strict=True)
    renamed = batch._replace(**{side: jnp.asarray(new[n][getattr(batch, side)]) for side, n in sides})
    static, params, state = prepared(model, dataset)
    for layer in params["project"].values():
        layer["bias"] += 5.0  # so that only training items have similarity zero: ties would go by number
    static_2, _, state_2 = prepared(model, other)
    results = []
    sides = ((static, params, state, batch), (static_2, jax.tree.map(moved, params), state_2, renamed))
    for number, (where, weights, inner, b) in enumerate(sides):
        disc = jax.tree.map(moved, state["adversary"]["params"]) if number else state["adversary"]["params"]
        inner = inner | {"adversary": {"params": disc, "opt": inner["adversary"]["opt"]}}
        for number in range(3):  # graphs are listed, built, used
            inner, result = follow(model, weights, inner, where, b._replace(step=jnp.int32(number)))
            if number == 1:
                inner, _ = model.epoch(weights, inner, where, KEY)
            results.append(result)
    for first, second in zip(results[:3], results[3:], strict=True):
        close((moved(first[0]), moved(first[1]), first[2]), second)


@pytest.mark.parametrize(("name", "first", "second"), [
    ("published", ("image", "text", "sound"), ("sound", "text", "image")), ("paper", ("text",), ("text",)),
])  # fmt: skip
def test_order_and_number_of_modalities(name, first, second) -> None:
    model, dataset = build(name), shared.data(awkward=True)
    sound = Modality(np.random.default_rng(1).normal(size=(ITEMS, 6)))
    dataset = dataclasses.replace(dataset, modalities={**dataset.modalities, "sound": sound})
    logs = []
    for order in (first, second):
        static, train = begin(model, dataset.select(*order), optimiser(name))
        after, log = run(model, optimiser(name), train, static, (), batch_of(dataset), KEY, 1e-3)
        assert finite((after, log))
        logs.append(log)
    close(*logs, 1e-5)


def test_lanes_train_together_as_alone() -> None:
    model = build("paper")
    config = TrainConfig.of(model, batch_size=16, monitor="recall@5", learning_rate=0.02)
    t = trainer(model, shared.data().for_training(), config)
    lanes, alone = [t.start(0), t.start(1)], t.advance([t.start(0)])[0]
    for _ in range(6):
        lanes = t.advance(lanes)
    losses = [record["parts"]["bpr"] for record in lanes[0].history]
    assert losses[-1] < losses[0] and {"disc_total", "adversarial"} <= set(lanes[0].history[0]["parts"])
    np.testing.assert_allclose(alone.history[0]["loss"], lanes[0].history[0]["loss"], rtol=1e-4)


def test_published_graphs_live_for_two_batches() -> None:
    """Default rate: the training graph in the first two batches, nothing after; with more, one batch of a graph."""
    for name, kept in (("published_empty", [True, True, False, False, False]),
                       ("published", [True, True, True, False, False])):  # fmt: skip
        model, dataset = build(name), shared.data()
        static, params, state = prepared(model, dataset)
        found = []
        for number in (0, 1, 2, 0, 1):  # the second epoch begins with the fourth batch
            encoded = model.encode(params, state, static, (), train=False)
            found.append(bool(np.any(encoded.extra["views"]["text"][0])))
            state = model.after_batch(state, encoded, batch_of(dataset)._replace(step=jnp.int32(number)))
        assert found == kept


def test_paper_graphs_are_those_of_the_epoch_before() -> None:
    model, dataset = build("paper"), shared.data()
    static, params, state = prepared(model, dataset)
    state, _ = model.epoch(params, state, static, KEY)
    first = state["learned"]["graph"]["text"]
    close(first.bcoo.todense(), (static["graph"].user_item.bcoo.todense() > 0).astype(float))
    encoded = model.encode(params, state, static, (), train=False)
    for number in range(2):
        state = model.after_batch(state, encoded, batch_of(dataset)._replace(step=jnp.int32(number)))
    assert int(state["learned"]["count"]) == 2 * 7 * 3
    close(state["learned"]["graph"]["text"].values, first.values)
    state, _ = model.epoch(params, state, static, KEY)
    dense = np.asarray(state["learned"]["graph"]["text"].bcoo.todense())
    users, times = np.unique(np.asarray(batch_of(dataset).user), return_counts=True)
    assert dense.sum() == 42 and (dense[users].sum(axis=1) == 2 * 3 * times).all()
    assert int(state["learned"]["count"]) == 0


def test_pairs_of_the_public_code() -> None:
    """Users cycle while items go row by row; masked rows are skipped wherever they stand."""
    graph = bipartite(np.array([[u, u] for u in range(4)]), 4, 4)
    users, mask = jnp.array([3, 1, 2]), jnp.array([True, False, True])
    found = {"text": jnp.array([[0, 1], [9, 9], [2, 3]])}
    pairs = {}
    for cycle in (True, False):
        lists = graphs.append(graphs.start(["text"], graph, 2), users, found, mask, cycle)
        n = int(lists["count"])
        pairs[cycle] = list(zip(lists["user"][:n].tolist(), lists["item"]["text"][:n].tolist(), strict=True))
        assert (np.asarray(lists["user"])[n:] == 4).all()
    assert pairs == {True: [(3, 0), (2, 1), (3, 2), (2, 3)], False: [(3, 0), (3, 1), (2, 2), (2, 3)]}


def test_rebuilt_of_nothing_is_emptied() -> None:
    graph = bipartite(np.array([[0, 0], [1, 1]]), 2, 3)
    learned = graphs.start(["text"], graph, 1)
    user, item = jnp.ones((2, 2)), jnp.ones((3, 2))
    for function in (graphs.rebuilt, graphs.emptied):
        after = graphs.views(function(learned), graph, ["text"], user, item)["text"]
        assert not np.any(after[0]) and not np.any(after[1])


def test_the_public_discriminator_is_linear_before_its_sigmoid() -> None:
    params = adversary.start(KEY, 40, 3e-4)["params"]
    ones = {"text": (jnp.ones((8, 10)), jnp.ones((8, 5)))}
    hidden, mask = jax.random.normal(jax.random.key(1), (8, 10)), jnp.ones(8, bool)

    def logit(slope):
        share = jax.jit(adversary.scores)(params, hidden, ones, mask, slope) / 100
        return np.log(share / (1 - share))

    straight = (hidden - hidden.mean(axis=0)) / np.sqrt(hidden.var(axis=0) + 1e-5) @ params["second"]["weight"].T
    straight = (straight - straight.mean(axis=0)) / np.sqrt(straight.var(axis=0) + 1e-5)
    np.testing.assert_allclose(logit(1.0), (straight @ params["last"]["weight"].T)[:, 0], rtol=1e-3, atol=1e-4)
    assert np.abs(logit(0.2) - logit(1.0)).max() > 0.1


def test_penalty_is_that_of_whole_rows() -> None:
    """What is computed from the first layer's values equals a gradient with respect to the rows themselves."""
    rng, params = np.random.default_rng(0), adversary.start(KEY, 16, 3e-4)["params"]
    fake, real = {"text": jnp.asarray(rng.normal(size=(6, 16)))}, jnp.asarray(rng.normal(size=(6, 16)))
    masks = adversary.chance(KEY, ["text"], 6, 16, ["one"])["one"]
    alpha, mask = jnp.asarray(rng.random((6, 1))), jnp.array([True] * 5 + [False])
    chance = {"alpha": {"text": alpha}, "fake": masks, "real": masks, "penalty": masks}
    ours = jax.jit(adversary.losses)(params, fake, real, chance, mask, 0.2)[1]["disc_gradient_penalty"]

    def total(rows):
        hidden = rows @ params["first"]["weight"] + params["first"]["bias"]
        return jnp.sum(jnp.where(mask, adversary.scores(params, hidden, masks, mask, 0.2), 0.0))

    steep = np.linalg.norm(jax.jit(jax.grad(total))(alpha * real + (1 - alpha) * fake["text"]), axis=1)[:5]
    np.testing.assert_allclose(ours, 0.3 * np.mean((steep - 1) ** 2), rtol=1e-4)


def test_temperature_of_real_rows() -> None:
    """The public code leaves interactions as they are, so a row is almost flat; the text makes it one-hot."""
    seen, nothing = jnp.eye(1, 50), jnp.zeros((1, 50))
    middle = jnp.full((1, 50), 0.5)
    code, text = (real_rows(seen, nothing, middle, paper)[0] for paper in (False, True))
    assert float(code[0] / code[1]) == pytest.approx(np.e, rel=1e-5) and float(text[1]) == 0.0


def test_attention_by_hand_and_without_effect_in_public_code() -> None:
    tables = [jnp.asarray(np.random.default_rng(s).normal(size=(5, 4))) for s in (1, 2)]
    mix = jnp.asarray(np.random.default_rng(3).normal(size=(4, 8)))
    query, key = (jnp.asarray(np.random.default_rng(s).normal(size=(4, 4))) for s in (4, 5))
    ours = terms.mixed({"mix": mix, "query": query, "key": key}, tables, 2)
    expected = np.zeros((5, 4))
    for n in range(5):
        for a in range(2):
            for h in range(2):
                q = (query @ tables[a][n])[2 * h : 2 * h + 2]
                logit = np.array([q @ (key @ tables[b][n])[2 * h : 2 * h + 2] for b in range(2)]) / np.sqrt(2)
                share = np.exp(logit) / np.exp(logit).sum()
                expected[n] += mix[:, 4 * h : 4 * h + 4] @ sum(s * t[n] for s, t in zip(share, tables, strict=True)) / 2
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    plain = (tables[0] + tables[1]) / 2 @ (mix[:, :4] + mix[:, 4:]).T
    np.testing.assert_allclose(terms.mixed({"mix": mix}, tables, 2), plain, rtol=1e-5, atol=1e-6)
    assert np.abs(ours - plain).max() > 0.01


def test_port_contrasts_all_items_that_have_both() -> None:
    """Against the formula written out; the missing item changes nothing whatever its row holds."""
    rng = np.random.default_rng(0)
    a, z = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 6, 3)))
    here = np.array([True] * 5 + [False])
    top = np.exp((a[:5] * z[:5]).sum(axis=1) / 0.4)
    own = np.exp(a[:5] @ a[:5].T / 0.4) * (1 - np.eye(5))
    share = top / (np.exp(a[:5] @ z[:5].T / 0.4).sum(axis=1) + own.sum(axis=1))
    modal = {"text": (None, jnp.asarray(z)), "image": (None, jnp.asarray(a))}
    both = shared_items(modal, {"text": jnp.asarray(here)})
    found = terms.modal_contrasts(modal, both, 0.4)
    assert set(found) == {"contrastive_text"}
    np.testing.assert_allclose(found["contrastive_text"], -np.log(share + 1e-8).mean(), rtol=1e-5)
    nobody = shared_items(modal, {"text": jnp.asarray(here), "image": jnp.asarray(~here)})
    assert terms.modal_contrasts(modal, nobody, 0.4) == {"contrastive_text": 0.0}


@pytest.mark.parametrize("names", [("text",), ("image", "text"), ("sound", "text", "image"), ("b", "a", "c")])
def test_port_takes_any_modalities(names) -> None:
    rng = np.random.default_rng(0)
    modalities = {n: Modality(rng.normal(size=(ITEMS, 3 + k))) for k, n in enumerate(names)}
    dataset = dataclasses.replace(shared.data(), modalities=modalities)
    model = Mmssl(embed_dim=4)
    static, params, state = prepared(model, dataset)
    batch = batch_of(dataset)
    total, parts = follow(model, params, state, static, batch)[1][2]
    assert np.isfinite(total) and {*parts} >= {"bpr", "reg", "features"}
    anchor = "image" if "image" in names else min(names)
    assert {p for p in parts if p.startswith("contrastive")} == {f"contrastive_{n}" for n in names if n != anchor}


def test_training_depends_on_the_mode() -> None:
    assert Mmssl.training == {} and TrainConfig.of(Mmssl()).batch_size == 2048
    config = TrainConfig.of(Mmssl(mode="published"))
    assert (config.batch_size, config.learning_rate, config.decoupled_decay) == (1024, 5.5e-4, 0.01)
    assert config.sampler == "users" and TrainConfig.of(with_mdvt(Mmssl(mode="paper"))).batch_size == 1024


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="mode is 'official'"):
        Mmssl(mode="official")
    with pytest.raises(ConfigError, match="n_heads, 4, must divide it"):
        Mmssl(mode="paper", embed_dim=6)
    with pytest.raises(ConfigError, match="tau is 0"):
        Mmssl(tau=0)
