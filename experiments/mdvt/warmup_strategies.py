"""FREEDOM alone and with static, dynamic and hybrid MDVT on real data, beside the PyTorch toolbox and the paper.

Reproduces: the FREEDOM rows of MDVT's Table 2 for what can be had of its data sets (Baby, TikTok without text), and
Last.fm-2K, which the paper does not have; and the toolbox's LightGCN and FREEDOM on the same files.

    python experiments/mdvt/warmup_strategies.py --data DATA --jobs 2
Every (data set, model, seed) is a run folder under --runs and resumes where it was stopped; the tables are written
from whatever is finished. `--only lfm2k-freedom-batch` and `--seeds 0:2` restrict what is trained; `--plain` trains
the backbone alone, for more seeds of the baseline than of the comparison.

Settings: batch 2048, Adam 1e-3, patience 20 on valid Recall@20 (unrounded), training items masked; MDVT with λ 0.2,
n 2, g 0.1 as the paper recommends; to fit two cores, s 1 where the paper has 2, and static thresholds {5, 20}
(TikTok, Baby: 20 alone) where it has {0, 5, 10, 20, 40, 80}, chosen on valid. `batch` mines anew for every batch,
as the public code; `epoch` once an epoch, a named deviation that makes the larger sets affordable on two cores.

Expected: the toolbox's numbers within two standard deviations, or above (Last.fm-2K); what MDVT adds is in the table,
whatever it is.
"""

import argparse
import dataclasses
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.compare import MARKS, tested
from experiments.shelf import RESULTS, carry_out, provenance, seeds_of, write_page, write_rows

METRICS = ("recall@5", "recall@10", "recall@20", "ndcg@5", "ndcg@10")


@dataclasses.dataclass(frozen=True)
class Study:
    """One row of runs: a model on a data set.

    Attributes:
      folder, modalities: the data; (modality, weight of its item graph). model: `lightgcn` or `freedom`.
      refresh: of the mining, or "" for no MDVT. seeds: run by default, 0, 1, ... thresholds, span: of the searches.
      reference: published values by metric, with their origin.
    """

    folder: str
    model: str
    modalities: tuple[tuple[str, float], ...]
    refresh: str
    seeds: int
    thresholds: tuple[int, ...]
    span: int
    reference: tuple[tuple[str, float], ...]
    origin: str

    @property
    def name(self) -> str:
        """Used in run folders and on the command line."""
        return f"{self.folder}-{self.model}" + (f"-{self.refresh}" if self.refresh else "")


def toolbox(recall10: float, recall20: float, ndcg10: float) -> tuple[tuple[str, float], ...]:
    """Reference values in the order the toolbox prints them."""
    return ("recall@10", recall10), ("recall@20", recall20), ("ndcg@10", ndcg10)


IMAGE_AUDIO, AUDIO_TEXT = (("image", 0.1), ("audio", 0.9)), (("audio", 0.1), ("text", 0.9))
IMAGE_TEXT = (("image", 0.1), ("text", 0.9))
LFM, TIKTOK = toolbox(0.2711, 0.3974, 0.2231), toolbox(0.0560, 0.0885, 0.0303)
BABY = toolbox(0.0627, 0.0992, 0.0330)
SAME_FILES, PUBLISHED = "PyTorch toolbox, same files, one seed", "MMRec benchmark, official features, one seed"
STUDIES = (
    Study("tiktok", "lightgcn", IMAGE_AUDIO, "", 5, (0,), 0, toolbox(0.0589, 0.0922, 0.0335), SAME_FILES),
    Study("lfm2k", "freedom", AUDIO_TEXT, "batch", 5, (5, 20), 1, LFM, SAME_FILES),
    Study("tiktok", "freedom", IMAGE_AUDIO, "epoch", 5, (20,), 1, TIKTOK, SAME_FILES),
    Study("amazon_baby", "freedom", IMAGE_TEXT, "epoch", 5, (20,), 1, BABY, PUBLISHED),
)
BY_NAME = {study.name: study for study in STUDIES}


def inter_file(study: Study) -> str | None:
    """Baby's folder holds a second, random split; the published one is meant."""
    return "baby" if study.folder == "amazon_baby" else None


def train(name: str, seed: int, data: str, runs: str, plain: bool) -> str:
    """Runs one seed of a study to its end, in its own process; returns the run folder."""
    import jmmrec
    from jmmrec.train.record import RunFolder

    study, out = BY_NAME[name], Path(runs) / f"{name}{'-plain' if plain else ''}-seed{seed}"
    folder = RunFolder(out)
    if folder.exists and folder.read()["status"] == "finished":
        return str(out)
    names = [modality for modality, _ in study.modalities]
    dataset = jmmrec.load(Path(data) / study.folder, inter=inter_file(study), modalities=names)
    config = jmmrec.TrainConfig(seeds_per_program=1, checkpoint_seconds=60)
    model = jmmrec.LightGcn(n_layers=2, reg=1e-4, reg_form="norm")
    if study.model == "freedom":
        model = jmmrec.Freedom(modal_weights=study.modalities, edge_drop=0.8, modal_bpr_weight=1e-3)
    warmup, mdvt = jmmrec.WarmupConfig(), None
    if study.refresh and not plain:
        warmup = jmmrec.WarmupConfig("all", thresholds=study.thresholds, gap=0.1, span=study.span)
        mdvt = {"n": 2, "lam": 0.2, "refresh": study.refresh}
    jmmrec.fit(
        model, dataset, warmup=warmup, mdvt=mdvt, seeds=(seed,), config=config, out=out, resume=folder.exists
    )  # fmt: skip
    return str(out)


def collect(study: Study, data: str, runs: Path) -> dict:
    """strategy -> `Evaluation` on test of all finished seeds, and what the searches cost."""
    import jmmrec
    from jmmrec.train import merge_seeds
    from jmmrec.train.record import RunFolder

    parts: dict[str, list] = {}
    since: dict[str, list] = {}
    costs = []
    # The comparison's own runs first: a plain run of the same seed repeats its backbone.
    for out in (*sorted(runs.glob(f"{study.name}-seed*")), *sorted(runs.glob(f"{study.name}-plain-seed*"))):
        record = RunFolder(out).read()
        known = {seed for part in parts.get("none", ()) for seed in part.seeds}
        if record["status"] != "finished" or known & set(record["seeds"]):
            continue
        result = jmmrec.open_run(out)
        if result.outcomes:
            costs.append(result.epochs)
        for strategy, lanes in (result.outcomes or {"none": result.lanes}).items():
            evaluation = result.evaluate(strategy=strategy if result.outcomes else None, metrics=("recall", "ndcg"))
            parts.setdefault(strategy, []).append(evaluation)
            since.setdefault(strategy, []).extend(lane.warmup.since for lane in lanes.values())
    merged = {strategy: merge_seeds(found) for strategy, found in parts.items()}
    return {"evaluations": merged, "since": since, "epochs": np.sum(costs, axis=0) if costs else None}


def rows(study: Study, found: dict) -> list[dict]:
    """One CSV row for each strategy and metric: ours, the reference, the difference to the backbone and its p."""
    from jmmrec.report.stats import interval

    made, reference = [], dict(study.reference)
    base = found["evaluations"].get("none")
    for strategy, evaluation in found["evaluations"].items():
        for metric in METRICS:
            ours = interval(evaluation.per_seed[metric])
            test = None
            if strategy != "none":
                same = [base.seeds.index(seed) for seed in evaluation.seeds]
                test = tested(evaluation.per_user[metric], base.per_user[metric][same])
            target = reference.get(metric) if strategy == "none" else None
            made.append(
                {
                    "data": study.folder,
                    "model": study.model,
                    "modalities": "+".join(name for name, _ in study.modalities),
                    "refresh": study.refresh,
                    "warmup": strategy,
                    "metric": metric,
                    "split": evaluation.split,
                    "mask": evaluation.mask,
                    "seeds": len(evaluation.seeds),
                    "users": len(evaluation.users),
                    "mean": f"{ours.mean:.5f}",
                    "std": f"{ours.std:.5f}",
                    "low95": f"{ours.low:.5f}",
                    "high95": f"{ours.high:.5f}",
                    "minus_backbone": f"{test.difference:+.5f}" if test else "",
                    "p": f"{test.p:.2g}" if test else "",
                    "reference": target or "",
                    # One seed has no spread to compare with.
                    "within_2std_or_better": ours.mean + 2 * ours.std >= target if target and ours.n > 1 else "",
                    "origin": study.origin if target else "",
                    "virtual_since": " ".join("never" if s is None else str(s) for s in found["since"][strategy])
                    if strategy != "none"
                    else "",
                }
            )
    return made


def write(all_rows: list[dict], costs: dict[str, tuple], about: str) -> None:
    """The CSV, and the same as a Markdown page."""
    written = write_rows(RESULTS / "warmup_strategies.csv", all_rows)
    lines = ["# FREEDOM with and without virtual triplets, on real data", "", about, ""]
    for key in dict.fromkeys((r["data"], r["model"], r["refresh"]) for r in all_rows):
        mine = [r for r in all_rows if (r["data"], r["model"], r["refresh"]) == key]
        lines += section(key, mine, costs)
    write_page(written, lines)


def section(key: tuple, mine: list[dict], costs: dict[str, tuple]) -> list[str]:
    """One table: strategies down, metrics across, the reference first."""
    data, model, refresh = key
    first = mine[0]
    title = f"## {data}, {model}" + (f", mined every {refresh}" if refresh else "")
    head = "| | " + " | ".join(METRICS) + " | virtual since epoch |"
    lines = [title, "", f"{first['users']:,} users, {first['modalities']}.", ""]
    lines += [head, "| --- |" + " ---: |" * len(METRICS) + " --- |"]
    reference = {r["metric"]: r["reference"] for r in mine if r["reference"]}
    origin = next((r["origin"] for r in mine if r["origin"]), "")
    lines += [f"| {origin} | " + " | ".join(f"{reference.get(m, '')}" for m in METRICS) + " | |"]
    for strategy in dict.fromkeys(r["warmup"] for r in mine):
        cells = {r["metric"]: r for r in mine if r["warmup"] == strategy}
        shown = [f"{float(cells[m]['mean']):.4f}{spread(cells[m])}{star(cells[m])}" for m in METRICS]
        count = cells[METRICS[0]]["seeds"]
        label = f"{model if strategy == 'none' else f'+ {strategy}'} ({count} seed{'s' * (count > 1)})"
        lines += [f"| {label} | " + " | ".join(shown) + f" | {cells[METRICS[0]]['virtual_since']} |"]
    trained, scratch = costs.get(f"{data}-{model}" + (f"-{refresh}" if refresh else ""), (0, 0))
    if scratch > trained:
        lines += ["", f"Epochs trained by the searches: {trained}; from scratch it would be {scratch}."]
    return [*lines, ""]


def spread(cell: dict) -> str:
    """The standard deviation over seeds, where there is more than one."""
    return f" ± {float(cell['std']):.4f}" if cell["seeds"] > 1 else ""


def star(cell: dict) -> str:
    """A mark where a strategy differs from the backbone at p < 0.01, with its direction."""
    if not cell["p"] or float(cell["p"]) >= 0.01:
        return ""
    return " ▲" if cell["minus_backbone"].startswith("+") else " ▼"


def about(note: str) -> str:
    """What the marks mean, and where the numbers come from."""
    return (
        "Test split, training items masked, selected on valid Recall@20; mean ± standard deviation over seeds. "
        f"{MARKS.format(base='the backbone')}\n\n"
        f"{provenance('python experiments/mdvt/warmup_strategies.py --data DATA --jobs 2', note)}"
    )


def main() -> None:
    """Trains what is missing, then writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("JMMREC_DATA", "../shared/data"))
    parser.add_argument("--runs", default="runs/warmup_strategies")
    parser.add_argument("--only", nargs="*", default=list(BY_NAME), choices=list(BY_NAME))
    parser.add_argument("--seeds", type=seeds_of, help="0:5, or 0,3,7, or one, instead of each study's own")
    parser.add_argument("--plain", action="store_true", help="the backbone alone")
    models = sorted({study.model for study in STUDIES})
    parser.add_argument("--models", nargs="*", default=models, choices=models)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--budget", type=float, default=0.0, metavar="MINUTES", help="stop then; go on another time")
    parser.add_argument("--report", action="store_true", help="train nothing, write the tables of what is there")
    parser.add_argument("--note", default="", help="a sentence for the page, e.g. what has not been run")
    given = parser.parse_args()
    jobs = []
    asked = [name for name in given.only if BY_NAME[name].model in given.models]
    for name in () if given.report else asked:
        seeds = given.seeds or range(BY_NAME[name].seeds)
        jobs += [(name, seed, given.data, given.runs, given.plain) for seed in seeds]
    carry_out(train, jobs, given.jobs, given.budget)
    found = {study.name: collect(study, given.data, Path(given.runs)) for study in STUDIES}
    table = [row for study in STUDIES for row in rows(study, found[study.name])]
    costs = {name: tuple(f["epochs"]) for name, f in found.items() if f["epochs"] is not None}
    write(table, costs, about(given.note))


if __name__ == "__main__":
    main()
