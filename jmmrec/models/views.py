"""Contrast between tables of nodes, as SGL, NCL and HCCF have it, and propagation over a graph for each layer."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jmmrec.errors import check_choice
from jmmrec.graph import Bipartite, propagate_bipartite
from jmmrec.losses import info_nce, log_partition
from jmmrec.losses.bpr import masked_mean
from jmmrec.losses.contrastive import LEFT_OUT
from jmmrec.retrieval.vectors import normalise_rows

CANDIDATES = ("all", "batch")


def walk_mean(graphs: Sequence[Bipartite], user: jax.Array, item: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`layer_mean` with a graph of its own for every layer: (1/(L+1)) Σ_l Â_l .. Â_1 [user; item].

    >>> from jmmrec.graph import bipartite
    >>> g = bipartite([[0, 0]], 1, 1, "mean")
    >>> [t.tolist() for t in walk_mean([g, g], jnp.array([[3.0]]), jnp.array([[0.0]]))]
    [[[2.0]], [[1.0]]]
    """
    total_user, total_item = user, item
    for graph in graphs:
        user, item = propagate_bipartite(graph, user, item)
        total_user, total_item = total_user + user, total_item + item
    return total_user / (len(graphs) + 1), total_item / (len(graphs) + 1)


def node_nce(
    query: jax.Array,
    keys: jax.Array,
    rows: jax.Array,
    *,
    tau: float,
    mask: jax.Array,
    target: jax.Array | None = None,
    candidates: str = "all",
) -> jax.Array:
    """InfoNCE by cosine of some rows of one table with those of another, mean over the rows that count.

    Args:
      query: (n, d). keys: (m, d). rows: int32 (b,), nodes of the batch; repeated ones count repeatedly.
      mask: bool (b,). target: int32 (n,), place of each node's positive among the keys; None: its own.
      candidates: `all` keys, in blocks, or those of the `batch`.

    Returns:
      scalar; 0 for an all-masked batch.

    >>> one = jnp.eye(2)
    >>> round(float(node_nce(one, one, jnp.array([0]), tau=1.0, mask=jnp.ones(1, bool))), 4)
    0.3133
    """
    check_choice("candidates", candidates, CANDIDATES)
    asked, places = normalise_rows(query[rows]), rows if target is None else target[rows]
    if candidates == "batch":
        return info_nce(asked, normalise_rows(keys[places]), tau=tau, mask=mask, limit=1.0)
    return info_nce(asked, normalise_rows(keys), places, tau=tau, mask=mask, limit=1.0)


def once_each(rows: jax.Array, mask: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """The different nodes of a batch, in as many places as the batch has rows.

    Args:
      rows: int32 (b,), below n. mask: bool (b,), rows that count.

    Returns:
      int32 (b,) ascending, and bool (b,), places that count.

    >>> [a.tolist() for a in once_each(jnp.array([4, 1, 4, 0]), jnp.arange(4) < 3, 9)]
    [[1, 4, 8, 8], [True, True, False, False]]
    """
    found = jnp.unique(jnp.where(mask, rows, n), size=len(rows), fill_value=n)
    return jnp.minimum(found, n - 1), found < n


def challenged_nce(
    query: jax.Array, keys: jax.Array, challenge: jax.Array, there: jax.Array, *, tau: float, mask: jax.Array
) -> jax.Array:
    """In-batch InfoNCE with one more negative for every query, its own (MMGCL, SIGIR'22).

    mean_b -ln( exp(⟨q_b, k_b⟩/τ) / (Σ_c exp(⟨q_b, k_c⟩/τ) + exp(⟨q_b, n_b⟩/τ)) )

    Nothing is normalised here: give unit rows for cosines.

    Args:
      query, keys, challenge: q, k, n, (b, d). there: bool (b,), queries that have an n. mask: bool (b,), rows that
        count, also as negatives.

    Returns:
      scalar; 0 for an all-masked batch.

    >>> one, yes = jnp.ones((1, 1)), jnp.ones(1, bool)
    >>> round(float(challenged_nce(one, one, one, yes, tau=1.0, mask=yes)), 4)
    0.6931
    """
    own = jnp.where(there, jnp.sum(query * challenge, axis=1) / tau, LEFT_OUT)
    partition = jnp.logaddexp(log_partition(query, keys, tau=tau, keep=mask), own)
    return masked_mean(partition - jnp.sum(query * keys, axis=1) / tau, mask)
