"""From columns of text to numbers, with the file and line of the first value that cannot be read."""

import datetime
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from jmmrec.data.columns import Table
from jmmrec.errors import DataError

LABELS = {
    **{"0": 0, "train": 0, "training": 0},
    **{"1": 1, "valid": 1, "validation": 1, "val": 1, "dev": 1},
    **{"2": 2, "test": 2, "testing": 2},
}
ZONE = re.compile(r":\d\d(\.\d+)?\s?(Z|[+-]\d\d(:?\d\d)?)$")  # after a time of day
BARE = re.compile(r"\s*[+-]?\d+(\.\d*)?\s*")
# Ids are stored as int32 everywhere.
LARGEST = 2**31 - 2


def whole_numbers(table: Table, column: str) -> np.ndarray:
    """A column of non-negative whole numbers below 2^31 - 1, int64 (rows,).

    Raises:
      DataError: a value that is none, with its file and line.

    >>> from pathlib import Path
    >>> whole_numbers(Table(Path("a.inter"), {"u": ["3", "0"]}, np.array([2, 3])), "u").tolist()
    [3, 0]
    """
    values = np.asarray(table.columns[column])
    try:
        if values.dtype.kind not in "iuU":
            raise ValueError
        numbers = values.astype(np.int64)
    except (ValueError, OverflowError) as error:
        row = _first(values, lambda v: 0 <= int(v) <= LARGEST)
        raise DataError(
            f"{table.where(row)} has {column} {values[row]!s:.40}, which is not a whole number from 0 to {LARGEST}; "
            "number the ids from 0, or give string ids as a CSV file or with a typed header (item_id:token)."
        ) from error
    bad = np.flatnonzero((numbers < 0) | (numbers > LARGEST))
    if len(bad):
        raise DataError(
            f"{table.where(bad[0])} has {column} {numbers[bad[0]]}, which lies outside 0 to {LARGEST}; "
            "number the ids from 0."
        )
    return numbers


def _first(values: np.ndarray, good: Callable[[Any], bool]) -> int:
    for row, value in enumerate(values):
        try:
            if not good(value):
                return row
        except (ValueError, TypeError, OverflowError):
            return row
    return 0


def texts(table: Table, column: str) -> np.ndarray:
    """A column of ids as text (rows,); whole numbers in any column type read as their digits.

    Raises:
      DataError: an empty id, with its file and line.

    >>> from pathlib import Path
    >>> texts(Table(Path("a.parquet"), {"u": np.array([7.0, 8.0])}, np.array([1, 2])), "u").tolist()
    ['7', '8']
    """
    values = np.asarray(table.columns[column])
    empty = np.zeros(len(values), bool)
    if values.dtype.kind == "f":
        # Data frames store whole numbers as floats as soon as one is missing.
        empty = np.isnan(values)
        whole = np.where(empty, 0, values)
        values = whole.astype(np.int64) if (whole == np.trunc(whole)).all() else values
    elif values.dtype.kind == "O":
        empty = np.array([v is None or v != v for v in values], bool)
    strings = values.astype(str) if len(values) else np.zeros(0, "U1")
    empty |= strings == ""
    if empty.any():
        raise DataError(f"{table.where(int(np.argmax(empty)))} has no {column}; fill it in or drop the row.")
    return strings


def labels(table: Table, column: str) -> np.ndarray:
    """A column of split labels as int8 (rows,): 0 train, 1 valid, 2 test.

    Raises:
      DataError: an unknown label, with its file and line.

    >>> from pathlib import Path
    >>> labels(Table(Path("a.csv"), {"split": ["train", "2"]}, np.array([2, 3])), "split").tolist()
    [0, 2]
    """
    strings = texts(table, column)
    kinds, which = np.unique(strings, return_inverse=True)
    codes = np.array([LABELS.get(kind.strip().lower().removesuffix(".0"), -1) for kind in kinds], np.int8)
    found = codes[which] if len(strings) else np.zeros(0, np.int8)
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        raise DataError(
            f"{table.where(row)} has {column} {strings[row]:.40}; use 0, 1, 2 or train, valid, test, "
            "or pass split= to split anew."
        )
    return found


def times(table: Table, column: str) -> np.ndarray:
    """A column of times as float64 (rows,): numbers as they stand, dates (2014-05-01T10:00) as seconds since 1970.

    Raises:
      DataError: a value that is neither, or a date among numbers, with its file and line.

    >>> from pathlib import Path
    >>> times(Table(Path("a.csv"), {"t": ["1970-01-02"]}, np.array([2])), "t").tolist()
    [86400.0]
    """
    values = np.asarray(table.columns[column])
    for read in (_as_float, _as_date):
        try:
            found = read(values)
        except (ValueError, TypeError):
            continue
        if np.isfinite(found).all():
            return found
    row = _first(values, lambda v: bool(np.isfinite(_either(np.asarray([v])))[0]))
    kinds = [BARE.fullmatch(str(value)) is None for value in values.tolist()]
    if len(set(kinds)) > 1 and np.isfinite(_either(np.asarray([values[row]]))).all():  # each could be read alone
        row = kinds.index(not kinds[0])
        raise DataError(
            f"{table.where(row)} has {column} {values[row]!s:.40} where rows before have {values[0]!s:.40}; "
            "write all times as numbers, or all as dates."
        )
    raise DataError(
        f"{table.where(row)} has {column} {values[row]!s:.40}, which is neither a number nor a date; mend the line."
    )


def _as_float(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "M":
        raise TypeError
    return values.astype(np.float64)


def _as_date(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "OU":
        told = ["" if value is None else str(value) for value in values.tolist()]
        if any(map(BARE.fullmatch, told)):  # numpy would take it for a year
            raise ValueError
        values = np.array([_in_utc(value) if ZONE.search(value) else value for value in told], str)
    dates = values.astype("datetime64[ms]")
    return np.where(np.isnat(dates), np.nan, dates.astype(np.int64) / 1000)


def _in_utc(moment: str) -> str:
    """A moment with a time zone as one without, in UTC.

    >>> _in_utc("2014-05-01T10:00:00+02:00")
    '2014-05-01T08:00:00'
    """
    try:
        return datetime.datetime.fromisoformat(moment).astimezone(datetime.UTC).replace(tzinfo=None).isoformat()
    except OverflowError as error:  # before year 1
        raise ValueError(moment) from error


def _either(values: np.ndarray) -> np.ndarray:
    try:
        return _as_float(values)
    except (ValueError, TypeError):
        return _as_date(values)
