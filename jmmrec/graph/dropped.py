"""Sub-graphs of the user-item graph, drawn on the device with fixed shapes: edges or nodes left out, edges scaled.

`drop_edges` with `keep_edges`, or `drop_nodes` with `mask_edges`, give the views of contrastive models (SGL, MMGCL),
each normalised by the degrees it leaves; `scale_edges` is the dropout that keeps degrees as they were.
"""

import jax
import jax.numpy as jnp

from jmmrec.errors import check_choice
from jmmrec.graph.adjacency import SYMMETRIC, Adjacency, Bipartite, edge_values
from jmmrec.graph.edges import EdgeList, sample_edges

SLACK = 1e-6  # 10 · (1 - 0.9) is a little less than 1 in binary


def n_kept(n: int, ratio: float) -> int:
    """How many of n stay where a share is left out: ⌊n (1 - ratio)⌋, as in decimal numbers.

    >>> n_kept(10, 0.9), int(10 * (1 - 0.9))
    (1, 0)
    """
    return int(n * (1.0 - ratio) + SLACK)


def drop_edges(key: jax.Array, edges: EdgeList, ratio: float) -> jax.Array:
    """Edges that stay when a share is left out at random, exactly `n_kept` of them, all equally likely.

    Returns:
      int32 (n_kept,) ascending positions, for `keep_edges`.

    >>> import numpy as np
    >>> from jmmrec.graph import edge_list
    >>> drop_edges(jax.random.key(0), edge_list(np.array([[0, 0], [0, 1], [1, 1]]), 2, 2), 0.4).shape
    (1,)
    """
    return sample_edges(key, jnp.ones_like(edges.weight), n_kept(len(edges.user), ratio))


def drop_nodes(key: jax.Array, edges: EdgeList, ratio: float) -> jax.Array:
    """Edges that stay when exactly ⌊ratio · n⌋ users and ⌊ratio · n⌋ items go, all equally likely.

    Returns:
      bool (n_edges,), for `mask_edges`.

    >>> import numpy as np
    >>> from jmmrec.graph import edge_list
    >>> full = edge_list(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), 2, 2)
    >>> int(drop_nodes(jax.random.key(0), full, 0.5).sum())
    1
    """
    keys = jax.random.split(key)
    sizes = edges.n_users, edges.n_items
    user, item = (jax.random.permutation(k, n) >= int(n * ratio + SLACK) for k, n in zip(keys, sizes, strict=True))
    return user[edges.user] & item[edges.item]


def mask_edges(edges: EdgeList, keep: jax.Array, norm: str = "sym_eps7") -> Bipartite:
    """As `keep_edges`, for any number of edges: those that go stay as entries of 0, so that shapes are fixed.

    Args:
      edges: all edges. keep: bool (n_edges,), edges that stay. norm: a symmetric one, see `edge_values`.

    Returns:
      the graph, normalised by the degrees that are left; nodes without an edge receive 0.

    Raises:
      ConfigError: a norm that is not the same in both directions.

    >>> import numpy as np
    >>> from jmmrec.graph import edge_list
    >>> mask_edges(edge_list(np.array([[0, 0], [0, 1]]), 1, 2), jnp.array([False, True])).user_item.values.tolist()
    [0.0, 0.9999998807907104]
    """
    check_choice("norm", norm, SYMMETRIC)
    user, item = edges.user[edges.by_item], edges.item[edges.by_item]
    indptr = jnp.searchsorted(edges.user, jnp.arange(edges.n_users + 1)).astype(jnp.int32)
    t_indptr = jnp.searchsorted(item, jnp.arange(edges.n_items + 1)).astype(jnp.int32)
    degrees = _flags_in(keep, indptr)[edges.user], _flags_in(keep[edges.by_item], t_indptr)[edges.item]
    values = jnp.where(keep, edge_values(norm, *(jnp.maximum(d, 1).astype(jnp.float32) for d in degrees)), 0.0)
    down = Adjacency(indptr, edges.item, values, t_indptr, user, values[edges.by_item])
    return Bipartite(down, down.T)


def _flags_in(flags: jax.Array, indptr: jax.Array) -> jax.Array:
    """Flags set in each row of a compressed matrix."""
    running = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(flags, dtype=jnp.int32)])
    return jnp.diff(running[indptr])


def scale_edges(
    graph: Bipartite,
    by_item: jax.Array,
    down: jax.Array,
    up: jax.Array | None = None,
    loops: tuple[jax.Array, jax.Array] | None = None,
) -> Bipartite:
    """The graph with its weights multiplied, degrees as they were: dropout, given masks of inverted dropout.

    Args:
      graph: with each edge once. by_item: of `edge_list`. down: (n_edges,), for what users receive, in the order of
        `edge_list`. up: for what items receive, in the same order; None: the same. loops: (n_users,) and (n_items,),
        for self loops; None: as they are.

    >>> import numpy as np
    >>> from jmmrec.graph import bipartite, edge_list
    >>> pairs = np.array([[0, 0], [0, 1]])
    >>> g = scale_edges(bipartite(pairs, 1, 2, "mean"), edge_list(pairs, 1, 2).by_item, jnp.array([0.0, 2.0]))
    >>> g.user_item.values.tolist(), g.item_user.values.tolist()
    ([0.0, 1.0], [0.0, 2.0])
    """
    up = down if up is None else up
    there, back = graph.user_item, graph.item_user
    there = there.replace(values=there.values * down, t_values=there.t_values * down[by_item])
    back = back.replace(values=back.values * up[by_item], t_values=back.t_values * up)
    if loops is None or graph.user_loop is None or graph.item_loop is None:
        return Bipartite(there, back, graph.user_loop, graph.item_loop)
    return Bipartite(there, back, graph.user_loop * loops[0], graph.item_loop * loops[1])
