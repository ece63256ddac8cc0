"""`jmmrec data audit-modalities PATH --model MODEL`: whether a model uses each modality of a data set."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from jmmrec.cli import missing, options
from jmmrec.cli.evaluate import check_output

MODEL = "freedom"


@dataclasses.dataclass(frozen=True)
class Audit:
    """What to train on what."""

    path: tyro.conf.Positional[str]
    """Folder, interaction file, or synthetic."""
    model: str = MODEL
    """jmmrec models lists them, FILE.py:CLASS is one of yours; its own options are --model.OPTION."""
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
    out: Path | None = None
    """File for the table, .md, .csv or .tex."""
    quiet: bool = False
    """No progress display."""
    reading: tyro.conf.OmitArgPrefixes[options.DataOptions] = options.DEFAULT
    hiding: tyro.conf.OmitArgPrefixes[missing.Hiding] = missing.NOTHING_HIDDEN


def run(argv: list[str], prog: str, about: str) -> None:
    """Trains everything, prints the table and a verdict for each modality.

    Raises:
      JmmrecError: bad options or data, or training diverged.
    """
    given = options.parse(_options_of(_model_of(argv)), argv, prog, about)
    common = given.common
    check_output(common.out)
    from jmmrec.knockout import audit_modalities
    from jmmrec.models import make
    from jmmrec.train import TrainConfig

    hiding = common.hiding
    data = dataclasses.replace(hiding, impute=None).apply(common.reading.load(common.path))
    found = audit_modalities(
        make(common.model, **options.values(given.own)), data, modalities=common.knock_out, knockouts=common.ways,
        metric=common.metric, split=common.on, seeds=common.seeds, impute=hiding.impute,
        config=options.make(TrainConfig, given.config), quiet=common.quiet,
    )  # fmt: skip
    options.show(found.table(), *(found.verdict(name) for name in dict.fromkeys(f.modality for f in found.findings)))
    if common.out is not None:
        found.table().save(common.out)


def _model_of(argv: list[str]) -> str:
    """The model asked for, which decides what other options there are."""
    name = MODEL
    for word, after in zip(argv, [*argv[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if option == "--model":
            name = value if equals else after
    return name


def _options_of(name: str) -> Any:
    """What the command is parsed into: its own options, those of training, and those of the model."""
    from jmmrec.models import class_of
    from jmmrec.train import TrainConfig

    cls = class_of(name)
    training, model = options.arguments(TrainConfig), options.arguments(cls)
    fields: list[Any] = [
        ("common", Annotated[Audit, tyro.conf.arg(name="")]),
        (
            "config",
            Annotated[training, tyro.conf.arg(name="")],
            dataclasses.field(default=training(**cls.training)),
        ),
        ("own", Annotated[model, tyro.conf.arg(name="model")], dataclasses.field(default=model())),
    ]
    return dataclasses.make_dataclass("Options", fields, frozen=True)
