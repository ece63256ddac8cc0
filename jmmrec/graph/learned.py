"""Item graphs made of learned vectors while a model trains: lists of nearest items whose cosines are differentiated.

`learned_smooth` builds one, or uses a stored one, whichever a flag says; neither pass does the other's work.
"""

import functools
from collections.abc import Callable, Mapping
from typing import cast

import flax.struct
import jax
import jax.numpy as jnp

from jmmrec.graph.lists import list_pattern, nearest_lists
from jmmrec.graph.pattern import Pattern, edge_products
from jmmrec.graph.propagate import propagate
from jmmrec.retrieval.vectors import normalise_rows

SMALLEST = 1e-7  # row sum; that of a row with a direction holds its own cosine, 1


class LearnedGraph(flax.struct.PyTreeNode):
    """D^-1/2 (Σ_m a_m L_m) D^-1/2 with D the row sums; all shapes fixed (LATTICE, MM'21, Eqs. 3-6 and 8).

    Attributes:
      lists: modality -> where L_m has entries, k in each row. cosine: modality -> float32 (n k,), its values.
      share: modality -> a_m. scale: (n, 1), D^-1/2, 0 where the row sum is below `SMALLEST`.
    """

    lists: dict[str, Pattern]
    cosine: dict[str, jax.Array]
    share: dict[str, jax.Array]
    scale: jax.Array

    def smooth(self, x: jax.Array, value_gradient: bool = False) -> jax.Array:
        """The graph times a table (n, d); with `value_gradient` differentiated with respect to the graph as well.

        >>> g = learned_graph({"text": jnp.eye(2)}, {"text": jnp.array(1.0)}, 2)
        >>> g.smooth(jnp.array([[1.0], [5.0]])).tolist()
        [[1.0], [5.0]]
        """
        x, total = self.scale * x, jnp.zeros(())
        for name, pattern in self.lists.items():
            total += self.share[name] * propagate(pattern.weighted(self.cosine[name]), x, value_gradient)
        return self.scale * total


def learned_graph(
    vectors: Mapping[str, jax.Array],
    share: Mapping[str, jax.Array],
    k: int,
    here: Mapping[str, jax.Array] | None = None,
    lists: dict[str, Pattern] | None = None,
) -> LearnedGraph:
    """The graph of learned vectors; which items are near is found without gradient, their cosines have one.

    Args:
      vectors: modality -> (n, d_m). share: modality -> scalar. k: items in a list, the row itself among them.
      here: modality -> int32 (m,), items that have it; only for modalities that some lack.
      lists: of a graph of the same vectors, to be used instead of a search.

    >>> learned_graph({"text": jnp.eye(2)}, {"text": jnp.array(1.0)}, 2).scale.tolist()
    [[1.0], [1.0]]
    """
    unit, here = {name: normalise_rows(x) for name, x in vectors.items()}, here or {}
    if lists is None:
        lists = {name: list_pattern(nearest_lists(x, k, here.get(name)), len(x)) for name, x in unit.items()}
    cosine, total = {}, jnp.zeros(())
    for name in sorted(unit):
        values = edge_products(lists[name], unit[name], unit[name]).reshape(-1, k)
        if name in here:
            values *= jnp.zeros((len(values), 1)).at[here[name]].set(1.0)
        cosine[name], total = values.ravel(), total + share[name] * values.sum(axis=1)
    enough = total > SMALLEST
    scale = jnp.where(enough, jnp.where(enough, total, 1.0) ** -0.5, 0.0)
    return LearnedGraph(lists, cosine, dict(share), scale[:, None])


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def learned_smooth(
    build: Callable, smooth: Callable, due, stored: LearnedGraph, sources, fixed, x: jax.Array
) -> tuple[jax.Array, LearnedGraph]:
    """A table smoothed over a graph that is built where it is due, with gradient, and else is the stored one, without.

    The backward pass computes the cosines again and the gradient of everything that made them where it is due; else
    only that of x. Left to automatic differentiation, every step would carry zeros as large as the features.

    Args:
      build: (sources, fixed, lists or None) -> LearnedGraph. smooth: (graph, fixed, x, value_gradient) -> table.
      due: bool scalar. sources: what the graph is made of. fixed: constants. x: (n, d).

    Returns:
      the table and the graph, which has no gradient.

    >>> def build(x, fixed, lists):
    ...     return learned_graph({"text": x}, {"text": jnp.array(1.0)}, 2, lists=lists)
    >>> def smooth(graph, fixed, x, value_gradient):
    ...     return graph.smooth(x, value_gradient)
    >>> stored, x = build(jnp.ones((2, 1)), None, None), jnp.array([[1.0], [5.0]])
    >>> both = [learned_smooth(build, smooth, due, stored, jnp.eye(2), None, x)[0] for due in (True, False)]
    >>> [table.round().tolist() for table in both]
    [[[1.0], [5.0]], [[3.0], [3.0]]]
    """
    graph = jax.lax.cond(due, lambda: build(sources, fixed, None), lambda: stored)
    return smooth(graph, fixed, x, False), graph


def _forward(build: Callable, smooth: Callable, due, stored, sources, fixed, x):
    table, graph = cast(tuple, learned_smooth(build, smooth, due, stored, sources, fixed, x))
    return (table, graph), (due, graph, sources, fixed, x)


def _backward(build: Callable, smooth: Callable, saved, given):
    due, graph, sources, fixed, x = saved

    def _fresh():
        built = jax.vjp(lambda s, x: smooth(build(s, fixed, graph.lists), fixed, x, True), sources, x)[1]
        return built(given[0])

    def _reused():
        (x_bar,) = jax.vjp(lambda x: smooth(graph, fixed, x, False), x)[1](given[0])
        return jax.tree.map(jnp.zeros_like, sources), x_bar

    sources_bar, x_bar = jax.lax.cond(due, _fresh, _reused)
    return None, None, sources_bar, None, x_bar


learned_smooth.defvjp(_forward, _backward)
