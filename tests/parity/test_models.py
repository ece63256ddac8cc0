"""Embeddings, scores, losses and gradients of each backbone on the fixed parameters and the fixed batch."""

import jax
import numpy as np
import pytest

from jmmrec.interop.pytorch import dump_params, ignored
from tests.parity.cases import CASES

PLAIN = [name for name in CASES if name != "MMSSL"]  # its file is of another shape: see test_mmssl.py
WITH_VIRTUAL = [f"{name}_VP" for name in ("VBPR", "MMGCN", "SLMRec", "FREEDOM", "MGCN", "LGMRec") if name in CASES]
each_model = pytest.mark.parametrize("name", [*PLAIN, *WITH_VIRTUAL], ids=str.lower)


@pytest.fixture
def scene(name, fixtures):
    """What the numbers were made with."""
    return fixtures.scene(name)


@each_model
def test_parity_of_evaluation(scene, gap) -> None:
    numbers, encoded = scene.numbers, jax.jit(scene.evaluated)(scene.params)
    assert gap(encoded.user, numbers["eval/user_emb"]) < 1e-5
    assert gap(encoded.item, numbers["eval/item_emb"]) < 1e-5
    scores = numbers["eval/scores"] if "eval/scores" in numbers else numbers["eval/scores_first64"]
    ours = np.asarray(encoded.user @ encoded.item.T)[: len(scores)]
    if scene.case.sigmoid:
        ours = jax.nn.sigmoid(ours)
    assert gap(ours, scores) < 1e-5


@each_model
def test_parity_of_losses(scene, gap) -> None:
    numbers = scene.numbers
    if "train/user_emb" in numbers:
        encoded = scene.trained(scene.params)
        assert gap(encoded.user, numbers["train/user_emb"]) < 1e-5
        assert gap(encoded.item, numbers["train/item_emb"]) < 1e-5
    total, parts = scene.loss(scene.params)
    theirs = numbers.part("loss/") or numbers.part("off/loss/")
    assert set(theirs) == {"total", *parts}
    for term, value in (parts | {"total": total}).items():
        assert gap(value, theirs[term]) < 1e-5, term


# Those of the _VP models are only stored with the virtual loss on: see test_virtual.py.
@pytest.mark.parametrize("name", PLAIN, ids=str.lower)
def test_parity_of_gradients(scene, gap) -> None:
    gradients = jax.jit(jax.grad(lambda p: scene.loss(p)[0]))(scene.params)
    ours, theirs = dump_params(scene.model, gradients), scene.numbers.part("grad/")
    ours = {scene.case.gradients.get(name, name): gradient for name, gradient in ours.items()}
    assert set(ours) == set(theirs)
    for parameter, gradient in ours.items():
        if parameter in scene.case.zero:
            assert np.abs(gradient).max() < 1e-7
        else:
            assert gap(gradient, theirs[parameter]) < scene.case.loose.get(parameter, 1e-4), parameter


@each_model
def test_parity_of_names_there_and_back(scene) -> None:
    back = dump_params(scene.model, scene.params)
    theirs = scene.numbers.part("param/")
    assert set(back) == set(theirs) - set(ignored(scene.model))
    for name, array in back.items():
        np.testing.assert_array_equal(array, theirs[name])
