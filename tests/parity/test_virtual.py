"""Virtual triplets switched on: chosen items, loss and gradients for every number of items in the files."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.interop.pytorch import dump_params
from jmmrec.losses import mine
from tests.parity.cases import CASES

FILES = [f"{name}_VP" for name in ("VBPR", "MMGCN", "SLMRec", "FREEDOM", "MGCN", "LGMRec") if name in CASES]


@pytest.fixture(params=FILES, ids=str.lower)
def active(request, fixtures):
    """What the numbers were made with, the virtual loss on."""
    return fixtures.scene(request.param, active=True)


def sizes(numbers) -> list[int]:
    found = sorted(int(key[1:].split("/")[0]) for key in numbers if key.startswith("k") and key.endswith("/top"))
    assert found
    return found


def whole_catalogue(scene) -> None:
    if scene.model.item_pool == "batch":
        pytest.skip("mined inside the batch: see test_mmgcn.py")


def test_virtual_items_are_the_same(active) -> None:
    whole_catalogue(active)
    encoded, numbers = active.trained(active.params), active.numbers
    for n in sizes(numbers):
        top, bottom = jax.jit(mine, static_argnums=2)(encoded.user, encoded.item, n)
        np.testing.assert_array_equal(top, numbers[f"k{n}/top"])
        np.testing.assert_array_equal(bottom, numbers[f"k{n}/bottom"])


def test_virtual_loss_and_gradients(active, gap) -> None:
    numbers = active.numbers
    for n in sizes(numbers):
        model = dataclasses.replace(active.model, n=n)
        loss = jax.jit(jax.value_and_grad(lambda p, model=model: active.loss(p, model), has_aux=True))
        (total, parts), gradients = loss(active.params)
        assert gap(parts["virtual"], numbers[f"k{n}/loss/virtual"]) < 1e-5
        assert gap(parts["model"], numbers["off/loss/total"]) < 1e-5
        assert gap(total, numbers[f"k{n}/loss/total"]) < 1e-5
        ours, theirs = dump_params(active.model, gradients), numbers.part(f"k{n}/grad/")
        if not theirs:
            continue  # MMGCN's with one item are not stored
        assert set(ours) == set(theirs)
        for name in ours.keys() - set(active.case.zero):
            assert gap(ours[name], theirs[name]) < active.case.loose.get(name, 1e-4), name


def test_virtual_stored_tables_give_the_stored_items(active) -> None:
    whole_catalogue(active)
    numbers = active.numbers
    tables = [jnp.asarray(numbers[f"train/{side}_emb"]) for side in ("user", "item")]
    for n in sizes(numbers):
        np.testing.assert_array_equal(mine(*tables, n)[0], numbers[f"k{n}/top"])
