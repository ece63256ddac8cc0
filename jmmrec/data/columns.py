"""Tables as named columns: tab- and comma-separated text, Parquet; each row knows its file and line."""

import csv
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jmmrec.data.files import naming, read_text
from jmmrec.errors import DataError

TABLES = (".csv", ".tsv", ".parquet")

ROLES = {
    "user": ("user", "userid", "reviewerid", "uid", "customerid"),
    "item": ("item", "itemid", "asin", "parentasin", "iid", "productid"),
    "time": ("timestamp", "time", "unixreviewtime", "ts", "date", "datetime", "createdat"),
    "label": ("xlabel", "split", "subset"),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length (lists of text, or arrays from Parquet) and where each row came from."""

    path: Path
    columns: Mapping[str, Any]
    lines: np.ndarray
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """File and line of a row, for messages.

        >>> Table(Path("a.inter"), {}, np.array([2, 3])).where(1)
        'a.inter line 3'
        """
        return f"{self.path} {self.unit} {self.lines[row]}"


def kind_of(path: Path) -> str:
    """The ending of a file's name in lower case: `R.CSV` is a table like any other.

    >>> kind_of(Path("R.CSV"))
    '.csv'
    """
    return path.suffix.lower()


def role_of(column: str) -> str | None:
    """What a column is by its usual names ("user", "item", "time", "label"), or None; RecBole types are ignored.

    >>> role_of("userID"), role_of("item_id:token"), role_of("rating")
    ('user', 'item', None)
    """
    plain = re.sub(r"[^a-z0-9]", "", column.split(":")[0].lower())
    return next((role for role, names in ROLES.items() if plain in names), None)


def header(path: Path) -> list[str]:
    """Column names of a text or Parquet table.

    Raises:
      DataError: unreadable or empty.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("user,item\\n1,2\\n")
    ...     header(Path(folder, "a.csv"))
    ['user', 'item']
    """
    if kind_of(path) == ".parquet":
        return _parquet(path).schema_arrow.names
    first = read_text(path).lstrip("\n").split("\n", 1)[0]
    return [name.strip() for name in _rows(path, first)[0][0]]


def _checked(path: Path, names: list[str]) -> list[str]:
    names = [name.strip() for name in names]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(f"{path} line 1 names column {min(twice)!r} twice; rename one of them.")
    return names


def read_table(path: Path, wanted: Sequence[str] | None = None, *, ragged: bool = False) -> Table:
    """The wanted columns of a table (default: all).

    Args:
      path: `.csv` (quotes as usual, separator comma, semicolon or tab), `.parquet`, or tab-separated anything else.
      wanted: column names that are in the header.
      ragged: accept lines with fewer or more fields than the header; missing fields read as "".

    Raises:
      DataError: unreadable, empty, a column name that stands twice, or a line with the wrong number of fields.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.tsv").write_text("user\\titem\\n1\\t2\\n")
    ...     read_table(Path(folder, "a.tsv"), ["item"]).columns
    {'item': ['2']}
    """
    if kind_of(path) == ".parquet":
        return _read_parquet(path, wanted)
    rows, lines = _rows(path, read_text(path))
    names, body = _checked(path, rows[0]), rows[1:]
    widths = np.fromiter(map(len, body), np.int64, len(body))
    wrong = np.flatnonzero(widths != len(names))
    if len(wrong) and not ragged:
        raise DataError(
            f"{path} line {lines[1 + wrong[0]]} has {widths[wrong[0]]} fields but the header has {len(names)}; "
            "mend the line."
        )
    for row in wrong:
        body[row] = (body[row] + [""] * len(names))[: len(names)]
    columns = {}
    for name in names if wanted is None else wanted:
        place = names.index(name)
        columns[name] = [row[place] for row in body]
    return Table(path, columns, lines[1:])


def _rows(path: Path, text: str) -> tuple[list[list[str]], np.ndarray]:
    first = text.lstrip("\n").split("\n", 1)[0]
    mark = _separator(path, first)
    if kind_of(path) == ".csv":
        return _csv_rows(path, text, mark)
    pairs = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line]
    return [line.split(mark) for _, line in pairs], np.array([n for n, _ in pairs])


def _separator(path: Path, first: str) -> str:
    marks = (",", "\t", ";") if kind_of(path) == ".csv" else ("\t", ",")
    return next((mark for mark in marks if mark in first), marks[0])


def _csv_rows(path: Path, text: str, mark: str) -> tuple[list[list[str]], np.ndarray]:
    rows, lines = [], []
    reader = csv.reader(_kept_lines(text), delimiter=mark)
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path} line {reader.line_num} is not valid CSV ({error}); mend its quotes.") from error
    return rows, np.array(lines)


def _kept_lines(text: str) -> list[str]:
    # str.splitlines would also cut at form feeds and Unicode separators inside a field.
    return [line + "\n" for line in text.split("\n")]


def _parquet(path: Path) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise DataError(f"reading {path} needs pyarrow; install it with pip install 'jmmrec[data]'.") from error
    with naming(path):
        try:
            return pq.ParquetFile(path)
        except pa.ArrowInvalid as error:
            raise DataError(f"{path} is not a readable Parquet file; write it again or use CSV.") from error


def _read_parquet(path: Path, wanted: Sequence[str] | None) -> Table:
    file = _parquet(path)
    with naming(path):
        table = file.read(columns=None if wanted is None else list(wanted))
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    return Table(path, columns, np.arange(1, table.num_rows + 1), "row")
