"""`jmmrec report RUN ... --out FOLDER`."""

import dataclasses
from pathlib import Path

import tyro

from jmmrec.cli import options
from jmmrec.cli.verdicts import Verdicts
from jmmrec.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Report(Verdicts):
    """What to report; the first run is the baseline."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders of one data set and split."""
    out: Path = Path("report")
    """Folder to write to."""
    metrics: options.Words = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
    """Columns, such as recall@20."""
    mask: str = "train"
    """Items that may not be recommended on test: those of train, or of train+valid."""
    title: str = ""
    """Of the page."""
    moved: tyro.conf.OmitArgPrefixes[options.Moved] = options.IN_PLACE


def run(argv: list[str]) -> int:
    """Writes tables, figures and a page, and says where.

    Raises:
      JmmrecError: no run, runs of different data, an unknown metric or test, or matplotlib is not installed.
    """
    given = options.parse(Report, argv, "jmmrec report", "Tables, figures and one HTML page of finished runs.")
    if not given.runs or not given.metrics:
        raise ConfigError("name at least one run folder and one metric to report.")
    names = [path.resolve().name for path in given.runs]
    names = names if len(set(names)) == len(names) else [str(path) for path in given.runs]
    if len(set(names)) < len(names):
        raise ConfigError("the same run was named twice; name each once.")
    tests = given.tests()
    from jmmrec.summary import write_summary

    results = dict(zip(names, given.moved.open_all(given.runs), strict=True))
    files = write_summary(results, given.out, metrics=given.metrics, mask=given.mask, title=given.title, **tests)
    options.show(f"Open {files[0]}; beside it {', '.join(file.name for file in files[1:])}.")
    return 0
