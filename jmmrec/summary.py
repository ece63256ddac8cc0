"""What finished runs found: one table; or a folder with tables in three forms, figures, one page with everything."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from jmmrec.data.steps import label
from jmmrec.errors import ConfigError, as_tuple, check_whole
from jmmrec.report import Table, comparison_table, plot_groups, plot_history
from jmmrec.report.evaluations import seed_text
from jmmrec.report.page import facts, figure_html, page
from jmmrec.report.verdicts import HowTested
from jmmrec.result import Result, panels_of
from jmmrec.retrieval import parse_metric
from jmmrec.train import Evaluation
from jmmrec.train.record import RunFolder

SHOWN = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")


def compare(
    results: Mapping[str, Result],
    metrics: Sequence[str] = SHOWN,
    *,
    split: str = "test",
    mask: str = "train",
    baseline: str | None = None,
    title: str = "",
    **how_tested: Unpack[HowTested],
) -> Table:
    """Finished runs side by side: mean ± interval over seeds, each tested against one of them.

    Args:
      results: name shown -> run, all of one data set and split. metrics: columns. split, mask: see
        `jmmrec.train.evaluate_split`. baseline: whom the others are tested against; default the first.
      how_tested: `over`, `method`, `spread` and `marks`, see `jmmrec.report.comparison_table`.

    Returns:
      a table that notebooks show and `print` writes as Markdown; `details` has every difference in numbers.

    Raises:
      ConfigError: no run, another data set, an unknown metric, split, mask or test, or a K above the number of items.

    >>> import jmmrec
    >>> runs = {name: jmmrec.fit(name, "synthetic", epochs=1, quiet=True) for name in ("bpr", "lightgcn")}
    >>> table = jmmrec.compare(runs, ["recall@20"])
    >>> table.columns, [row[0] for row in table.rows]
    (('model', 'recall@20'), ['bpr', 'lightgcn'])
    """
    metrics = spelled(metrics)
    found = evaluated(results, metrics, split, mask)
    base = baseline or next(iter(found))
    table = comparison_table(found, metrics, base if len(found) > 1 else None, title=title, **how_tested)
    return dataclasses.replace(table, notes=(*table.notes, *seen_by(results)))


def seen_by(results: Mapping[str, Result]) -> list[str]:
    """A sentence where runs saw other features of the same data: other modalities, or other rows missing or filled.

    >>> seen_by({})
    []
    """
    saw = {name: f"{label(r.dataset)}, {' and '.join(r.dataset.modalities) or 'ids'}" for name, r in results.items()}
    if len(set(saw.values())) < 2:
        return []
    return [f"Runs saw different features. {'; '.join(f'{name}: {what}' for name, what in saw.items())}."]


def spelled(metrics: Sequence[str]) -> list[str]:
    """Metrics as evaluations name them; a lone word is one.

    Raises:
      ConfigError: none, or an unknown one.

    >>> spelled("Recall@20")
    ['recall@20']
    """
    if not metrics:
        raise ConfigError("metrics are empty; name at least one, e.g. recall@20.")
    return ["{}@{}".format(*parse_metric(metric)) for metric in as_tuple(metrics)]


def evaluated(results: Mapping[str, Result], metrics: Sequence[str], split: str, mask: str) -> dict[str, Evaluation]:
    """Evaluations of runs of one data set with the K and names of these metrics.

    Raises:
      ConfigError: no run or metric, an unknown one, a K above the number of items, another data set.
    """
    if not isinstance(results, Mapping):
        raise ConfigError("the runs have no names; give them as {'name': result, ...}.")
    if not results:
        raise ConfigError("there is no run; name at least one.")
    wanted = [parse_metric(metric) for metric in spelled(metrics)]
    base, first = next(iter(results.items()))
    for name, result in results.items():
        if result.dataset.split_digest != first.dataset.split_digest:
            raise ConfigError(
                f"{name} was trained on another data set or split than {base}; compare runs of the same split."
            )
    for _, k in wanted:
        check_whole("k", k, 1, first.dataset.n_items)
    how = {"ks": tuple(sorted({k for _, k in wanted})), "metrics": tuple(dict.fromkeys(n for n, _ in wanted))}
    return {name: result.evaluate(split, mask, **how) for name, result in results.items()}


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
      the files: `report.html`; `test` and `valid`, where there are such rows, as .md, .csv and .tex; `history` and
        `sparsity` as .png and .svg.

    Raises:
      ConfigError: no run, another data set, an unknown metric or test. JmmrecError: matplotlib is not installed.
    """
    metrics, tables, tests = spelled(metrics), {}, {}
    first = next(iter(results.values()), None)
    there = [split for split in ("test", "valid") if first and len(getattr(first.dataset, split))]
    for split in there or ("test",):  # where there are none at all, that says so
        found = evaluated(results, metrics, split, "train" if split == "valid" else mask)
        tests = tests or found
        base = baseline or next(iter(found))
        table = comparison_table(found, metrics, base if len(found) > 1 else None, **how_tested)
        tables[split] = dataclasses.replace(table, notes=(*table.notes, *seen_by(results)))
    figures, name = _figures(results, tests, metrics[0]), next(iter(results.values())).dataset.name
    return _written(Path(out), title or f"{name}: {', '.join(results)}", tables, figures, results)


def _figures(results: Mapping[str, Result], tests: Mapping[str, Evaluation], metric: str) -> dict[str, tuple[Any, str]]:
    """Curves of training, and a metric of users by their training items, on the first split that there is."""
    split = next(iter(tests.values())).split
    histories = {name: result.history for name, result in results.items()}
    panels = panels_of(*(result.config for result in results.values()))
    caption = f"Loss{' and valid NDCG@10' if len(panels) > 1 else ''} by epoch; the band is one deviation."
    figures = {"history": (plot_history(histories, panels=panels), caption)}
    groups = {name: one.by_sparsity(metric) for name, one in tests.items()}
    names = {group: count for group, (count, _) in next(iter(groups.values())).items() if count}
    drawn = plot_groups(
        {name: [found[group][1] for group in names] for name, found in groups.items()},
        [f"{group}\n{count:,} users" for group, count in names.items()],
        label=f"{split} {metric}",
    )
    return figures | {"sparsity": (drawn, f"{split.title()} {metric} of users by the number of their training items.")}


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
