"""Asking about every item, keeping each answer when it comes, and making features of the new texts."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from jmmrec.augment.items import PROMPT, Item
from jmmrec.errors import ConfigError, DataError
from jmmrec.train.checkpoint import write_file

Encoder = Callable[[Sequence[str]], np.ndarray]


class Asked(Protocol):
    """Whoever answers."""

    @property
    def name(self) -> str:
        """Who answers."""
        ...

    def source(self, item: Item) -> str:
        """What an answer depends on, beside the question."""
        ...

    def answer(self, item: Item, template: str) -> str:
        """The improved text of an item."""
        ...


@dataclasses.dataclass(frozen=True)
class Augmented:
    """Attributes: texts, id -> new text, in the order of the items; asked, how many were not in the cache; path, of
    the table that was written, or None after a dry run."""

    texts: dict[str, str]
    asked: int
    path: Path | None


def augment(
    items: Sequence[Item],
    asked: Asked,
    out: str | Path,
    *,
    template: str = PROMPT,
    dry_run: bool = False,
    say: Callable[[str], None] | None = None,
) -> Augmented:
    """Asks about every item whose answer is not there yet, and writes `augmented.tsv` (itemID, text).

    Answers go to `answers.jsonl` as they come, by the digest of prompt, picture and whom was asked: a call that was
    stopped goes on where it was, and a changed prompt asks anew.

    Args:
      out: folder. template: the question, `{text}` stands for the description. dry_run: ask nothing; `asked` says how
        many would be. say: called with a line of text now and then.

    Raises:
      ConfigError: a template without `{text}`. DataError: what `asked` raises; a cache that cannot be read.
    """
    if "{text}" not in template:
        raise ConfigError("the prompt has no {text}, where an item's description goes; add it.")
    out, tell = Path(out), say or (lambda text: None)
    cache = out / "answers.jsonl"
    known = _known(cache)
    wanted = {item.id: item.digest(template, asked.source(item)) for item in items}
    missing = [item for item in items if wanted[item.id] not in known]
    if dry_run:
        first = "; the first question:" if missing else "."
        tell(f"{len(missing)} of {len(items)} items would be asked of {asked.name}{first}")
        for item in missing[:1]:
            tell(f"{'[picture] ' if item.image else ''}{item.prompt(template)}")
        return Augmented({i.id: known[wanted[i.id]] for i in items if wanted[i.id] in known}, len(missing), None)
    out.mkdir(parents=True, exist_ok=True)
    _end_line(cache)
    with open(cache, "a", encoding="utf-8") as file:
        for number, item in enumerate(missing, 1):
            known[wanted[item.id]] = text = asked.answer(item, template)
            file.write(json.dumps({"digest": wanted[item.id], "id": item.id, "text": text}) + "\n")
            file.flush()
            os.fsync(file.fileno())
            if number % 100 == 0 or number == len(missing):
                tell(f"{number} of {len(missing)} items answered")
    texts = {item.id: known[wanted[item.id]] for item in items}
    lines = ["itemID\ttext", *(f"{name}\t{' '.join(text.split())}" for name, text in texts.items())]
    write_file(out / "augmented.tsv", ("\n".join(lines) + "\n").encode())
    return Augmented(texts, len(missing), out / "augmented.tsv")


def _known(cache: Path) -> dict[str, str]:
    if not cache.exists():
        return {}
    found: dict[str, str] = {}
    lines = cache.read_text(encoding="utf-8").split("\n")
    lines = lines[:-1] if not lines[-1] else lines
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            found[record["digest"]] = record["text"]
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):  # cut by a kill: that item is asked again
                write_file(cache, "".join(kept + "\n" for kept in lines[:-1]).encode())
                break
            raise DataError(f"{cache}, line {number} cannot be read ({error}); mend or remove that line.") from error
    return found


def _end_line(cache: Path) -> None:
    """A kill between an answer and the end of its line would have the next answer glued to it, and both lost."""
    if cache.exists() and (kept := cache.read_bytes()) and not kept.endswith(b"\n"):
        write_file(cache, kept + b"\n")


def in_order(texts: Mapping[str, str], ids: Iterable[object], where: str) -> list[str]:
    """Texts in the order of a data set's items, as rows of features stand.

    Args:
      ids: of the items, see `Dataset.item_ids`. where: the data set's name, for the message.

    Raises:
      DataError: items without a text.

    >>> in_order({"b": "two", "a": "one"}, ["a", "b"], "toy")
    ['one', 'two']
    """
    wanted = [str(one) for one in ids]
    missing = [one for one in wanted if one not in texts]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(wanted)} items of {where} have no text, first item {missing[0]}; "
            "give a table with all of them."
        )
    return [texts[one] for one in wanted]


def encode(texts: Sequence[str], encoder: str | Encoder, path: str | Path) -> np.ndarray:
    """Features of texts, float32 (n_items, dim), also written as .npy: put it where the data set's old one is.

    Args:
      texts: in the order of the data set's items, see `in_order`.
      encoder: what turns texts into rows, or the name of a sentence-transformers model (extra `encoders`): take the one
        that made the old features.

    Raises:
      ConfigError: sentence-transformers is not installed. DataError: rows that are not one for each text, or NaN.

    >>> import tempfile
    >>> file = tempfile.mkdtemp() + "/text_feat.npy"
    >>> encode(["a", "bc"], lambda texts: np.array([[len(text)] for text in texts]), file).tolist()
    [[1.0], [2.0]]
    """
    if isinstance(encoder, str):
        try:
            from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ConfigError("encoding texts needs sentence-transformers: pip install 'jmmrec[encoders]'.") from error
        made = SentenceTransformer(encoder).encode(list(texts))
    else:
        made = encoder(list(texts))
    found = np.asarray(made, np.float32)
    if found.ndim != 2 or len(found) != len(texts) or not np.isfinite(found).all():
        raise DataError(f"the encoder gave {found.shape} for {len(texts)} texts, or NaN; it must give each a row.")
    np.save(path, found)
    return found
