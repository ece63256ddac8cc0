"""Evaluation of a hand-made model whose ranking is known: item 5 first, then 4, 3, 2, 1, 0, for everybody."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Dataset, Modality
from jmmrec.errors import ConfigError, DataError
from jmmrec.models import BprMf
from jmmrec.train import evaluate_split
from jmmrec.train.evaluate import catalogue, merge_seeds

MODEL, MEMORY = BprMf(embed_dim=1), 1 << 16
# User 3 has no training row; item 0 is known to nobody but user 2.
DATA = Dataset(
    4, 6,
    train=np.array([[0, 5], [0, 4], [1, 5], [2, 0]]),
    valid=np.array([[0, 3], [1, 4], [2, 5]]),
    test=np.array([[0, 2], [1, 3], [1, 0], [3, 5]]),
)  # fmt: skip
RUN = ({"user": jnp.ones((4, 1)), "item": jnp.arange(6.0)[:, None]}, ())
TURNED = ({"user": jnp.ones((4, 1)), "item": -jnp.arange(6.0)[:, None]}, ())


def evaluated(**options):
    static = MODEL.prepare(DATA.for_training())
    runs = options.pop("runs", {0: RUN})
    return evaluate_split(MODEL, runs, static, DATA, memory=MEMORY, **({"ks": (1, 2)} | options))


def test_training_items_are_masked_and_valid_items_compete() -> None:
    """User 0 sees 3, 2 (3 is valid); user 1 sees 4, 3 (4 is valid)."""
    found = evaluated()
    assert found.users.tolist() == [0, 1] and found.left_out == 1
    assert found.per_user["recall@1"].tolist() == [[0.0, 0.0]]
    assert found.per_user["recall@2"].tolist() == [[1.0, 0.5]]
    assert found.per_user["mrr@2"].tolist() == [[0.5, 0.5]]
    assert found.mean["precision@2"] == 0.5
    assert (found.split, found.mask, found.seeds) == ("test", "train", (0,))


def test_masking_valid_items_too() -> None:
    found = evaluated(mask="train+valid")
    assert found.per_user["recall@1"].tolist() == [[1.0, 0.5]]
    assert found.mask == "train+valid"


def test_valid_split() -> None:
    found = evaluated(split="valid")
    assert found.users.tolist() == [0, 1, 2]
    assert found.per_user["hitrate@1"].tolist() == [[1.0, 1.0, 1.0]]
    with pytest.raises(ConfigError, match="would hide the very items"):
        evaluated(split="valid", mask="train+valid")


def test_cold_users_on_request() -> None:
    found = evaluated(cold_users=True)
    assert found.users.tolist() == [0, 1, 3] and found.left_out == 0
    assert found.per_user["recall@1"].tolist() == [[0.0, 0.0, 1.0]]


def test_several_seeds() -> None:
    found = evaluated(runs={3: RUN, 7: TURNED})
    assert found.seeds == (3, 7)
    np.testing.assert_allclose(found.per_seed["recall@2"], [0.75, 0.25])
    assert found.mean["recall@2"] == 0.5


def test_more_ranks_than_items() -> None:
    found = evaluated(ks=(50,))
    assert found.per_user["recall@50"].tolist() == [[1.0, 1.0]]
    np.testing.assert_allclose(found.per_user["precision@50"], [[1 / 50, 2 / 50]])


def test_catalogue_by_hand() -> None:
    """Lists [3] and [4]; popularity of items 0 and 4 is 1, of 5 it is 2; 3 users train; own means 1.5 and 2."""
    shown = evaluated().catalogue
    assert shown["coverage@1"].tolist() == [2 / 6] and shown["coverage@2"].tolist() == [3 / 6]
    np.testing.assert_allclose(shown["novelty@1"], np.log2(3))
    np.testing.assert_allclose(shown["popularity_lift@1"], np.mean([0 / 1.5 - 1, 1 / 2 - 1]))


def test_catalogue_of_a_user_without_history() -> None:
    shown = catalogue(np.array([[0]]), np.array([1]), np.array([[0, 0]]), np.array([1, 0]), np.array([1, 0]), [1])
    assert shown == {"coverage@1": 0.5, "novelty@1": 0.0, "popularity_lift@1": 0.0}


def test_catalogue_counts_no_hidden_items() -> None:
    """Who has all items but one can be shown one: what fills the list up is hidden."""
    rows = np.array([[0, item] for item in range(5)] + [[1, 0], [2, 5]])
    full = Dataset(3, 6, train=rows, valid=rows[:0], test=np.array([[0, 5], [1, 1]]))
    train, user = full.train, np.array([0])
    popularity, degree = np.bincount(train[:, 1], minlength=6), np.array([5, 1, 1])
    shown = catalogue(np.array([[5, 0, 1]]), user, train, popularity, degree, [1, 3], room=np.array([1]))
    assert shown["coverage@3"] == shown["coverage@1"] == 1 / 6 and shown["novelty@3"] == shown["novelty@1"]
    assert shown["popularity_lift@3"] == shown["popularity_lift@1"] == 1 / 1.2 - 1
    static, run = MODEL.prepare(full.for_training()), ({"user": jnp.ones((3, 1)), "item": RUN[0]["item"]}, ())
    found = evaluate_split(MODEL, {0: run}, static, full, memory=MEMORY, ks=(6,))
    assert found.mean["coverage@6"] == 5 / 6  # 1 to 5; that both have item 0 leaves it to nobody


def test_sparsity_groups() -> None:
    found = evaluated()
    assert found.degree.tolist() == [2, 1]
    groups = found.by_sparsity("recall@2", edges=(1, 2, 4))
    assert list(groups) == ["1", "2", "3-4", ">4"]
    assert groups["1"] == (1, 0.5) and groups["2"] == (1, 1.0)
    assert groups["3-4"][0] == 0 and np.isnan(groups["3-4"][1])
    assert list(found.by_sparsity("recall@2")) == ["1-5", "6-10", "11-15", "16-20", ">20"]
    with pytest.raises(ConfigError, match=r"recall@20 was not computed; there are recall@1"):
        found.by_sparsity("recall@20")
    cold = evaluated(cold_users=True).by_sparsity("recall@1", edges=(1, 2))
    assert list(cold) == ["0", "1", "2", ">2"] and cold["0"] == (1, 1.0) and cold["1"] == (1, 0.0)


def test_item_groups() -> None:
    """User 0 looks for 2, user 1 for 3 and 0. Items 2 and 3 lack one modality, 0 lacks both."""
    here = np.array([[0, 0], [1, 1], [0, 1], [1, 0], [1, 1], [1, 1]], bool)
    modalities = {name: Modality(np.eye(6), column) for name, column in zip("ab", here.T, strict=True)}
    masked = dataclasses.replace(DATA, modalities=modalities)
    found = evaluate_split(MODEL, {0: RUN, 1: TURNED}, {}, masked, memory=MEMORY, ks=(1, 2))
    assert found.per_user["recall@2"].tolist() == [[1.0, 0.5], [0.0, 0.5]]
    groups = found.by_missing("recall@2")
    assert list(groups) == ["complete", "partly missing", "all missing"]
    assert groups["complete"][0] == 0 and np.isnan(groups["complete"][1])
    assert groups["partly missing"] == (2, 0.5) and groups["all missing"] == (1, 0.5)
    np.testing.assert_array_equal(found.per_group["all missing"]["mrr@1"], [[np.nan, 0], [np.nan, 1]])
    merged = merge_seeds([found, dataclasses.replace(found, seeds=(2, 3))])
    assert merged.by_missing("recall@2")["partly missing"] == groups["partly missing"]
    with pytest.raises(ConfigError, match="recall@20 was not computed"):
        found.by_missing("recall@20")
    with pytest.raises(ConfigError, match="no item lacks a modality"):
        evaluated().by_missing("recall@2")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"split": "train"}, "split is 'train'"), ({"mask": "all"}, "mask is 'all'"), ({"metrics": ("auc",)}, "'auc'")],
)
def test_wrong_options(options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluated(**options)


def test_nobody_to_ask() -> None:
    only_cold = Dataset(4, 6, DATA.train, DATA.valid, np.array([[3, 5]]))
    with pytest.raises(DataError, match="no user with training interactions has an item in the evaluated split"):
        evaluate_split(MODEL, {0: RUN}, MODEL.prepare(only_cold.for_training()), only_cold, memory=MEMORY)


def test_what_cannot_be_merged() -> None:
    one = evaluated()
    for parts, word in (
        ([], "there is no evaluation to merge"),
        ([one, evaluated(ks=(1,), runs={1: RUN})], "other metrics, Ks or groups"),
        ([one, evaluated(split="valid", runs={1: RUN})], "different splits"),
        ([one, one], "share seeds"),
    ):
        with pytest.raises(ConfigError, match=word):
            merge_seeds(parts)
