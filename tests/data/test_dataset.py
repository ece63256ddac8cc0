"""The digest of a data set: whatever a model can learn from is in it."""

import dataclasses

import numpy as np
import pytest

from jmmrec.data import Dataset, Modality

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
