"""How one modality's missing rows are filled; `jmmrec.data.impute` says what each fill is.

Each takes the data set, the modality's name, the items to fill (n,) and a seed, and returns their rows (n, dim).
"""

import math
import zlib
from collections.abc import Iterator

import numpy as np
import scipy.sparse

from jmmrec.data.dataset import Dataset

BLOCK = 1 << 22  # similarities, or products of counts, that are looked at together
REST = 1e-7  # what is left of a walk when it is cut off


def mean(dataset: Dataset, name: str, items: np.ndarray, seed: int = 0) -> np.ndarray:
    """The mean of the observed rows.

    >>> from jmmrec.data.dataset import Modality
    >>> text = Modality(np.array([[2.0], [4.0]]))
    >>> mean(Dataset(2, 2, [[0, 0], [1, 1]], [], [], {"text": text}), "text", np.array([0])).tolist()
    [[3.0]]
    """
    modality = dataset.modalities[name]
    found = modality.features.mean(axis=0, dtype=np.float64, where=modality.observed[:, None])
    return np.tile(found, (len(items), 1))


def zero(dataset: Dataset, name: str, items: np.ndarray, seed: int = 0) -> np.ndarray:
    """Zeros."""
    return np.zeros((len(items), dataset.modalities[name].dim))


def uniform(dataset: Dataset, name: str, items: np.ndarray, seed: int = 0) -> np.ndarray:
    """Uniform between the least and the largest observed value of each column."""
    modality = dataset.modalities[name]
    rows = modality.features[modality.observed]
    rng = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
    return rows.min(axis=0) + np.ptp(rows, axis=0) * rng.random((len(items), modality.dim), np.float32)


def nearest_item(dataset: Dataset, name: str, items: np.ndarray, seed: int = 0) -> np.ndarray:
    """The row of the most similar item by the other modalities, exact and in blocks; of equals the first."""
    modality, found = dataset.modalities[name], mean(dataset, name, items)
    donors = np.flatnonzero(modality.observed)
    others = [m for other, m in dataset.modalities.items() if other != name]
    units = [_unit(m.features) * m.observed[:, None] for m in others]
    step = max(1, BLOCK // len(donors))
    for low in range(0, len(items) if others else 0, step):
        here = items[low : low + step]
        total, common = np.zeros((2, len(here), len(donors)), np.float32)
        for other, unit in zip(others, units, strict=True):
            total += unit[here] @ unit[donors].T
            common += other.observed[here][:, None] & other.observed[donors]
        score = np.where(common > 0, total / np.maximum(common, 1), -np.inf)
        best, known = score.argmax(axis=1), (common > 0).any(axis=1)
        found[low : low + step][known] = modality.features[donors[best[known]]]
    return found


def neighbour_mean(dataset: Dataset, name: str, items: np.ndarray, seed: int, k: int) -> np.ndarray:
    """The mean over the k observed items with most training users in common."""
    modality = dataset.modalities[name]
    near = most_common(dataset, k, items, modality.observed)
    near.data[:] = 1
    return _where_weighed(near @ modality.features, near.sum(axis=1), mean(dataset, name, items))


def multihop(dataset: Dataset, name: str, items: np.ndarray, seed: int, k: int, hops: int) -> np.ndarray:
    """Features propagated over the co-purchase graph, observed rows put back after each step."""
    modality = dataset.modalities[name]
    graph, observed = _co_purchases(dataset, k), modality.observed
    scale = scipy.sparse.diags_array(1 / np.sqrt(np.maximum(graph.sum(axis=1), 1)))
    graph = scipy.sparse.csr_array(scale @ graph @ scale, dtype=np.float32)
    known = modality.features * observed[:, None]
    now, reached = known, observed
    for _ in range(hops):
        now = np.where(observed[:, None], known, graph @ now)
        reached = observed | (graph @ reached.astype(np.float32) > 0)
    return np.where(reached[items][:, None], now[items], mean(dataset, name, items))


def pagerank(dataset: Dataset, name: str, items: np.ndarray, seed: int, alpha: float, k: int = 20) -> np.ndarray:
    """The mean of the observed rows weighted by each item's personalised PageRank."""
    modality, graph = dataset.modalities[name], _co_purchases(dataset, k)
    walk = scipy.sparse.diags_array(1 / np.maximum(graph.sum(axis=1), 1)) @ graph
    walk = scipy.sparse.csr_array(walk, dtype=np.float32)
    start = np.concatenate([modality.features, np.ones((dataset.n_items, 1), np.float32)], axis=1)
    start = start * modality.observed[:, None]
    now = start
    for _ in range(0 if alpha == 1 else math.ceil(math.log(REST) / math.log(1 - alpha))):
        now = start + (1 - alpha) * (walk @ now)  # pi X / alpha: the factor falls out
    return _where_weighed(now[items, :-1], now[items, -1], mean(dataset, name, items))


def most_common(dataset: Dataset, k: int, items: np.ndarray, among: np.ndarray) -> scipy.sparse.csr_array:
    """The k items with most training users in common with each item, itself left out; of equals the lower number.

    Args:
      items: (n,) whose. among: bool (n_items,), which may be named.

    Returns:
      (n, n_items), how many users; no entry where there is none.

    >>> rows = [[0, 0], [0, 1], [1, 0], [1, 1], [2, 1], [2, 2], [3, 3]]
    >>> most_common(Dataset(4, 4, rows, [], []), 1, np.array([0, 2]), np.ones(4, bool)).toarray().tolist()
    [[0.0, 2.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    """
    ones = np.ones(len(dataset.train), np.float32)
    shape = (dataset.n_items, dataset.n_users)
    bought = scipy.sparse.csr_array((ones, (dataset.train[:, 1], dataset.train[:, 0])), shape=shape)
    others = scipy.sparse.csr_array(scipy.sparse.diags_array(among.astype(np.float32)) @ bought)
    others.eliminate_zeros()
    parts = []
    for low, high in _blocks(bought[items], dataset.n_users):
        common = (bought[items[low:high]] @ others.T).tocoo()
        row, col, value = *common.coords, common.data
        other = col != items[low:high][row]
        row, col, value = row[other], col[other], value[other]
        order = np.lexsort((col, -value, row))
        row, col, value = row[order], col[order], value[order]
        near = np.arange(len(row)) - np.searchsorted(row, row) < k
        parts.append((row[near] + low, col[near], value[near]))
    row, col, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    return scipy.sparse.csr_array((value, (row, col)), shape=(len(items), dataset.n_items))


def _blocks(bought: scipy.sparse.csr_array, n_users: int) -> Iterator[tuple[int, int]]:
    """Ranges of items whose products have at most about `BLOCK` entries together, at least one item each."""
    per_user = np.bincount(bought.indices, minlength=n_users)
    running = np.concatenate([[0], np.cumsum(per_user[bought.indices])])[bought.indptr]
    low = 0
    while low < len(bought.indptr) - 1:
        high = max(low + 1, int(np.searchsorted(running, running[low] + BLOCK, side="right")) - 1)
        yield low, high
        low = high


def _co_purchases(dataset: Dataset, k: int) -> scipy.sparse.csr_array:
    """`most_common` of all items, symmetric: an entry where either names the other."""
    everything = np.arange(dataset.n_items)
    near = most_common(dataset, k, everything, np.ones(dataset.n_items, bool))
    return near.maximum(near.T).tocsr()


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def _where_weighed(total: np.ndarray, weight: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Weighted means, and something else where nothing has weight."""
    weight = weight[:, None]
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), otherwise)
