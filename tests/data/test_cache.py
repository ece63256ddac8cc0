"""The cache gives back what was computed, notices every change of the inputs, and never stands in the way."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from jmmrec.data import cache
from jmmrec.data.cache import cached, digest, folder


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "new"))
    return tmp_path / "new"


class Counted:
    """A computation that counts how often it was asked for."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, np.ndarray]:
        self.times += 1
        return {"a": np.arange(3), "b": np.full((2, 2), 0.5, np.float32)}


def test_a_result_is_computed_once(place) -> None:
    work = Counted()
    first, second = (cached("thing", 1, [np.ones(3), "x", 2], work) for _ in range(2))
    assert work.times == 1
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array)
        assert second[name].dtype == array.dtype
    assert [p.suffix for p in place.iterdir()] == [".npz"]


def test_every_input_counts() -> None:
    base = ("thing", 1, [np.ones(4), "x", 2])
    others = [
        ("other", 1, [np.ones(4), "x", 2]),
        ("thing", 2, [np.ones(4), "x", 2]),
        ("thing", 1, [np.ones((2, 2)), "x", 2]),
        ("thing", 1, [np.ones(4, np.float32), "x", 2]),
        ("thing", 1, [np.array([1, 1, 1, 2.0]), "x", 2]),
        ("thing", 1, [np.ones(4), "y", 2]),
        ("thing", 1, [np.ones(4), "x", 2.0]),
        ("thing", 1, [np.ones(4), "x"]),
        ("thing", 1, ["x", np.ones(4), 2]),
    ]
    assert len({digest(*key) for key in [base, *others]}) == 1 + len(others)
    assert digest(*base) == digest("thing", 1, [np.ones(8)[::2], "x", 2])  # how it lies in memory does not matter


@pytest.mark.parametrize("damage", [b"", b"not an archive", "half", "flipped"])
def test_a_damaged_file_is_computed_anew(place, capsys, damage) -> None:
    work = Counted()
    cached("thing", 1, [], work)
    (path,) = place.iterdir()
    whole = path.read_bytes()
    if damage == "flipped":
        middle = whole.index(np.full((2, 2), 0.5, np.float32).tobytes())
        damage = whole[:middle] + b"\xff" + whole[middle + 1 :]
    path.write_bytes(whole[: len(whole) // 2] if damage == "half" else damage)
    found = cached("thing", 1, [], work)
    assert work.times == 2 and found["a"].tolist() == [0, 1, 2]
    assert capsys.readouterr().err == f"jmmrec: {path} is damaged or may not be read; it was computed anew.\n"
    cached("thing", 1, [], work)
    assert work.times == 2 and capsys.readouterr().err == ""


def test_a_folder_that_cannot_be_made_costs_one_sentence(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    work = Counted()
    assert cached("thing", 1, [], work)["a"].tolist() == [0, 1, 2]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "set JMMREC_CACHE to another folder" in said


def test_a_full_disk_leaves_nothing_behind(place, monkeypatch, capsys) -> None:
    def full(file, **arrays):
        file.write(b"a little")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert cached("thing", 1, [], Counted())["a"].tolist() == [0, 1, 2]
    assert list(place.iterdir()) == []
    assert "no space left on device" in capsys.readouterr().err


def test_off_writes_nothing(place, monkeypatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, "OFF")
    work = Counted()
    for _ in range(2):
        cached("thing", 1, [], work)
    assert work.times == 2 and folder() is None and not place.exists()


def test_where_it_lies(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME", str(tmp_path))
    assert folder() == tmp_path / "jmmrec"
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert folder() == tmp_path / ".cache" / "jmmrec"

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    assert folder() is None
