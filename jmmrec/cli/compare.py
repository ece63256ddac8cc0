"""`jmmrec compare RUN RUN ...`."""

import dataclasses
from pathlib import Path

import tyro

from jmmrec.cli import options
from jmmrec.cli.evaluate import check_output
from jmmrec.cli.verdicts import Verdicts
from jmmrec.errors import ConfigError


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
    moved: tyro.conf.OmitArgPrefixes[options.Moved] = options.IN_PLACE


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
    check_output(given.out)
    tests = given.tests()
    from jmmrec.summary import compare

    results = dict(zip(names, given.moved.open_all(given.runs), strict=True))
    title = next(iter(results.values())).dataset.name
    table = compare(results, given.metrics, split=given.split, mask=given.mask, title=title, **tests)
    options.show(*filter(None, [table, table.details if given.differences else None]))
    if given.out:
        options.show(f"Written to {table.save(given.out)}.")
    return 0
