"""Lists for a shop: who asks, what is in stock, what nobody has trained."""

import csv
import dataclasses
import json
import pathlib

import jax
import numpy as np
import pyarrow.parquet
import pytest

import jmmrec
from jmmrec.data import Dataset, SyntheticConfig, synthesize
from jmmrec.errors import ConfigError, DataError
from jmmrec.result import Result
from jmmrec.train.evaluate import best_items

SMALL = SyntheticConfig(n_users=30, n_items=24, interactions_per_user=8, modalities=(("image", 6, 0.9),))
UNSOLD = (4, 9)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """User 3 has nothing to train on, 7 all but four items; items 4 and 9 are in no interaction."""
    made = synthesize(SMALL).dataset
    seven = np.array([[7, item] for item in range(24) if item not in (*UNSOLD, 0, 1)])
    parts = {split: getattr(made, split) for split in ("train", "valid", "test")}
    parts = {name: rows[~np.isin(rows[:, 1], UNSOLD) & (rows[:, 0] != 7)] for name, rows in parts.items()}
    parts["train"] = np.concatenate([parts["train"][parts["train"][:, 0] != 3], seven])
    names = {"user_ids": np.array([f"u{n}" for n in range(30)]), "item_ids": np.array([f"i{n}" for n in range(24)])}
    return dataclasses.replace(made, **parts, **names)


@pytest.fixture(scope="module")
def result(data: Dataset) -> Result:
    """One epoch."""
    return jmmrec.fit("bpr", data, epochs=1, quiet=True)


def test_lists_of_few_users_share_a_program_and_tell_who_is_cold(result: Result) -> None:
    whole, programs = result.recommend(k=4), best_items._cache_size()
    for first in range(10, 28, 4):
        users = list(range(first, first + 3))
        some = result.recommend([f"u{n}" for n in users], k=4)
        np.testing.assert_array_equal(some.items, whole.items[users])
    assert best_items._cache_size() <= programs + 3  # for up to 8, 16 and 32 pairs that are left out
    assert np.flatnonzero(whole.cold).tolist() == [3]
    assert "User u3 is without an interaction" in result.recommend(["u3", "u5"], k=4).table().markdown()


def test_only_items_in_stock_are_listed(result: Result) -> None:
    stock = [f"i{n}" for n in (20, 2, 5, 11, 0, 17)]
    whole, some = result.recommend(k=24).lists, result.recommend(k=6, items=stock)
    assert {user: [item for item in items if item in stock] for user, items in whole.items()} == some.lists
    assert any("with fewer than 6 items left" in said for said in some.remarks)
    one = result.recommend("u5", k=1, items="i9")
    assert one.lists == {"u5": ["i9"]} and one.untrained.tolist() == [[True]]
    for wrong, said in (
        (["i1", "x"], "no item 'x'"),
        ([], "no items were given"),
        (["i1", "i1"], "item was given twice"),
    ):
        with pytest.raises(DataError, match=said):
            result.recommend(k=1, items=wrong)
    few = result.recommend(["u5", "u7"], k=3, items=["i20", "i4"], again=True)  # fewer in stock than asked for
    assert few.items.shape == few.scores.shape == (2, 3) and few.lengths.tolist() == [2, 2]
    assert set(few.lists["u5"]) == {"i20", "i4"} and "fewer than 3" in few.remarks[0]
    with pytest.raises(ConfigError, match="k is 25"):
        result.recommend(k=25, items=["i1", "i2"])


def test_stock_of_any_size_shares_few_programs(result: Result) -> None:
    programs = best_items._cache_size()
    for size in range(5, 20):
        stock = [f"i{n}" for n in range(size)]
        assert result.recommend(["u5"], k=3, items=stock, again=True).lengths.tolist() == [3]
    assert best_items._cache_size() <= programs + 3  # 8, 16, and all 24


def test_untrained_items_are_told_and_can_be_left_out(result: Result) -> None:
    whole = result.recommend(k=24, again=True)
    assert set(whole.items[whole.untrained]) == {"i4", "i9"} and whole.untrained.sum() == 60
    assert any("Item i4 and 1 more are recommended (60 of 720 places)" in said for said in whole.remarks)
    sold = result.recommend(k=22, again=True, items="trained")
    assert not sold.untrained.any() and not set(sold.items.ravel()) & {"i4", "i9"}
    kept = [[item for item in items if item not in ("i4", "i9")] for items in whole.lists.values()]
    assert kept == list(sold.lists.values())


def test_a_user_with_few_items_left_gets_a_shorter_list(result: Result, tmp_path: pathlib.Path) -> None:
    found = result.recommend(["u7", "u20"], k=10)
    assert found.lengths.tolist() == [4, 10] and set(found.lists["u7"]) == {"i0", "i1", "i4", "i9"}
    assert (found.items[0, 4:] == "").all() and np.isneginf(found.scores[0, 4:]).all()
    assert any("User u7 is with fewer than 10 items left" in said for said in found.remarks)
    with open(found.save(tmp_path / "top.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 14 and [row["item"] for row in rows[:4]] == found.lists["u7"]
    assert {row["item"] for row in rows if row["untrained_item"] == "1"} >= {"i4", "i9"}
    lines = [json.loads(line) for line in found.save(tmp_path / "top.jsonl").read_text().splitlines()]
    assert [len(line["items"]) for line in lines] == [4, 10] and not lines[0]["cold_user"]
    table = pyarrow.parquet.read_table(found.save(tmp_path / "top.parquet"))
    assert table.num_rows == 14 and table.column_names[-2:] == ["cold_user", "untrained_item"]


def test_unknown_users_are_refused_or_left_out(result: Result) -> None:
    with pytest.raises(DataError, match=r"no user 'zoe' \(2 unknown in all\).*skip_unknown=True leaves them out"):
        result.recommend(["u1", "zoe", "max"], k=2)
    found = result.recommend(["u1", "zoe", "max"], k=2, skip_unknown=True)
    assert list(found.lists) == ["u1"] and found.unknown == ("zoe", "max")
    assert "User zoe and 1 more are not in the data" in found.remarks[0]


def test_numbers_as_ids() -> None:
    result = jmmrec.fit("bpr", synthesize(SMALL).dataset, epochs=1, quiet=True)
    found = result.recommend([3], k=24, items=range(24))
    assert found.items.dtype.kind == "i" and (found.items[0, found.lengths[0] :] == -1).all()


def test_the_best_of_a_search_on_valid(result: Result, tmp_path: pathlib.Path) -> None:
    """The strategy asked for may be worse than the backbone: `best` is whichever is ahead on valid."""
    assert result.best_strategy is None
    assert (result.recommend(["u0"], strategy="best").items == result.recommend(["u0"]).items).all()
    (lane,) = result.lanes.values()
    worse = dataclasses.replace(lane, best=jax.tree.map(lambda leaf: -leaf[::-1], lane.best), best_score=0.0)
    searched = dataclasses.replace(result, outcomes={"none": {0: lane}, "hybrid": {0: worse}}, lanes={0: worse})
    assert searched.best_strategy == "none"
    one, other = searched.recommend(["u0"], strategy="best"), searched.recommend(["u0"])
    assert (one.items == result.recommend(["u0"]).items).all() and (one.items != other.items).any()
    assert searched.evaluate(strategy="best").mean == result.evaluate().mean
    run = jmmrec.save_run(searched, tmp_path / "run")
    assert jmmrec.evaluate(dataclasses.replace(searched, folder=run), strategy="best").mean == result.evaluate().mean
    assert json.loads((run / "run.json").read_text())["evaluations"][0]["strategy"] == "none"
    assert (run / "per_user-test-train-none.npz").exists()
