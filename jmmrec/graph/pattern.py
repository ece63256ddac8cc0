"""Learned weights on fixed edges: attention over the entries of a sparse matrix, never differentiated by scatter.

A value at every entry is an array (n_entries,) in the order of rows. `Pattern.T` orders by columns; `turned` carries
values from one order to the other.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.graph.adjacency import Adjacency, adjacency, as_pairs
from jmmrec.graph.propagate import products_at, propagate


class Pattern(flax.struct.PyTreeNode):
    """Where a sparse matrix has entries.

    Attributes:
      ones: the matrix with 1 at every entry. order: int32 (n_entries,), sorts entries by (column, row).
      t_order: int32 (n_entries,), sorts the transpose's entries by its (column, row); undoes `order`.
    """

    ones: Adjacency
    order: jax.Array
    t_order: jax.Array

    @property
    def T(self) -> "Pattern":
        """The transpose; costs nothing."""
        return Pattern(self.ones.T, self.t_order, self.order)

    @property
    def rows(self) -> jax.Array:
        """Row of every entry, int32 (n_entries,)."""
        return self.ones.t_indices[self.t_order]

    def weighted(self, values: jax.Array) -> Adjacency:
        """The matrix with these values, for `propagate`; with its `value_gradient` they are differentiated.

        >>> p = pattern(np.array([[0, 1], [1, 0]]), 2, 2)
        >>> p.weighted(jnp.array([2.0, 3.0])).bcoo.todense().tolist()
        [[0.0, 2.0], [3.0, 0.0]]
        """
        return self.ones.replace(values=values, t_values=jax.lax.stop_gradient(values)[self.order])


def pattern(interactions: np.ndarray, n_users: int, n_items: int) -> Pattern:
    """The pattern of the user-item graph, made on the host, once.

    Args:
      interactions: (n, 2) rows of (user, item), in any order.

    >>> pattern(np.array([[1, 0], [0, 1]]), 2, 2).order.tolist()
    [1, 0]
    """
    user, item = as_pairs(interactions, n_users, n_items)
    order = np.lexsort((user, item))
    ones = adjacency(user, item, np.ones(len(user)), (n_users, n_items))
    return Pattern(ones, *(jnp.asarray(o, jnp.int32) for o in (order, np.argsort(order))))


@jax.custom_vjp
def turned(pattern: Pattern, values: jax.Array) -> jax.Array:
    """Values at the entries of a pattern in the order of its transpose.

    >>> turned(pattern(np.array([[0, 1], [1, 0]]), 2, 2), jnp.array([2.0, 3.0])).tolist()
    [3.0, 2.0]
    """
    return values[pattern.order]


turned.defvjp(lambda pattern, values: (turned(pattern, values), pattern), lambda p, g: (None, g[p.t_order]))


@jax.custom_vjp
def edge_products(pattern: Pattern, x: jax.Array, y: jax.Array) -> jax.Array:
    """⟨x_row, y_column⟩ at every entry: x yᵀ where the pattern has entries. The backward pass is two propagations.

    Args:
      x: (n_rows, d). y: (n_columns, d).

    >>> p = pattern(np.array([[0, 1], [1, 0]]), 2, 2)
    >>> edge_products(p, jnp.eye(2), jnp.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [3.0, 2.0]
    """
    return products_at(x, pattern.rows, y, pattern.ones.indices)


def _products_backward(saved, g: jax.Array):
    pattern, x, y = saved
    weighted = pattern.weighted(g)
    return None, propagate(weighted, y), propagate(weighted.T, x)


edge_products.defvjp(lambda *given: (edge_products(*given), given), _products_backward)


@jax.custom_vjp
def at_columns(pattern: Pattern, values: jax.Array) -> jax.Array:
    """The value of each entry's column.

    Args:
      values: (n_columns, ...).

    Returns:
      (n_entries, ...).

    >>> at_columns(pattern(np.array([[0, 1], [1, 0]]), 2, 2), jnp.array([5.0, 6.0])).tolist()
    [6.0, 5.0]
    """
    return values[pattern.ones.indices]


at_columns.defvjp(
    lambda pattern, values: (at_columns(pattern, values), pattern),
    lambda pattern, g: (None, row_sums(pattern.T, g[pattern.order])),
)


def row_sums(pattern: Pattern, values: jax.Array) -> jax.Array:
    """Sum of the values (n_entries, ...) in each row; 0 in empty ones.

    >>> row_sums(pattern(np.array([[0, 0], [0, 1]]), 2, 2), jnp.array([2.0, 3.0])).tolist()
    [5.0, 0.0]
    """
    return jax.ops.segment_sum(values, pattern.rows, pattern.ones.shape[0], indices_are_sorted=True)


@jax.custom_vjp
def edge_softmax(pattern: Pattern, scores: jax.Array, keep: jax.Array | None = None) -> jax.Array:
    """Softmax over the entries of each row, attention of a node over its edges.

    Args:
      scores: (n_entries,). keep: bool (n_entries,), entries that take part; the others get 0, as do all entries of a
        row where none does.

    >>> edge_softmax(pattern(np.array([[0, 0], [0, 1]]), 2, 2), jnp.zeros(2)).tolist()
    [0.5, 0.5]
    """
    rows = pattern.rows
    kept = scores if keep is None else jnp.where(keep, scores, -jnp.inf)
    highest = jax.ops.segment_max(kept, rows, pattern.ones.shape[0], indices_are_sorted=True)
    highest = jnp.where(jnp.isfinite(highest), highest, 0.0)
    weight = jnp.exp(kept - highest[rows])
    total = row_sums(pattern, weight)
    return weight / jnp.where(total > 0, total, 1.0)[rows]


def _softmax_forward(pattern: Pattern, scores: jax.Array, keep: jax.Array | None):
    weight = edge_softmax(pattern, scores, keep)
    return weight, (pattern, weight)


def _softmax_backward(saved, g: jax.Array):
    pattern, weight = saved
    mean = row_sums(pattern, weight * g)
    return None, weight * (g - mean[pattern.rows]), None


edge_softmax.defvjp(_softmax_forward, _softmax_backward)
