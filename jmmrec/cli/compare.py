"""`jmmrec compare RUN RUN ...`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from jmmrec.cli import options
from jmmrec.cli.evaluate import check_ks, check_output
from jmmrec.cli.verdicts import Verdicts
from jmmrec.errors import ConfigError

if TYPE_CHECKING:
    from jmmrec.result import Result
    from jmmrec.train import Evaluation


@dataclasses.dataclass(frozen=True)
class Compare(Verdicts):
    """What to compare; the first run is the baseline."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, the baseline first."""
    metrics: options.Words = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
    """Columns, such as recall@20."""
    split: str = "test"
    """test or valid."""
    mask: str = "train"
    """Items that may not be recommended: those of train, or of train+valid."""
    differences: bool = False
    """Show every difference to the baseline as well, with its interval, p and effect size."""
    out: Path | None = None
    """File to write the table to, .md, .csv or .tex."""


def run(argv: list[str]) -> int:
    """Prints one row for each run, mean ± interval over seeds, tested against the first run.

    Raises:
      JmmrecError: fewer than two runs, runs of different data or splits, or an option that does not exist.
    """
    given = options.parse(Compare, argv, "jmmrec compare", "Compares finished runs on the same data.")
    names = [path.resolve().name for path in given.runs]
    names = names if len(set(names)) == len(names) else [str(path) for path in given.runs]
    if len(set(names)) < max(2, len(names)):
        raise ConfigError(f"{len(set(names))} different run was given; name at least two, each once.")
    if not given.metrics:
        raise ConfigError("metrics are empty; name at least one, e.g. recall@20.")
    check_output(given.out)
    tests = given.tests()
    from jmmrec import api
    from jmmrec.report import comparison_table
    from jmmrec.retrieval import parse_metric

    wanted = [parse_metric(metric) for metric in given.metrics]
    results = {name: api.open_run(path) for name, path in zip(names, given.runs, strict=True)}
    _check_same_data(results)
    found = {name: _evaluated(result, given, wanted) for name, result in results.items()}
    title = next(iter(results.values())).dataset.name
    table = comparison_table(found, given.metrics, names[0], title=title, **tests)
    options.show(*filter(None, [table, table.details if given.differences else None]))
    if given.out:
        options.show(f"Written to {table.save(given.out)}.")
    return 0


def _check_same_data(results: "dict[str, Result]") -> None:
    first, base = next(iter(results.items()))
    for name, result in results.items():
        if result.dataset.split_digest != base.dataset.split_digest:
            raise ConfigError(
                f"{name} was trained on another data set or split than {first}; compare runs of the same split."
            )


def _evaluated(result: "Result", given: Compare, wanted: list[tuple[str, int]]) -> "Evaluation":
    ks = tuple(sorted({k for _, k in wanted}))
    check_ks(ks, result.dataset.n_items)
    return result.evaluate(given.split, given.mask, ks=ks, metrics=tuple(dict.fromkeys(name for name, _ in wanted)))
