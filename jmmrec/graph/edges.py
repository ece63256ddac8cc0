"""Graphs whose edges change on the device: sampling a fixed number of edges and rebuilding both directions."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.errors import check_choice
from jmmrec.graph.adjacency import SYMMETRIC, Adjacency, Bipartite, as_pairs, edge_values


class EdgeList(flax.struct.PyTreeNode):
    """Training edges sorted by (user, item), with what a rebuild on the device needs.

    Attributes:
      user, item: int32 (n_edges,). by_item: int32 (n_edges,), the order that sorts edges by (item, user).
      weight: float32 (n_edges,), (d_u + 1e-7)^-1/2 (d_i + 1e-7)^-1/2, FREEDOM's sampling weights.
    """

    user: jax.Array
    item: jax.Array
    by_item: jax.Array
    weight: jax.Array
    n_users: int = flax.struct.field(pytree_node=False)
    n_items: int = flax.struct.field(pytree_node=False)


def edge_list(interactions: np.ndarray, n_users: int, n_items: int) -> EdgeList:
    """Sorts the training interactions and weighs each by its degrees, on the host, once.

    >>> edge_list(np.array([[1, 0], [0, 0]]), 2, 1).user.tolist()
    [0, 1]
    """
    user, item = as_pairs(interactions, n_users, n_items)
    degree = np.bincount(user, minlength=n_users)[user], np.bincount(item, minlength=n_items)[item]
    weight = edge_values("sym_eps7", degree[0].astype(np.float64), degree[1].astype(np.float64))
    arrays = [jnp.asarray(a, jnp.int32) for a in (user, item, np.lexsort((user, item)))]
    return EdgeList(*arrays, weight=jnp.asarray(weight, jnp.float32), n_users=n_users, n_items=n_items)


def sample_edges(key: jax.Array, weight: jax.Array, n: int) -> jax.Array:
    """Draws n different edges one after another with probability proportional to `weight` (Gumbel top-n).

    Returns:
      int32 (n,) positions, ascending.

    >>> sample_edges(jax.random.key(0), jnp.ones(5), 5).tolist()
    [0, 1, 2, 3, 4]
    """
    score = jnp.log(weight) + jax.random.gumbel(key, weight.shape)
    return jnp.sort(jnp.argsort(-score)[:n]).astype(jnp.int32)


def keep_edges(edges: EdgeList, kept: jax.Array, norm: str = "sym_eps7") -> Bipartite:
    """The graph of the kept edges alone, normalised by the degrees they leave; fixed shapes, on the device.

    Args:
      edges: all edges. kept: int32 (n,) ascending positions in them. norm: a symmetric one, see `edge_values`.

    Raises:
      ConfigError: a norm that is not the same in both directions.

    >>> g = keep_edges(edge_list(np.array([[0, 0], [0, 1]]), 1, 2), jnp.array([1]))
    >>> g.user_item.indices.tolist(), g.user_item.indptr.tolist()
    ([1], [0, 1])
    """
    check_choice("norm", norm, SYMMETRIC)
    inside = jnp.zeros(edges.user.shape, bool).at[kept].set(True, unique_indices=True, indices_are_sorted=True)
    across = edges.by_item[jnp.nonzero(inside[edges.by_item], size=len(kept))[0]]
    indptr = _pointers(edges.user[kept], edges.n_users)
    t_indptr = _pointers(edges.item[across], edges.n_items)
    degree_user, degree_item = (jnp.diff(p).astype(jnp.float32) for p in (indptr, t_indptr))

    def _values(at: jax.Array) -> jax.Array:
        return edge_values(norm, degree_user[edges.user[at]], degree_item[edges.item[at]])

    down = Adjacency(indptr, edges.item[kept], _values(kept), t_indptr, edges.user[across], _values(across))
    return Bipartite(down, down.T)


def _pointers(rows: jax.Array, n_rows: int) -> jax.Array:
    return jnp.searchsorted(rows, jnp.arange(n_rows + 1)).astype(jnp.int32)


def pair_graph(user: jax.Array, item: jax.Array, n_users: int, n_items: int) -> Adjacency:
    """The plain (not normalised) graph of pairs found on the device; fixed shapes, repeated pairs add up.

    Args:
      user, item: int32 (n,), any order; pairs with user `n_users` stand for nothing.

    Returns:
      (n_users, n_items) adjacency of n entries; those that stand for nothing come last and are zero.

    >>> pair_graph(jnp.array([1, 2, 1]), jnp.array([0, 0, 0]), 2, 1).bcoo.todense().tolist()
    [[0.0], [2.0]]
    """
    real = user < n_users
    item = jnp.where(real, item, n_items)
    user, across = jax.lax.sort((user, item), num_keys=2)
    t_item, t_user = jax.lax.sort((across, user), num_keys=2)
    values = (jnp.arange(len(user)) < jnp.sum(real)).astype(jnp.float32)
    return Adjacency(
        _pointers(user, n_users), jnp.minimum(across, n_items - 1), values,
        _pointers(t_item, n_items), jnp.minimum(t_user, n_users - 1), values,
    )  # fmt: skip
