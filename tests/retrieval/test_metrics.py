"""Metrics against a plain oracle written item by item."""

import math
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmmrec.errors import ConfigError
from jmmrec.retrieval import METRICS, parse_metric, per_user, questions


def oracle(ranked: list[int], relevant: set[int], k: int) -> dict[str, float]:
    """All metrics of one user from their definitions."""
    gains = [(rank, 1.0 / math.log2(rank + 1)) for rank, item in enumerate(ranked[:k], 1) if item in relevant]
    ideal = sum(1.0 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    own = sum(1.0 / math.log2(rank + 1) for rank in range(1, min(k, max(1, len(relevant & set(ranked)))) + 1))
    precisions = [(place + 1) / rank for place, (rank, _) in enumerate(gains)]
    return {
        "recall": len(gains) / len(relevant),
        "precision": len(gains) / k,
        "ndcg": sum(gain for _, gain in gains) / ideal,
        "ndcg_own": sum(gain for _, gain in gains) / own,
        "map": sum(precisions) / min(k, len(relevant)),
        "hitrate": float(bool(gains)),
        "mrr": 1.0 / gains[0][0] if gains else 0.0,
    }


def random_cases(seed: int, users: int, depth: int):
    """Lists and relevant sets; small catalogues give many hits, large ones few."""
    draw = random.Random(seed)
    for _ in range(users):
        catalogue = draw.choice([depth, depth + 3, 10 * depth])
        yield draw.sample(range(catalogue), depth), set(draw.sample(range(catalogue), draw.randint(1, depth)))


def assert_as_oracle(cases, depth: int, ks) -> None:
    hits = np.array([[item in relevant for item in ranked] for ranked, relevant in cases])
    found = per_user(hits, np.array([len(relevant) for _, relevant in cases]), ks)
    for k in ks:
        expected = [oracle(ranked, relevant, k) for ranked, relevant in cases]
        for name in METRICS:
            np.testing.assert_allclose(found[f"{name}@{k}"], [e[name] for e in expected], rtol=1e-12, atol=1e-15)


def test_thousands_of_random_users() -> None:
    for depth in (1, 2, 7, 50):
        assert_as_oracle(list(random_cases(depth, 1000, depth)), depth, (1, 2, 5, 20, 60))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 12), st.integers(1, 15))
def test_any_pattern_of_hits(pattern, missed, k) -> None:
    n = max(1, sum(pattern) + missed)
    ranked = list(range(len(pattern)))
    relevant = {i for i, hit in enumerate(pattern) if hit} | {100 + i for i in range(n - sum(pattern))}
    assert_as_oracle([(ranked, relevant)], len(pattern), [k])


def test_bounds_and_no_nan() -> None:
    hits = np.random.default_rng(0).random((200, 20)) < 0.3
    hits[:5] = False
    hits[5:10] = True
    n = np.maximum(hits.sum(axis=1), 1)
    for name, values in per_user(hits, n, (1, 5, 20, 50)).items():
        assert np.isfinite(values).all() and (values >= 0).all() and (values <= 1 + 1e-12).all(), name
        assert (values[:5] == 0).all()


def test_jax_arrays_give_the_same() -> None:
    hits = np.random.default_rng(1).random((40, 10)) < 0.4
    n = np.maximum(hits.sum(axis=1), 1)
    for name, function in METRICS.items():
        ours = jax.jit(function, static_argnums=2)(jnp.asarray(hits), jnp.asarray(n), 7)
        np.testing.assert_allclose(ours, function(hits, n, 7), rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recal@20", "metric is 'recal'; choose one of"),
        ("recall", "no rank to cut at"),
        ("ndcg@0", "write it as ndcg@20"),
    ],
)
def test_metrics_that_do_not_exist(text, message) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_metric(text)
    assert parse_metric("NDCG@10") == ("ndcg", 10)


def test_questions_by_hand() -> None:
    """User 2 has no training row, user 3 is not in the split."""
    train = np.array([[0, 0], [1, 1], [1, 2], [3, 0]])
    asked = np.array([[0, 2], [0, 3], [1, 0], [2, 1]])
    found = questions(asked, train, train, 4, 5)
    assert found.users.tolist() == [0, 1] and found.n_relevant.tolist() == [2, 1] and found.left_out == 1
    assert found.hits(np.array([[3, 0, 2], [1, 4, 0]])).tolist() == [[True, False, True], [False, False, True]]
    with_cold = questions(asked, train, train, 4, 5, cold_users=True)
    assert with_cold.users.tolist() == [0, 1, 2] and with_cold.left_out == 0
    pairs = np.stack([with_cold.exclude.query, with_cold.exclude.item], axis=1)
    assert pairs[pairs[:, 0] < 3].tolist() == [[0, 0], [1, 1], [1, 2]]
