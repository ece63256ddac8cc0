"""`describe` and `inspect` find planted trouble."""

import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from jmmrec.data import Dataset, describe, inspect, load
from jmmrec.errors import DataError

Make = Callable[..., pathlib.Path]


def test_describe_counts(mmrec: Make) -> None:
    found = describe(load(mmrec()))
    assert found.interactions == {"train": 5, "valid": 1, "test": 2}
    assert (found.user_degree, found.item_degree) == ((1, 3, 4), (1, 2, 2))
    assert found.density == pytest.approx(8 / 15)
    # Items 2 and 4 are never in train.
    assert (found.cold_items, found.cold_touched) == (2, {"valid": 1, "test": 1})
    assert found.users_without == {"train": 0, "valid": 2, "test": 1}
    assert (found.duplicates, found.overlap, found.unreachable_users) == (0, 0, 0)
    text = str(found)
    assert text.startswith("toy\n") and "warning: 2 items have no training interaction" in text
    assert dict(found.rows())["cold items (interactions with them)"] == "2 (1 in valid, 1 in test)"


def test_describe_modalities(mmrec: Make, features: np.ndarray) -> None:
    features[1] = features[0]
    features[3] = 0
    near = np.array([[0, 1], [1, 0], [2, 0], [3, 0], [0, 1]])
    folder = mmrec(image_feat=features, image_knn_idx=near, image_missing=np.arange(5) == 4)
    image = describe(load(folder)).modalities[0]
    assert (image.dim, image.missing, image.nan_rows, image.zero_rows, image.repeated_rows) == (3, 1, 0, 1, 2)
    assert (image.neighbours, image.without_self) == (2, 1)
    assert image.norm[0] == 0 and image.norm[2] == pytest.approx(np.linalg.norm(features[:4], axis=1).max())


def test_describe_and_inspect_agree_on_good_data(mmrec: Make) -> None:
    folder = mmrec()
    assert describe(load(folder)) == inspect(folder)


def test_inspect_reports_what_load_refuses(mmrec: Make, features: np.ndarray) -> None:
    features[2, 1] = np.nan
    rows = ["0\t0\t0", "0\t0\t0", "0\t1\t0", "0\t1\t2", "1\t2\t2", "1\t4\t0"]
    folder = mmrec(rows, image_feat=features, text_feat=np.ones((3, 2)))
    (folder / "audio_feat.npy").write_bytes(b"no array")
    with pytest.raises(DataError):
        load(folder)
    found = inspect(folder)
    assert (found.duplicates, found.overlap) == (1, 1)
    assert [(m.name, m.nan_rows) for m in found.modalities] == [("image", 1)]
    text = " ".join(found.warnings)
    for words in ("text_feat.npy has 3 rows", "audio_feat.npy is not a .npy", "1 pairs stand in more", "1 rows repeat",
                  "image: 1 rows hold NaN"):  # fmt: skip
        assert words in text


def test_inspect_without_a_split(mmrec: Make) -> None:
    found = inspect(mmrec(["0\t0", "0\t1"], header="userID\titemID"))
    assert found.interactions == {"unsplit": 2}
    assert "no split column" in found.warnings[0]
    assert "unsplit interactions" in dict(found.rows())


def test_users_that_cannot_be_reached() -> None:
    d = Dataset(3, 3, np.array([[0, 0], [2, 1]]), np.zeros((0, 2), int), np.array([[1, 1]]))
    found = describe(d)
    assert found.unreachable_users == 1 and found.users_without["train"] == 1
    assert any("not evaluated" in sentence for sentence in found.warnings)
