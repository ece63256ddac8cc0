"""Embeddings, scores, losses and gradients of each backbone on the fixed parameters and the fixed batch."""

import jax
import numpy as np
import pytest

from jmmrec.interop.pytorch import dump_params, load_params

NAMES = ("BPR", "VBPR", "LightGCN", "FREEDOM", "VBPR_VP", "FREEDOM_VP")
EXACT_ZERO = ("image_trs.bias", "text_trs.bias")  # their gradients cancel in exact maths: only rounding is left
each_model = pytest.mark.parametrize("name", NAMES, ids=str.lower)


@pytest.fixture
def case(name, fixtures, pruned, stateless):
    """Model, static part, parameters, what stays fixed, and the numbers."""
    numbers = fixtures.read(f"models/{name}")
    model, static = fixtures.model(name, numbers)
    params = load_params(model, numbers.part("param/"), static)
    return model, static, params, (stateless(model), pruned(static, numbers.get("buffer/kept_edges"))), numbers


@each_model
def test_parity_of_evaluation(case, gap) -> None:
    model, static, params, (state, _), numbers = case
    encoded = jax.jit(lambda p: model.encode(p, state, static, None, train=False))(params)
    assert gap(encoded.user, numbers["eval/user_emb"]) < 1e-5
    assert gap(encoded.item, numbers["eval/item_emb"]) < 1e-5
    scores = numbers["eval/scores"] if "eval/scores" in numbers else numbers["eval/scores_first64"]
    assert gap(np.asarray(encoded.user @ encoded.item.T)[: len(scores)], scores) < 1e-5


@each_model
def test_parity_of_losses(case, gap) -> None:
    model, static, params, (state, aux), numbers = case
    encoded = model.encode(params, state, static, aux, key=jax.random.key(0), train=True)
    if "train/user_emb" in numbers:
        assert gap(encoded.user, numbers["train/user_emb"]) < 1e-5
        assert gap(encoded.item, numbers["train/item_emb"]) < 1e-5
    total, parts = model.loss(params, encoded, numbers.batch(), jax.random.key(0))
    theirs = numbers.part("loss/") or numbers.part("off/loss/")
    assert set(theirs) == {"total", *parts}
    for term, value in (parts | {"total": total}).items():
        assert gap(value, theirs[term]) < 1e-5, term


# Those of the _VP models are only stored with the virtual loss on: see test_virtual.py.
@pytest.mark.parametrize("name", NAMES[:4], ids=str.lower)
def test_parity_of_gradients(name, case, gap) -> None:
    model, static, params, (state, aux), numbers = case

    def loss(p):
        encoded = model.encode(p, state, static, aux, key=jax.random.key(0), train=True)
        return model.loss(p, encoded, numbers.batch(), jax.random.key(0))[0]

    ours = dump_params(model, jax.jit(jax.grad(loss))(params))
    theirs = numbers.part("grad/")
    assert set(ours) == set(theirs)
    for parameter, gradient in ours.items():
        if name == "FREEDOM" and parameter in EXACT_ZERO:
            assert np.abs(gradient).max() < 1e-9
        else:
            assert gap(gradient, theirs[parameter]) < 1e-4, parameter


@each_model
def test_parity_of_names_there_and_back(case) -> None:
    model, _, params, _, numbers = case
    back = dump_params(model, params)
    assert set(back) == set(numbers.part("param/"))
    for name, array in numbers.part("param/").items():
        np.testing.assert_array_equal(back[name], array)
