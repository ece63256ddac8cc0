"""Every numeric function of graph, retrieval, losses and models: jit = no jit, vmap = loop, gradient = differences."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jmmrec.data.sampling import draw_negatives, negative_table
from jmmrec.graph import (
    adjacency,
    at_columns,
    bipartite,
    drop_edges,
    drop_nodes,
    edge_list,
    edge_products,
    edge_softmax,
    k_means,
    keep_edges,
    learned_graph,
    learned_smooth,
    mask_edges,
    nearest,
    nearest_lists,
    pair_graph,
    pattern,
    propagate,
    propagate_bipartite,
    scale_edges,
    turned,
    user_graph,
)
from jmmrec.graph.edges import sample_edges
from jmmrec.losses import (
    batch_norms,
    bpr,
    cosine_gap,
    info_nce,
    l2_squares,
    log_partition,
    mean_squares,
    mine,
    mine_rows,
    pair_margin,
    two_view_nce,
    virtual_triplets,
)
from jmmrec.losses.bpr import masked_mean
from jmmrec.models import Batch
from jmmrec.models.channels import channel_means, channel_tables, fuse, in_channel, side_mean, split_channels
from jmmrec.models.common import batch_bpr, known_rows, layer_mean, pair_squares
from jmmrec.models.hyperedges import contrast, gather
from jmmrec.models.layers import dense, weighted_rows
from jmmrec.models.slmrec_tasks import dropped_mean, foretell
from jmmrec.models.views import challenged_nce, node_nce, once_each, walk_mean
from jmmrec.retrieval import METRICS, exclusion, extremes, normalise_rows, safe_norm, top_n

USERS, ITEMS, WIDTH = 5, 7, 3
PAIRS = np.array([[0, 0], [0, 3], [1, 1], [2, 2], [2, 6], [3, 5], [4, 0], [4, 4]])  # sorted
MASK = np.array([True, False, True, True, False])
BATCH = Batch(*(jnp.asarray(a) for a in ([0, 1, 2, 0], [3, 1, 6, 0], [1, 2, 0, 4], [True, True, False, True], 0)))
EDGES = pattern(PAIRS, USERS, ITEMS)
PLACES = jnp.array([[0, 3, 3], [6, 1, 0]])
COMMON = user_graph(PAIRS, USERS, ITEMS)
BY_ITEM = edge_list(PAIRS, USERS, ITEMS).by_item


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


def attention(x, y):
    """Both directions, the second from the first's scores."""
    scores = edge_products(EDGES, x, y)
    back = edge_softmax(EDGES.T, turned(EDGES, scores))
    return propagate(EDGES.weighted(edge_softmax(EDGES, scores)), y, True), propagate(EDGES.T.weighted(back), x, True)


def hyperedges(user, member, item):
    """Some entries dropped, one item that joins none."""
    draws = [(0.5, user > -1.0), (jnp.arange(2.0), 2.0)]
    return gather((user, member), draws, item, tau=0.3, n_layers=2, present=jnp.arange(ITEMS) > 0)


def learned(x, y, share):
    """Two modalities, one of which an item lacks."""
    here = {"b": jnp.array([0, 1, 3, 4])}
    return learned_graph({"a": x, "b": y}, {"a": share[0], "b": share[1] ** 2}, 3, here).smooth(x, True)


def smoothed(x, y, due):
    def build(x, fixed, lists=None):
        return learned_graph({"a": x}, {"a": jnp.ones((), x.dtype)}, 2, lists=lists)

    stored = build(jnp.zeros_like(x), None)
    return learned_smooth(build, lambda graph, fixed, *rest: graph.smooth(*rest), due, stored, x, None, y)[0]


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
    "l2_squares_nominal": (lambda *b: l2_squares(b, jnp.asarray(MASK), 9), BLOCKS),
    "log_partition": (lambda q, k: log_partition(q, k, tau=0.5, skip=jnp.arange(USERS)), (USER, ITEM)),
    "log_partition_blocks": (lambda q, k: log_partition(q, k, keep=jnp.arange(ITEMS) > 2, memory=60), (USER, ITEM)),
    "info_nce": (lambda q, k: info_nce(q, k, tau=0.5, mask=jnp.asarray(MASK)), (BLOCKS[0], USER)),
    "info_nce_target": (lambda q, k: info_nce(q, k, jnp.arange(USERS) + 1, reduction="sum"), (USER, ITEM)),
    "info_nce_keep": (
        lambda q, k: info_nce(q, k, jnp.arange(USERS), keep=jnp.arange(ITEMS) < 6, mask=jnp.asarray(MASK)),
        (USER, ITEM),
    ),
    "two_view_nce": (lambda q, k: two_view_nce(q, k, tau=0.5, mask=jnp.asarray(MASK)), (BLOCKS[0], USER)),
    "two_view_nce_blocks": (lambda q, k: two_view_nce(q, k, memory=60), (BLOCKS[0], USER)),
    "two_view_nce_limit": (lambda *t: two_view_nce(*map(normalise_rows, t), tau=0.1, limit=1.0), (BLOCKS[0], USER)),
    "info_nce_blocks": (lambda q, k: info_nce(q, k, jnp.arange(USERS), tau=2.0, memory=60), (USER, ITEM)),
    "info_nce_limit": (lambda *t: info_nce(*map(normalise_rows, t), tau=0.1, limit=1.0), (BLOCKS[0], USER)),
    "hyperedges": (hyperedges, (table(USERS, 2), table(ITEMS, 2), ITEM)),
    "hyper_contrast": (
        lambda m, z, y: contrast(
            (jax.nn.softmax(m), z), (jax.nn.softmax(-m), y), BATCH.user, tau=0.5, mask=BATCH.mask, keep=m[:, 0] > -9
        ),
        (table(USERS, 2), table(2, WIDTH), table(2, WIDTH, seed=1)),
    ),
    "walk_mean": (on_graph(lambda g, u, i: walk_mean([g, g], u, i), "sym_exact"), (USER, ITEM)),
    "scale_edges": (
        on_graph(lambda g, u, i: propagate_bipartite(scale_edges(g, BY_ITEM, jnp.arange(8) % 3), u, i), "mean"),
        (USER, ITEM),
    ),
    "node_nce": (lambda q, k: node_nce(q, k, BATCH.user, tau=0.5, mask=BATCH.mask), BLOCKS),
    "node_nce_batch": (
        lambda q, k: node_nce(q, k, BATCH.user, tau=0.5, mask=BATCH.mask, candidates="batch"),
        BLOCKS,
    ),
    "channel_means": (on_graph(lambda g, u, i: channel_means(g, u[:, :1], i, 2), "sym_eps8"), (USER, ITEM)),
    "channel_tables": (on_graph(lambda g, u, i: channel_tables(g, u, [i, 2 * i], 2), "sym_exact"), (USER, ITEM)),
    "side_mean": (on_graph(lambda g, u, i: side_mean(g, i, 1, 2), "sym_exact"), (USER, ITEM)),
    "in_channel": (lambda new, old: in_channel(1, new[:, :1], old, 1), (USER, BLOCKS[0])),
    "challenged_nce": (
        lambda q, k, n: challenged_nce(q, k, n, jnp.arange(USERS) % 2 > 0, tau=0.5, mask=jnp.asarray(MASK)),
        (USER, *BLOCKS[:2]),
    ),
    "dropped_mean": (on_graph(lambda g, u, i: dropped_mean(g, u, i, [(u > 0, i > 0)] * 2), "sym_eps8"), (USER, ITEM)),
    "fuse": (
        lambda w, b, x: fuse({"weight": {"id": w, "text": 2 * w}, "bias": b}, ("id", "text"), x),
        (table(2, 2), table(2), table(4, 4)),
    ),
    "foretell": (
        lambda w, x: foretell(
            {s: {"text": {"weight": w, "bias": 0.0}} for s in ("chain", "own")}, ("text",), {"id": x, "text": 2 * x}
        ),
        (table(2, WIDTH), ITEM),
    ),
    "split_channels": (lambda u, i: split_channels(("id", "image", "text"), u, i), (USER, ITEM)),
    "cosine_gap": (lambda online: cosine_gap(online, jnp.asarray(USER, online.dtype), jnp.asarray(MASK)), (BLOCKS[0],)),
    "edge_products": (lambda x, y: edge_products(EDGES, x, y), (USER, ITEM)),
    "edge_softmax": (lambda s: edge_softmax(EDGES, s), (table(len(PAIRS)),)),
    "edge_softmax_kept": (lambda s: edge_softmax(EDGES.T, s, jnp.arange(len(PAIRS)) % 3 > 0), (table(len(PAIRS)),)),
    "turned": (lambda v: turned(EDGES, v), (table(len(PAIRS)),)),
    "at_columns": (lambda v: at_columns(EDGES.T, v), (table(USERS, 2),)),
    "attention": (attention, (USER, ITEM)),
    "mean_squares": (lambda r: mean_squares(r, jnp.asarray(MASK)), (USER,)),
    "pair_squares": (lambda u, i: pair_squares(u, i, BATCH), (USER, ITEM)),
    "weighted_rows": (lambda t, w: weighted_rows(t, PLACES, w), (ITEM, table(2, 3))),
    "learned_graph": (learned, (USER, table(USERS, 2), table(2))),
    "learned_smooth": (lambda x, y: smoothed(x, y, True), (USER, BLOCKS[0])),
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


def paired(scores):
    """Users of 1 to 5, of whom the last stands for nobody; items repeat."""
    user, item = jnp.argsort(scores) % USERS + 1, jnp.argsort(-scores) // 2
    return pair_graph(user, item, USERS, ITEMS).bcoo.todense()


def drawn(x):
    key = jax.random.fold_in(jax.random.key(0), jnp.int32(100 * x[0]))
    users = jnp.asarray(PAIRS[:, 0])
    return draw_negatives(key, negative_table(PAIRS, USERS), users), sample_edges(key, jnp.exp(x), 3)


def thinned(x):
    key, edges = jax.random.fold_in(jax.random.key(0), jnp.int32(100 * x[0])), edge_list(PAIRS, USERS, ITEMS)
    stay = drop_edges(key, edges, 0.5), drop_nodes(key, edges, 0.5)
    return stay, mask_edges(edges, stay[1] & (x > 0), "sym_exact").user_item.bcoo.todense()


def clusters(x):
    return k_means(jax.random.key(0), x, 3, 4)


def hits(x):
    n = jnp.array([1, 2, 3, 4, 9])
    return [f(x > 0, n, 3) for f in METRICS.values()] + [f(x > 0, n, 20) for f in METRICS.values()]


CHOICES: dict[str, tuple[Callable, tuple]] = {
    "nearest": (lambda x: nearest(x, 3), (ITEM,)),
    "nearest_lists": (lambda x: nearest_lists(x, 2, jnp.array([0, 2, 5])), (ITEM,)),
    "repeats": (lambda x: COMMON.repeats(jax.random.fold_in(jax.random.key(0), jnp.int32(100 * x[0])), 6), (table(1),)),
    "extremes": (searched, (USER, ITEM)),
    "top_n": (lambda s: top_n(s, 3), (table(4, 200),)),
    "top_n_groups": (lambda s: top_n(s, 2, 16), (table(4, 333),)),
    "mine": (lambda u, i: mine(u, i, 2), (USER, ITEM)),
    "mine_rows": (lambda u, i: mine_rows(u, i, 2, allowed_top=jnp.arange(ITEMS)[None] > 2), (USER, ITEM)),
    "keep_edges": (pruned, (table(len(PAIRS)),)),
    "pair_graph": (paired, (table(len(PAIRS)),)),
    "known_rows": (lambda x: known_rows(x > 0, {"text": x > 1}, "text", jnp.argsort(x)), (table(6),)),
    "draws": (drawn, (table(len(PAIRS)),)),
    "once_each": (lambda x: once_each(jnp.argsort(x) // 2, x > 0, 9), (table(6),)),
    "sub_graphs": (thinned, (table(len(PAIRS)),)),
    "k_means": (clusters, (table(9, WIDTH),)),
    "metrics": (hits, (table(USERS, 6),)),
}
EVERY = SMOOTH | CHOICES


def close(first, second, tolerance: float = 1e-6) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), first, second)


@pytest.mark.parametrize("name", EVERY)
def test_jit_and_vmap_change_nothing(name) -> None:
    function, args = EVERY[name]
    scaled = [jax.tree.map(lambda a, s=s: jnp.asarray(s * a, jnp.float32), args) for s in (1.0, -0.5, 2.0)]
    alone = [function(*a) for a in scaled]
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
    "name",
    [
        "masked_mean",
        "bpr",
        "batch_norms",
        "l2_squares",
        "virtual",
        "info_nce",
        "two_view_nce",
        "challenged_nce",
        "batch_bpr",
        "cosine_gap",
        "mean_squares",
    ],
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
        "two_view_nce": (lambda q, k: two_view_nce(q, k, mask=nobody), (USER, BLOCKS[0])),
        "challenged_nce": (lambda q, k: challenged_nce(q, k, k, MASK, tau=1.0, mask=nobody), (USER, BLOCKS[0])),
        "cosine_gap": (lambda o: cosine_gap(o, USER, nobody), (BLOCKS[0],)),
        "mean_squares": (lambda r: mean_squares(r, nobody), (USER,)),
    }[name]
    args = tuple(jnp.asarray(a, jnp.float32) for a in args)
    value, gradients = jax.value_and_grad(function, argnums=tuple(range(len(args))))(*args)
    assert float(value) == 0.0
    assert all(not np.any(leaf) for leaf in gradients)
