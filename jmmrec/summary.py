"""A folder that tells what finished runs found: tables in three forms, figures, and one page with everything."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from jmmrec.errors import ConfigError
from jmmrec.report import Table, comparison_table, plot_groups, plot_history
from jmmrec.report.evaluations import seed_text
from jmmrec.report.page import facts, figure_html, page
from jmmrec.report.verdicts import HowTested
from jmmrec.result import Result
from jmmrec.retrieval import parse_metric
from jmmrec.train import Evaluation
from jmmrec.train.record import RunFolder

SHOWN = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")


def write_summary(
    results: Mapping[str, Result],
    out: str | Path,
    *,
    metrics: Sequence[str] = SHOWN,
    mask: str = "train",
    baseline: str | None = None,
    title: str = "",
    **how_tested: Unpack[HowTested],
) -> list[Path]:
    """Compares finished runs on valid and test and writes what it says.

    Args:
      results: name shown -> run, all of one data set and split. out: folder. metrics: columns. baseline: a name that
        the others are tested against; default the first. how_tested: `over`, `method`, `spread` and `marks`, see
        `comparison_table`.

    Returns:
      the files: `report.html`; `test` and `valid` as .md, .csv and .tex; `history` and `sparsity` as .png and .svg.

    Raises:
      ConfigError: no run, another data set, an unknown metric or test. JmmrecError: matplotlib is not installed.
    """
    if not results:
        raise ConfigError("there is no run to report; name at least one.")
    wanted = [parse_metric(metric) for metric in metrics]
    first = next(iter(results.values()))
    for name, result in results.items():
        if result.dataset.split_digest != first.dataset.split_digest:
            raise ConfigError(f"{name} is of another data set or split than {next(iter(results))}; report them apart.")
    out, base = Path(out), baseline or next(iter(results))
    how = {"ks": tuple(sorted({k for _, k in wanted})), "metrics": tuple(dict.fromkeys(n for n, _ in wanted))}
    tables, tests = {}, {}
    for split in ("test", "valid"):
        hidden = "train" if split == "valid" else mask
        found = {name: result.evaluate(split, hidden, **how) for name, result in results.items()}
        tests = tests or found
        tables[split] = comparison_table(found, metrics, base if len(found) > 1 else None, **how_tested)
    figures = _figures(results, tests, metrics[0])
    title = title or f"{first.dataset.name}: {', '.join(results)}"
    return _written(out, title, tables, figures, results)


def _figures(results: Mapping[str, Result], tests: Mapping[str, Evaluation], metric: str) -> dict[str, tuple[Any, str]]:
    histories = {name: result.history for name, result in results.items()}
    figures = {"history": (plot_history(histories), "Loss and valid NDCG@10 by epoch; the band is one deviation.")}
    groups = {name: one.by_sparsity(metric) for name, one in tests.items()}
    names = {group: count for group, (count, _) in next(iter(groups.values())).items() if count}
    drawn = plot_groups(
        {name: [found[group][1] for group in names] for name, found in groups.items()},
        [f"{group}\n{count:,} users" for group, count in names.items()],
        label=f"test {metric}",
    )
    return figures | {"sparsity": (drawn, f"Test {metric} of users by the number of their training items.")}


def _written(
    out: Path,
    title: str,
    tables: Mapping[str, Table],
    figures: Mapping[str, tuple[Any, str]],
    results: Mapping[str, Result],
) -> list[Path]:
    endings = (".md", ".csv", ".tex")
    files = [table.save(out / f"{split}{ending}") for split, table in tables.items() for ending in endings]
    sections: list[tuple[str, list[str]]] = [(split.capitalize(), [table.html()]) for split, table in tables.items()]
    for number, (name, (figure, caption)) in enumerate(figures.items()):
        for ending in (".png", ".svg"):
            files.append(out / f"{name}{ending}")
            figure.savefig(files[-1], dpi=150)
        sections.append((name.capitalize(), [figure_html(figure, caption, number)]))
    sections += [(f"Run: {name}", [facts(_about(result))]) for name, result in results.items()]
    path = out / "report.html"
    path.write_text(page(title, sections), encoding="utf-8")
    return [path, *files]


def _about(result: Result) -> list[tuple[str, str]]:
    """What a reader must know to run it again."""
    rows = [("model", result.name), ("data", result.dataset.name), ("seeds", seed_text(tuple(result.lanes)))]
    rows += [("epochs trained", str(result.epochs[0])), ("options", repr(result.model))]
    if result.folder is None:
        return rows
    record = RunFolder(result.folder).read()
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    rows += [("command", record["command"]), ("machine", f"{record['machine']}; {record['device']}")]
    return [*rows, ("versions", versions), ("started", record["started"]), ("data digest", record["data"]["digest"])]
