"""The digest of a data set: whatever a model can learn from is in it."""

import dataclasses

import numpy as np
import pytest

from jmmrec.data import Dataset, Modality
from jmmrec.errors import DataError

RNG = np.random.default_rng(0)
TEXT = Modality(RNG.normal(size=(4, 3)), neighbours=RNG.integers(4, size=(4, 2)), similarities=RNG.random((4, 2)))
DATA = Dataset(2, 4, [[0, 0], [1, 1]], [[0, 2]], [[1, 3]], {"text": TEXT})
SOME = np.array([True, False, True, True])


@pytest.mark.parametrize(
    "change",
    [
        {"features": 2 * TEXT.features},
        {"present": SOME},
        {"neighbours": TEXT.neighbours[:, ::-1]},
        {"similarities": TEXT.similarities / 2},
        {"similarities": None},
        {"imputed": SOME},
    ],
    ids=lambda change: "-".join(map(str, change)),
)
def test_a_changed_modality_changes_the_digest(change) -> None:
    other = dataclasses.replace(DATA, modalities={"text": dataclasses.replace(TEXT, **change)})
    assert other.digest != DATA.digest and other.split_digest == DATA.split_digest


@pytest.mark.parametrize(("split", "rows"), [("train", [[0, 0], [1, 2]]), ("valid", [[1, 0]]), ("test", [[1, 0]])])
def test_a_changed_split_changes_both_digests(split, rows) -> None:
    other = dataclasses.replace(DATA, **{split: rows})
    assert other.digest != DATA.digest and other.split_digest != DATA.split_digest


def test_equal_data_have_equal_digests() -> None:
    again = dataclasses.replace(DATA, modalities={"text": dataclasses.replace(TEXT)}, name="other")
    assert again.digest == DATA.digest


def test_messages_name_original_ids() -> None:
    ids = {"user_ids": np.array(["ann", "bob"]), "item_ids": np.array([70, 80, 90])}
    none = np.zeros((0, 2), int)
    for train, valid, words in (
        ([[0, 0], [1, 0], [1, 1], [1, 2]], none, "user bob interacted with all 3 training items"),
        ([[0, 0], [1, 1], [0, 0]], none, r"train holds 1 duplicate rows \(first: user ann, item 70\)"),
        ([[0, 0], [1, 1]], [[1, 1]], r"both train and valid \(first: user bob, item 80\)"),
    ):
        with pytest.raises(DataError, match=words):
            Dataset(2, 3, train=np.array(train), valid=np.array(valid), test=none, **ids)


def test_features_that_float32_cannot_hold() -> None:
    with pytest.raises(DataError, match="features of 1 present items hold NaN or infinity"):
        Modality(np.array([[1e300], [0.0]]))
