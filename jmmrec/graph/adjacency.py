"""Sparse matrices that propagate: built once on the host, normalised as the literature does, never transposed twice."""

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCOO

from jmmrec.errors import DataError, check_choice

NORMS = ("sym_eps7", "sym_exact", "sym_eps8", "row_selfloop", "mean", "rowhalf_eps8")
SYMMETRIC = tuple(norm for norm in NORMS if norm.startswith("sym"))
EPSILON = {"sym_eps7": 1e-7, "sym_eps8": 1e-8, "rowhalf_eps8": 1e-8}


class Adjacency(flax.struct.PyTreeNode):
    """A sparse matrix in compressed rows together with its transpose, so that both directions read rows.

    Attributes:
      indptr int32 (n_rows + 1,), indices int32 (nnz,), values float32 (nnz,): the matrix, sorted by row.
      t_indptr, t_indices, t_values: the same of its transpose.

    Entries may repeat (they add up) and may be zero.
    """

    indptr: jax.Array
    indices: jax.Array
    values: jax.Array
    t_indptr: jax.Array
    t_indices: jax.Array
    t_values: jax.Array

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.indptr.shape[-1] - 1, self.t_indptr.shape[-1] - 1

    @property
    def T(self) -> "Adjacency":
        """The transpose; costs nothing."""
        return Adjacency(self.t_indptr, self.t_indices, self.t_values, self.indptr, self.indices, self.values)

    @property
    def rows(self) -> jax.Array:
        """Row of every entry, int32 (nnz,)."""
        return row_of_entry(self.indptr, self.indices.shape[-1])

    @property
    def bcoo(self) -> BCOO:
        """The same matrix in JAX's public sparse form, for looking at and for other libraries."""
        entries = jnp.stack([self.rows, self.indices], axis=1)
        return BCOO((self.values, entries), shape=self.shape, indices_sorted=True)


class Bipartite(NamedTuple):
    """The user-item graph as two blocks, so that no layer ever concatenates users and items.

    Attributes:
      user_item: (n_users, n_items), what users receive. item_user: (n_items, n_users), what items receive.
      user_loop, item_loop: weight of each node's self loop, or None where the normalisation has none.
    """

    user_item: Adjacency
    item_user: Adjacency
    user_loop: jax.Array | None = None
    item_loop: jax.Array | None = None


def row_of_entry(indptr: jax.Array, nnz: int) -> jax.Array:
    """Row number of each of `nnz` entries of a compressed matrix.

    >>> row_of_entry(jnp.array([0, 2, 2, 3]), 3).tolist()
    [0, 0, 2]
    """
    return jnp.repeat(jnp.arange(len(indptr) - 1, dtype=jnp.int32), jnp.diff(indptr), total_repeat_length=nnz)


def adjacency(rows: np.ndarray, cols: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> Adjacency:
    """Builds an `Adjacency` from entries in any order.

    Args:
      rows, cols: (nnz,) integers. values: (nnz,) floats. shape: (n_rows, n_cols).

    Raises:
      DataError: a row or column outside the shape, which no later step could see.

    >>> adjacency(np.array([1, 0]), np.array([0, 1]), np.ones(2), (2, 3)).bcoo.todense().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    rows, cols, values = np.asarray(rows), np.asarray(cols), np.asarray(values)
    for name, ids, n in (("row", rows, shape[0]), ("column", cols, shape[1])):
        _check_ids(name, ids, n)
    by_row, by_col = np.lexsort((cols, rows)), np.lexsort((rows, cols))
    return Adjacency(
        *_compressed(rows[by_row], cols[by_row], values[by_row], shape[0]),
        *_compressed(cols[by_col], rows[by_col], values[by_col], shape[1]),
    )


def _check_ids(name: str, ids: np.ndarray, n: int) -> None:
    bad = ids[(ids < 0) | (ids >= n)]
    if len(bad):
        raise DataError(f"{name} {bad[0]} is outside 0 to {n - 1} ({len(bad)} such entries); number them from 0.")


def _compressed(rows: np.ndarray, cols: np.ndarray, values: np.ndarray, n_rows: int) -> tuple[jax.Array, ...]:
    indptr = np.searchsorted(rows, np.arange(n_rows + 1))
    return jnp.asarray(indptr, jnp.int32), jnp.asarray(cols, jnp.int32), jnp.asarray(values, jnp.float32)


def edge_values(norm: str, row_degree: Any, col_degree: Any) -> Any:
    """Weight of each edge from the degrees at its two ends; NumPy in, NumPy out, JAX in, JAX out.

    `sym_*`: (d_r + eps)^-1/2 (d_c + eps)^-1/2; `mean`: 1/d_r; `row_selfloop`: 1/(d_r + 1);
    `rowhalf_eps8`: (d_r + eps)^-1/2. No edge exists at a node of degree 0, so no division by zero can occur.

    Raises:
      ConfigError: unknown `norm`.

    >>> float(edge_values("mean", np.array(4.0), np.array(1.0)))
    0.25
    """
    check_choice("norm", norm, NORMS)
    eps = EPSILON.get(norm, 0.0)
    if norm == "mean":
        return 1.0 / row_degree
    if norm == "row_selfloop":
        return 1.0 / (row_degree + 1.0)
    if norm == "rowhalf_eps8":
        return (row_degree + eps) ** -0.5
    return (row_degree + eps) ** -0.5 * (col_degree + eps) ** -0.5


def as_pairs(interactions: np.ndarray, n_users: int, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Users and items of interactions, int64 (n,) each, sorted by both.

    Raises:
      DataError: no table of two columns, an id that is no whole number, or outside the sizes.

    >>> as_pairs([[1, 0], [0, 2]], 2, 3)[1].tolist()
    [2, 0]
    """
    pairs = np.asarray(interactions)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not (np.issubdtype(pairs.dtype, np.integer) or not pairs.size):
        raise DataError(
            f"interactions are {pairs.dtype} of shape {pairs.shape}; give (n, 2) whole numbers, user and item."
        )
    user, item = pairs.astype(np.int64).T
    _check_ids("user", user, n_users)
    _check_ids("item", item, n_items)
    order = np.lexsort((item, user))
    return user[order], item[order]


def bipartite(interactions: np.ndarray, n_users: int, n_items: int, norm: str = "sym_eps7") -> Bipartite:
    """The normalised user-item graph of the training interactions.

    Args:
      interactions: (n, 2) rows of (user, item). norm: one of `NORMS`, see `edge_values`.

    Raises:
      ConfigError: unknown `norm`. DataError: an id that is no whole number, or outside the sizes.

    >>> bipartite(np.array([[0, 0], [0, 1]]), 1, 2, "mean").user_item.values.tolist()
    [0.5, 0.5]
    """
    user, item = as_pairs(interactions, n_users, n_items)
    user_degree = np.bincount(user, minlength=n_users).astype(np.float64)
    item_degree = np.bincount(item, minlength=n_items).astype(np.float64)
    down = adjacency(user, item, edge_values(norm, user_degree[user], item_degree[item]), (n_users, n_items))
    if norm in SYMMETRIC:
        return Bipartite(down, down.T)
    up = adjacency(item, user, edge_values(norm, item_degree[item], user_degree[user]), (n_items, n_users))
    if norm != "row_selfloop":
        return Bipartite(down, up)
    loops = [jnp.asarray(1.0 / (degree + 1.0), jnp.float32) for degree in (user_degree, item_degree)]
    return Bipartite(down, up, *loops)
