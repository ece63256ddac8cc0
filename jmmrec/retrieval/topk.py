"""Exact top-n and bottom-n of inner products, in blocks: no queries×items array ever exists.

Peak memory above the inputs is `3 * block * n_items * 4` bytes for the score block, its copy masked for the top and
its copy for the bottom, plus the padded items and the `(n_queries, n)` results. `block` is at most 128 queries, since
larger blocks leave the processor's caches, and smaller where `memory` asks for it.
"""

import functools
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.errors import ConfigError
from jmmrec.retrieval.vectors import as_float

MEMORY = 96 * 2**20
ITEM_BLOCK = 1 << 16
BLOCK = 128  # queries; larger blocks leave the caches and are slower


class Extremes(NamedTuple):
    """Item indices int32 (n_queries, n), best first, with their scores; an infinite score marks an empty place.

    `bottom` holds the least similar items, worst first, `bottom_scores` their (lowest) scores.
    """

    top: jax.Array
    top_scores: jax.Array
    bottom: jax.Array
    bottom_scores: jax.Array


class Exclusion(flax.struct.PyTreeNode):
    """(query, item) pairs that must not be retrieved, cut into the blocks of queries that will be searched.

    Attributes:
      start: int32 (n_blocks,), first pair of each block.
      query, item: int32 (n_pairs + width,), sorted by query; padded with pairs that fall outside every block.
      block: queries in a block. width: most pairs in any block.
    """

    start: jax.Array
    query: jax.Array
    item: jax.Array
    block: int = flax.struct.field(pytree_node=False)
    width: int = flax.struct.field(pytree_node=False)


def block_size(n_queries: int, n_items: int, memory: int = MEMORY) -> int:
    """Queries in one block: `BLOCK`, or the largest power of two whose three score blocks fit into `memory` bytes.

    >>> block_size(20_000, 7_050), block_size(20_000, 7_050, memory=2**20)
    (128, 8)
    """
    fits = max(1, memory // (3 * 4 * min(n_items, ITEM_BLOCK)))
    return min(BLOCK, 1 << (fits.bit_length() - 1), 1 << (max(n_queries, 1) - 1).bit_length())


def exclusion(
    query: np.ndarray, item: np.ndarray, n_queries: int, n_items: int, memory: int = MEMORY, *, rounded: bool = False
) -> Exclusion:
    """Prepares pairs to be left out, on the host, once.

    Args:
      query, item: (n_pairs,), in any order. rounded: fill up to powers of two, so that exclusions of other pairs share
        a compiled program.

    >>> exclusion(np.array([1, 0]), np.array([2, 1]), n_queries=2, n_items=3).width
    2
    """
    block = block_size(n_queries, n_items, memory)
    order = np.lexsort((item, query))
    query, item = np.asarray(query)[order], np.asarray(item)[order]
    edges = np.arange(0, n_queries + block, block)
    bounds = np.searchsorted(query, edges)
    width, room = max(1, int(np.diff(bounds).max(initial=0))), len(query)
    if rounded:
        width, room = (1 << (size - 1).bit_length() for size in (width, max(room, 1)))
    outside = np.full(room + width - len(query), n_queries + block)
    return Exclusion(
        start=jnp.asarray(bounds[:-1], jnp.int32),
        query=jnp.asarray(np.concatenate([query, outside]), jnp.int32),
        item=jnp.asarray(np.concatenate([item, np.zeros(len(outside))]), jnp.int32),
        block=block,
        width=width,
    )


def top_n(scores: jax.Array, n: int, group: int | None = None) -> tuple[jax.Array, jax.Array]:
    """The n largest scores of each row and their places; of equal scores the lower index comes first.

    Exact in two levels: the n best items lie in the n groups with the best maxima, so only those are looked into.

    Args:
      scores: (rows, n_items). group: items in a group; default 32 or 64.

    Returns:
      values (rows, n), indices int32 (rows, n), best first.

    >>> top_n(jnp.array([[3.0, 9.0, 1.0]]), 2)[1].tolist()
    [[1, 0]]
    """
    scores, n_items = as_float(scores), scores.shape[1]
    if n > n_items or not n_items:
        raise ConfigError(f"the {n} best of {n_items} items were asked for; ask for at most {n_items}.")
    group = group or _group(n)
    columns = jnp.pad(scores.T, ((0, -n_items % group), (0, 0)))
    return _best_of_columns(columns, n_items, n, group)


def _group(n: int) -> int:
    return 32 if n <= 2 else 64


@functools.partial(jax.jit, static_argnames=("n_items", "n", "group", "lowest"), inline=True)
def _best_of_columns(columns: jax.Array, n_items: int, n: int, group: int, lowest: bool = False):
    """`top_n` of (items, queries), items padded to whole groups; results (queries, n), negated if the lowest.

    Items come first because reductions and selections then run over many queries at once in vector registers.
    Every round takes the best item of the best group, then finds what that group has left: items are taken by value
    and then by index, so what is left of a group stands behind the last one taken. -inf is raised to the smallest
    finite number meanwhile and stands for groups that have nothing left.
    """
    columns = columns.reshape(len(columns) // group, group, columns.shape[1])
    floor = jnp.finfo(columns.dtype).min
    numbers = jax.lax.broadcasted_iota(jnp.int32, (len(columns), columns.shape[2]), 0)

    def _rising(values: jax.Array) -> jax.Array:
        return jnp.maximum(-values if lowest else values, floor)

    def _take(carry: tuple[jax.Array, ...], _: None):
        left, last, last_item = carry
        # The barriers keep the reductions plain: fused with what feeds them they are not vectorised.
        left = jax.lax.optimization_barrier(left)
        value = left.max(axis=0)
        best = jax.lax.optimization_barrier(jnp.where(left == value, numbers, len(left) - 1)).min(axis=0)
        members = _rising(jnp.take_along_axis(columns, best[None, None], axis=0)[0])
        item = best * group + jnp.arange(group, dtype=jnp.int32)[:, None]
        members = jnp.where(item < n_items, members, -jnp.inf)
        new = (members == value) & ((value < last) | (item > last_item))
        chosen = jnp.where(new, item, n_items - 1).min(axis=0)
        behind = (members < value) | ((members == value) & (item > chosen))
        rest = jnp.where(behind, members, -jnp.inf).max(axis=0)
        return (jnp.where(numbers == best, rest, left), value, chosen), (value, chosen)

    reduce = jnp.min if lowest else jnp.max
    filled = n_items - (len(columns) - 1) * group
    groups = _rising(reduce(columns, axis=1).at[-1].set(reduce(columns[-1, :filled], axis=0)))
    first = (groups, jnp.full_like(groups[0], jnp.inf), jnp.zeros_like(groups[0], dtype=jnp.int32))
    _, (values, index) = jax.lax.scan(_take, first, None, length=n, unroll=n <= 8)
    return jnp.where(values == floor, -jnp.inf, values).T, index.T


def extremes(
    queries: jax.Array,
    items: jax.Array,
    n_top: int,
    n_bottom: int = 0,
    *,
    exclude: Exclusion | None = None,
    exclude_bottom: Exclusion | None = None,
    memory: int = MEMORY,
    precision: jax.lax.PrecisionLike = "highest",
) -> Extremes:
    """The most and the least similar items of every query by inner product, both in one pass over the scores.

    Args:
      queries: (n_queries, d). items: (n_items, d).
      n_top, n_bottom: how many of each, 0 to n_items.
      exclude, exclude_bottom: pairs left out of the top, of the bottom; built with the same `memory`.
      memory: bytes for score blocks, see the module's formula. precision: of the product.

    Returns:
      `Extremes`; int32 indices into `items`.

    Raises:
      ConfigError: more items asked for than there are, or exclusions built for other blocks.

    >>> found = extremes(jnp.eye(2), jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]]), 1, 1)
    >>> found.top.tolist(), found.bottom.tolist()
    ([[0], [1]], [[2], [0]])
    """
    queries, items, n_queries = as_float(queries), as_float(items), len(queries)
    if max(n_top, n_bottom) > len(items) or not len(items):
        raise ConfigError(f"{max(n_top, n_bottom)} of {len(items)} items were asked for; ask for at most {len(items)}.")
    block = block_size(n_queries, len(items), memory)
    for pairs in (exclude, exclude_bottom):
        if pairs is not None and pairs.block != block:
            raise ConfigError(
                f"the exclusion was built for blocks of {pairs.block} queries, the search uses {block}; "
                "build both with the same sizes and memory."
            )
    return _extremes(queries, items, exclude, exclude_bottom, n_top, n_bottom, block, ITEM_BLOCK, precision)


# Compiled, so that a call outside of any program compiles once; inlined, so that a program is as it would be without.
@functools.partial(jax.jit, static_argnames=("n_top", "n_bottom", "block", "wide", "precision"), inline=True)
def _extremes(queries, items, exclude, exclude_bottom, n_top, n_bottom, block, wide, precision) -> Extremes:
    n_queries, width = queries.shape
    n_blocks = -(-n_queries // block)
    blocks = jnp.pad(queries, ((0, n_blocks * block - n_queries), (0, 0))).reshape(n_blocks, block, width)

    def _search(number_and_block: tuple[jax.Array, jax.Array]) -> Extremes:
        number, rows = number_and_block
        parts = [
            _search_block(rows, items[low : low + wide], low, number, n_top, n_bottom,
                          exclude, exclude_bottom, precision)
            for low in range(0, len(items), wide)
        ]  # fmt: skip
        top, top_scores = _merge([(p.top, p.top_scores) for p in parts], n_top)
        bottom, negated = _merge([(p.bottom, p.bottom_scores) for p in parts], n_bottom)
        return Extremes(top, top_scores, bottom, -negated)

    found = jax.lax.map(_search, (jnp.arange(n_blocks), blocks))
    return Extremes(*(part.reshape(n_blocks * block, part.shape[-1])[:n_queries] for part in found))


def _search_block(rows, items, low, number, n_top, n_bottom, exclude, exclude_bottom, precision) -> Extremes:
    """One block of queries against one block of items; bottom scores are negated."""
    n_items = len(items)
    top, bottom = min(n_top, n_items), min(n_bottom, n_items)
    group = _group(max(top, bottom))
    items = jnp.pad(items, ((0, -n_items % group), (0, 0)))
    # The barrier keeps the product whole: jaxlib 0.10.1 crashes on some maxima fused into it.
    scores = jax.lax.optimization_barrier(jnp.matmul(items, rows.T, precision=precision))
    high, less = _nothing(rows), _nothing(rows)
    if top:
        masked = _masked(scores, exclude, number, low, -jnp.inf)
        high = _best_of_columns(masked, n_items, top, group)
    if bottom:
        masked = _masked(scores, exclude_bottom, number, low, jnp.inf)
        less = _best_of_columns(masked, n_items, bottom, group, lowest=True)
    return Extremes(high[1] + low, high[0], less[1] + low, less[0])


def _masked(scores: jax.Array, exclude: Exclusion | None, number: jax.Array, low: int, value: float) -> jax.Array:
    if exclude is None:
        return scores
    start = exclude.start[number]
    query = jax.lax.dynamic_slice_in_dim(exclude.query, start, exclude.width) - number * exclude.block
    item = jax.lax.dynamic_slice_in_dim(exclude.item, start, exclude.width) - low
    # Pairs of the next block and of other item blocks go to a column that does not exist and are dropped.
    n_items, n_queries = scores.shape
    inside = (query >= 0) & (query < n_queries) & (item >= 0) & (item < n_items)
    return scores.at[item, jnp.where(inside, query, n_queries)].set(value, mode="drop")


def _merge(parts: list[tuple[jax.Array, jax.Array]], n: int) -> tuple[jax.Array, jax.Array]:
    if len(parts) == 1:
        return parts[0]
    index = jnp.concatenate([p[0] for p in parts], axis=1)
    scores, place = jax.lax.top_k(jnp.concatenate([p[1] for p in parts], axis=1), n)
    return jnp.take_along_axis(index, place, axis=1), scores


def _nothing(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.zeros((len(rows), 0), rows.dtype), jnp.zeros((len(rows), 0), jnp.int32)
