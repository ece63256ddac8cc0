"""Sub-graphs drawn on the device: exact numbers, degrees of what is left, dropout that keeps degrees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.graph import (
    bipartite,
    drop_edges,
    drop_nodes,
    edge_list,
    keep_edges,
    mask_edges,
    n_kept,
    propagate_bipartite,
    scale_edges,
)  # fmt: skip

USERS, ITEMS = 8, 6
PAIRS = np.argwhere(np.random.default_rng(0).random((USERS, ITEMS)) < 0.45)
EDGES = edge_list(PAIRS, USERS, ITEMS)


def dense(graph) -> list[np.ndarray]:
    return [np.asarray(side.bcoo.todense()) for side in (graph.user_item, graph.item_user, graph.item_user.T)]


@pytest.mark.parametrize(("n", "ratio", "stay"), [(10, 0.9, 1), (100, 0.07, 93), (30, 0.1, 27), (7, 0.5, 3), (5, 0, 5)])
def test_numbers_are_those_of_decimal_fractions(n, ratio, stay) -> None:
    assert n_kept(n, ratio) == stay


def test_edges_are_equally_likely_to_stay() -> None:
    draws = np.asarray(jax.vmap(lambda k: drop_edges(k, EDGES, 0.4))(jax.random.split(jax.random.key(0), 2000)))
    assert draws.shape[1] == n_kept(len(PAIRS), 0.4) and (np.diff(draws) > 0).all()
    share = np.bincount(draws.ravel(), minlength=len(PAIRS)) / len(draws)
    np.testing.assert_allclose(share, draws.shape[1] / len(PAIRS), atol=0.06)


def test_exactly_so_many_nodes_go_with_all_their_edges() -> None:
    full = edge_list(np.argwhere(np.ones((USERS, ITEMS))), USERS, ITEMS)
    for seed in range(5):
        stay = np.asarray(drop_nodes(jax.random.key(seed), full, 0.5)).reshape(USERS, ITEMS)
        users, items = stay.any(axis=1), stay.any(axis=0)
        assert (users.sum(), items.sum()) == (4, 3)
        np.testing.assert_array_equal(stay, np.outer(users, items))


@pytest.mark.parametrize("norm", ["sym_exact", "sym_eps7"])
@pytest.mark.parametrize("seed", range(3))
def test_masking_is_keeping(norm, seed) -> None:
    keep = jax.random.bernoulli(jax.random.key(seed), 0.4, (len(PAIRS),))
    masked = jax.jit(mask_edges, static_argnames="norm")(EDGES, keep, norm)
    kept = keep_edges(EDGES, jnp.flatnonzero(keep), norm)
    for ours, other in zip(dense(masked), dense(kept), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-6)


@pytest.mark.parametrize("norm", ["mean", "row_selfloop", "rowhalf_eps8"])
def test_norms_that_differ_by_direction_are_refused(norm) -> None:
    for part, which in ((mask_edges, jnp.ones(len(PAIRS), bool)), (keep_edges, jnp.arange(2))):
        with pytest.raises(ConfigError, match=f"norm is '{norm}'; choose one of 'sym_eps7'"):
            part(EDGES, which, norm)


def test_nothing_kept_is_nothing_received() -> None:
    graph = mask_edges(EDGES, jnp.zeros(len(PAIRS), bool), "sym_exact")
    assert not any(side.any() for side in dense(graph))


@pytest.mark.parametrize("norm", ["sym_exact", "row_selfloop", "mean"])
def test_scaling_multiplies_entries_and_their_transposes(norm) -> None:
    rng = np.random.default_rng(1)
    down, up = (jnp.asarray(rng.random(len(PAIRS)), jnp.float32) for _ in range(2))
    loops = jnp.asarray(rng.random(USERS), jnp.float32), jnp.asarray(rng.random(ITEMS), jnp.float32)
    whole = bipartite(PAIRS, USERS, ITEMS, norm)
    graph = scale_edges(whole, EDGES.by_item, down, up, loops)
    factors = [np.zeros((USERS, ITEMS)) for _ in range(2)]
    for factor, values in zip(factors, (down, up), strict=True):
        factor[EDGES.user, EDGES.item] = values
    there, back, _ = dense(whole)
    np.testing.assert_allclose(dense(graph)[0], there * factors[0], rtol=1e-6)
    np.testing.assert_allclose(dense(graph)[1], back * factors[1].T, rtol=1e-6)
    np.testing.assert_allclose(graph.user_item.T.bcoo.todense(), (there * factors[0]).T, rtol=1e-6)
    np.testing.assert_allclose(graph.item_user.T.bcoo.todense(), (back * factors[1].T).T, rtol=1e-6)
    if norm == "row_selfloop":
        np.testing.assert_allclose(graph.user_loop, whole.user_loop * loops[0])
    assert np.isfinite(propagate_bipartite(graph, jnp.ones((USERS, 2)), jnp.ones((ITEMS, 2)))[0]).all()
