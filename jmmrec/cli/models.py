"""`jmmrec models`."""

import dataclasses
import math
from typing import Any

import tyro

from jmmrec.cli import options

LETTERS = (
    "U users, I items, E training interactions, d width, D_m width of modality m, M modalities, B rows of a batch; "
    "cost: multiplications and additions of one training step, its leading terms."
)


@dataclasses.dataclass(frozen=True)
class Models:
    """What to say of them."""

    data: str | None = None
    """Data set on which to count the trained values of each model."""
    reading: tyro.conf.OmitArgPrefixes[options.DataOptions] = options.DEFAULT


def run(argv: list[str]) -> int:
    """Prints every model with its source, what it takes and what it costs; 0.

    Raises:
      JmmrecError: bad options or data.
    """
    given = options.parse(Models, argv, "jmmrec models", "What can be trained.")
    from jmmrec.models import MODELS
    from jmmrec.report import Table

    data = None if given.data is None else given.reading.load(given.data)
    columns = ["model", "paper", "year", "modalities", "parameters", "cost of a step"]
    rows: list[list[Any]] = [[name, *cls.card] for name, cls in MODELS.items()]
    if data is not None:
        columns.insert(5, f"on {data.name}")
        for row in rows:
            row.insert(5, _count(row[0], data))
    options.show(Table("", tuple(columns), tuple(map(tuple, rows)), (LETTERS,)))
    options.show(
        "Each with virtual triplets: --warmup static|dynamic|hybrid. Options: jmmrec train MODEL --help. "
        "A backbone of your own: FILE.py:CLASS in place of MODEL."
    )
    return 0


def _count(name: str, data: Any) -> str:
    """Trained values of a model with default options, or why it has none on this data set."""
    import jax

    from jmmrec.errors import JmmrecError
    from jmmrec.models import make

    try:
        model = make(name)
        static = model.prepare(data.for_training())
    except JmmrecError as error:
        return str(error).partition(";")[0]
    params = jax.eval_shape(model.init, jax.random.key(0), static)[0]
    return f"{sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)):,}"
