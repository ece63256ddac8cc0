"""Split rules and k-core against what they promise, on random interactions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmmrec.data import k_core, split
from jmmrec.errors import ConfigError, DataError

RANDOM = settings(max_examples=60, deadline=None)


@st.composite
def interactions(draw: st.DrawFn, users: int = 8, items: int = 40) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = draw(st.lists(st.integers(0, items), min_size=1, max_size=users))
    rows = [np.stack([np.full(n, u), rng.permutation(items)[:n]], axis=1) for u, n in enumerate(counts)]
    return rng.permutation(np.concatenate(rows))


def expected(size: int) -> tuple[int, int, int]:
    """MMRec's rule, written out for one user."""
    if size < 3:
        return size, 0, 0
    if size < 10:
        return size - 2, 1, 1
    held = int(0.2 * size)
    return size - held, held // 2, held - held // 2


@RANDOM
@given(rows=interactions(), seed=st.integers(0, 5))
def test_per_user_counts_are_exact(rows: np.ndarray, seed: int) -> None:
    labels = split(rows, seed=seed)
    for user in np.unique(rows[:, 0]):
        mine = labels[rows[:, 0] == user]
        assert tuple(np.bincount(mine, minlength=3)) == expected(len(mine))


@RANDOM
@given(rows=interactions(), rule=st.sampled_from(["per_user", "leave_one_out", "global_time"]))
def test_labels_do_not_depend_on_the_order_of_rows(rows: np.ndarray, rule: str) -> None:
    times = (rows[:, 1] * 7 + rows[:, 0]) % 11.0
    order = np.random.default_rng(1).permutation(len(rows))
    moved = split(rows[order], times[order], rule=rule)
    assert np.array_equal(moved, split(rows, times, rule=rule)[order])


@RANDOM
@given(rows=interactions())
def test_leave_one_out_takes_the_last_by_time(rows: np.ndarray) -> None:
    times = np.random.default_rng(0).permutation(len(rows))
    labels = split(rows, times, rule="leave_one_out")
    for user in np.unique(rows[:, 0]):
        mine = labels[rows[:, 0] == user][np.argsort(times[rows[:, 0] == user])]
        tail = [1, 2] if len(mine) >= 3 else []
        assert mine.tolist() == [0] * (len(mine) - len(tail)) + tail


@RANDOM
@given(rows=interactions())
def test_global_time_never_trains_on_the_future(rows: np.ndarray) -> None:
    times = np.random.default_rng(0).random(len(rows))
    labels = split(rows, times, rule="global_time")
    for early, late in ((0, 1), (1, 2), (0, 2)):
        if (labels == early).any() and (labels == late).any():
            assert times[labels == early].max() <= times[labels == late].min()
    assert abs((labels == 0).sum() - 0.8 * len(rows)) <= 1
    assert abs((labels == 1).sum() - 0.1 * len(rows)) <= 1


@RANDOM
@given(rows=interactions(items=12), k=st.integers(0, 5))
def test_k_core_is_the_largest_fixed_point(rows: np.ndarray, k: int) -> None:
    kept = k_core(rows, k)
    for side in (0, 1):
        assert (np.unique(rows[kept, side], return_counts=True)[1] >= k).all()
    # Removing one bad row at a time must end at the same place.
    alive = np.ones(len(rows), bool)
    while True:
        low = [r for r in np.flatnonzero(alive) if min((rows[alive, s] == rows[r, s]).sum() for s in (0, 1)) < k]
        if not low:
            break
        alive[low[0]] = False
    assert np.array_equal(kept, alive)


def test_seed_changes_the_draw_and_nothing_else() -> None:
    rows = np.array([[0, i] for i in range(50)])
    assert not np.array_equal(split(rows, seed=0), split(rows, seed=1))
    assert np.array_equal(split(rows, seed=3), split(rows, seed=3))


def test_all_items_are_held_out_equally_often() -> None:
    rows = np.array([[0, i] for i in range(20)])
    tested = np.mean([split(rows, seed=s) == 2 for s in range(1500)], axis=0)
    assert np.allclose(tested, 0.1, atol=0.035)


@pytest.mark.parametrize(
    ("rows", "options", "error", "words"),
    [
        ([[0, 1]], {"rule": "random"}, ConfigError, "per_user"),
        ([[0, 1]], {"seed": -1}, ConfigError, "seed is -1"),
        ([[0, 1]], {"rule": "global_time"}, DataError, "needs a time"),
        ([[0, 1], [0, 1]], {}, DataError, "user 0 and item 1"),
        ([0, 1], {}, DataError, "shape"),
        ([[0.5, 1]], {}, DataError, "float64"),
        ([[0, 1]], {"timestamps": [np.nan], "rule": "global_time"}, DataError, "finite"),
        ([[0, 1]], {"timestamps": [1, 2]}, DataError, "each of the 1"),
        ([[0, 1]], {"timestamps": [1], "rule": "global_time", "fractions": (0.8, 0.1)}, ConfigError, "fractions"),
        ([[0, 1]], {"timestamps": [1], "rule": "global_time", "fractions": (2, -0.5, -0.5)}, ConfigError, "fractions"),
    ],
)
def test_bad_input_gives_one_sentence(rows: list, options: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        split(np.array(rows), **options)


def test_empty_input_gives_empty_output() -> None:
    assert split(np.zeros((0, 2), int)).shape == (0,) == k_core(np.zeros((0, 2), int), 3).shape
