"""Item graphs from features: blocked exact nearest neighbours by cosine, and the graphs made of them."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.data.cache import cached
from jmmrec.data.dataset import Modality
from jmmrec.errors import ConfigError, DataError, check_choice
from jmmrec.graph.adjacency import Adjacency, adjacency
from jmmrec.graph.propagate import products_at
from jmmrec.retrieval.topk import MEMORY, extremes
from jmmrec.retrieval.vectors import normalise_rows

KNN_NORMS = ("uniform", "weighted")
WORTH = 4096  # items from which on computed neighbours are kept
VERSION = 1  # of what is kept


@jax.jit(static_argnames=("k", "memory"))
def nearest(features: jax.Array, k: int, memory: int = MEMORY) -> tuple[jax.Array, jax.Array]:
    """The k nearest rows of each row by cosine, the row itself among them; blocked, exact.

    Args:
      features: (n, d). k: 1 to n. memory: bytes for similarity blocks, see `jmmrec.retrieval.topk`.

    Returns:
      int32 (n, k) rows, nearest first, and their cosines float32 (n, k).

    >>> nearest(jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 2)[0].tolist()
    [[0, 1], [1, 0], [2, 1]]
    """
    unit = normalise_rows(features)
    found = extremes(unit, unit, k, memory=memory)
    return found.top, found.top_scores


def neighbours_of(modality: Modality, k: int, name: str = "the modality") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nearest items in one modality: the published ones where there are enough, else computed from the features.

    Missing items are nobody's neighbours and have none. What is computed for many items is kept (`jmmrec.data.cache`).

    Args:
      k: neighbours of an item. name: of the modality, for the error.

    Returns:
      items int64 (m,) that have the modality, their neighbours int64 (m, k), the cosines float32 (m, k).

    Raises:
      DataError: fewer than k items have the modality.

    >>> neighbours_of(Modality(np.eye(3)), 1)[1].tolist()
    [[0], [1], [2]]
    """
    here = np.flatnonzero(modality.present)
    if not len(here):
        raise DataError(f"no item has {name}, so there is nothing to find neighbours by; leave that modality out.")
    if len(here) < k:
        raise DataError(f"{k} neighbours were asked for but only {len(here)} items have {name}; lower knn_k.")
    published = modality.neighbours
    if published is not None and published.shape[1] >= k and modality.present.all():
        near, similarity = published[:, :k].astype(np.int64), modality.similarities
        return here, near, _cosines(modality.features, near) if similarity is None else similarity[:, :k]
    features = modality.features[here]
    work = functools.partial(_nearest, features, k)
    found = cached("items", VERSION, [features, k], work) if len(here) >= WORTH else work()
    return here, here[found["near"]], found["similarity"]


def _nearest(features: np.ndarray, k: int) -> dict[str, np.ndarray]:
    return dict(zip(("near", "similarity"), map(np.asarray, nearest(jnp.asarray(features), k)), strict=True))


def _cosines(features: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Of every item and each of its neighbours, (n, k)."""
    unit, rows = normalise_rows(jnp.asarray(features)), np.repeat(np.arange(len(near)), near.shape[1])
    return np.asarray(jax.jit(products_at)(unit, rows, unit, near.ravel())).reshape(near.shape)


def neighbour_lists(
    modality: Modality, k: int, norm: str = "uniform", name: str = "the modality"
) -> tuple[np.ndarray, np.ndarray]:
    """The graph of one modality as a list for each item, self included; see `item_graph` for the values.

    Returns:
      int32 (n_items, k) neighbours, float32 values, nearest first; missing items list themselves with 0.

    >>> neighbour_lists(Modality(np.eye(2), np.array([True, False])), 1, "weighted")[1].tolist()
    [[1.0], [0.0]]
    """
    check_choice("norm", norm, KNN_NORMS)
    n_items = len(modality.features)
    here, near, similarity = neighbours_of(modality, k, name)
    lists = np.tile(np.arange(n_items, dtype=np.int32)[:, None], k)
    values = np.zeros(lists.shape, np.float32)
    lists[here], values[here] = near, _knn_values(norm, here, near, similarity, n_items)
    return lists, values


def item_graph(
    modalities: Mapping[str, Modality], weights: Mapping[str, float], k: int = 10, norm: str = "uniform"
) -> Adjacency:
    """Weighted sum of the directed k-nearest-neighbour graphs of several modalities (self included).

    `uniform`: every kept entry 1/(k + 1e-7), FREEDOM and DRAGON. `weighted`: s_ij r_i^-1/2 r_j^-1/2 with
    r_i the sum of the kept cosines of row i, MGCN and LATTICE.

    Args:
      modalities: name -> Modality. weights: name -> weight of its graph. k: neighbours of an item.

    Returns:
      (n_items, n_items) adjacency; entries at the same place are added up.

    Raises:
      ConfigError: unknown norm, k < 1, or no modality. DataError: too few items have a modality.

    >>> item_graph({"text": Modality(np.eye(2))}, {"text": 1.0}, k=1).bcoo.todense().tolist()
    [[0.9999998807907104, 0.0], [0.0, 0.9999998807907104]]
    """
    check_choice("norm", norm, KNN_NORMS)
    if k < 1 or not modalities:
        raise ConfigError(f"an item graph needs k >= 1 and at least one modality; got k={k}, {len(modalities)}.")
    n_items = len(next(iter(modalities.values())).features)
    total: dict[str, list[np.ndarray]] = {"place": [], "value": []}
    for name, modality in modalities.items():
        here, near, similarity = neighbours_of(modality, k, name)
        total["place"].append((here[:, None] * n_items + near).ravel())
        total["value"].append(weights[name] * _knn_values(norm, here, near, similarity, n_items).ravel())
    place, entry = np.unique(np.concatenate(total["place"]), return_inverse=True)
    value = np.bincount(entry, weights=np.concatenate(total["value"]))
    return adjacency(place // n_items, place % n_items, value, (n_items, n_items))


def _knn_values(norm: str, here: np.ndarray, near: np.ndarray, similarity: np.ndarray, n_items: int) -> np.ndarray:
    if norm == "uniform":
        return np.full(near.shape, 1.0 / (near.shape[1] + 1e-7))
    row_sum = np.ones(n_items)
    row_sum[here] = np.maximum(similarity.astype(np.float64).sum(axis=1), 1e-12)
    return similarity / np.sqrt(row_sum[here][:, None] * row_sum[near])
