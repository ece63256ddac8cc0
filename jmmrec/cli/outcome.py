"""What `jmmrec train` says at the end: a table for valid and test, what a search chose, where everything lies."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jmmrec import api
from jmmrec.cli.options import show
from jmmrec.data.steps import label
from jmmrec.errors import JmmrecError
from jmmrec.report import Table, comparison_table
from jmmrec.result import Result
from jmmrec.train import Lane

METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")


def announce(result: Result) -> None:
    """Evaluates a finished run on valid and test, prints tables, writes them and the curves into the run folder."""
    assert result.folder is not None
    rows = {split: len(getattr(result.dataset, split)) for split in ("valid", "test")}
    tables = [_table(result, split) for split in rows if rows[split]]
    if lacking := [split for split in rows if not rows[split]]:
        none = "neither valid nor test" if len(lacking) == 2 else f"no {lacking[0]}"
        show(f"{result.dataset.name} has {none} rows, so there is nothing to tell of them.")
    show(
        *tables,
        *chosen(result.outcomes),
        *_epochs(result),
        *_remarks(result),
        "",
        *_save(result, tables[-1:], result.folder),
    )


def _table(result: Result, split: str) -> Table:
    """The run's metrics on a split; of a search, the backbone alone above what was chosen."""
    strategies = list(result.outcomes)
    if not strategies:
        found = {result.name: api.evaluate(result, split=split, metrics=("recall", "ndcg"), ks=(10, 20))}
        return comparison_table(found, METRICS, title=f"{label(result.dataset)}: {split}")
    names = {s: result.name if s == "none" else f"{result.name}, {s}" for s in strategies}
    names |= {"none": result.name.removesuffix("+mdvt")}
    found = {
        names[s]: api.evaluate(result, split=split, strategy=s, metrics=("recall", "ndcg"), ks=(10, 20))
        for s in strategies
    }
    return comparison_table(found, METRICS, names[strategies[0]], title=f"{label(result.dataset)}: {split}")


def chosen(outcomes: Mapping[str, Mapping[int, Lane]]) -> list[str]:
    """A sentence for each strategy of a search: the first epoch with virtual triplets, seed by seed.

    >>> chosen({"none": {}})
    []
    """
    return [f"{name}: {activations(lanes)}." for name, lanes in outcomes.items() if name != "none"]


def activations(lanes: Mapping[int, Lane]) -> str:
    """When virtual triplets came in, for each seed.

    >>> activations({})
    'virtual triplets from epoch '
    """
    since = {seed: lane.warmup.since if lane.warmup.active else None for seed, lane in lanes.items()}
    said = [f"{'never' if epoch is None else epoch} (seed {seed})" for seed, epoch in since.items()]
    return f"virtual triplets from epoch {', '.join(said)}"


def _epochs(result: Result) -> list[str]:
    if not result.outcomes:
        if any(lane.warmup.active for lane in result.lanes.values()):
            return [f"{activations(result.lanes)}."]
        return []
    trained, scratch = result.epochs
    return [f"{trained} epochs were trained where runs from scratch would have trained {scratch}."]


def _remarks(result: Result) -> list[str]:
    """What the model says of the worst last epoch of all seeds, each sentence once."""
    found: dict[str, list[float]] = {}
    for lane in result.lanes.values():
        for name, value in (lane.history[-1]["parts"] if lane.history else {}).items():
            found.setdefault(name, []).append(value)
    worst = {name: float(np.max(values)) for name, values in found.items()}  # NaN, if there is one
    return list(dict.fromkeys(result.model.remarks(worst)))


def _save(result: Result, told: Sequence[Table], folder: Path) -> Sequence[str]:
    split, kept = "test" if len(result.dataset.test) else "valid", "run.json, metrics.jsonl, model.safetensors"
    for table in told:
        table.save(folder / f"{split}.md")
        table.save(folder / f"{split}.csv")
        kept += f", per_user-*.npz, {split}.md, {split}.csv"
    try:
        result.plot(folder / "curves.png")
    except JmmrecError as error:
        return (f"Everything is in {folder}: {kept}.", f"No curves: {error}")
    return (f"Everything is in {folder}: {kept}, curves.png.",)
