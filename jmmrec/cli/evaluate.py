"""`jmmrec evaluate RUN`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from jmmrec.cli import options
from jmmrec.errors import ConfigError, check_whole

if TYPE_CHECKING:
    from jmmrec.report import Table
    from jmmrec.train import Evaluation

KS = (5, 10, 20, 50)


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """What to evaluate."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    split: str = "test"
    """test or valid."""
    mask: str = "train"
    """Items that may not be recommended: those of train, or of train+valid."""
    ks: options.Numbers = KS
    """Where lists are cut."""
    metrics: options.Words = ("recall", "ndcg", "precision", "map", "hitrate", "mrr")
    """Which to compute; coverage, novelty and popularity_lift are shown as well, unless some of them are named."""
    strategy: str | None = None
    """Of a search, another outcome than the chosen one, e.g. none; best: the best on valid, the backbone among them."""
    sparsity: bool = False
    """Also by the number of training interactions of a user."""
    groups: bool = False
    """Also by what the relevant items lack: all modalities observed, some, none."""
    cold_users: bool = False
    """Also ask users without training interactions."""
    moved: tyro.conf.OmitArgPrefixes[options.Moved] = options.IN_PLACE
    out: Path | None = None
    """File to write the table to, .md, .csv or .tex."""


def run(argv: list[str]) -> int:
    """Prints metrics by K, mean ± interval over seeds.

    Raises:
      JmmrecError: no finished run, other data, or an option that does not exist.
    """
    given = options.parse(Evaluate, argv, "jmmrec evaluate", "Evaluates a finished run on a split.")
    check_output(given.out)
    from jmmrec import api
    from jmmrec.data.steps import label
    from jmmrec.retrieval import METRICS

    result = given.moved.open(given.run)
    n_items = result.dataset.n_items
    ks = tuple(k for k in KS if k <= n_items) if given.ks == KS else given.ks
    check_ks(ks, n_items)
    if not given.metrics:
        raise ConfigError("metrics are empty; name at least one, e.g. recall.")
    each = tuple(name for name in given.metrics if name in METRICS)
    if (given.sparsity or given.groups) and not each:
        raise ConfigError(
            f"{given.metrics[0]} is of all lists together; groups of users or items need e.g. recall, too."
        )
    strategy = result.best_strategy if given.strategy == "best" else given.strategy
    found = api.evaluate(
        result, split=given.split, mask=given.mask, ks=ks, metrics=given.metrics, strategy=strategy,
        cold_users=given.cold_users,
    )  # fmt: skip
    name = f"{result.name}{f', {strategy}' if strategy else ''} on {label(result.dataset)}"
    tables = {"": by_k(found, ks, name)}
    if given.sparsity:
        tables["-sparsity"] = _by_sparsity(found, ks, each)
    if given.groups:
        tables["-groups"] = _by_missing(found, ks, each)
    options.show(*tables.values())
    if given.out:
        files = [table.save(given.out.with_stem(given.out.stem + part)) for part, table in tables.items()]
        options.show(f"Written to {', '.join(map(str, files))}.")
    return 0


def check_ks(ks: tuple[int, ...], n_items: int) -> None:
    """Raises `ConfigError` unless there is a K and each lies between 1 and the number of items.

    >>> check_ks((5, 10), 100)
    """
    if not ks:
        raise ConfigError("ks are empty; give at least one, e.g. --ks 10 20.")
    for k in ks:
        check_whole("k", k, 1, n_items)


def check_output(path: Path | None) -> None:
    """Raises `ConfigError` for a table's file that does not end in .md, .csv or .tex; before anything costs time.

    >>> check_output(Path("table.md"))
    """
    if path is not None and path.suffix not in (".md", ".csv", ".tex"):
        raise ConfigError(f"{path} ends in {path.suffix or 'nothing'!r}; a table is written as .md, .csv or .tex.")


def by_k(found: "Evaluation", ks: tuple[int, ...], title: str) -> "Table":
    """One row for each measure, one column for each K."""
    from jmmrec.report import Estimate, Table, interval
    from jmmrec.report.evaluations import seed_text

    values = found.per_seed
    rows = [
        (name, *(Estimate(interval(values[f"{name}@{k}"])) for k in ks))
        for name in dict.fromkeys(key.partition("@")[0] for key in values)
    ]
    facts = {"split": found.split, "masked": found.mask, "users": len(found.users), "seeds": seed_text(found.seeds)}
    notes = [
        "± is half of the 95% Student-t interval over seeds." if len(found.seeds) > 1 else "One seed: no interval."
    ]
    if found.left_out:
        notes.append(f"{found.left_out} users without training interactions were not asked.")
    return Table(title, ("", *(f"@{k}" for k in ks)), tuple(rows), tuple(notes), facts)


def _by_sparsity(found: "Evaluation", ks: tuple[int, ...], metrics: tuple[str, ...]) -> "Table":
    from jmmrec.report import Table

    k = 20 if 20 in ks else max(ks)
    groups = {f"{name}@{k}": found.by_sparsity(f"{name}@{k}") for name in metrics}
    return Table("By training interactions", ("interactions", "users", *groups), _rows(groups), ("Means over seeds.",))


def _by_missing(found: "Evaluation", ks: tuple[int, ...], metrics: tuple[str, ...]) -> "Table":
    from jmmrec.report import Table

    k = 20 if 20 in ks else max(ks)
    groups = {f"{name}@{k}": found.by_missing(f"{name}@{k}") for name in metrics}
    notes = ("Means over seeds and the users who have relevant items of the group.",)
    return Table("By modalities of the relevant items", ("items", "users", *groups), _rows(groups), notes)


def _rows(groups: dict[str, dict[str, tuple[int, float]]]) -> tuple[tuple, ...]:
    first = next(iter(groups.values()))
    return tuple((label, count, *(group[label][1] for group in groups.values())) for label, (count, _) in first.items())
