"""Saving: round trips, and nothing half-written."""

import dataclasses
import errno
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmmrec.data import Dataset, Modality, SyntheticConfig, load, save, synthesize
from jmmrec.errors import DataError

TOKEN = st.text(st.characters(blacklist_characters="\t\n\r", blacklist_categories=["Cs"]), min_size=1, max_size=6)


def toy(**changes: object) -> Dataset:
    rows = np.array([[0, 0], [0, 1], [1, 2]]), np.array([[0, 2]]), np.array([[1, 3]])
    # User 2 and item 4 have no interactions: only the id lists tell that they exist.
    return dataclasses.replace(Dataset(3, 5, *rows, name="toy"), **changes)


def test_everything_comes_back(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    near = np.stack([np.arange(5), np.arange(5)[::-1]], axis=1)
    image = Modality(rng.standard_normal((5, 4)), np.array([True, False, True, True, False]), near, rng.random((5, 2)))
    d = toy(modalities={"image": image, "my.text": Modality(np.eye(5))}, item_ids=np.array(list("vwxyz")))
    back = load(save(d, tmp_path / "toy"))
    assert back.digest == d.digest and back.name == "toy"
    assert back.item_ids.tolist() == list("vwxyz") and back.user_ids.tolist() == [0, 1, 2]
    similarities = back.modalities["image"].similarities
    assert similarities is not None and np.array_equal(similarities, image.similarities)


@settings(max_examples=25, deadline=None)
@given(ids=st.lists(TOKEN, min_size=5, max_size=5, unique=True))
def test_any_text_as_id_comes_back(ids: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    # numpy strings drop trailing NUL characters, so such ids cannot even be put into an array.
    array = np.array(ids)
    if len(np.unique(array)) < 5 or (array == "").any():
        return
    back = load(save(toy(item_ids=array), tmp_path_factory.mktemp("ids") / "toy"))
    assert back.item_ids.tolist() == array.tolist()


@pytest.mark.parametrize("ids", [["1", "2", "3"], [7, 1, 9], ["01", "1", "a b"]])
def test_ids_keep_their_kind(tmp_path: pathlib.Path, ids: list) -> None:
    assert load(save(toy(user_ids=np.array(ids)), tmp_path / "toy")).user_ids.tolist() == ids


def test_synthetic_data_with_missing_rows_come_back(tmp_path: pathlib.Path) -> None:
    d = synthesize(SyntheticConfig(n_users=40, n_items=30, interactions_per_user=6, missing_rate=0.4)).dataset
    assert load(save(d, tmp_path / "new" / "folder")).digest == d.digest


def test_existing_folders_are_safe(tmp_path: pathlib.Path) -> None:
    path = save(toy(), tmp_path / "toy")
    other = toy(test=np.array([[1, 1]]))
    with pytest.raises(DataError, match="already exists; choose another folder or pass overwrite"):
        save(other, path)
    assert load(save(other, path, overwrite=True)).digest == other.digest
    (path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"thesis\.tex"):
        save(other, path, overwrite=True)
    with pytest.raises(DataError, match="is a file"):
        save(other, path / "thesis.tex")
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "no space left on device"), (errno.EACCES, "permission denied")]
)
def test_failures_leave_the_old_folder(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    d = toy(modalities={"image": Modality(np.eye(5))})
    path = save(d, tmp_path / "toy")

    def fail(*_: object) -> None:
        raise OSError(code, "No space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(DataError, match=f"cannot write .*toy: {words}"):
        save(dataclasses.replace(d, n_items=5, test=np.array([[1, 1]])), path, overwrite=True)
    monkeypatch.undo()
    assert load(path).digest == d.digest
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"user_ids": np.array(["a", "b\tc", "d"])}, r"user 1 has id 'b\\tc' with a tab"),
        ({"item_ids": np.array(["a", "b", "c", "d", "\ud800"])}, "UTF-8 cannot write"),
        ({"modalities": {"a/b": Modality(np.eye(5))}}, "modality 'a/b' cannot be part of a file name"),
    ],
)
def test_what_no_file_can_hold(tmp_path: pathlib.Path, changes: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        save(toy(**changes), tmp_path / "toy")
    assert not list(tmp_path.iterdir())
