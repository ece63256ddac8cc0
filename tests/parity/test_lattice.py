"""LATTICE's item graphs, and the steps of an epoch after the first, which use its graph as it is."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.interop.pytorch import dump_params
from jmmrec.models import Batch
from jmmrec.train import TrainConfig
from jmmrec.train.step import TrainState, step
from tests.parity.conftest import KEY, largest_gap
from tests.parity.test_graphs import blocks, dense


@pytest.fixture
def scene(fixtures):
    """What the numbers were made with."""
    return fixtures.scene("LATTICE")


def later(scene):
    """State and batch of the second step of an epoch."""
    batch = scene.numbers.batch()
    state = scene.model.after_batch(scene.replay.state, scene.trained(scene.params), batch)
    batch = batch._replace(step=jnp.int32(1))
    return scene.model.before_batch(scene.params, state, scene.static, (), batch, KEY)[0], batch


def loss_of(scene, state, batch: Batch):
    def loss(params):
        encoded = scene.model.encode(params, state, scene.static, (), key=KEY, train=True)
        return scene.model.loss(params, encoded, batch, KEY)[0]

    return loss


def test_lattice_norm_adj(scene) -> None:
    """The stored square matrix has the self loops on its diagonal."""
    graph = scene.static["graph"]
    loops = np.concatenate([graph.user_loop, graph.item_loop])
    assert largest_gap(blocks(graph) + np.diag(loops), dense(scene.numbers, "norm_adj")) < 1e-6


@pytest.mark.parametrize("name", ["image", "text"])
def test_lattice_original_graphs(scene, name) -> None:
    ours = np.asarray(scene.static["original"][name].bcoo.todense())
    assert largest_gap(ours, dense(scene.numbers, f"{name}_original_adj")) < 1e-6


def test_lattice_item_graph(scene) -> None:
    graph = scene.trained(scene.params).extra["graph"]
    n_items = len(graph.scale)
    once = dataclasses.replace(scene.model, n_layers=1)
    ours = once.smooth(graph, scene.static, jnp.eye(n_items))
    theirs = dense(scene.numbers, "item_adj")
    np.testing.assert_array_equal(np.asarray(ours) != 0, theirs != 0)
    assert largest_gap(ours, theirs) < 1e-6


def test_lattice_parity_of_later_batches(scene) -> None:
    state, batch = later(scene)
    assert not state["due"]
    total, gradients = jax.jit(jax.value_and_grad(loss_of(scene, state, batch)))(scene.params)
    assert largest_gap(total, scene.numbers["reused_graph/loss/total"]) < 1e-5
    ours, theirs = dump_params(scene.model, gradients), scene.numbers.part("reused_graph/grad/")
    assert set(ours) - set(theirs) == set(scene.numbers.meta["reused_graph_no_gradient"])
    for name, gradient in ours.items():
        if name in theirs:
            assert largest_gap(gradient, theirs[name]) < 1e-4, name
        else:
            assert not gradient.any(), name


def test_lattice_what_rests_does_not_move(scene) -> None:
    batch = scene.numbers.batch()
    optimiser = TrainConfig().optimiser(scene.model)
    train = TrainState(scene.params, optimiser.init(scene.params), scene.replay.state)
    run = jax.jit(step, static_argnums=(0, 1))
    first = run(scene.model, optimiser, train, scene.static, (), batch, KEY, 1e-3)[0]
    second = run(scene.model, optimiser, first, scene.static, (), batch._replace(step=jnp.int32(1)), KEY, 1e-3)[0]
    for name in scene.params:
        moved = [
            any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (x.params[name], y.params[name])), strict=True))
            for x, y in ((train, first), (first, second))
        ]
        assert moved == [True, name not in scene.model.rare], name
    np.testing.assert_array_equal(first.state["graph"].scale, second.state["graph"].scale)
