"""`jmmrec data augment-text ITEMS --out FOLDER`: MDVT's text augmentation."""

import dataclasses
import os
import sys
from pathlib import Path

import tyro

from jmmrec.cli import options
from jmmrec.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Augment:
    """What to ask whom."""

    items: tyro.conf.Positional[Path]
    """Table of items: itemID, text and, where there are pictures, image."""
    out: Path
    """Folder for answers.jsonl and augmented.tsv; called again, the rest is asked."""
    images: Path | None = None
    """Folder that image paths are relative to; default the table's."""
    url: str = ""
    """Endpoint of a chat-completions service, e.g. http://localhost:8000/v1."""
    model: str = ""
    """Its name there."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key, if the service wants one."""
    answers: Path | None = None
    """Instead of a service: JSON lines with id and text."""
    prompt: Path | None = None
    """File with another prompt; {text} stands for the description."""
    dry_run: bool = False
    """Ask nothing; say how many would be asked, and the first question."""
    encoder: str = ""
    """Also write text_feat.npy by this sentence-transformers model; needs --data."""
    data: str = ""
    """Data set whose items the rows of text_feat.npy stand for, in its order."""


def run(argv: list[str], prog: str, about: str) -> None:
    """Asks, writes, and says what is where.

    Raises:
      JmmrecError: bad items, nobody to ask, or no answer.
    """
    given = options.parse(Augment, argv, prog, about)
    if bool(given.url) == bool(given.answers):
        raise ConfigError("say whom to ask: --url and --model of a service, or --answers with a file; one of them.")
    if given.encoder and not given.data:
        raise ConfigError("--encoder writes a row for each item of a data set, in its order; name it with --data.")
    from jmmrec.augment import PROMPT, Answers, Endpoint, augment, encode, in_order, read_items
    from jmmrec.data import load
    from jmmrec.data.files import read_text

    ids = load(given.data).item_ids if given.encoder else ()

    template = read_text(given.prompt) if given.prompt else PROMPT
    key = os.environ.get(given.key_variable, "")
    asked = Answers(given.answers) if given.answers else Endpoint(given.url, given.model, key)
    items = read_items(given.items, given.images)
    in_order({item.id: item.text for item in items}, ids, given.data)  # before anybody is asked
    found = augment(
        items, asked, given.out, template=template, dry_run=given.dry_run,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    if found.path is None:
        return
    print(f"{found.path}: {len(found.texts)} texts, {found.asked} of them asked now.")
    if given.encoder:
        path = given.out / "text_feat.npy"
        shape = encode(in_order(found.texts, ids, given.data), given.encoder, path).shape
        print(f"{path}: features of {shape[0]} items, {shape[1]} wide.")
