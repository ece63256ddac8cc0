"""MMGCN beyond what all models are held to: its untrained tables, and virtual triplets found inside the batch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.losses import mine_rows


@pytest.fixture
def active(fixtures):
    """What the numbers were made with, the virtual loss on."""
    return fixtures.scene("MMGCN_VP", active=True)


@pytest.mark.parametrize("n", [1, 2])
def test_parity_of_items_inside_the_batch(active, n) -> None:
    numbers, batch = active.numbers, active.numbers.batch()
    row_item = np.stack([batch.positive, batch.negative], axis=1).ravel()
    np.testing.assert_array_equal(numbers["vp/row_user"], np.repeat(batch.user, 2))
    np.testing.assert_array_equal(numbers["vp/row_item"], row_item)
    encoded = active.trained(active.params)
    chosen = mine_rows(encoded.user[numbers["vp/row_user"]], encoded.item[row_item], n)
    for ours, side in zip(chosen, ("top", "bottom"), strict=True):
        # Equal rows come in any order, so items are compared, not rows.
        np.testing.assert_array_equal(row_item[ours], numbers[f"k{n}/{side}_item"])


@pytest.mark.parametrize("n", [1, 2])
def test_parity_of_the_virtual_loss_inside_the_batch(active, gap, n) -> None:
    model, numbers = dataclasses.replace(active.model, n=n), active.numbers
    total, parts = active.loss(active.params, model)
    assert gap(parts["virtual"], numbers[f"k{n}/loss/virtual"]) < 1e-5
    assert gap(total, numbers[f"k{n}/loss/total"]) < 1e-5


def test_parity_of_the_tables_that_the_public_code_leaves_alone(fixtures, gap) -> None:
    scene = fixtures.scene("MMGCN")
    model = dataclasses.replace(scene.model, train_free=True)
    params = scene.params | {"free": scene.replay.state}

    def loss(params):
        encoded = model.encode(params, (), scene.static, (), train=True)
        return model.loss(params, encoded, scene.numbers.batch(), None)[0]

    total, gradients = jax.jit(jax.value_and_grad(loss))(params)
    assert gap(total, scene.numbers["loss/total"]) < 1e-5
    free, theirs = gradients["free"], scene.numbers.part("gradtensor/")
    ids = jnp.concatenate([free["user"], free["item"]])
    assert gap(ids, theirs["id_embedding"]) < 1e-4
    for name, letter in {"image": "v", "text": "t"}.items():
        assert gap(free["preference"][name], theirs[f"{letter}_gcn.preference"]) < 1e-4
