"""Graphs given as lists of the same length: every row's neighbours, on the host or on the device, shapes fixed."""

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import Modality
from jmmrec.graph.adjacency import Adjacency
from jmmrec.graph.neighbours import nearest, neighbour_lists
from jmmrec.graph.pattern import Pattern


def list_pattern(lists: jax.Array, n_columns: int) -> Pattern:
    """The pattern whose row i has its entries at the columns `lists[i]`, in that order; repeated columns add up.

    The transpose costs two sorts of all entries.

    Args:
      lists: int32 (n_rows, k).

    >>> list_pattern(jnp.array([[1, 0], [1, 1]]), 2).ones.bcoo.todense().tolist()
    [[1.0, 1.0], [0.0, 2.0]]
    """
    n_rows, k = lists.shape
    columns = lists.ravel()
    order = jnp.argsort(columns, stable=True).astype(jnp.int32)
    t_order = jnp.argsort(order).astype(jnp.int32)
    indptr = k * jnp.arange(n_rows + 1, dtype=jnp.int32)
    t_indptr = jnp.searchsorted(columns[order], jnp.arange(n_columns + 1)).astype(jnp.int32)
    ones = jnp.ones(columns.shape, jnp.float32)
    return Pattern(Adjacency(indptr, columns, ones, t_indptr, order // k, ones), order, t_order)


def nearest_lists(features: jax.Array, k: int, here: jax.Array | None = None) -> jax.Array:
    """Every row's k nearest by cosine as int32 (n, k), itself among them, found on the device; never differentiated.

    Args:
      here: int32 (m,), rows that have features; the others are nobody's neighbours and list themselves.

    >>> nearest_lists(jnp.array([[1.0, 0.0], [9.0, 9.0], [1.0, 0.1]]), 2, jnp.array([0, 2])).tolist()
    [[0, 2], [1, 1], [2, 0]]
    """
    features = jax.lax.stop_gradient(features)
    if here is None:
        return nearest(features, k)[0]
    own = jnp.broadcast_to(jnp.arange(len(features), dtype=jnp.int32)[:, None], (len(features), k))
    return own.at[here].set(here.astype(jnp.int32)[nearest(features[here], k)[0]])


def list_graph(modality: Modality, k: int, norm: str = "uniform", name: str = "the modality") -> Adjacency:
    """The graph of one modality with k entries in every row, see `neighbour_lists`; made on the host, once.

    >>> import numpy as np
    >>> list_graph(Modality(np.eye(2)), 1, "weighted").values.tolist()
    [1.0, 1.0]
    """
    lists, values = (jnp.asarray(a) for a in neighbour_lists(modality, k, norm, name))
    return list_pattern(lists, len(lists)).weighted(values.ravel())
