"""Virtual triplets switched on: chosen items, loss and gradients for every number of items in the files."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.interop.pytorch import dump_params, load_params
from jmmrec.losses import mine

EXACT_ZERO = ("image_trs.bias", "text_trs.bias")


@pytest.fixture(params=["VBPR_VP", "FREEDOM_VP"], ids=str.lower)
def active(request, fixtures, pruned, stateless):
    """What a loss needs, with the virtual loss on."""
    numbers = fixtures.read(f"models/{request.param}")
    model, static = fixtures.model(request.param, numbers, active=True)
    params = load_params(model, numbers.part("param/"), static)
    return model, static, params, (stateless(model), pruned(static, numbers.get("buffer/kept_edges"))), numbers


def sizes(numbers) -> list[int]:
    found = sorted(int(key[1:].split("/")[0]) for key in numbers if key.startswith("k") and key.endswith("/top"))
    assert found
    return found


def test_virtual_items_are_the_same(active) -> None:
    model, static, params, (state, aux), numbers = active
    encoded = model.encode(params, state, static, aux, key=jax.random.key(0), train=True)
    for n in sizes(numbers):
        top, bottom = jax.jit(mine, static_argnums=2)(encoded.user, encoded.item, n)
        np.testing.assert_array_equal(top, numbers[f"k{n}/top"])
        np.testing.assert_array_equal(bottom, numbers[f"k{n}/bottom"])


def test_virtual_loss_and_gradients(active, gap) -> None:
    model, static, params, (state, aux), numbers = active
    for n in sizes(numbers):
        with_n = dataclasses.replace(model, n=n)

        def loss(p, model=with_n):
            encoded = model.encode(p, state, static, aux, key=jax.random.key(0), train=True)
            return model.loss(p, encoded, numbers.batch(), jax.random.key(0))

        (total, parts), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
        assert gap(parts["virtual"], numbers[f"k{n}/loss/virtual"]) < 1e-5
        assert gap(parts["model"], numbers["off/loss/total"]) < 1e-5
        assert gap(total, numbers[f"k{n}/loss/total"]) < 1e-5
        ours, theirs = dump_params(model, gradients), numbers.part(f"k{n}/grad/")
        assert set(ours) == set(theirs)
        for name in ours.keys() - (set(EXACT_ZERO) if "item_id_embedding.weight" in ours else set()):
            assert gap(ours[name], theirs[name]) < 1e-4, name


def test_virtual_stored_tables_give_the_stored_items(active) -> None:
    numbers = active[-1]
    tables = [jnp.asarray(numbers[f"train/{side}_emb"]) for side in ("user", "item")]
    for n in sizes(numbers):
        np.testing.assert_array_equal(mine(*tables, n)[0], numbers[f"k{n}/top"])
