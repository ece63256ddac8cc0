"""CI²MG's options one by one: what each changes, what it leaves alone, what is refused and remarked on."""

import dataclasses
import re
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.cli import outcome
from jmmrec.errors import ConfigError
from jmmrec.models import Ci2mg
from jmmrec.models.ci2mg import Fuse, Hyper, Inputs, Objective, Transport
from jmmrec.models.ci2mg.inputs import prepare
from jmmrec.models.ci2mg.inter import inter
from jmmrec.models.ci2mg.intra import intra
from jmmrec.models.ci2mg.plans import solve_pairs
from jmmrec.ot import SinkhornConfig
from jmmrec.train import TrainConfig
from tests.models.test_ci2mg import (
    BATCH,
    DATA,
    ITEMS,
    MISSING,
    SMALL,
    started,
    total,
)


def test_refreshing_at_every_step_keeps_the_potentials() -> None:
    model = Ci2mg(**SMALL, ot=Transport(refresh="step"))
    static, params, state = started(model)
    same, aux = model.epoch(params, state, static, jax.random.key(0))
    assert aux == () and same is state
    encoded = model.encode(params, state, static, aux, key=jax.random.key(1), train=True)
    after = model.after_batch(state, encoded, BATCH)
    assert (after["potentials"].f == encoded.extra["potentials"].f).all()
    assert not (after["norm"]["m0"][0] == state["norm"]["m0"][0]).all()


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"ids": {"n_layer": 3}}, "give Ids"), ({"hyper": 3}, "give Hyper"),
        ({"ot": {"refresh": "never"}}, "refresh is"), ({"ot": {"sinkhorn": {"epsilon": -1}}}, "epsilon is"),
        ({"ot": {"delta": "lowrank"}}, "delta is"),
    ],
)  # fmt: skip
def test_bad_options(bad, says) -> None:
    with pytest.raises(ConfigError, match=says):
        Ci2mg(**bad)


def test_a_second_optimiser_for_what_generates() -> None:
    _, params, _ = started(Ci2mg(**SMALL))
    ones, found = jax.tree.map(jnp.ones_like, params), {}
    for kind in ("single", "split"):
        config = TrainConfig(decoupled_decay=0.1)
        optimiser = config.optimiser(Ci2mg(**SMALL, optimiser=kind))
        found[kind] = optimiser.update(ones, optimiser.init(params), params, due=True)[0]
    same = {
        name
        for name in params
        if jax.tree.all(jax.tree.map(jnp.array_equal, found["single"][name], found["split"][name]))
    }
    assert same == {"user", "item", "layers"}
    # Adam's first direction is the gradient's sign; what generates has no decay, the rest has.
    np.testing.assert_allclose(found["split"]["fuse"]["m0"]["weight"], 0.6, rtol=1e-5)
    np.testing.assert_allclose(found["split"]["user"], 1 + 0.1 * params["user"], rtol=1e-5)


def test_marginals_of_observed_items_stay_finite() -> None:
    """Plans have rows without mass there, which cannot be scaled to one."""
    observed = Transport(sinkhorn=SinkhornConfig(marginals="observed"))
    assert np.isfinite(total(Ci2mg(**SMALL, ot=observed)))


def test_a_complete_modality_keeps_its_items_if_only_missing_ones_are_updated() -> None:
    layer, x = {"prototypes": jnp.eye(3, 4), "weight": jnp.ones(3)}, jnp.ones((ITEMS, 4))
    assert (intra(layer, x, None, Hyper(update="missing_only")) == x).all()


def test_the_graph_of_equation_1_leaves_equation_2_alone() -> None:
    usual, other = (prepare(DATA.for_training(), Inputs(graph=graph)) for graph in ("mean", "sym_eps8"))
    jax.tree.map(np.testing.assert_array_equal, usual["mean"], other["mean"])
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (usual["hops"], other["hops"])), strict=True))


def test_statistics_read_observed_rows_alone() -> None:
    """Also where missing rows are filled with their neighbours' mean."""
    found, plain = (
        prepare(DATA.for_training(), Inputs(norm="zscore", impute=impute))["known"]["m0"]
        for impute in ("neigh_mean", "mean")
    )
    np.testing.assert_allclose(found["x"][~MISSING], plain["x"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(plain["x"].std(axis=0), 1.0, rtol=1e-5)
    unit, centred = (prepare(DATA.for_training(), Inputs(norm=norm))["known"]["m0"]["x"] for norm in ("l2", "centred"))
    gap = np.asarray(unit - unit.mean(axis=0))
    np.testing.assert_allclose(centred, gap / np.linalg.norm(gap, axis=1, keepdims=True), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("marginals", "factor"), [("uniform", ITEMS), ("ones", 1)])
def test_scaled_adjustments_are_divided_by_the_marginal(marginals, factor) -> None:
    made = {name: jax.random.normal(jax.random.key(n), (ITEMS, 4)) for n, name in enumerate("ab")}
    params = {pair: {"vector": jnp.arange(float(ITEMS))} for pair in ("a from b", "b from a")}
    plain = Transport(delta="vector", sinkhorn=SinkhornConfig(marginals=marginals))
    solution = solve_pairs(made, {}, None, 5, plain)
    bare, once, scaled = (
        inter(given, made, solution, options)["a"]
        for given, options in (({}, plain), (params, plain), (params, dataclasses.replace(plain, delta_scaled=True)))
    )
    np.testing.assert_allclose(scaled - bare, factor * (once - bare), rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match=r"ot\.delta_scaled divides by marginals.*'observed'"):
        Transport(delta_scaled=True, sinkhorn=SinkhornConfig(marginals="observed"))


def test_without_a_bias_batch_normalisation_has_none() -> None:
    for batch_norm in (True, False):
        _, params, _ = started(Ci2mg(**SMALL, fuse=Fuse(bias="none", batch_norm=batch_norm)))
        assert all(set(layer) == {"weight"} for layer in params["fuse"].values())
        assert all(set(norm) == {"scale"} for norm in params.get("norm", {}).values())
    params = started(Ci2mg(**SMALL, fuse=Fuse(bias="matrix")))[1]
    assert params["fuse"]["m0"]["bias"].shape == (ITEMS, 4) and set(params["norm"]["m0"]) == {"scale", "shift"}


def test_a_shared_batch_normalisation_is_one_for_all_modalities() -> None:
    model = Ci2mg(**SMALL, fuse=Fuse(shared=True, momentum=0.5))
    static, params, state = started(model)
    assert list(params["norm"]) == list(state["norm"]) == ["shared"]
    state, aux = model.epoch(params, state, static, jax.random.key(0))
    encoded = model.encode(params, state, static, aux, key=jax.random.key(1), train=True)
    after = model.after_batch(state, encoded, BATCH)["norm"]["shared"]
    for old, new, first, second in zip(state["norm"]["shared"], after, *encoded.extra["norm"].values(), strict=True):
        np.testing.assert_allclose(new, 0.25 * old + 0.25 * first + 0.5 * second, rtol=1e-5)
    still = model.encode(params, state | {"norm": {"shared": after}}, static, aux, train=False)
    assert not np.allclose(still.item, model.encode(params, state, static, aux, train=False).item)


def test_more_prototypes_than_items_cannot_come_from_k_means() -> None:
    with pytest.raises(ConfigError, match=r"hyper\.n_prototypes is 64, but hyper\.start 'kmeans' takes them from 9"):
        started(Ci2mg(embed_dim=4, hyper=Hyper(start="kmeans")))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "after 20 iterations at epsilon 0.05; raise ot.epoch_iterations, or ot.sinkhorn.epsilon to 0.1."),
        ({"refresh": "step"}, "after 5 iterations at epsilon 0.05; raise ot.sinkhorn.iterations"),
        ({"refresh": "step", "sinkhorn": {"gradient": "unroll:7"}}, "after 7 .*; raise ot.sinkhorn.gradient"),
        ({"sinkhorn": {"mode": "prototype:2"}}, "after 200 iterations .*; raise ot.sinkhorn.cold_iterations"),
    ],
)  # fmt: skip
def test_a_remark_names_the_option_that_helps(options, named) -> None:
    (said,) = Ci2mg(ot=options).remarks({"transport_error": 0.25})
    assert re.search(
        f"^Transport has not converged: .* the last epoch's plans are 0.25 of all mass off .* {named}", said
    )
    (said,) = Ci2mg(ot=options).remarks({"transport_error": float("nan")})
    assert "not finite in the last epoch" in said


def test_remarks_on_the_contrast_are_about_one_that_is_trained() -> None:
    parts = {"contrast": 13.82, "contrast_chance": 13.82}
    assert len(Ci2mg().remarks(parts)) == 1
    assert Ci2mg(terms=Objective(contrast=0.0)).remarks(parts) == ()
    assert Ci2mg().remarks(parts | {"contrast": float("nan")}) == ()


def test_the_worst_seed_is_remarked_on_once() -> None:
    good, bad = {"transport_error": 2e-4, "contrast": 9.0}, {"transport_error": 0.25, "contrast": 13.8}
    lanes = {seed: SimpleNamespace(history=[{"parts": parts | {"contrast_chance": 13.82}}])
             for seed, parts in enumerate((bad, good))}  # fmt: skip
    found: Any = SimpleNamespace(model=Ci2mg(), lanes=lanes | {2: SimpleNamespace(history=[])})
    said = outcome._remarks(found)
    assert [text.split(":")[0] for text in said] == [
        "Transport has not converged", "The contrast (Eq. 10) teaches nothing",
    ]  # fmt: skip


def test_options_that_do_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"give ot\.epoch_iterations instead"):
        Transport(sinkhorn=SinkhornConfig(iterations=50))
    assert Transport(refresh="step", sinkhorn=SinkhornConfig(iterations=50)).sinkhorn.iterations == 50
    with pytest.raises(ConfigError, match=r"give ot\.refresh='step' as well"):
        Transport(sinkhorn=SinkhornConfig(gradient="tail:5"))
    with pytest.raises(ConfigError, match=r"n_layers is 1\.5; it must be a whole number"):
        Ci2mg(ids={"n_layers": 1.5})
