"""CI²MG part by part against its equations written out, the ladder of Table 3, and every option having an effect."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Dataset, Modality, impute
from jmmrec.errors import ConfigError
from jmmrec.graph import bipartite, propagate_bipartite
from jmmrec.graph.hypergraph import membership
from jmmrec.models import Ci2mg
from jmmrec.models.base import Batch
from jmmrec.models.ci2mg import Fuse, Hyper, Ids, Inputs, Objective, Transport
from jmmrec.models.ci2mg.ids import id_layers
from jmmrec.models.ci2mg.inputs import prepare, tables, two_hops
from jmmrec.models.ci2mg.inter import inter
from jmmrec.models.ci2mg.intra import intra
from jmmrec.models.ci2mg.plans import kept, pairs_of, solve_pairs
from jmmrec.models.ci2mg.task import fused
from jmmrec.models.ci2mg.terms import contrast, reconstruction
from jmmrec.ot import SinkhornConfig

USERS, ITEMS = 8, 9
RNG = np.random.default_rng(0)
TRAIN = np.array([(u, (3 * u + k * k) % (ITEMS - 1)) for u in range(USERS) for k in range(2 + u % 2)])
R = np.zeros((USERS, ITEMS))
R[TRAIN[:, 0], TRAIN[:, 1]] = 1
MISSING = np.arange(ITEMS) % 3 == 1
SMALL = {"embed_dim": 4, "hyper": Hyper(n_prototypes=3)}


def data(n_modalities: int = 2) -> Dataset:
    """Item 8 is cold; every third item lacks the first modality."""
    found = {}
    for number in range(n_modalities):
        here = np.ones(ITEMS, bool) if number else ~MISSING
        found[f"m{number}"] = Modality(RNG.normal(size=(ITEMS, 3 + number)), here)
    return Dataset(USERS, ITEMS, np.unique(TRAIN, axis=0), np.zeros((0, 2)), np.zeros((0, 2)), found)


DATA = data()
BATCH = Batch(
    *(jnp.asarray(x) for x in (*TRAIN[::5].T, (TRAIN[::5, 1] + 1) % ITEMS)),
    jnp.ones(len(TRAIN[::5]), bool),
    jnp.int32(0),
)


def started(model: Ci2mg, dataset: Dataset = DATA):
    static = model.prepare(dataset.for_training())
    return static, *model.init(jax.random.key(0), static)


def loss_of(model: Ci2mg, static, state):
    """The training loss, jitted: total and parts of params."""
    state, aux = model.epoch(*state[:1], state[1], static, jax.random.key(0))

    def loss(params):
        encoded = model.encode(params, state, static, aux, key=jax.random.key(1), train=True)
        return model.loss(params, encoded, BATCH, jax.random.key(2))

    return loss


def mean_rows(matrix: np.ndarray) -> np.ndarray:
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def dense_tables(fill: np.ndarray | None = None):
    """F and Eq. 1 of the first modality in NumPy."""
    x = np.array(DATA.modalities["m0"].features)
    x[MISSING] = x[~MISSING].mean(axis=0) if fill is None else fill
    params = {
        n: {"weight": jnp.asarray(RNG.normal(size=(4, m.dim))), "bias": jnp.ones(4)} for n, m in DATA.modalities.items()
    }
    projected = x @ np.asarray(params["m0"]["weight"]).T + 1
    user = mean_rows(R) @ projected
    item = mean_rows(R.T) @ user
    item[8] = projected[8]
    return {"project": params}, projected, user, item


@pytest.mark.parametrize(("how", "fill"), [("mean", None), ("zero", 0.0)])
def test_equation_1(how, fill) -> None:
    params, projected, user, item = dense_tables(fill)
    options = Inputs(impute=how, norm="none")
    target, views = tables(params, prepare(DATA.for_training(), options), options, {}, {})
    for ours, theirs in ((target["m0"], projected), (views["m0"][0], user), (views["m0"][1], item)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    # The bias after Eq. 1 is the bias before it, where nothing is cold or unseen: Eq. 1's rows are means.
    late = dataclasses.replace(options, bias="post")
    np.testing.assert_allclose(
        tables(params, prepare(DATA.for_training(), late), late, {}, {})[1]["m0"][1], item, rtol=1e-4, atol=1e-5
    )


def test_missing_rows_hold_other_modalities_or_neighbours() -> None:
    params, projected, *_ = dense_tables()
    options = Inputs(impute="item_other_mean", norm="none")
    target, _ = tables(params, prepare(DATA.for_training(), options), options, {}, {})
    np.testing.assert_allclose(target["m0"][MISSING], target["m1"][MISSING], rtol=1e-5)
    np.testing.assert_allclose(target["m0"][~MISSING], projected[~MISSING], rtol=1e-4)
    near = prepare(DATA.for_training(), Inputs(impute="neigh_mean"))["known"]["m0"]
    assert near["x"].shape == (ITEMS, 3) and np.asarray(near["x"][MISSING]).std(axis=0).min() > 0


def test_imputed_rows_are_refused_or_read_as_given() -> None:
    filled = impute(DATA, "neigh_mean:3").for_training()
    with pytest.raises(ConfigError, match=r"imputed rows \(m0\).* inputs.impute 'mean' .* give inputs.impute 'given'"):
        Ci2mg(**SMALL).prepare(filled)
    for norm in ("none", "zscore"):
        given = prepare(filled, Inputs(impute="given", norm=norm))
        known, x = given["known"]["m0"], np.asarray(filled.modalities["m0"].features)
        expected = x if norm == "none" else (x - x.mean(axis=0)) / x.std(axis=0)
        np.testing.assert_allclose(known["x"], expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(given["present"]["m0"], ~MISSING)
    # Where nothing was filled, a missing row holds the mean.
    bare, mean = (prepare(DATA.for_training(), Inputs(impute=how))["known"]["m0"] for how in ("given", "mean"))
    jax.tree.map(np.testing.assert_array_equal, bare, mean)


def test_how_many_neighbours_fill_a_row() -> None:
    near = prepare(DATA.for_training(), Inputs(impute="neigh_mean", neighbours=2, norm="none"))["known"]["m0"]
    np.testing.assert_allclose(near["x"], impute(DATA, "neigh_mean:2").modalities["m0"].features, rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match="neighbours is 3, which impute 'mean' does not read"):
        Inputs(neighbours=3)


def test_cold_items_are_as_said_whatever_is_added_to_the_others() -> None:
    g, cold = bipartite([[0, 0]], 1, 2, "mean"), jnp.array([False, True])
    given = {"text": jnp.array([[2.0], [4.0]])}
    for options, expected in (
        (Inputs(residual=True), [[4.0], [4.0]]),
        (Inputs(residual=True, cold="zero"), [[4.0], [0.0]]),
        (Inputs(cold="zero"), [[2.0], [0.0]]),
    ):
        assert two_hops(g, cold, given, {}, options)["text"][1].tolist() == expected


def test_equation_2_as_lightgcn_does_it() -> None:
    static, keys = prepare(DATA.for_training(), Inputs()), jax.random.split(jax.random.key(0))
    tables = [jax.random.normal(k, (n, 4)) for k, n in zip(keys, (USERS, ITEMS), strict=True)]
    users, items = [[t] for t in tables]
    for _ in range(2):
        user, item = propagate_bipartite(static["sym"], users[-1], items[-1])
        users, items = [*users, user], [*items, item]
    params = dict(zip(("user", "item"), tables, strict=True))
    for readout, expected in (("last", (users[-1], items[-1])), ("mean", (sum(users) / 3, sum(items) / 3))):
        ours = id_layers(params, static["mean"], static["sym"], Ids("lightgcn", readout=readout))
        for a, b in zip(ours, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match=r"ids.act is 'tanh', but ids.encoder 'lightgcn' has no activation"):
        Ids("lightgcn", act="tanh")


def test_channels_are_what_is_scored() -> None:
    for norm in ("none", "l2"):
        model = Ci2mg(embed_dim=4, terms=Objective(score_norm=norm))
        static = model.prepare(DATA.for_training())
        params, state = model.init(jax.random.key(0), static)
        encoded = model.encode(params, state, static, None, train=False)
        for side, whole in enumerate((encoded.user, encoded.item)):
            parts = jnp.concatenate([tables[side] for tables in encoded.modal.values()], axis=1)
            np.testing.assert_array_equal(parts, whole)


def test_ties_stay_out_of_the_best_hyperedges() -> None:
    tied = membership(jnp.zeros((2, 3)), jnp.eye(3), topk=1)
    assert (tied > 0).sum(axis=1).tolist() == [1, 1]


@pytest.mark.parametrize("encoder", ["gcn", "sequential"])
@pytest.mark.parametrize("readout", ["mean", "last"])
def test_equation_2(encoder, readout) -> None:
    keys = jax.random.split(jax.random.key(0), 4)
    user, item = (jax.random.normal(k, (n, 4)) for k, n in zip(keys, (USERS, ITEMS), strict=False))
    maps = {side: jax.random.normal(k, (2, 4, 4)) for side, k in zip(("user", "item"), keys[2:], strict=True)}
    static = prepare(DATA.for_training(), Inputs())
    options = Ids(encoder=encoder, readout=readout)
    ours = id_layers({"user": user, "item": item, "layers": maps}, static["mean"], static["sym"], options)
    users, items = [np.asarray(user)], [np.asarray(item)]
    for layer in range(2):
        act = (lambda x: np.where(x > 0, x, 0.2 * x)) if layer == 0 else (lambda x: x)
        new = act(mean_rows(R) @ items[-1] @ np.asarray(maps["user"][layer]).T)
        source = new if encoder == "sequential" else users[-1]
        items.append(act(mean_rows(R.T) @ source @ np.asarray(maps["item"][layer]).T))
        users.append(new)
    expected = (users[-1], items[-1]) if readout == "last" else (sum(users) / 3, sum(items) / 3)
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


SOLVERS: list[dict[str, Any]] = [
    {"epsilon": 0.2}, {"epsilon_ref": "mean"}, {"epsilon_ref": "std"}, {"epsilon_ref": "abs"}, {"cost": "cosine"},
    {"marginals": "observed"}, {"mode": "minibatch:5"}, {"mode": "prototype:2"}, {"mode": "lowrank:2"},
]  # fmt: skip
CHANGED = [
    (Inputs, "norm", "none"), (Inputs, "norm", "zscore"), (Inputs, "norm", "centred"), (Inputs, "graph", "sym_eps8"),
    (Inputs, "graph", "rowhalf_eps8"),
    (Inputs, "cold", "zero"), (Inputs, "residual", True), (Inputs, "impute", "zero"), (Inputs, "dropout", 0.5),
    (Ids, "encoder", "lightgcn"), (Ids, "act", "tanh"), (Ids, "n_layers", 1),
    (Hyper, "n_prototypes", 2), (Hyper, "n_layers", 1), (Hyper, "assign", "relu"), (Hyper, "assign", "abs"),
    (Hyper, "tau", 1.0), (Hyper, "topk", 1), (Hyper, "weight", "theta"), (Hyper, "norm", "sym"), (Hyper, "act", "tanh"),
    (Hyper, "update", "missing_only"), (Hyper, "residual", True), (Hyper, "start", "kmeans"),
    (Fuse, "act", "tanh"), (Fuse, "batch_norm", False), (Objective, "tau", 1.0), (Objective, "negatives", "batch"),
    (Objective, "symmetric", True), (Objective, "target", "raw_decoder"), (Objective, "reduce", "sum"),
    (Objective, "score_norm", "l2"), (Objective, "score_user", "generated"), (Objective, "contrast", 1.0),
    (Objective, "reconstruct", 0.5), (Objective, "reg", 1.0), (Transport, "values", "own"),
    (Inputs, "impute", "item_other_mean"), (Inputs, "impute", "neigh_mean"), (Ids, "encoder", "sequential"),
    (Ids, "readout", "last"), (Hyper, "weight", "full"), (Hyper, "weight", "none"), (Hyper, "assign", "raw"),
    (Fuse, "bias", "matrix"), (Fuse, "bias", "none"),
    (Transport, "delta", "none"), (Transport, "delta", "feature"), (Transport, "delta", "vector"),
    (Transport, "delta", "dense"), (Transport, "delta", "lowrank:1"), (Transport, "delta_scaled", True),
    (Transport, "epoch_iterations", 1), (Transport, "refresh", "step"),
    *((Transport, "sinkhorn", SinkhornConfig(**one)) for one in SOLVERS),
]  # fmt: skip
GROUP = {Inputs: "inputs", Ids: "ids", Hyper: "hyper", Fuse: "fuse", Objective: "terms", Transport: "ot"}


def total(model: Ci2mg) -> float:
    """The loss away from where parameters start, since some options start alike."""
    static, params, state = started(model)
    params = jax.tree.map(lambda p: p + 0.1 * jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), params)
    return float(loss_of(model, static, (params, state))(params)[0])


@pytest.fixture(scope="module")
def usual() -> float:
    return total(Ci2mg(**SMALL))


@pytest.mark.parametrize(("cls", "option", "value"), CHANGED, ids=lambda x: getattr(x, "__name__", str(x)))
def test_every_option_changes_the_loss(cls, option, value, usual) -> None:
    base = SMALL.get(GROUP[cls], cls())
    changed = total(Ci2mg(**SMALL | {GROUP[cls]: dataclasses.replace(base, **{option: value})}))
    assert np.isfinite(changed) and changed != usual


def test_equations_6_to_9() -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    made = {name: jax.random.normal(k, (ITEMS, 4)) for name, k in zip("abc", keys, strict=True)}
    options = Transport(delta="none", epoch_iterations=300)
    solution = solve_pairs(made, {}, None, 300, options)
    assert solution.error.max() < 1e-4 and pairs_of(list(made)) == [("a", "b"), ("a", "c"), ("b", "c")]
    found = inter({}, made, solution, options)

    def plan(place: int, turned: bool) -> np.ndarray:
        x, y = np.asarray(solution.x[place], np.float64), np.asarray(solution.y[place], np.float64)
        cost = ((x[:, None] - y[None]) ** 2).sum(axis=-1)
        f, g = (np.asarray(p[place], np.float64) for p in solution.potentials)
        t = np.exp((f[:, None] + g[None] - cost) / options.sinkhorn.epsilon)
        t = t.T if turned else t
        return t / t.sum(axis=1, keepdims=True)

    expected = 0.5 * (plan(0, True) @ made["a"] + plan(2, False) @ made["c"])
    np.testing.assert_allclose(found["b"], expected, atol=2e-4)
    whole = inter({}, made, kept(solution, options), options)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), whole, found)
    assert kept(solution, dataclasses.replace(options, plan_memory=0)) is solution
    own = inter({}, made, solution, dataclasses.replace(options, values="own"))
    np.testing.assert_allclose(own["b"], 0.5 * (plan(0, False) + plan(2, True)) @ made["b"], atol=2e-4)
    adjusted = {
        f"{to} from {source}": {"A": jnp.ones((ITEMS, 1)), "B": jnp.ones((ITEMS, 1))}
        for to in "abc"
        for source in "abc"
    }
    moved = inter(adjusted, made, solution, options)["b"] - found["b"]
    np.testing.assert_allclose(
        moved, jnp.broadcast_to(0.5 * (made["a"].sum(0) + made["c"].sum(0)), (ITEMS, 4)), atol=1e-4
    )


def test_equation_11_and_running_statistics() -> None:
    first, second, third = (
        jax.random.normal(k, s)
        for k, s in zip(jax.random.split(jax.random.key(0), 3), ((9, 4), (9, 4), (4, 8)), strict=True)
    )
    norm = {"scale": jnp.full(4, 2.0), "shift": jnp.ones(4)}
    x = np.concatenate([first, second], axis=1) @ np.asarray(third).T
    expected = 2 * (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) + 1
    expected = np.where(expected > 0, expected, 0.2 * expected)
    made, seen = fused({"weight": third}, norm, (jnp.zeros(4), jnp.ones(4)), first, second, Fuse(), train=True)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(seen[0], x.mean(0), rtol=1e-4, atol=1e-5)
    still, _ = fused({"weight": third}, norm, seen, first, second, Fuse(), train=False)
    np.testing.assert_allclose(still, made, rtol=1e-5, atol=1e-5)


def test_equations_10_and_12() -> None:
    q, other = jax.random.normal(jax.random.key(0), (9, 4)), jax.random.normal(jax.random.key(1), (9, 4))
    a, b = (np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, other))
    logits = a @ b.T / 0.2
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - np.diag(logits))
    np.testing.assert_allclose(contrast(q, other, BATCH, Objective()), expected, rtol=1e-5)
    here = jnp.asarray(~MISSING)
    gaps = ((np.asarray(q) - np.asarray(other)) ** 2).sum(axis=1)[~MISSING]
    np.testing.assert_allclose(reconstruction(q, other, here, {}, {}, Objective()), gaps.mean(), rtol=1e-5)
    pulled = [
        jax.grad(lambda t, o=o: reconstruction(q, t, here, {}, {}, Objective(target=o)))(other)
        for o in ("proj_sg", "proj")
    ]  # type: ignore[misc]
    assert not pulled[0].any() and pulled[1].any()


def test_only_missing_items_are_updated_if_asked() -> None:
    layer = {"prototypes": jnp.eye(3, 4), "weight": jnp.ones(3)}
    x, here = jax.random.normal(jax.random.key(0), (ITEMS, 4)), jnp.asarray(~MISSING)
    made = intra(layer, x, here, Hyper(update="missing_only"))
    assert (made[~MISSING] == x[~MISSING]).all() and (made[MISSING] != x[MISSING]).any()


LADDER = [
    ({"intra": False, "inter": False, "conl": False, "task": False}, {"bpr", "reg"}),
    ({"inter": False, "conl": False, "task": False}, {"bpr", "reg"}),
    ({"conl": False, "task": False}, {"bpr", "reg", "transport_error"}),
    ({"task": False}, {"bpr", "reg", "transport_error", "contrast", "contrast_chance"}),
    ({}, {"bpr", "reg", "transport_error", "contrast", "contrast_chance", "reconstruction"}),
]


def test_the_ladder_adds_what_it_should() -> None:
    found = []
    for flags, names in LADDER:
        model = Ci2mg(**SMALL, **flags)
        static, params, state = started(model)
        _, parts = loss_of(model, static, (params, state))(params)
        assert set(parts) == names
        found.append(parts)
    ranks = [float(parts["bpr"]) for parts in found]
    assert ranks[2] == ranks[3] and len(set(ranks)) == 4  # the contrast alone leaves the score as it is


@pytest.mark.parametrize(("term", "part"), [("contrast", "conl"), ("reconstruct", "task")])
def test_a_weight_of_zero_switches_a_term_off_bitwise(term, part) -> None:
    model = Ci2mg(**SMALL, terms=Objective(**{term: 0.0}))
    static, params, state = started(model)
    total, parts = loss_of(model, static, (params, state))(params)
    named = {"contrast": "contrast", "reconstruct": "reconstruction"}
    kept = parts["bpr"] + model.terms.reg * parts["reg"]
    for other, name in named.items():
        kept = kept if other == term else kept + getattr(model.terms, other) * parts[name]
    assert total == kept and parts[named[term]] > 0
    with pytest.raises(ConfigError, match="conl contrasts"):
        Ci2mg(intra=False)


@pytest.mark.parametrize("n_modalities", [1, 3, 4])
def test_every_parameter_trains_with_any_number_of_modalities(n_modalities) -> None:
    model, dataset = Ci2mg(**SMALL), data(n_modalities)
    static, params, state = started(model, dataset)
    gradient = jax.grad(lambda p: loss_of(model, static, (params, state))(p)[0])
    stepped = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient(params))  # B of ΔT = A Bᵀ is 0 at first
    still = {
        jax.tree_util.keystr(path) for path, g in jax.tree_util.tree_leaves_with_path(gradient(stepped)) if not g.any()
    }
    # A lone modality's generated vectors are its own: nothing is transported.
    assert still == set(), still
    if n_modalities > 1:
        assert len(params["delta"]) == n_modalities * (n_modalities - 1)
