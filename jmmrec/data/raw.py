"""What the readers hand over before anything is judged: `RawData`, which may still hold every kind of trouble."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jmmrec.data import parse
from jmmrec.data.columns import Table, header, read_table, role_of
from jmmrec.errors import DataError


@dataclasses.dataclass(frozen=True, eq=False)
class RawModality:
    """Features as they stand in files: float32 (n_items, dim), NaN and all.

    Attributes:
      path: file they came from.
      features: float32 (n_items, dim).
      present: bool (n_items,), False where the files say that the item has none.
      neighbours, similarities: published (n_items, k) neighbours and cosines, or None.
      imputed: bool (n_items,), rows that were filled in, or None.
    """

    path: Path
    features: np.ndarray
    present: np.ndarray
    neighbours: np.ndarray | None = None
    similarities: np.ndarray | None = None
    imputed: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Interactions:
    """Rows of one or several interaction files, in file order.

    Attributes:
      tables: the files, one after the other.
      names: role ("user", "item", "time", "label") -> column name.
      given: split label of each whole file, where the file name tells it, else None.
    """

    tables: tuple[Table, ...]
    names: Mapping[str, str]
    given: tuple[int | None, ...]

    @property
    def path(self) -> Path:
        """The first file."""
        return self.tables[0].path

    def where(self, row: int) -> str:
        """File and line of a row over all files.

        >>> table = Table(Path("a.inter"), {}, np.array([2, 3]))
        >>> Interactions((table, table), {}, (0, 1)).where(3)
        'a.inter line 3'
        """
        for table in self.tables:
            if row < len(table):
                return table.where(row)
            row -= len(table)
        raise IndexError(row)

    def whole_numbers(self, role: str) -> np.ndarray:
        """The column of a role as int64; see `parse.whole_numbers` for errors."""
        return np.concatenate([parse.whole_numbers(t, self.names[role]) for t in self.tables])

    def texts(self, role: str) -> np.ndarray:
        """The column of a role as text; see `parse.texts` for errors."""
        return np.concatenate([parse.texts(t, self.names[role]) for t in self.tables])

    def times(self) -> np.ndarray | None:
        """Times as float64, or None without such a column; see `parse.times` for errors."""
        if "time" not in self.names:
            return None
        return np.concatenate([parse.times(t, self.names["time"]) for t in self.tables])

    def labels(self) -> np.ndarray | None:
        """Labels as int8 from the label column or the file names, None without; see `parse.labels` for errors."""
        pairs = list(zip(self.tables, self.given, strict=True))
        if all(given is not None for _, given in pairs):
            return np.concatenate([np.full(len(t), given, np.int8) for t, given in pairs])
        if "label" not in self.names:
            return None
        return np.concatenate([parse.labels(t, self.names["label"]) for t in self.tables])


def read_interactions(files: Mapping[Path, int | None]) -> Interactions:
    """Reads interaction files that share one header; `files` maps each to its split label or None.

    Raises:
      DataError: unreadable, no user or item column, no rows, or different headers.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.inter")
    ...     _ = path.write_text("userID\\titemID\\tx_label\\n0\\t1\\t2\\n")
    ...     read_interactions({path: None}).labels().tolist()
    [2]
    """
    tables, roles = [], {}
    for path in files:
        found = _roles(path)
        roles = roles or found
        if found != roles:
            raise DataError(f"{path} has columns {list(found.values())} where the first file has other names; use one.")
        tables.append(read_table(path, list(roles.values())))
    if not sum(map(len, tables)):
        raise DataError(f"{tables[0].path} has a header but no interactions; add one line per interaction.")
    return Interactions(tuple(tables), roles, tuple(files.values()))


def _roles(path: Path) -> dict[str, str]:
    names = header(path)
    roles: dict[str, str] = {}
    for name in names:
        role = role_of(name)
        if role is not None:
            roles.setdefault(role, name)
    for role, usual in (("user", "userID or user_id"), ("item", "itemID or item_id")):
        if role not in roles:
            raise DataError(
                f"{path} line 1 names no {role} column among {', '.join(names)[:120]!r}; "
                f"the first line must name the columns, with {usual} among them."
            )
    return roles


@dataclasses.dataclass(frozen=True, eq=False)
class RawData:
    """A whole data set before it is judged.

    Attributes:
      name, n_users, n_items: as in `Dataset`.
      rows: int64 (n, 2) of (user, item), in file order, repeats and all.
      labels: int8 (n,), or None where the files do not split.
      user_ids, item_ids: original ids, or None where the numbers are the ids.
      modalities: name -> RawModality.
      problems: sentences about modality files whose ids are not the interactions', or (lenient reading only) that
        could not be read.
      source: the interaction files, for messages and times; None for a data set made in memory.
      unread: sentences about files that look like features and are not read.
    """

    name: str
    n_users: int
    n_items: int
    rows: np.ndarray
    labels: np.ndarray | None
    user_ids: np.ndarray | None
    item_ids: np.ndarray | None
    modalities: Mapping[str, RawModality]
    problems: tuple[str, ...] = ()
    source: Interactions | None = None
    unread: tuple[str, ...] = ()

    def where(self, row: int) -> str:
        """File and line of a row, or its number."""
        return f"row {row}" if self.source is None else self.source.where(row)

    @property
    def keys(self) -> np.ndarray:
        """One int64 for each row, equal only for equal (user, item)."""
        return self.rows[:, 0] * np.int64(self.n_items) + self.rows[:, 1]
