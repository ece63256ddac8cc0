"""Top-K metrics per user, from hits at ranks; the same functions for NumPy (float64) and JAX arrays.

With h_r = 1 where rank r (from 1) holds a relevant item and T the number of the user's relevant items (where fewer
than K items were ranked, the missing ranks hold no hit):

    Recall@K    = Σ_{r≤K} h_r / T
    Precision@K = Σ_{r≤K} h_r / K
    NDCG@K      = Σ_{r≤K} h_r / log2(r + 1)  /  Σ_{r≤min(K,T)} 1 / log2(r + 1)
    MAP@K       = Σ_{r≤K} h_r · (Σ_{q≤r} h_q / r)  /  min(K, T)
    HitRate@K   = 1 if any h_r, r ≤ K
    NDCG_own@K  = as NDCG@K with T the hits in the whole list: MMSSL's, for comparison with its printed numbers
    MRR@K       = 1 / rank of the first hit, 0 without one in the first K
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from jmmrec.errors import ConfigError, check_choice

Array = Any


def recall(hits: Array, n_relevant: Array, k: int) -> Array:
    """Recall@K of every user, (n_users,).

    Args:
      hits: bool (n_users, >= k), True where the item at that rank is relevant. n_relevant: (n_users,), at least 1.

    >>> recall(np.array([[1, 0, 0, 1, 0]]), np.array([3]), 5).round(4).tolist()
    [0.6667]
    """
    return hits[:, :k].sum(axis=1) / n_relevant


def precision(hits: Array, n_relevant: Array, k: int) -> Array:
    """Precision@K of every user; arguments as `recall`.

    >>> precision(np.array([[1, 0, 0, 1, 0]]), np.array([3]), 5).tolist()
    [0.4]
    """
    return hits[:, :k].sum(axis=1) / k


def ndcg(hits: Array, n_relevant: Array, k: int) -> Array:
    """NDCG@K of every user with binary gains, the ideal of min(K, T) hits; arguments as `recall`.

    >>> ndcg(np.array([[1, 0, 0, 1, 0]]), np.array([3]), 5).round(6).tolist()
    [0.671386]
    """
    xp = hits.__array_namespace__()
    gain = xp.asarray(1.0 / np.log2(np.arange(2, k + 2)))
    ideal = xp.cumulative_sum(gain)[xp.clip(n_relevant, 1, k) - 1]
    return (hits[:, :k] * gain[: hits.shape[1]]).sum(axis=1) / ideal


def own_ndcg(hits: Array, n_relevant: Array, k: int) -> Array:
    """DCG@K by the best DCG@K that the list's own hits allow, as MMSSL's code prints it for lists of 50.

    Not NDCG: relevant items that were not found cost nothing, so it is larger. Arguments as `recall`; all hits of the
    list count in the ideal, also those behind rank K.

    >>> own_ndcg(np.array([[1, 0, 0, 1, 0]]), np.array([3]), 2).round(6).tolist()
    [0.613147]
    """
    xp = hits.__array_namespace__()
    gain = xp.asarray(1.0 / np.log2(np.arange(2, k + 2)))
    found = hits.sum(axis=1)
    ideal = xp.cumulative_sum(gain)[xp.clip(found, 1, k) - 1]
    return (hits[:, :k] * gain[: hits.shape[1]]).sum(axis=1) / ideal


def average_precision(hits: Array, n_relevant: Array, k: int) -> Array:
    """MAP@K's term of every user, divided by min(K, T); arguments as `recall`.

    >>> average_precision(np.array([[1, 0, 0, 1, 0]]), np.array([3]), 5).tolist()
    [0.5]
    """
    xp = hits.__array_namespace__()
    found = xp.cumulative_sum(hits[:, :k] * 1, axis=1)
    ranks = xp.arange(1, found.shape[1] + 1)
    return (hits[:, :k] * found / ranks).sum(axis=1) / xp.clip(n_relevant, 1, k)


def hit_rate(hits: Array, n_relevant: Array, k: int) -> Array:
    """HitRate@K of every user; arguments as `recall`.

    >>> hit_rate(np.array([[0, 0, 1]]), np.array([1]), 2).tolist()
    [0.0]
    """
    return hits[:, :k].any(axis=1) * 1.0


def mrr(hits: Array, n_relevant: Array, k: int) -> Array:
    """Reciprocal rank of the first hit of every user; arguments as `recall`.

    >>> mrr(np.array([[0, 1, 1]]), np.array([2]), 3).tolist()
    [0.5]
    """
    xp = hits.__array_namespace__()
    return (hits[:, :k] / xp.arange(1, min(k, hits.shape[1]) + 1)).max(axis=1)


METRICS: dict[str, Callable[[Array, Array, int], Array]] = {
    "recall": recall,
    "ndcg": ndcg,
    "precision": precision,
    "map": average_precision,
    "hitrate": hit_rate,
    "mrr": mrr,
    "ndcg_own": own_ndcg,
}


def parse_metric(text: str) -> tuple[str, int]:
    """("recall", 20) from "recall@20".

    Raises:
      ConfigError: not of the form name@K, unknown name, K < 1.

    >>> parse_metric("ndcg@10")
    ('ndcg', 10)
    """
    name, _, k = text.lower().partition("@")
    check_choice("metric", name, METRICS)
    if not k.isdigit() or int(k) < 1:
        raise ConfigError(f"metric {text!r} has no rank to cut at; write it as {name}@20.")
    return name, int(k)


def per_user(
    hits: np.ndarray, n_relevant: np.ndarray, ks: Iterable[int], names: Iterable[str] = tuple(METRICS)
) -> dict[str, np.ndarray]:
    """Every metric at every K, keyed "recall@20", each (n_users,).

    >>> sorted(per_user(np.ones((1, 2), bool), np.array([2]), [1, 2], ["recall"]))
    ['recall@1', 'recall@2']
    """
    return {f"{name}@{k}": METRICS[name](hits, n_relevant, k) for name in names for k in ks}
