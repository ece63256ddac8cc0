"""The demo: generated data with known truth, FREEDOM alone and under every warm-up of MDVT, three seeds."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from jmmrec.api import fit
from jmmrec.data import Synthetic, SyntheticConfig, synthesize
from jmmrec.data.synthetic import DEMO
from jmmrec.errors import JmmrecError
from jmmrec.report import Table, comparison_table, matched, paired_test
from jmmrec.result import Result
from jmmrec.train import STRATEGIES, Evaluation, TrainConfig, WarmupConfig, evaluate_scores, popularity

METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
SEEDS = (0, 1, 2)
WARMUP = WarmupConfig("all", thresholds=(0, 5, 10, 20))
# One run to a program: branches come and go, and another number of runs would be another program to compile.
CONFIG = TrainConfig(epochs=80, batch_size=1024, learning_rate=1e-2, patience=8, seeds_per_program=1)


@dataclasses.dataclass(frozen=True)
class Demo:
    """What the demo found.

    Attributes:
      result: all strategies, trained. evaluations: name -> test metrics, train items masked.
      table: means with intervals and marks; popularity as the floor, the generator's truth as the ceiling.
      verdict: one sentence. files: what was written.
    """

    result: Result
    evaluations: Mapping[str, Evaluation]
    table: Table
    verdict: str
    files: Sequence[Path]


def demo(
    out: str | Path = "demo-output",
    *,
    seeds: Sequence[int] = SEEDS,
    data: SyntheticConfig = DEMO,
    config: TrainConfig = CONFIG,
    warmup: WarmupConfig = WARMUP,
    quiet: bool = False,
) -> Demo:
    """Trains, evaluates, compares, and writes `table.md`, `table.csv` and `curves.png`.

    Args:
      out: folder to write to. seeds: one run of each strategy for each. quiet: no progress display.
      data, config, warmup: other than the demo's own, for a shorter one.

    Raises:
      JmmrecError: bad options, or the folder cannot be written.

    `jmmrec demo` calls this; it takes minutes.
    """
    made = synthesize(data)
    result = fit("freedom", made.dataset, warmup=warmup, config=config, seeds=seeds, quiet=quiet)
    names = {strategy: "FREEDOM" if strategy == "none" else f"+ MDVT, {strategy}" for strategy in STRATEGIES}
    evaluations = {
        name: result.evaluate(strategy=strategy, ks=(10, 20), metrics=("recall", "ndcg"))
        for strategy, name in names.items()
    }
    table = comparison_table(evaluations, METRICS, "FREEDOM", title="Generated data, test")
    sentence = verdict(evaluations, "FREEDOM")
    notes = (*table.notes, *_notes(result), sentence)
    table = dataclasses.replace(table, rows=_between(table, bounds(made)), notes=notes)
    return Demo(result, evaluations, table, sentence, _write(Path(out), table, result, names))


def bounds(made: Synthetic) -> dict[str, dict[str, float]]:
    """Test metrics of two rankings that nobody trained: by popularity in training, and by the generator's own scores.

    >>> found = bounds(synthesize(SyntheticConfig(n_users=60)))
    >>> found["popularity"]["recall@20"] < found["truth"]["recall@20"]
    True
    """
    data, truth = made.dataset, made.truth.scores()
    scorers = {"popularity": popularity(data), "truth": lambda users: truth[users]}
    return {
        name: evaluate_scores(scorer, data, ks=(10, 20), metrics=("recall", "ndcg")).mean
        for name, scorer in scorers.items()
    }


def _between(table: Table, found: Mapping[str, Mapping[str, float]]) -> tuple:
    """The table's rows between the floor and the ceiling."""
    rows = [
        (f"{name} ({about})", *(found[name][metric] for metric in METRICS))
        for name, about in (("popularity", "floor"), ("truth", "ceiling"))
    ]
    return (rows[0], *table.rows, rows[1])


def _notes(result: Result) -> list[str]:
    trained, scratch = result.epochs
    since = [
        f"{strategy} {', '.join('never' if not w.active else str(w.since) for w in (x.warmup for x in lanes.values()))}"
        for strategy, lanes in result.outcomes.items()
        if strategy != "none"
    ]
    return [
        "Ceiling: the scores the data were drawn from, which no model can know.",
        f"First epoch with virtual triplets, seed by seed: {'; '.join(since)}.",
        f"{trained} epochs were trained where runs from scratch would have trained {scratch}.",
    ]


def verdict(evaluations: Mapping[str, Evaluation], baseline: str, metric: str = "recall@20") -> str:
    """One sentence on whether anything beat or fell behind the baseline, from paired t-tests over users (p < 0.05,
    Bonferroni-corrected).

    >>> import numpy as np
    >>> values = {"recall@20": np.array([[0.1, 0.2, 0.1, 0.2, 0.1]])}
    >>> one = Evaluation("test", "train", (0,), np.arange(5), values, {}, np.ones(5), 0)
    >>> verdict({"A": one, "B": one}, "A")
    'On recall@20 B is not told apart from A.'
    """
    base = evaluations[baseline]
    groups: dict[str, list[str]] = {"better than": [], "worse than": [], "not told apart from": []}
    for name, one in evaluations.items():
        if name == baseline:
            continue
        pair = matched(one.users, one.per_user[metric], base.users, base.per_user[metric])
        test = paired_test(*pair)
        told = test.p * (len(evaluations) - 1) < 0.05
        kind = "not told apart from" if not told else "better than" if test.difference > 0 else "worse than"
        groups[kind].append(name.removeprefix("+ "))
    parts = [f"{' and '.join(n)} {'is' if len(n) == 1 else 'are'} {kind} {baseline}" for kind, n in groups.items() if n]
    return f"On {metric} {'; '.join(parts)}."


def _write(out: Path, table: Table, result: Result, names: Mapping[str, str]) -> list[Path]:
    from jmmrec.report import plot_history

    files = [table.save(out / "table.md"), table.save(out / "table.csv")]
    histories = {names[s]: [list(lane.history) for lane in lanes.values()] for s, lanes in result.outcomes.items()}
    try:
        plot_history(histories, out / "curves.png")
    except JmmrecError:  # no matplotlib
        return files
    return [*files, out / "curves.png"]
