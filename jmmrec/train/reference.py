"""Recommenders that nobody trains, the floor of every comparison: popularity and item-kNN."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from jmmrec.data.dataset import Dataset, TrainingData
from jmmrec.errors import check_range, check_whole
from jmmrec.retrieval import Questions, top_n
from jmmrec.train.evaluate import Evaluation, evaluate_rankings

BLOCK = 512  # users or items whose dense rows are held at once

Scorer = Callable[[np.ndarray], np.ndarray]  # users (n,) -> scores (n, n_items)


def popularity(data: TrainingData | Dataset) -> Scorer:
    """The same scores for everybody: how often an item occurs in training.

    >>> d = Dataset(2, 3, np.array([[0, 0], [0, 1], [1, 1], [1, 2]]), np.array([[0, 2]]), np.array([[1, 0]]))
    >>> popularity(d)(np.array([0])).tolist()
    [[1.0, 2.0, 1.0]]
    """
    count = np.bincount(data.train[:, 1], minlength=data.n_items).astype(np.float32)
    return lambda users: np.broadcast_to(count, (len(users), len(count)))


def item_knn(data: TrainingData | Dataset, k: int = 100, shrink: float = 0.0) -> Scorer:
    """Items like those a user has, by who else has them: ŷ_ui = Σ_{j ∈ R_u} s_ij over the k items most like i.

    s_ij = n_ij / (√(n_i n_j) + shrink), n users of an item or of both, the cosine (Sarwar et al., WWW'01); i itself
    left out. Similarities are made in blocks of items; only k of each are kept.

    Args:
      k: neighbours of an item. shrink: takes weight from similarities of rare items.

    Raises:
      ConfigError: k or shrink out of range.

    >>> train = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 1], [2, 2]])
    >>> d = Dataset(3, 3, train, np.array([[2, 0]]), np.array([[0, 2]]))
    >>> [f"{score:.3f}" for score in item_knn(d, k=1)(np.array([2]))[0]]
    ['0.816', '0.000', '0.577']
    """
    check_whole("k", k, 1)
    check_range("shrink", shrink, 0, float("inf"))
    ones = np.ones(len(data.train), np.float32)
    rows = scipy.sparse.csr_array((ones, tuple(data.train.T)), shape=(data.n_users, data.n_items))
    columns, norm = rows.T.tocsr(), np.sqrt(np.asarray(rows.sum(axis=0)))
    blocks = [
        _nearest((columns[low : low + BLOCK] @ rows).toarray(), norm, low, k, shrink)
        for low in range(0, data.n_items, BLOCK)
    ]
    to_item = scipy.sparse.vstack(blocks).T.tocsr()  # column i: the items that speak for i
    return lambda users: (rows[users] @ to_item).toarray()


def _nearest(common: np.ndarray, norm: np.ndarray, low: int, k: int, shrink: float) -> scipy.sparse.csr_array:
    """The k largest similarities of each row; `common` counts shared users of items low, low + 1, ... with all."""
    own = np.arange(len(common))
    common[own, low + own] = 0.0
    similarity = common / np.maximum(norm[low : low + len(common), None] * norm + shrink, 1e-12)
    k = min(k, similarity.shape[1])
    best = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(similarity, best, axis=1)
    pointers = np.arange(0, k * len(common) + 1, k)
    return scipy.sparse.csr_array((values.ravel(), best.ravel(), pointers), shape=similarity.shape)


def evaluate_scores(scorer: Scorer, dataset: Dataset, **options: Any) -> Evaluation:
    """Metrics of a scorer, as of one run with seed 0; of equal scores the lower item comes first.

    Args:
      options: split, mask, ks, metrics, cold_users, as in `jmmrec.train.evaluate.evaluate_rankings`.

    Raises:
      ConfigError, DataError: as `evaluate_rankings`.

    >>> from jmmrec.data.synthetic import demo_dataset
    >>> d = demo_dataset()
    >>> evaluate_scores(popularity(d), d, ks=(20,), metrics=("recall",)).seeds
    (0,)
    """

    def _rank(what: Questions, masked: np.ndarray, k: int) -> np.ndarray:
        hidden = scipy.sparse.csr_array(
            (np.ones(len(masked), bool), tuple(masked.T)), shape=(dataset.n_users, dataset.n_items)
        )
        return _ranked(scorer, what.users, hidden, min(k, dataset.n_items))

    return evaluate_rankings({0: _rank}, dataset, **options)


def _ranked(scorer: Scorer, users: Sequence[int] | np.ndarray, hidden: scipy.sparse.csr_array, k: int) -> np.ndarray:
    best = jax.jit(lambda scores: top_n(scores, k)[1])
    lists = []
    for low in range(0, len(users), BLOCK):
        block = np.asarray(users[low : low + BLOCK])
        scores = np.where(hidden[block].toarray(), -np.inf, scorer(block))
        padded = np.pad(scores, ((0, BLOCK - len(block)), (0, 0)))
        lists.append(np.asarray(best(jnp.asarray(padded, jnp.float32)))[: len(block)])
    return np.concatenate(lists)
