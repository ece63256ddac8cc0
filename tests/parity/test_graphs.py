"""Graphs, pruned graphs, sampling weights and nearest neighbours against the stored sparse matrices."""

import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import load
from jmmrec.graph import nearest
from jmmrec.graph.cooccurrence import user_neighbours
from tests.parity.cases import pruned

WITH_GRAPH = pytest.mark.parametrize("name", ["LightGCN", "FREEDOM", "FREEDOM_VP"], ids=str.lower)
FREEDOMS = pytest.mark.parametrize("name", ["FREEDOM", "FREEDOM_VP"], ids=str.lower)


def dense(numbers, name: str) -> np.ndarray:
    matrix = np.zeros(numbers[f"buffer/{name}_shape"])
    np.add.at(matrix, tuple(numbers[f"buffer/{name}_indices"]), numbers[f"buffer/{name}_values"])
    return matrix


def blocks(graph) -> np.ndarray:
    """Users first, both directions."""
    up, down = np.asarray(graph.user_item.bcoo.todense()), np.asarray(graph.item_user.bcoo.todense())
    return np.block([[np.zeros((len(up), len(up))), up], [down, np.zeros((len(down), len(down)))]])


def parts(name: str, fixtures) -> tuple:
    numbers = fixtures.read(f"models/{name}")
    static = fixtures.model(name, numbers)[1]
    return numbers, static.get("backbone", static)


@WITH_GRAPH
def test_norm_adj(name, fixtures, gap) -> None:
    numbers, static = parts(name, fixtures)
    assert gap(blocks(static["graph"]), dense(numbers, "norm_adj")) < 1e-6


@FREEDOMS
def test_mm_adj(name, fixtures, gap) -> None:
    numbers, static = parts(name, fixtures)
    ours, theirs = np.asarray(static["items"].bcoo.todense()), dense(numbers, "mm_adj")
    np.testing.assert_array_equal(ours != 0, theirs != 0)
    assert gap(ours, theirs) < 1e-6


@FREEDOMS
def test_masked_adj_and_weights(name, fixtures, gap) -> None:
    numbers, static = parts(name, fixtures)
    np.testing.assert_array_equal([static["edges"].user, static["edges"].item], numbers["buffer/edge_indices"])
    assert gap(static["edges"].weight, numbers["buffer/edge_values"]) < 1e-6
    kept = numbers["buffer/kept_edges"]
    assert len(kept) == int(len(static["edges"].user) * (1 - numbers.meta["config"]["dropout"]))
    assert gap(blocks(pruned(static, kept)), dense(numbers, "masked_adj")) < 1e-6


@pytest.mark.parametrize("modality", ["image", "text", "audio"])
def test_freedom_neighbours(modality, fixtures) -> None:
    graphs = fixtures.read("data/graphs")
    if f"{modality}_knn_items" not in graphs:
        pytest.skip(f"no neighbours of {modality} in data/graphs.npz")
    theirs = graphs[f"{modality}_knn_items"]
    features = fixtures.with_modalities(modality).modalities[modality].features
    ours, cosine = nearest(jnp.asarray(features), theirs.shape[1])
    np.testing.assert_array_equal(np.sort(ours, axis=1), np.sort(theirs, axis=1))
    np.testing.assert_allclose(cosine, graphs[f"{modality}_knn_similarity"], atol=1e-5)


def test_dragon_user_neighbours(fixtures) -> None:
    """As many common items at every place; the same users wherever their number of common items tells them apart."""
    graphs, data = fixtures.read("data/graphs"), fixtures.dataset
    theirs, counts = graphs["user_graph_neighbours"], graphs["user_graph_common_items"]
    ours, common = (a[:, : theirs.shape[1]] for a in user_neighbours(data.train, data.n_users, data.n_items))
    np.testing.assert_array_equal(common, counts)
    np.testing.assert_array_equal(ours >= 0, theirs >= 0)
    full = (theirs >= 0).all(axis=1)
    for user in range(data.n_users):
        for count in np.unique(counts[user][counts[user] > (counts[user, -1] if full[user] else 0)]):
            np.testing.assert_array_equal(*(np.sort(a[user, counts[user] == count]) for a in (ours, theirs)))


def test_dragon_weights_of_full_lists(fixtures, gap) -> None:
    """Users with at least 40 neighbours have no random repeats."""
    numbers = fixtures.read("models/DRAGON")
    graph = fixtures.model("DRAGON", numbers)[1]["users"]
    weights = np.asarray(graph.weighted(jnp.ones(graph.mass.shape)).values).reshape(graph.mass.shape)
    full = np.asarray(graph.length) == 40
    assert full.any() and gap(weights[full], numbers["buffer/user_weight_matrix"][full]) < 1e-6


def test_freedom_files_are_read_as_they_were(fixtures) -> None:
    """The .inter file beside the arrays gives the same data set."""
    known, read = fixtures.read("data/interactions"), load(fixtures.root / "data")
    assert read.split_digest == fixtures.dataset.split_digest
    cold = np.setdiff1d(np.arange(read.n_items), read.train[:, 1])
    np.testing.assert_array_equal(cold, known["cold_items"])
    for split in ("valid", "test"):
        without = np.setdiff1d(np.arange(read.n_users), getattr(read, split)[:, 0])
        np.testing.assert_array_equal(without, known[f"users_without_{split}"])
