"""Top-50 lists and metrics at every rank, from stored scores and from the blocked ranking of stored embeddings."""

import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.retrieval import extremes, per_user, questions, top_n

METRICS = ("recall", "ndcg", "precision", "map")
CASES = [f"{n}/{s}" for n in ("LightGCN", "FREEDOM", "MGCN", "LightGCN_trained") for s in ("valid", "test")]


@pytest.fixture(params=CASES, ids=str.lower)
def case(request, fixtures):
    """What is asked, the score matrix, the embeddings where there are some, and what the toolbox answered."""
    numbers, dataset = fixtures.read("metrics"), fixtures.dataset
    name, split = request.param.split("/")
    if f"{request.param}/users" not in numbers:
        pytest.skip(f"{request.param} is not in metrics.npz")
    model = {} if f"{name}/scores" in numbers else fixtures.read(f"models/{name}")
    scores = numbers[f"{name}/scores"] if f"{name}/scores" in numbers else model["eval/scores"]
    asked = questions(getattr(dataset, split), dataset.train, dataset.train, dataset.n_users, dataset.n_items)
    return asked, dataset, scores, model, numbers.part(f"{request.param}/")


def assert_same_lists(ours, theirs, scores, tolerance) -> None:
    """Equal but where the two items' scores are too close to tell."""
    rows, places = np.nonzero(np.asarray(ours) != theirs)
    first, second = scores[rows, np.asarray(ours)[rows, places]], scores[rows, theirs[rows, places]]
    assert (np.abs(first - second) <= tolerance).all()


def test_metrics_from_scores(case) -> None:
    asked, dataset, scores, _, theirs = case
    np.testing.assert_array_equal(asked.users, np.sort(theirs["users"]))
    order = np.argsort(theirs["users"])
    np.testing.assert_array_equal(asked.n_relevant, theirs["n_relevant"][order])
    masked = scores.copy()
    masked[tuple(dataset.train.T)] = -1e10
    k = theirs["top50"].shape[1]
    ranked = np.asarray(top_n(jnp.asarray(masked[asked.users]), k)[1])
    assert_same_lists(ranked, theirs["top50"][order], masked[asked.users], 0.0)
    for name in METRICS:
        values = per_user(asked.hits(ranked), asked.n_relevant, range(1, k + 1), [name])
        np.testing.assert_allclose([v.mean() for v in values.values()], theirs[f"metrics/{name}"], rtol=0, atol=1e-7)


def test_metrics_from_blocked_ranking(case) -> None:
    asked, _, scores, model, theirs = case
    if "eval/user_emb" not in model:
        pytest.skip("only the scores of this model are stored")
    user, item = (jnp.asarray(model[f"eval/{side}_emb"]) for side in ("user", "item"))
    k = theirs["top50"].shape[1]
    memory = 12 * len(item) * 40  # several blocks
    small = questions_again(asked, memory)
    ranked = extremes(user[asked.users], item, k, exclude=small, memory=memory).top
    order = np.argsort(theirs["users"])
    assert_same_lists(ranked, theirs["top50"][order], scores[asked.users], 1e-6 * np.abs(scores).max())


def questions_again(asked, memory):
    """The same excluded pairs in smaller blocks."""
    from jmmrec.retrieval import exclusion

    real = np.asarray(asked.exclude.query) < len(asked.users)
    pairs = np.asarray(asked.exclude.query)[real], np.asarray(asked.exclude.item)[real]
    return exclusion(*pairs, len(asked.users), asked.n_items, memory)
