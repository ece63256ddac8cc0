"""`propagate(adjacency, x)`: the one sparse product of the library, with its own backward and batching rules."""

import functools
from typing import cast

import jax
import jax.numpy as jnp
from jax.experimental.sparse import BCSR

from jmmrec.errors import DataError
from jmmrec.graph.adjacency import Adjacency, Bipartite, row_of_entry
from jmmrec.retrieval.vectors import joint_one


def propagate(adjacency: Adjacency, x: jax.Array, value_gradient: bool = False) -> jax.Array:
    """Sparse matrix times dense table, `adjacency @ x`.

    The backward pass is `propagate(adjacency.T, g)`: a read of sorted rows, never an automatic scatter-add.
    Safe under jit, vmap (tables are laid side by side, matrices along a diagonal), grad and scan.

    Args:
      adjacency: (n, m). x: (m, d). value_gradient: also differentiate with respect to `adjacency.values`.

    Returns:
      (n, d), float32 where the matrix is.

    Raises:
      DataError: x is not a table of m rows.

    >>> import numpy as np
    >>> from jmmrec.graph import adjacency
    >>> a = adjacency(np.array([0]), np.array([1]), np.array([2.0]), (1, 2))
    >>> propagate(a, jnp.array([[1.0], [5.0]])).tolist()
    [[10.0]]
    """
    n, m = adjacency.shape
    if jnp.ndim(x) != 2 or len(x) != m:  # the CPU's kernel would read beyond its end
        raise DataError(f"a {n} × {m} matrix was to be multiplied with {jnp.shape(x)}; give a table of {m} rows.")
    if value_gradient:  # both must vary alike over a mesh, for what flows into either
        one = joint_one(adjacency.values, x)
        adjacency = adjacency.replace(values=adjacency.values * one.astype(adjacency.values.dtype))
        x = x * one.astype(x.dtype)
    return cast(jax.Array, _propagate(adjacency, x, value_gradient))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _propagate(adjacency: Adjacency, x: jax.Array, value_gradient: bool) -> jax.Array:
    return _product(adjacency.indptr, adjacency.indices, adjacency.values, x)


def _forward(adjacency: Adjacency, x: jax.Array, value_gradient: bool):
    return propagate(adjacency, x, value_gradient), (adjacency, x if value_gradient else None)


def _backward(value_gradient: bool, saved, g: jax.Array):
    adjacency, x = saved
    x_bar = propagate(adjacency.T, g)
    if not value_gradient:
        return None, x_bar
    values_bar = products_at(g, adjacency.rows, x, adjacency.indices)
    # The product never read the transpose's copy of the values, so nothing flows into it.
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jax.dtypes.float0), adjacency)
    return zeros.replace(values=values_bar, t_values=jnp.zeros_like(adjacency.t_values)), x_bar


_propagate.defvjp(_forward, _backward)


def products_at(x: jax.Array, rows: jax.Array, y: jax.Array, columns: jax.Array) -> jax.Array:
    """⟨x_row, y_column⟩ of pairs: entries of x yᵀ, without anything of pairs × d.

    As a product with ones a CPU takes it in one fused loop; as a sum over the last axis the pairs' rows are written
    out first (four times as long), as an einsum every pair is a small product of its own (twenty times).

    Args:
      x: (n, d). y: (m, d). rows, columns: int32 (n_pairs,).

    >>> products_at(jnp.eye(2), jnp.array([1]), jnp.array([[3.0, 4.0]]), jnp.array([0])).tolist()
    [4.0]
    """
    return (x[rows] * y[columns]) @ jnp.ones(x.shape[1], x.dtype)


def propagate_bipartite(graph: Bipartite, user: jax.Array, item: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One step on the user-item graph: what users receive from items and items from users.

    Args:
      graph: of n_users and n_items. user: (n_users, d). item: (n_items, d).

    Returns:
      new user (n_users, d) and item (n_items, d) tables.

    Raises:
      DataError: a table with another number of rows.

    >>> import numpy as np
    >>> from jmmrec.graph import bipartite
    >>> g = bipartite(np.array([[0, 0]]), 1, 1, "mean")
    >>> [t.tolist() for t in propagate_bipartite(g, jnp.array([[2.0]]), jnp.array([[3.0]]))]
    [[[3.0]], [[2.0]]]
    """
    to_user, to_item = propagate(graph.user_item, item), propagate(graph.item_user, user)
    if graph.user_loop is not None and graph.item_loop is not None:
        to_user += graph.user_loop[:, None] * user
        to_item += graph.item_loop[:, None] * item
    return to_user, to_item


@jax.custom_batching.custom_vmap
def _product(indptr: jax.Array, indices: jax.Array, values: jax.Array, x: jax.Array) -> jax.Array:
    # On a CPU compressed rows have a native kernel; elsewhere, and for narrow types, a sorted segment sum is portable.
    if values.dtype.itemsize < 4 or x.dtype.itemsize < 4:
        return _product_segments(indptr, indices, values, x)
    return jax.lax.platform_dependent(indptr, indices, values, x, cpu=_product_rows, default=_product_segments)


def _product_rows(indptr, indices, values, x):
    product = BCSR((values, indices, indptr), shape=(len(indptr) - 1, len(x))) @ x
    return product * joint_one(indptr, indices, values, x).astype(product.dtype)  # forgotten by the kernel's result


def _product_segments(indptr, indices, values, x):
    rows = row_of_entry(indptr, len(indices))
    return jax.ops.segment_sum(values[:, None] * x[indices], rows, len(indptr) - 1, indices_are_sorted=True)


@_product.def_vmap
def _product_batched(axis_size, in_batched, indptr, indices, values, x):
    if not any(in_batched[:3]):
        # One matrix, many tables: side by side in the columns of one product.
        columns = jnp.moveaxis(x, 0, 1).reshape(x.shape[1], -1)
        product = _product(indptr, indices, values, columns)
        return jnp.moveaxis(product.reshape(len(product), axis_size, -1), 1, 0), True
    # Many matrices: along the diagonal of one.
    indptr, indices, values, x = (
        a if batched else jnp.broadcast_to(a, (axis_size, *a.shape))
        for a, batched in zip((indptr, indices, values, x), in_batched, strict=True)
    )
    shift = jnp.arange(axis_size, dtype=jnp.int32)[:, None]
    inner = (indptr[:, :-1] + shift * indices.shape[1]).ravel()
    long_indptr = jnp.append(inner, jnp.int32(axis_size * indices.shape[1]))
    long_indices = (indices + shift * x.shape[1]).ravel()
    product = _product(long_indptr, long_indices, values.ravel(), x.reshape(-1, x.shape[-1]))
    return product.reshape(axis_size, -1, x.shape[-1]), True
