"""Short training runs replayed batch by batch with the stored draws."""

import dataclasses

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

NOISE = ("image_trs.bias", "text_trs.bias")  # zero gradient in exact maths: Adam moves them by rounding alone

jitted = jax.jit(step, static_argnums=(0, 1))


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


@pytest.mark.parametrize("name", ["LightGCN", "FREEDOM", "FREEDOM_VP"], ids=str.lower)
def test_trajectory(name, fixtures, pruned, stateless, gap) -> None:
    numbers = fixtures.read(f"trajectory_{name}")
    model, static = fixtures.model(name, numbers)
    if "k" in numbers.meta:
        model = dataclasses.replace(model, n=numbers.meta["k"])
    switch = numbers.meta.get("vp_on_from_epoch_index")
    settings = numbers.meta["config"]
    config = TrainConfig(learning_rate=settings["learning_rate"], weight_decay=settings["weight_decay"])
    optimiser, state = config.optimiser(), stateless(model)
    params = load_params(model, numbers.part("init/param/"), static)
    train = TrainState(params, optimiser.init(params), state)
    kept = numbers.get("epochs/kept_edges")
    losses, mined = [], []
    for epoch, batch in batches(numbers):
        on = switch is not None and epoch >= switch
        now, aux = activated(model) if on else model, pruned(static, None if kept is None else kept[epoch])
        if on:
            mined.append(chosen(now, train.params, state, static, aux))
        train, log = jitted(now, optimiser, train, static, aux, batch, jax.random.key(0), config.rate(epoch))
        losses.append(log["loss"])
    np.testing.assert_allclose(losses, numbers["steps/loss"], rtol=1e-4)
    assert len(mined) == len(numbers.get("steps/vp_top", ()))
    for number, sides in enumerate(mined):
        for (ours, cosine), stored in zip(sides, ("steps/vp_top", "steps/vp_bottom"), strict=True):
            assert_same_items(ours, cosine, numbers[stored][number])
    final = numbers.part("final/param/")
    for parameter, array in dump_params(model, train.params).items():
        if parameter not in NOISE:
            assert gap(array, final[parameter]) < 1e-4, parameter
    encoded = model.encode(train.params, state, static, None, train=False)
    assert gap(encoded.user, numbers["final/user_emb"]) < 1e-4
    assert gap(encoded.item, numbers["final/item_emb"]) < 1e-4
