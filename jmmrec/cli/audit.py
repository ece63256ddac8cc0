"""`jmmrec data audit-modalities PATH --model MODEL`: whether a model uses each modality of a data set."""

import dataclasses
from pathlib import Path

import tyro

from jmmrec.cli import options
from jmmrec.cli.evaluate import check_output


@dataclasses.dataclass(frozen=True)
class Audit:
    """What to train on what."""

    path: tyro.conf.Positional[str]
    """Folder, interaction file, or synthetic."""
    model: str = "freedom"
    """Trained with default options; jmmrec models lists them."""
    knock_out: options.Words = ()
    """Modalities to knock out; default all."""
    ways: options.Words = ("permuted", "noise", "constant", "absent")
    """How; the verdict rests on permuted rows, which are always among them."""
    metric: str = "recall@20"
    """Compared user by user."""
    on: str = "valid"
    """Where it is measured; valid keeps test rows for later."""
    seeds: options.Seeds = (0, 1, 2)
    """Two or more."""
    epochs: int = 1000
    """At most; early stopping ends most runs sooner."""
    out: Path | None = None
    """File for the table, .md, .csv or .tex."""
    quiet: bool = False
    """No progress display."""
    reading: tyro.conf.OmitArgPrefixes[options.DataOptions] = options.DEFAULT


def run(argv: list[str], prog: str, about: str) -> None:
    """Trains everything, prints the table and a verdict for each modality.

    Raises:
      JmmrecError: bad options or data, or training diverged.
    """
    given = options.parse(Audit, argv, prog, about)
    check_output(given.out)
    from jmmrec.knockout import audit_modalities

    found = audit_modalities(
        given.model, given.reading.load(given.path), modalities=given.knock_out, knockouts=given.ways,
        metric=given.metric, split=given.on, seeds=given.seeds, quiet=given.quiet, epochs=given.epochs,
    )  # fmt: skip
    options.show(found.table(), *(found.verdict(name) for name in dict.fromkeys(f.modality for f in found.findings)))
    if given.out is not None:
        found.table().save(given.out)
