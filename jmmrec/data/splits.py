"""Splitting interactions into train, valid and test, and k-core filtering."""

from collections.abc import Sequence

import numpy as np

from jmmrec.errors import DataError, check_choice, check_range, check_whole

RULES = ("per_user", "leave_one_out", "global_time")


def split(
    interactions: np.ndarray,
    timestamps: np.ndarray | None = None,
    *,
    rule: str = "per_user",
    seed: int = 0,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
) -> np.ndarray:
    """Labels each interaction 0 (train), 1 (valid) or 2 (test).

    The labels depend on the set of pairs, their times and the seed, never on the order of the rows.

    Args:
      interactions: integers (n, 2) of (user, item), no pair twice.
      timestamps: (n,) numbers, for `leave_one_out` (optional) and `global_time` (needed).
      rule: "per_user", MMRec's rule (its `Split`): a user's m interactions are put in random order; with m < 10 the
        last two become one valid and one test, with m >= 10 the last h = floor(0.2 m), of which floor(h/2) valid.
        "leave_one_out": a user's last interaction is test, the last but one valid; last by time, ties and
        interactions without times in random order.
        "global_time": the earliest `fractions[0]` of all rows train, then valid, then test.
        The first two keep users with fewer than 3 interactions whole in train.
      seed: of the random order.
      fractions: of `global_time`; three numbers that sum to 1.

    Returns:
      int8 (n,).

    Raises:
      ConfigError: unknown rule, seed or fractions out of range.
      DataError: wrong shapes, a pair that stands twice, `global_time` without times.

    >>> rows = np.array([[0, i] for i in range(10)])
    >>> np.bincount(split(rows)).tolist()
    [8, 1, 1]
    """
    check_choice("rule", rule, RULES)
    check_whole("seed", seed, 0, 2**63 - 1)
    rows = _checked(interactions)
    times = _checked_times(timestamps, len(rows))
    if rule == "global_time":
        if times is None:
            raise DataError(
                "the rule global_time needs a time for each interaction and there are none; "
                "add a timestamp column or use per_user."
            )
        return _by_time(rows, times, fractions)
    return _by_user(rows, times if rule == "leave_one_out" else None, rule, seed)


def _checked(interactions: np.ndarray) -> np.ndarray:
    rows = np.asarray(interactions)
    rows = rows.reshape(0, 2).astype(np.int64) if rows.size == 0 else rows
    if rows.ndim != 2 or rows.shape[1] != 2 or rows.dtype.kind not in "iu":
        raise DataError(
            f"interactions have shape {rows.shape} and type {rows.dtype}; give whole-number rows of (user, item)."
        )
    return rows


def _checked_times(timestamps: np.ndarray | None, count: int) -> np.ndarray | None:
    if timestamps is None:
        return None
    times = np.asarray(timestamps)
    if times.shape != (count,) or times.dtype.kind not in "iuf" or not np.isfinite(times).all():
        raise DataError(
            f"timestamps have shape {times.shape} and type {times.dtype}; "
            f"give one finite number for each of the {count} interactions."
        )
    return times


def _canonical(rows: np.ndarray) -> np.ndarray:
    """Order by user, then item; random draws are made along it, so the order of lines does not matter."""
    order = np.lexsort((rows[:, 1], rows[:, 0]))
    same = np.flatnonzero((np.diff(rows[order], axis=0) == 0).all(axis=1))
    if len(same):
        user, item = rows[order[same[0]]]
        raise DataError(f"user {user} and item {item} stand in {len(same)} repeated rows or more; drop repeats first.")
    return order


def _by_user(rows: np.ndarray, times: np.ndarray | None, rule: str, seed: int) -> np.ndarray:
    order = _canonical(rows)
    draw = np.random.default_rng(seed).random(len(rows))
    when = np.zeros(len(rows)) if times is None else times[order]
    order = order[np.lexsort((draw, when, rows[order, 0]))]
    users = rows[order, 0]
    _, first, which, counts = np.unique(users, return_index=True, return_inverse=True, return_counts=True)
    size = counts[which]
    from_end = size - 1 - (np.arange(len(rows)) - first[which])
    held, valid = _held_out(size, rule)
    labels = np.empty(len(rows), np.int8)
    labels[order] = np.where(from_end < held - valid, 2, np.where(from_end < held, 1, 0))
    return labels


def _held_out(size: np.ndarray, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """How many interactions of a user with `size` are held out, and how many of these are valid."""
    few = (size < 10) | (rule == "leave_one_out")
    held = np.where(few, 2, size // 5)
    # With one or two interactions nothing would be left to learn the user from.
    held = np.where(size < 3, 0, held)
    return held, held // 2


def _by_time(rows: np.ndarray, times: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    for part in fractions:
        check_range("fractions", part, 0, 1)
    check_choice("sum of three fractions", (len(fractions), round(sum(fractions), 9)), [(3, 1.0)])
    order = _canonical(rows)
    order = order[np.argsort(times[order], kind="stable")]
    # Rounded first: 0.8 + 0.1 is a little below 0.9 in binary.
    cuts = np.floor(np.round(np.cumsum(fractions) * len(rows), 6)).astype(int)
    labels = np.full(len(rows), 2, np.int8)
    labels[order[: cuts[1]]] = 1
    labels[order[: cuts[0]]] = 0
    return labels


def k_core(interactions: np.ndarray, k: int) -> np.ndarray:
    """Keeps the interactions of the k-core: users and items with fewer than k are removed, all at once, until stable.

    Args:
      interactions: integers (n, 2) of (user, item).
      k: least number of interactions of a user and of an item; 0 and 1 keep all.

    Returns:
      bool (n,), True where kept; possibly nowhere.

    Raises:
      ConfigError: k below 0.
      DataError: wrong shape or type.

    >>> k_core(np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 1]]), 2).tolist()
    [True, True, True, True, False]
    """
    check_range("k", k, 0, float("inf"))
    rows = _checked(interactions)
    sides = [np.unique(rows[:, side], return_inverse=True)[1] for side in (0, 1)]
    kept = np.ones(len(rows), bool)
    while True:
        enough = [np.bincount(side[kept], minlength=len(rows) + 1)[side] >= k for side in sides]
        now = kept & enough[0] & enough[1]
        if now.sum() == kept.sum():
            return kept
        kept = now
