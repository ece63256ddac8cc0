"""Short training runs replayed batch by batch with the stored draws."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.interop.pytorch import dump_params, load_params
from jmmrec.losses import mine
from jmmrec.models import Batch
from jmmrec.retrieval import normalise_rows
from jmmrec.train import TrainConfig, activated
from jmmrec.train.step import TrainState, step
from tests.parity.cases import CASES, replayed


@functools.partial(jax.jit, static_argnums=(0, 1))
def one_step(model, optimiser, train, static, aux, batch, rate, draws):
    """A step with given draws."""
    return step(replayed(model, draws), optimiser, train, static, aux, batch, jax.random.key(0), rate)


@jax.jit(static_argnums=0)
def chosen(model, params, state, static, aux):
    """The virtual items that the next step will use, top and bottom, and every user's cosine with them."""
    encoded = model.encode(params, state, static, aux, key=jax.random.key(0), train=True)
    user, item = normalise_rows(encoded.user), normalise_rows(encoded.item)
    return [(side, jnp.einsum("ud,und->un", user, item[side])) for side in mine(encoded.user, encoded.item, model.n)]


def assert_same_items(ours, cosine, theirs) -> None:
    """The same items for every user; in another order only where their cosines are equal up to rounding."""
    ours = np.asarray(ours)
    np.testing.assert_array_equal(np.sort(ours, axis=1), np.sort(theirs, axis=1))
    swapped = (ours != theirs).any(axis=1)
    assert (np.ptp(np.asarray(cosine)[swapped], axis=1) < 1e-5).all()


def batches(numbers):
    """(epoch, batch) of every stored step; padding is masked."""
    for number, epoch in enumerate(numbers["steps/epoch"]):
        rows = [jnp.asarray(numbers[f"steps/{side}"][number]) for side in ("users", "pos", "neg")]
        mask = jnp.arange(len(rows[0])) < int(numbers["steps/size"][number])
        yield int(epoch), Batch(*(jnp.maximum(r, 0) for r in rows), mask, jnp.int32(0))


FILES = [name for name in ("LightGCN", "FREEDOM", "LGMRec", "FREEDOM_VP") if name.removesuffix("_VP") in CASES]


@pytest.mark.parametrize("name", FILES, ids=str.lower)
def test_trajectory(name, fixtures, gap) -> None:
    case, numbers = CASES[name.removesuffix("_VP")], fixtures.read(f"trajectory_{name}")
    model, static = fixtures.model(name, numbers)
    inner, state = static, ()
    if "k" in numbers.meta:
        model, inner, state = dataclasses.replace(model, n=numbers.meta["k"]), static["backbone"], model_state()
    if features := case.step_features(numbers):
        static = {**static, "features": features}
    switch = numbers.meta.get("vp_on_from_epoch_index")
    settings = numbers.meta["config"]
    config = TrainConfig(learning_rate=settings["learning_rate"], weight_decay=settings["weight_decay"])
    optimiser = config.optimiser(model)
    params = load_params(model, numbers.part("init/param/"), static)
    train = TrainState(params, optimiser.init(params), state)
    losses, mined = [], []
    for number, (epoch, batch) in enumerate(batches(numbers)):
        on = switch is not None and epoch >= switch
        now, aux = activated(model) if on else model, case.epoch_aux(numbers, inner, epoch)
        if on:
            mined.append(chosen(now, train.params, state, static, aux))
        draws = case.step_draws(numbers, number)
        train, log = one_step(now, optimiser, train, static, aux, batch, config.rate(epoch), draws)
        losses.append(log["loss"])
    np.testing.assert_allclose(losses, numbers["steps/loss"], rtol=1e-4)
    assert len(mined) == len(numbers.get("steps/vp_top", ()))
    for number, sides in enumerate(mined):
        for (ours, cosine), stored in zip(sides, ("steps/vp_top", "steps/vp_bottom"), strict=True):
            assert_same_items(ours, cosine, numbers[stored][number])
    final = numbers.part("final/param/")
    for parameter, array in dump_params(model, train.params).items():
        if parameter not in case.zero:  # Adam moves them by rounding alone
            assert gap(array, final[parameter]) < 1e-4, parameter
    last = replayed(model, case.step_draws(numbers, -1))
    encoded = last.encode(train.params, state, static, None, train=False)
    assert gap(encoded.user, numbers["final/user_emb"]) < 1e-4
    assert gap(encoded.item, numbers["final/item_emb"]) < 1e-4


def model_state() -> dict:
    """State of a backbone without one that mines in every step."""
    return {"backbone": (), "mined": ()}
