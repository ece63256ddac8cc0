"""Channels side by side in the columns of one table: propagated in one product, cut apart by name, fused."""

import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from jmmrec.graph import Bipartite, propagate
from jmmrec.models.layers import dense, dense_init, named_key

Pair = tuple[jax.Array, jax.Array]


def channel_means(graph: Bipartite, user: jax.Array, item: jax.Array, n_layers: int) -> tuple[Pair, Pair]:
    """What `layer_mean` gives users and items from the users' first table alone, and from the items' alone.

    Their sum is `layer_mean`. Apart they cost half of it, and where channels differ in the items' tables only, what
    comes from users is there once, however many channels there are. The graph may have no self loops.

    Args:
      user: (n_users, d). item: (n_items, any width). n_layers: L.

    Returns:
      (user, item) tables from users, each d wide, and (user, item) tables from items, each as wide as `item`.

    >>> from jmmrec.graph import bipartite
    >>> g = bipartite([[0, 0]], 1, 1, "mean")
    >>> [[t.tolist() for t in pair] for pair in channel_means(g, jnp.array([[2.0]]), jnp.array([[4.0]]), 1)]
    [[[[1.0]], [[1.0]]], [[[2.0]], [[2.0]]]]
    """

    return side_mean(graph, user, 0, n_layers), side_mean(graph, item, 1, n_layers)


def side_mean(graph: Bipartite, table: jax.Array, side: int, n_layers: int) -> Pair:
    """What `layer_mean` gives users and items where one side starts from zeros.

    Args:
      table: of the other side, (n_users, d) with side 0, (n_items, d) with side 1. n_layers: L.

    >>> from jmmrec.graph import bipartite
    >>> [t.tolist() for t in side_mean(bipartite([[0, 0]], 1, 1, "mean"), jnp.array([[2.0]]), 1, 2)]
    [[[0.6666666865348816]], [[1.3333333730697632]]]
    """
    blocks = graph.user_item, graph.item_user
    totals = [jnp.zeros((block.shape[0], table.shape[1])) for block in blocks]
    totals[side] = table
    for _ in range(n_layers):
        side = 1 - side
        table = propagate(blocks[side], table)
        totals[side] += table
    return totals[0] / (n_layers + 1), totals[1] / (n_layers + 1)


def channel_tables(graph: Bipartite, user: jax.Array, items: Sequence[jax.Array], n_layers: int) -> tuple[Pair, Pair]:
    """`layer_mean` of channels that share the users' first table, side by side, and what is from users in each.

    Args:
      user: (n_users, d). items: each (n_items, d). n_layers: L.

    Returns:
      (user, item) tables with the channels in their columns, and (user, item) tables, each d wide.

    >>> from jmmrec.graph import bipartite
    >>> g, one = bipartite([[0, 0]], 1, 1, "mean"), jnp.ones((1, 1))
    >>> [t.tolist() for t in channel_tables(g, 2 * one, [4 * one, 0 * one], 1)[0]]
    [[[3.0, 1.0]], [[3.0, 1.0]]]
    """
    shared, own = channel_means(graph, user, jnp.concatenate(items, axis=1), n_layers)
    found = [jnp.tile(a, (1, len(items))) + b for a, b in zip(shared, own, strict=True)]
    return (found[0], found[1]), shared


def in_channel(channel: jax.Array | int, new: jax.Array, old: jax.Array, dim: int) -> jax.Array:
    """Channels side by side, each `dim` wide, one of them replaced.

    Args:
      channel: its number, may be traced. new: (n, dim), or as wide as `old`, whose channel is taken.
      old: (n, channels · dim).

    >>> in_channel(1, jnp.array([[9.0]]), jnp.array([[1.0, 2.0]]), 1).tolist()
    [[1.0, 9.0]]
    """
    new = jnp.tile(new, (1, old.shape[1] // new.shape[1]))
    return jnp.where(jnp.arange(old.shape[1]) // dim == channel, new, old)


def split_channels(names: Sequence[str], user: jax.Array, item: jax.Array) -> dict[str, Pair]:
    """The tables of each channel, by name; names in the order of the columns.

    >>> split_channels(("id", "text"), jnp.ones((1, 2)), jnp.zeros((1, 2)))["text"][0].tolist()
    [[1.0]]
    """
    cut = [jnp.split(table, len(names), axis=1) for table in (user, item)]
    return dict(zip(names, zip(*cut, strict=True), strict=True))


def fusion_init(key: jax.Array, names: Sequence[str], dim: int) -> dict:
    """For users and for items a dense layer from all channels to `dim`, its weight in blocks by channel.

    The scale is that of one Xavier matrix over all channels.

    >>> fusion_init(jax.random.key(0), ("id", "text"), 2)["user"]["weight"]["text"].shape
    (2, 2)
    """
    uniform = functools.partial(jax.random.uniform, shape=(dim, dim), minval=-1.0, maxval=1.0)
    bound = (6.0 / (dim * (len(names) + 1))) ** 0.5

    def _layer(key: jax.Array) -> dict:
        weight = {name: bound * uniform(named_key(key, name)) for name in names}
        return {"weight": weight, "bias": dense_init(key, dim * len(names), dim)["bias"]}

    return {side: _layer(named_key(key, side)) for side in ("user", "item")}


def fuse(layer: Mapping | None, names: Sequence[str], stacked: jax.Array) -> jax.Array:
    """A layer of `fusion_init` on channels side by side; without one, their mean.

    >>> fuse(None, ("id", "text"), jnp.array([[1.0, 3.0]])).tolist()
    [[2.0]]
    """
    if layer is None:
        return stacked.reshape(len(stacked), len(names), -1).mean(axis=1)
    weight = jnp.concatenate([layer["weight"][name] for name in names], axis=1)
    return dense({"weight": weight, "bias": layer["bias"]}, stacked)
