"""What is asked: items with a text and an image, and the prompt."""

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from jmmrec.data.files import read_text
from jmmrec.errors import DataError

PROMPT = (
    "Here is the description of an item and the corresponding picture, please combine the picture to improve the "
    "description quality in one paragraph. The description is as follows: {text}"
)
"""MDVT's, section 4.1.3; the picture is sent before it."""
WITHOUT = PROMPT.replace(" and the corresponding picture", "").replace("combine the picture to improve", "improve")
"""The same for an item without a picture."""
IDS, TEXTS, IMAGES = ("itemID", "item_id", "id", "asin"), ("text", "description"), ("image", "image_path")


@dataclasses.dataclass(frozen=True)
class Item:
    """An item to ask about.

    Attributes:
      id: as written in the file. text: its description. image: path of its picture, or None.

    >>> Item("3", "A cup.").prompt("Improve: {text}")
    'Improve: A cup.'
    """

    id: str
    text: str
    image: Path | None = None

    def prompt(self, template: str = PROMPT) -> str:
        """The question; MDVT's does not speak of a picture where there is none."""
        template = WITHOUT if template == PROMPT and self.image is None else template
        return template.replace("{text}", self.text)

    def digest(self, template: str, asked: str) -> str:
        """Of everything that an answer depends on: prompt, picture, and whom it is asked of."""
        found = hashlib.sha256(json.dumps([asked, self.prompt(template)]).encode())
        if self.image is not None:
            found.update(self.image.read_bytes())
        return found.hexdigest()


def read_items(path: str | Path, images: str | Path | None = None) -> list[Item]:
    """Items of a table with a head (.tsv, .csv) or of JSON lines (.jsonl).

    Columns: `itemID` (or item_id, id, asin), `text` (or description), and where there are pictures `image` (or
    image_path).

    Args:
      images: folder that image paths are relative to; default the table's own.

    Raises:
      DataError: no such file or column, an item twice, an image that is not there.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "items.csv"
    >>> _ = path.write_text("id,text\\n7,A cup.\\n")
    >>> read_items(path)
    [Item(id='7', text='A cup.', image=None)]
    """
    path = Path(path)
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"{path} holds no item; give a table with a head and a line for each item.")
    columns = dict.fromkeys(column for row in rows for column in row)  # JSON lines may leave some out
    names = [_column(path, columns, known, needed) for known, needed in ((IDS, True), (TEXTS, True), (IMAGES, False))]
    root, items, seen = Path(images or path.parent), [], set()
    for number, row in enumerate(rows, 2):
        name, text, picture = ("" if row.get(column) is None else str(row[column]) for column in names)
        if not name or name in seen:
            what = f"item {name} twice" if name else "no id"
            raise DataError(f"{path}, line {number} has {what}; each item needs an id of its own.")
        if picture and not (root / picture).is_file():
            raise DataError(f"{path}, line {number}: {root / picture} is not there; mend the path, or give its folder.")
        seen.add(name)
        items.append(Item(name, text, root / picture if picture else None))
    return items


def _rows(path: Path) -> Iterable[dict]:
    if path.suffix not in (".tsv", ".csv", ".jsonl"):
        raise DataError(f"{path} ends in {path.suffix or 'nothing'!r}; items are read from .tsv, .csv or .jsonl.")
    text = read_text(path)
    try:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        quoting = csv.QUOTE_NONE if path.suffix == ".tsv" else csv.QUOTE_MINIMAL
        mark = "\t" if path.suffix == ".tsv" else ","
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=mark, quoting=quoting))
    except (csv.Error, json.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); give a table of items.") from error


def _column(path: Path, row: Iterable[str], known: Sequence[str], needed: bool) -> str:
    found = next((name for name in known if name in row), "")
    if needed and not found:
        raise DataError(f"{path} has no column {known[0]}; it has {', '.join(map(str, row))}.")
    return found
