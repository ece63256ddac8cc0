"""RecBole atomic `.item` files: `float_seq` columns become modalities."""

from collections.abc import Callable
from pathlib import Path

from jmmrec.data.columns import header, read_table, role_of
from jmmrec.data.files import listing
from jmmrec.data.ids import check_unique
from jmmrec.data.keyed import KeyedRows, stack
from jmmrec.data.parse import texts
from jmmrec.errors import DataError

SEQUENCE = ":float_seq"


def sequence_columns(folder: Path, name: str) -> dict[str, Callable[[], KeyedRows]]:
    """Modality name -> function that reads it, for each `float_seq` column of `<name>.item`.

    A trailing `_feat` or `_emb` of a column name is dropped: `image_emb:float_seq` is modality "image".

    Raises:
      DataError: an `.item` file without an item column.

    >>> sequence_columns(Path(__file__).parent, "baby")
    {}
    """
    if f"{name}.item" not in listing(folder):
        return {}
    path = folder / f"{name}.item"
    columns = [column for column in header(path) if column.endswith(SEQUENCE)]
    plain = {c: c.removesuffix(SEQUENCE).removesuffix("_feat").removesuffix("_emb") for c in columns}
    return {plain[c]: lambda c=c: _read(path, c) for c in columns}


def _read(path: Path, column: str) -> KeyedRows:
    item = next((name for name in header(path) if role_of(name) == "item"), None)
    if item is None:
        raise DataError(f"{path} line 1 names no item column; head the ids with item_id:token.")
    table = read_table(path, [item, column])
    ids = texts(table, item)
    check_unique(ids, path)
    return KeyedRows(path, ids, *stack(table, table.columns[column], str.split))  # pyright: ignore[reportArgumentType]
