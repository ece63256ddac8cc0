"""Which users have items in common: the longest overlaps of every user, from a blocked sparse product R Rᵀ."""

import functools
from collections.abc import Iterator
from typing import Any, cast

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from jmmrec.data.cache import cached
from jmmrec.errors import check_choice, check_whole
from jmmrec.graph.adjacency import Adjacency
from jmmrec.graph.lists import list_pattern
from jmmrec.graph.pattern import Pattern

LONGEST = 200  # neighbours a user keeps, as in the published lists
MEASURES = ("count", "cosine")
ENTRIES = 1 << 22  # products in one block, about 16 bytes each
WORTH = 10_000  # interactions from which on the result is kept
VERSION = 1


def user_neighbours(
    interactions: np.ndarray, n_users: int, n_items: int, measure: str = "count", k: int = LONGEST
) -> tuple[np.ndarray, np.ndarray]:
    """The k users most similar to each user, itself left out, most similar first; of equals the lower number.

    `count` is the number of items in common, `cosine` that number over the root of the product of both users'
    numbers of items. Computed once for the same interactions, see `jmmrec.data.cache`; anew where they are few.

    Args:
      interactions: (n, 2) different rows of (user, item). measure: one of `MEASURES`. k: 1 to `LONGEST`.

    Returns:
      int32 (n_users, k) neighbours, -1 where a user has fewer, and float32 (n_users, k) similarities, 0 there.

    Raises:
      ConfigError: unknown measure, or k outside its range.

    >>> user_neighbours(np.array([[0, 0], [1, 0], [1, 1], [2, 1]]), 3, 2, k=2)[0].tolist()
    [[1, -1], [0, 2], [1, -1]]
    """
    check_choice("measure", measure, MEASURES)
    check_whole("k", k, 1, LONGEST)
    pairs = np.asarray(interactions, np.int32)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    given = [pairs, measure, n_users, n_items, LONGEST]
    work = functools.partial(_longest, pairs, n_users, n_items, measure)
    found = cached("users", VERSION, given, work) if len(pairs) >= WORTH else work()
    return found["neighbours"][:, :k], found["similarity"][:, :k]


def _longest(pairs: np.ndarray, n_users: int, n_items: int, measure: str) -> dict[str, np.ndarray]:
    neighbours = np.full((n_users, LONGEST), -1, np.int32)
    similarity = np.zeros((n_users, LONGEST), np.float32)
    ones = np.ones(len(pairs), np.float64)
    seen = scipy.sparse.csr_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(n_users, n_items))
    degree = np.diff(seen.indptr)
    for low, high in _blocks(seen):
        common: Any = (seen[low:high] @ seen.T).tocoo()
        row, col = common.coords[0] + low, common.coords[1]
        other = row != col
        row, col, value = row[other], col[other], common.data[other]
        if measure == "cosine":
            value = value / np.sqrt(degree[row] * degree[col])
        order = np.lexsort((col, -value, row))
        row, col, value = row[order], col[order], value[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        near = rank < LONGEST
        neighbours[row[near], rank[near]] = col[near]
        similarity[row[near], rank[near]] = value[near]
    return {"neighbours": neighbours, "similarity": similarity}


def _blocks(seen: scipy.sparse.csr_array) -> Iterator[tuple[int, int]]:
    """Ranges of users whose products have at most `ENTRIES` entries together, at least one user each."""
    n_users, n_items = cast(tuple[int, int], seen.shape)
    per_item = np.bincount(seen.indices, minlength=n_items)
    running = np.concatenate([[0], np.cumsum(per_item[seen.indices])])[seen.indptr]
    low = 0
    while low < n_users:
        high = max(low + 1, int(np.searchsorted(running, running[low] + ENTRIES, side="right")) - 1)
        yield low, high
        low = high


class UserGraph(flax.struct.PyTreeNode):
    """Every user's neighbours, as many places as the longest list has; weights by how often each is listed.

    Attributes:
      pattern: rows of the same length, `jmmrec.graph.lists`; places behind the end of a list point to the user itself.
      mass: float32 (n_users, k), exp(common items) up to a factor for each user, or 1; 0 behind the end of a list.
      length: int32 (n_users,), neighbours of each user.
    """

    pattern: Pattern
    mass: jax.Array
    length: jax.Array

    def weighted(self, repeats: jax.Array) -> Adjacency:
        """The graph with softmax weights over lists in which neighbour j of user u stands `repeats[u, j]` times.

        >>> user_graph(np.array([[0, 0], [1, 0]]), 3, 1).weighted(jnp.ones((3, 1))).values.tolist()
        [1.0, 1.0, 0.0]
        """
        mass = repeats * self.mass
        total = mass.sum(axis=1, keepdims=True)
        return self.pattern.weighted((mass / jnp.where(total > 0, total, 1.0)).ravel())

    def repeats(self, key: jax.Array, n_slots: int) -> jax.Array:
        """How often each neighbour stands in a list of `n_slots` that repeats some where it is short.

        A short list grows one by one: each time a random element of what already stands there is appended once more
        (Pólya's urn), so that every neighbour is expected equally often.

        Args:
          n_slots: k to 255.

        Returns:
          uint8 (n_users, k); of no meaning behind the end of a list.

        >>> graph = user_graph(np.array([[0, 0], [1, 0], [2, 0]]), 3, 1)
        >>> graph.repeats(jax.random.key(0), 9).sum(axis=1).tolist()
        [9, 9, 9]
        """
        n_users, k = self.mass.shape

        def _slot(slot: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            lists, counts = carry
            place = jax.random.randint(jax.random.fold_in(key, slot), (n_users,), 0, jnp.maximum(slot, 1))
            drawn = jnp.take_along_axis(lists, place[:, None], axis=1)[:, 0]
            chosen = jnp.where(slot < self.length, slot, drawn)
            return lists.at[:, slot].set(chosen), counts + (chosen[:, None] == jnp.arange(k)).astype(jnp.uint8)

        start = jnp.zeros((n_users, n_slots), jnp.int32), jnp.zeros((n_users, k), jnp.uint8)
        return jax.lax.fori_loop(0, n_slots, _slot, start)[1]


def user_graph(
    interactions: np.ndarray, n_users: int, n_items: int, measure: str = "count", k: int = LONGEST
) -> UserGraph:
    """The graph of `user_neighbours`: mass exp(count) where counts are the measure, 1 where cosines are.

    >>> user_graph(np.array([[0, 0], [1, 0], [1, 1], [2, 1]]), 3, 2).length.tolist()
    [1, 2, 1]
    """
    near, similarity = user_neighbours(interactions, n_users, n_items, measure, k)
    length = (near >= 0).sum(axis=1)
    near, similarity = (a[:, : max(1, length.max())] for a in (near, similarity))
    mass = np.exp(similarity - similarity[:, :1]) if measure == "count" else np.ones(near.shape)
    lists = np.where(near >= 0, near, np.arange(n_users)[:, None])
    return UserGraph(
        list_pattern(jnp.asarray(lists, jnp.int32), n_users),
        jnp.asarray(np.where(near >= 0, mass, 0.0), jnp.float32),
        jnp.asarray(length, jnp.int32),
    )
