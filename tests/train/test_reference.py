"""Popularity and item-kNN against dense sums, and their evaluation against that of a trained model's scores."""

import jax
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.models import BprMf
from jmmrec.train import evaluate_scores, evaluate_split, item_knn, popularity
from jmmrec.train import reference as module


def dense(data) -> np.ndarray:
    rows = np.zeros((data.n_users, data.n_items))
    rows[tuple(data.train.T)] = 1.0
    return rows


@pytest.mark.parametrize(("k", "shrink", "block"), [(3, 0.0, 512), (5, 2.0, 7), (1000, 0.5, 4)])
def test_item_knn_is_the_dense_sum(dataset, monkeypatch, k, shrink, block) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    rows = dense(dataset)
    common = rows.T @ rows
    norm = np.sqrt(np.diag(common))
    similarity = common / np.maximum(np.outer(norm, norm) + shrink, 1e-12)
    np.fill_diagonal(similarity, 0.0)
    cut = np.sort(similarity, axis=1)[:, ::-1][:, min(k, dataset.n_items) - 1]
    ours = item_knn(dataset.for_training(), k, shrink)(np.arange(dataset.n_users))
    # Ties at the cut may fall either way: what is surely kept, and what may be.
    low = rows @ np.where(similarity > cut[:, None], similarity, 0.0).T
    high = rows @ np.where(similarity >= cut[:, None], similarity, 0.0).T
    assert (ours >= low - 1e-5).all() and (ours <= high + 1e-5).all() and ours.max() > 0


def test_popularity_counts_training_rows_only(dataset) -> None:
    scores = popularity(dataset)(np.arange(3))
    np.testing.assert_array_equal(scores, np.tile(dense(dataset).sum(axis=0), (3, 1)))


@pytest.mark.parametrize("mask", ["train", "train+valid"])
def test_scores_are_evaluated_as_models_are(dataset, monkeypatch, mask) -> None:
    monkeypatch.setattr(module, "BLOCK", 5)
    model = BprMf(embed_dim=4)
    static = model.prepare(dataset.for_training())
    params, state = model.init(jax.random.key(0), static)
    theirs = evaluate_split(model, {0: (params, state)}, static, dataset, mask=mask, ks=(5, 10), memory=1 << 20)
    scores = np.asarray(params["user"] @ params["item"].T)
    ours = evaluate_scores(lambda users: scores[users], dataset, mask=mask, ks=(5, 10))
    for metric, values in theirs.per_user.items():
        np.testing.assert_allclose(ours.per_user[metric], values, err_msg=metric)
    assert ours.mean == pytest.approx(theirs.mean)


def test_item_knn_refuses_no_neighbours(dataset) -> None:
    with pytest.raises(ConfigError, match="k is 0"):
        item_knn(dataset, k=0)
