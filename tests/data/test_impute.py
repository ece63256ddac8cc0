"""Every fill against values worked out by hand, and what none of them may look at."""

import dataclasses

import numpy as np
import pytest

from jmmrec.data import Dataset, Modality, impute, with_missing
from jmmrec.data.fills import most_common
from jmmrec.data.impute import FILLS
from jmmrec.errors import ConfigError

# Users in common: items 0 and 1 two, 1 and 2 one, 2 and 3 one; items 4 and 5 nobody.
TRAIN = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 1], [2, 2], [3, 2], [3, 3], [4, 4], [5, 5]])
TEST = np.array([[0, 5], [1, 4]])
PRESENT = np.array([True, False, False, True, True, False])
TEXT = np.array([[1.0, 10.0], [99, 99], [99, 99], [4, 40], [7, 70], [99, 99]])
MEAN = np.array([4.0, 40.0])
HOW = ["mean", "zero", "random", "nn", "neigh_mean:2", "multihop:3,2", "ppr:0.3", "ppr:0.3,1"]
every_fill = pytest.mark.parametrize("how", HOW)


def data(hidden: float = 99.0, test: np.ndarray = TEST, **others: Modality) -> Dataset:
    text = np.where(PRESENT[:, None], TEXT, hidden)
    return Dataset(6, 6, TRAIN, np.zeros((0, 2)), test, {"text": Modality(text, PRESENT), **others})


def filled(how: str, dataset: Dataset | None = None, seed: int = 0) -> np.ndarray:
    modality = impute(dataset or data(), how, seed).modalities["text"]
    np.testing.assert_array_equal(modality.features[PRESENT], TEXT[PRESENT])
    return modality.features[~PRESENT]


def test_every_fill_is_tried() -> None:
    assert {how.partition(":")[0] for how in HOW} == set(FILLS)


def test_mean_and_zero() -> None:
    np.testing.assert_allclose(filled("mean"), [MEAN] * 3)
    assert not filled("zero").any()


def test_random_stays_in_the_range_of_each_column_and_follows_the_seed() -> None:
    found = filled("random")
    assert (found >= [1, 10]).all() and (found <= [7, 70]).all() and len(np.unique(found)) == 6
    np.testing.assert_array_equal(found, filled("random"))
    assert (found != filled("random", seed=1)).all()


def test_nearest_item_by_the_other_modalities() -> None:
    """Item 1 looks like 3 in the image, 2 like 4; 5 has no other modality. In audio only 1 and 0 are alike."""
    image = Modality(np.array([[1.0, 0], [0, 2], [1, 1], [0, 1], [2, 2], [0, 0]]), np.arange(6) < 5)
    np.testing.assert_allclose(filled("nn", data(image=image)), [TEXT[3], TEXT[4], MEAN])
    # The mean over both modalities: 1 and 0 are (0 + 1) / 2 alike, 1 and 3 are 1 where 3 has no audio.
    audio = Modality(np.ones((6, 1)), np.array([True, True, False, False, False, False]))
    np.testing.assert_allclose(filled("nn", data(image=image, audio=audio)), [TEXT[3], TEXT[4], MEAN])
    everywhere = Modality(np.array([[1.0], [1], [1], [-1], [1], [1]]))
    found = filled("nn", data(image=image, audio=everywhere))
    np.testing.assert_allclose(found, [TEXT[4], TEXT[4], TEXT[0]])  # 1 to 0: .5, to 3: 0, to 4: (.71 + 1) / 2
    np.testing.assert_allclose(filled("nn"), [MEAN] * 3)


def test_most_common() -> None:
    everybody = np.arange(6)
    found = most_common(data(), 1, everybody, np.ones(6, bool)).toarray()
    expected = np.zeros((6, 6))
    expected[[0, 1, 2, 3], [1, 0, 1, 2]] = [2, 2, 1, 1]  # of 2's equals 1 and 3 the lower
    np.testing.assert_array_equal(found, expected)
    assert most_common(data(), 9, everybody, PRESENT).toarray()[[1, 2]].tolist() == [
        [2, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
    ]


def test_mean_of_neighbours() -> None:
    """Among observed items 1 shares users with 0 alone, 2 with 3 alone; nobody with 5."""
    np.testing.assert_allclose(filled("neigh_mean:2"), [TEXT[0], TEXT[3], MEAN])
    both = dataclasses.replace(data(), train=np.concatenate([TRAIN, [[4, 1]]]))  # 1 and 4 share user 4
    np.testing.assert_allclose(filled("neigh_mean:2", both)[0], (TEXT[0] + TEXT[4]) / 2)
    np.testing.assert_allclose(filled("neigh_mean:1", both)[0], TEXT[0])


def test_propagation() -> None:
    """Degrees 2, 3, 2, 1: after one step X_1 = 2 X_0 / √6, X_2 = X_3 / √2; after two they see each other."""
    one, two = 2 * TEXT[0] / 6**0.5, TEXT[3] / 2**0.5
    np.testing.assert_allclose(filled("multihop:3,1"), [one, two, MEAN], rtol=1e-6)
    np.testing.assert_allclose(filled("multihop:3,2"), [one + two / 6**0.5, two + one / 6**0.5, MEAN], rtol=1e-6)


def test_random_walk() -> None:
    """The places of the walk from the resolvent of its matrix."""
    graph = np.zeros((6, 6))
    for i, j, n in ((0, 1, 2), (1, 2, 1), (2, 3, 1)):
        graph[i, j] = graph[j, i] = n
    walk = graph / np.maximum(graph.sum(axis=1, keepdims=True), 1)
    places = 0.3 * np.linalg.inv(np.eye(6) - 0.7 * walk)[1:3] * PRESENT
    expected = places @ np.where(PRESENT[:, None], TEXT, 0) / places.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(filled("ppr:0.3"), [*expected, MEAN], rtol=1e-5)
    np.testing.assert_allclose(filled("ppr:1"), [MEAN] * 3)


@every_fill
def test_hidden_features_and_test_rows_are_never_read(how) -> None:
    image = Modality(np.arange(12.0).reshape(6, 2))
    first = impute(data(np.nan, image=image), how)
    assert first.digest == impute(data(1e30, image=image), how).digest
    other = impute(data(7.0, test=np.array([[2, 5], [2, 0]]), image=image), how)
    np.testing.assert_array_equal(first.modalities["text"].features, other.modalities["text"].features)


@every_fill
def test_imputed_rows_are_present_and_known(how) -> None:
    near = np.zeros((6, 1), int)
    text = dataclasses.replace(data().modalities["text"], neighbours=near)
    whole = Modality(np.eye(6), neighbours=near)
    before = dataclasses.replace(data(), modalities={"text": text, "image": whole})
    after = impute(before, how)
    found = after.modalities["text"]
    assert found.present.all() and (found.observed == PRESENT).all() and found.neighbours is None
    assert after.modalities["image"] is whole
    assert after.steps == ({"do": "impute", "how": how, "seed": 0},)
    again = impute(after, how)
    assert again.digest == after.digest


@every_fill
def test_a_modality_without_observed_rows_becomes_zeros(how) -> None:
    empty = impute(with_missing(data(), 1.0, "same_items"), how).modalities["text"]
    assert not empty.features.any() and empty.present.all() and not empty.observed.any()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("median", "impute is 'median'; choose one of 'mean'"),
        ("mean:3", "impute is 'mean:3'; write mean"),
        ("neigh_mean", "write neigh_mean:K"),
        ("multihop:3", "write multihop:K,L"),
        ("multihop:3,x", "write multihop:K,L"),
        ("ppr:0.5,2,3", "write ppr:ALPHA"),
        ("neigh_mean:0", "K of impute neigh_mean is 0"),
        ("ppr:2", "ALPHA of impute ppr is 2"),
    ],
)
def test_errors(how, message) -> None:
    with pytest.raises(ConfigError, match=message):
        impute(data(), how)
