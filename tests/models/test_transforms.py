"""Every numeric function of graph, retrieval, losses and models: jit = no jit, vmap = loop, gradient = differences."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jmmrec.data.sampling import draw_negatives, negative_table
from jmmrec.graph import adjacency, bipartite, edge_list, keep_edges, nearest, propagate, propagate_bipartite
from jmmrec.graph.edges import sample_edges
from jmmrec.losses import (
    batch_norms,
    bpr,
    info_nce,
    l2_squares,
    log_partition,
    mine,
    mine_rows,
    pair_margin,
    virtual_triplets,
)
from jmmrec.losses.bpr import masked_mean
from jmmrec.models import Batch
from jmmrec.models.common import batch_bpr, layer_mean
from jmmrec.models.layers import dense
from jmmrec.retrieval import METRICS, exclusion, extremes, normalise_rows, safe_norm, top_n

USERS, ITEMS, WIDTH = 5, 7, 3
PAIRS = np.array([[0, 0], [0, 3], [1, 1], [2, 2], [2, 6], [3, 5], [4, 0], [4, 4]])  # sorted
MASK = np.array([True, False, True, True, False])
BATCH = Batch(*(jnp.asarray(a) for a in ([0, 1, 2, 0], [3, 1, 6, 0], [1, 2, 0, 4], [True, True, False, True], 0)))


def table(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def as_type(graph, dtype):
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, graph)


def product(x):
    matrix = adjacency(PAIRS[:, 0], PAIRS[:, 1], table(len(PAIRS)), (USERS, ITEMS))
    return propagate(as_type(matrix, x.dtype), x)


def product_of_values(values, x):
    matrix = as_type(adjacency(PAIRS[:, 0], PAIRS[:, 1], np.ones(len(PAIRS)), (USERS, ITEMS)), x.dtype)
    by_item = np.lexsort(PAIRS.T)
    return propagate(matrix.replace(values=values, t_values=values[by_item]), x, True)


def on_graph(function: Callable, norm: str) -> Callable:
    return lambda user, item: function(as_type(bipartite(PAIRS, USERS, ITEMS, norm), user.dtype), user, item)


def virtual(**options) -> Callable:
    def loss(user, item):
        return virtual_triplets(user, item, *mine(user, item, 2), **options)

    return loss


USER, ITEM, BLOCKS = (
    table(USERS, WIDTH),
    table(ITEMS, WIDTH, seed=1),
    tuple(table(USERS, WIDTH, seed=s) for s in (2, 3)),
)

SMOOTH: dict[str, tuple[Callable, tuple]] = {
    "propagate": (product, (ITEM,)),
    "propagate_with_values": (product_of_values, (table(len(PAIRS)), ITEM)),
    "propagate_bipartite": (on_graph(propagate_bipartite, "mean"), (USER, ITEM)),
    "propagate_bipartite_loops": (on_graph(propagate_bipartite, "row_selfloop"), (USER, ITEM)),
    "layer_mean": (on_graph(lambda g, u, i: layer_mean(g, u, i, 2), "sym_exact"), (USER, ITEM)),
    "dense": (lambda w, b, x: dense({"weight": w, "bias": b}, x), (table(2, WIDTH), table(2), ITEM)),
    "normalise_rows": (normalise_rows, (ITEM,)),
    "safe_norm": (safe_norm, (ITEM,)),
    "pair_margin": (pair_margin, (USER, *BLOCKS)),
    "masked_mean": (lambda v: masked_mean(v, jnp.asarray(MASK)), (table(USERS),)),
    "bpr": (lambda m: bpr(m, jnp.asarray(MASK)), (table(USERS),)),
    "bpr_unmasked": (bpr, (table(USERS),)),
    "batch_bpr": (lambda u, i: batch_bpr(u, i, BATCH), (USER, ITEM)),
    "batch_norms": (lambda *b: batch_norms(b, jnp.asarray(MASK)), BLOCKS),
    "l2_squares": (lambda *b: l2_squares(b, jnp.asarray(MASK)), BLOCKS),
    "log_partition": (lambda q, k: log_partition(q, k, tau=0.5, skip=jnp.arange(USERS)), (USER, ITEM)),
    "log_partition_blocks": (lambda q, k: log_partition(q, k, keep=jnp.arange(ITEMS) > 2, memory=60), (USER, ITEM)),
    "info_nce": (lambda q, k: info_nce(q, k, tau=0.5, mask=jnp.asarray(MASK)), (BLOCKS[0], USER)),
    "info_nce_target": (lambda q, k: info_nce(q, k, jnp.arange(USERS) + 1, reduction="sum"), (USER, ITEM)),
    "virtual_triplets": (virtual(), (USER, ITEM)),
    "virtual_triplets_sum_log2": (virtual(reduction="sum", log_base="2"), (USER, ITEM)),
    "virtual_triplets_masked": (virtual(mask=jnp.asarray(MASK)), (USER, ITEM)),
}


def searched(user, item):
    pairs = exclusion(PAIRS[:, 0], PAIRS[:, 1], USERS, ITEMS)
    return extremes(user, item, 2, 3, exclude=pairs, exclude_bottom=pairs)


def pruned(scores):
    edges = edge_list(PAIRS, USERS, ITEMS)
    kept = jnp.sort(jax.lax.top_k(scores, 4)[1])
    return keep_edges(edges, kept).user_item.bcoo.todense()


def drawn(x):
    key = jax.random.fold_in(jax.random.key(0), jnp.int32(100 * x[0]))
    users = jnp.asarray(PAIRS[:, 0])
    return draw_negatives(key, negative_table(PAIRS, USERS), users), sample_edges(key, jnp.exp(x), 3)


def hits(x):
    n = jnp.array([1, 2, 3, 4, 9])
    return [f(x > 0, n, 3) for f in METRICS.values()] + [f(x > 0, n, 20) for f in METRICS.values()]


CHOICES: dict[str, tuple[Callable, tuple]] = {
    "nearest": (lambda x: nearest(x, 3), (ITEM,)),
    "extremes": (searched, (USER, ITEM)),
    "top_n": (lambda s: top_n(s, 3), (table(4, 200),)),
    "top_n_groups": (lambda s: top_n(s, 2, 16), (table(4, 333),)),
    "mine": (lambda u, i: mine(u, i, 2), (USER, ITEM)),
    "mine_rows": (lambda u, i: mine_rows(u, i, 2, allowed_top=jnp.arange(ITEMS)[None] > 2), (USER, ITEM)),
    "keep_edges": (pruned, (table(len(PAIRS)),)),
    "draws": (drawn, (table(len(PAIRS)),)),
    "metrics": (hits, (table(USERS, 6),)),
}
EVERY = SMOOTH | CHOICES


def close(first, second, tolerance: float = 1e-6) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), first, second)


@pytest.mark.parametrize("name", EVERY)
def test_jit_and_vmap_change_nothing(name) -> None:
    function, args = EVERY[name]
    scaled = [jax.tree.map(lambda a, s=s: jnp.asarray(s * a, jnp.float32), args) for s in (1.0, -0.5, 2.0)]
    jitted = jax.jit(function)
    alone = [jitted(*a) for a in scaled]
    close(alone[0], function(*scaled[0]))
    batched = jax.jit(jax.vmap(function))(*jax.tree.map(lambda *leaves: jnp.stack(leaves), *scaled))
    close(batched, jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone))


@pytest.mark.parametrize("name", SMOOTH)
def test_gradient_is_that_of_finite_differences(name) -> None:
    function, args = SMOOTH[name]
    with jax.enable_x64(True):
        args = tuple(jnp.asarray(a, jnp.float64) for a in args)
        check_grads(jax.jit(function), args, order=1, modes=("rev",), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", SMOOTH)
def test_zeros_and_extremes_give_finite_values_and_gradients(name) -> None:
    function, args = SMOOTH[name]

    def total(*a):
        return sum((jnp.sum(leaf) for leaf in jax.tree.leaves(function(*a))), jnp.zeros(()))

    graded = jax.jit(jax.value_and_grad(total, argnums=tuple(range(len(args)))))
    for scale in (0.0, 1e-30, 1e15):
        found = graded(*(jnp.asarray(scale * a, jnp.float32) for a in args))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found)), scale


@pytest.mark.parametrize("margin", [1e30, -1e30, 3e38, -3e38, 0.0])
def test_bpr_at_extreme_margins(margin) -> None:
    value, gradient = jax.value_and_grad(bpr)(jnp.array([margin]))
    assert np.isfinite(value) and -1.0 <= float(gradient[0]) <= 0.0
    np.testing.assert_allclose(value, max(-margin, 0.0) if margin else np.log(2.0), rtol=1e-6)


@pytest.mark.parametrize(
    "name", ["masked_mean", "bpr", "batch_norms", "l2_squares", "virtual", "info_nce", "batch_bpr"]
)
def test_all_masked_is_zero_with_zero_gradient(name) -> None:
    nobody = jnp.zeros(USERS, bool)
    function, args = {
        "masked_mean": (lambda v: masked_mean(v, nobody), (table(USERS),)),
        "bpr": (lambda v: bpr(v, nobody), (table(USERS),)),
        "batch_norms": (lambda *b: batch_norms(b, nobody), BLOCKS),
        "l2_squares": (lambda *b: l2_squares(b, nobody), BLOCKS),
        "virtual": (virtual(mask=nobody, reduction="sum"), (USER, ITEM)),
        "info_nce": (lambda q, k: info_nce(q, k, mask=nobody), (USER, BLOCKS[0])),
        "batch_bpr": (lambda u, i: batch_bpr(u, i, BATCH, jnp.zeros(4, bool)), (USER, ITEM)),
    }[name]
    args = tuple(jnp.asarray(a, jnp.float32) for a in args)
    value, gradients = jax.value_and_grad(function, argnums=tuple(range(len(args))))(*args)
    assert float(value) == 0.0
    assert all(not np.any(leaf) for leaf in gradients)
