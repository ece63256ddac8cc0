"""CI²MG: options that the training loss alone does not show, and every way to solve and differentiate the transport."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from jmmrec.models import Ci2mg
from jmmrec.models.ci2mg import Fuse, Transport
from jmmrec.ot import SinkhornConfig
from tests.models.test_ci2mg import BATCH, DATA, ITEMS, SMALL, USERS, loss_of, started, total

KEY = jax.random.key(1)
MODES = ("blocked", "dense", "minibatch:5", "prototype:2", "lowrank:2")
GRADIENTS = ("stop_plan", "implicit", "tail:2", "unroll:2")
WAYS = [(mode, "stop_plan", "epoch") for mode in MODES] + [
    (mode, gradient, "step")
    for mode in MODES
    for gradient in GRADIENTS[: 1 if mode.startswith("lowrank") else None]
    if (mode, gradient) != ("minibatch:5", "implicit")
]  # the others are refused


def after_a_step(model: Ci2mg) -> np.ndarray:
    """The items' table in an evaluation after one batch."""
    static, params, state = started(model)
    state, aux = model.epoch(params, state, static, KEY)
    encoded = model.encode(params, state, static, aux, key=KEY, train=True)
    state = model.after_batch(state, encoded, BATCH)
    return np.asarray(model.encode(params, state, static, aux, train=False).item)


@pytest.fixture(scope="module")
def usual() -> np.ndarray:
    return after_a_step(Ci2mg(**SMALL))


@pytest.mark.parametrize(
    "options",
    [{"fuse": Fuse(evaluate="batch")}, {"fuse": Fuse(momentum=0.5)}, {"fuse": Fuse(shared=True)},
     {"ot": Transport(eval_iterations=1)}],
    ids=str,
)  # fmt: skip
def test_an_option_changes_evaluation(options, usual) -> None:
    found = after_a_step(Ci2mg(**SMALL, **options))
    assert np.isfinite(found).all() and (found != usual).any()


def test_below_equation_11_both_may_go_through_a_map() -> None:
    mean, mapped = (Ci2mg(**SMALL, task=False, fuse=Fuse(ladder=kind)) for kind in ("mean", "concat_linear"))
    assert set(started(mapped)[1]) - set(started(mean)[1]) == {"fuse"} and total(mean) != total(mapped)


@pytest.mark.parametrize("same", [{"mode": "dense"}, {"marginals": "ones"}, {"block": 2}, {"center": False}], ids=str)
def test_what_changes_no_plan_changes_no_loss(same) -> None:
    solver = SinkhornConfig(epsilon=0.5, cold_iterations=50)
    losses = [total(Ci2mg(**SMALL, ot=Transport(sinkhorn=dataclasses.replace(solver, **one)))) for one in ({}, same)]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("gradient", GRADIENTS[1:])
def test_a_gradient_through_the_plan_is_another_one(gradient) -> None:
    found: list[Any] = []
    for kind in ("stop_plan", gradient):
        sinkhorn = SinkhornConfig(epsilon=0.5, iterations=2, cold_iterations=20, gradient=kind)
        model = Ci2mg(**SMALL, ot=Transport(refresh="step", sinkhorn=sinkhorn))
        static, params, state = started(model)
        loss = loss_of(model, static, (params, state))
        found.append(jax.grad(lambda p, loss=loss: loss(p)[0])(params)["project"]["m0"]["weight"])
    gap = np.linalg.norm(found[0] - found[1]) / np.linalg.norm(found[0])
    assert 1e-6 < gap < 10.0


@pytest.mark.parametrize(("mode", "gradient", "refresh"), WAYS)
def test_every_way_to_solve_goes_through_training_and_evaluation(mode, gradient, refresh) -> None:
    """By shapes alone."""
    model = Ci2mg(**SMALL, ot=Transport(refresh=refresh, sinkhorn=SinkhornConfig(mode=mode, gradient=gradient)))
    static = model.prepare(DATA.for_training())

    def _trained(key: jax.Array) -> tuple:
        params, state = model.init(key, static)
        state, aux = model.epoch(params, state, static, key)

        def _loss(params):
            encoded = model.encode(params, state, static, aux, key=key, train=True)
            return model.loss(params, encoded, BATCH, key)[0], encoded

        gradient, encoded = jax.grad(_loss, has_aux=True)(params)
        after = model.after_batch(state, encoded, BATCH)
        return params, gradient, state, after, model.encode(params, after, static, None, train=False)

    params, gradients, state, after, evaluated = jax.eval_shape(_trained, KEY)
    assert params == gradients and state == after
    assert evaluated.user.shape == (USERS, 12) and evaluated.item.shape == (ITEMS, 12)
