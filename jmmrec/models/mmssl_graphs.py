"""MMSSL's learned user-item graphs, one for each modality: lists of pairs of fixed room, and graphs made of them.

A graph is kept without weights; each direction divides a row by the square root of its degree, (deg + 1e-8)^-1/2.
With k = 0 (the public code's rate on fewer than 10,000 items) nothing is ever listed: then one number says whether
the training graph, which stands in at the beginning, is still in place.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.graph import Adjacency, Bipartite, edge_values, pair_graph, propagate, propagate_bipartite

Views = dict[str, tuple[jax.Array, jax.Array]]


def start(names: Sequence[str], graph: Bipartite, k: int) -> dict[str, Any]:
    """Empty lists with room for k pairs of every training row, and the training graph for every modality.

    >>> from jmmrec.graph import bipartite
    >>> sorted(start(["text"], bipartite([[0, 0]], 1, 1), 0)), sorted(start(["text"], bipartite([[0, 0]], 1, 1), 2))
    (['fresh'], ['count', 'graph', 'item', 'user'])
    """
    if not k:
        return {"fresh": jnp.ones(())}
    down = graph.user_item
    room = k * len(down.indices)
    nobody = jnp.full(room, down.shape[0], jnp.int32)
    user = jax.lax.dynamic_update_slice(nobody, down.rows, (0,))
    item = jax.lax.dynamic_update_slice(jnp.zeros_like(nobody), down.indices, (0,))
    first = pair_graph(user, item, *down.shape)
    return {
        "count": jnp.zeros((), jnp.int32),
        "user": nobody,
        "item": {name: jnp.zeros_like(nobody) for name in names},
        "graph": dict.fromkeys(names, first),
    }


def views(learned: Mapping, graph: Bipartite, names: Sequence[str], user: jax.Array, item: jax.Array) -> Views:
    """What users receive from item ids and items from user ids over the learned graph of each modality.

    >>> from jmmrec.graph import bipartite
    >>> g = bipartite([[0, 0], [0, 1]], 1, 2, "rowhalf_eps8")
    >>> over = views(start(["text"], g, 1), g, ["text"], jnp.ones((1, 1)), jnp.array([[1.0], [2.0]]))["text"]
    >>> [t.round(3).tolist() for t in over]
    [[[2.121000051498413]], [[1.0], [1.0]]]
    """
    if "fresh" in learned:
        to_user, to_item = propagate_bipartite(graph, user, item)
        return dict.fromkeys(names, (learned["fresh"] * to_user, learned["fresh"] * to_item))
    found = {name: learned["graph"][name] for name in names}
    return {name: (_received(g, item), _received(g.T, user)) for name, g in found.items()}


def _received(pairs: Adjacency, table: jax.Array) -> jax.Array:
    degree = jnp.diff(pairs.indptr).astype(jnp.float32)
    return edge_values("rowhalf_eps8", degree, None)[:, None] * propagate(pairs, table)


def observed(users: jax.Array, train: Mapping[str, jax.Array], n_items: int) -> jax.Array:
    """0/1 rows of the training matrix, (b, n_items).

    Args:
      train: `indptr` and `indices` of the matrix, and `window`, an array as long as its longest row.

    >>> train = {"indptr": jnp.array([0, 1, 3]), "indices": jnp.array([2, 0, 1]), "window": jnp.arange(2)}
    >>> observed(jnp.array([1, 0]), train, 3).tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    place = train["indptr"][users][:, None] + train["window"]
    inside = place < train["indptr"][users + 1][:, None]
    item = jnp.where(inside, train["indices"][jnp.minimum(place, len(train["indices"]) - 1)], n_items)
    return jnp.zeros((len(users), n_items)).at[jnp.arange(len(users))[:, None], item].set(1.0, mode="drop")


def append(learned: Mapping, users: jax.Array, found: Mapping[str, jax.Array], mask: jax.Array, cycle: bool) -> dict:
    """The lists with k more items of each user.

    Args:
      users: int32 (b,). found: name -> int32 (b, k). mask: bool (b,).
      cycle: users and items are paired as in the public code, which repeats the list of users k times while items
        go row by row; else every item goes with the user it was found for.

    >>> from jmmrec.graph import bipartite
    >>> empty = start(["text"], bipartite([[0, 0], [1, 1]], 2, 2), 2)
    >>> users, found, mask = jnp.arange(2), {"text": jnp.array([[0, 1], [1, 0]])}, jnp.ones(2, bool)
    >>> [append(empty, users, found, mask, cycle)["user"].tolist() for cycle in (True, False)]
    [[0, 1, 0, 1], [0, 0, 1, 1]]
    """
    rows, k = next(iter(found.values())).shape
    order, n = jnp.argsort(~mask, stable=True), jnp.sum(mask)
    number = jnp.arange(rows * k)
    owner = users[order][number % jnp.maximum(n, 1) if cycle else number // k]
    place = jnp.where(number < n * k, learned["count"] + number, len(learned["user"]))

    def _put(room: jax.Array, values: jax.Array) -> jax.Array:
        return room.at[place].set(values.astype(jnp.int32), mode="drop", unique_indices=False)

    item = {name: _put(learned["item"][name], found[name][order].reshape(-1)) for name in learned["item"]}
    return {**learned, "user": _put(learned["user"], owner), "item": item, "count": learned["count"] + n * k}


def rebuilt(learned: Mapping) -> dict:
    """Graphs made of the lists, and empty lists; of empty lists, graphs without edges."""
    shape = next(iter(learned["graph"].values())).shape
    graph = {name: pair_graph(learned["user"], item, *shape) for name, item in learned["item"].items()}
    return {**emptied(learned), "graph": graph}


def emptied(learned: Mapping) -> dict:
    """Graphs without edges and empty lists, what `rebuilt` makes of empty lists but without sorting."""
    n_users = next(iter(learned["graph"].values())).shape[0]
    return {
        "count": jnp.zeros_like(learned["count"]),
        "user": jnp.full_like(learned["user"], n_users),
        "item": dict(learned["item"]),
        "graph": jax.tree.map(jnp.zeros_like, learned["graph"]),
    }


def after_batch(learned: Mapping, step: jax.Array, add) -> dict:
    """The public code's schedule: the first batch of an epoch is listed, the second makes graphs, all later empty them.

    Args:
      step: number of the batch in its epoch. add: learned -> learned with the batch listed.
    """
    if "fresh" in learned:
        return {"fresh": jnp.where(step > 0, 0.0, learned["fresh"])}
    branches = (add, rebuilt, emptied)
    return jax.lax.switch(jnp.minimum(step, 2), [functools.partial(f, dict(learned)) for f in branches])
