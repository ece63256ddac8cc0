"""Every backbone with its default settings beside popularity and item-kNN, on three small real data sets.

Reproduces nothing published: it is the table that says whether each model here learns what it should, on data that all
models see alike. Last.fm-2K (audio, text, whisper), Amazon Scientific (image, text), TikTok (image, audio).

Command:
    python experiments/baselines.py --data DATA --jobs 2
Every (data set, model, seed) is a run folder under --runs and resumes where it was stopped; the tables are written from
whatever is finished. `--only lfm2k`, `--models freedom bm3` and `--seeds 0:1` restrict it; `--report` trains nothing.

Settings: defaults of each model and of its `training`, batch 2048, patience 20 on valid Recall@20 (unrounded), seeds
0, 1, 2; item-kNN's neighbours chosen on valid from 10, 20, 50, 100, 200. Test metrics under both masks: training items
hidden, and training and valid items hidden.

Expected: trained models above popularity, but for LGMRec on TikTok, and in Recall@10 there for BPR, VBPR, MMGCN and
GRCN (pages of BPR, LGMRec and GRCN say why); what falls below LightGCN is marked, and searched by below_lightgcn.py.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.compare import MARKS, shown, tested
from experiments.shelf import (
    RESULTS,
    called,
    carry_out,
    filed,
    load,
    modalities,
    options,
    places,
    provenance,
    runs_of,
    short,
    write_page,
    write_rows,
)

FOLDERS = ("lfm2k", "amazon_scientific", "tiktok")
MASKS = ("train", "train+valid")
METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
NEIGHBOURS = (10, 20, 50, 100, 200)
REFERENCES = ("popularity", "item-kNN")
OPTIONS = {"ks": (10, 20), "metrics": ("recall", "ndcg")}


def train(folder: str, model: str, seed: int, data: str, runs: str) -> str:
    """Runs one seed of one model to its end, in its own process; returns the run folder."""
    import jmmrec
    from jmmrec.train.record import RunFolder

    out = RunFolder(Path(runs) / f"{folder}-{filed(model)}-seed{seed}")
    if not (out.exists and out.read()["status"] == "finished"):
        jmmrec.fit(
            model, load(folder, data), seeds=(seed,), seeds_per_program=1, checkpoint_seconds=60, out=out.path,
            resume=out.exists,
        )  # fmt: skip
    return str(out.path)


def references(dataset: Any, mask: str) -> dict[str, Any]:
    """Evaluations of popularity, and of item-kNN with the number of neighbours that is best on valid."""
    from jmmrec.train import evaluate_scores, item_knn, popularity

    def valid(k: int) -> float:
        return evaluate_scores(item_knn(dataset, k), dataset, split="valid", **OPTIONS).mean["recall@20"]

    best = max(NEIGHBOURS, key=valid)
    return {
        "popularity": evaluate_scores(popularity(dataset), dataset, mask=mask, **OPTIONS),
        f"item-kNN, k = {best}": evaluate_scores(item_knn(dataset, best), dataset, mask=mask, **OPTIONS),
    }


def trained(folder: str, runs: Path, own: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """mask -> model -> merged evaluations of its finished seeds, in the order of the registry, your own last."""
    import jmmrec
    from jmmrec.models import MODELS
    from jmmrec.train import merge_seeds
    from jmmrec.train.record import RunFolder

    found: dict[str, dict[str, Any]] = {mask: {} for mask in MASKS}
    for model in (*MODELS, *own):
        folders = [RunFolder(path) for path in sorted(runs.glob(f"{folder}-{filed(model)}-seed*"))]
        results = [jmmrec.open_run(f.path) for f in folders if f.exists and f.read()["status"] == "finished"]
        for mask in MASKS if results else ():
            found[mask][short(model)] = merge_seeds([result.evaluate(mask=mask, **OPTIONS) for result in results])
    return found


def rows(folder: str, mask: str, evaluations: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One CSV row for each model and metric, with the difference to LightGCN and its p."""
    from jmmrec.report.stats import interval

    made, base = [], evaluations.get("lightgcn")
    for name, one in evaluations.items():
        for metric in METRICS:
            values = one.per_user[metric]
            if name.startswith(REFERENCES):  # the same with every seed
                values = values.repeat(2, axis=0)
            ours, test = interval(one.per_seed[metric]), tested(values, base and base.per_user[metric])
            made.append(
                {
                    "data": folder, "model": name, "metric": metric, "split": one.split, "mask": mask,
                    "seeds": len(one.seeds), "users": len(one.users), "mean": f"{ours.mean:.5f}",
                    "std": f"{ours.std:.5f}", "low95": f"{ours.low:.5f}", "high95": f"{ours.high:.5f}",
                    "minus_lightgcn": f"{test.difference:+.5f}" if test else "",
                    "p": f"{test.p:.2g}" if test else "",
                }
            )  # fmt: skip
    return made


def section(folder: str, mask: str, made: list[dict[str, Any]]) -> list[str]:
    """One table: models down, metrics across; what is below LightGCN at p < 0.01 is marked."""
    head = f"{made[0]['users']:,} users, {modalities(folder)}; hidden: {mask} items."
    lines = [f"## {folder}, {mask} items hidden", "", head, "", "| | seeds | " + " | ".join(METRICS) + " |"]
    lines += ["| --- | ---: |" + " ---: |" * len(METRICS)]
    for name in dict.fromkeys(row["model"] for row in made):
        cells = {row["metric"]: row for row in made if row["model"] == name}
        values = " | ".join(shown(cells[metric], "minus_lightgcn", "p") for metric in METRICS)
        lines.append(f"| {name} | {cells[METRICS[0]]['seeds']} | {values} |")
    return [*lines, ""]


def write(folders: Sequence[str], data: str, runs: Path, source: str, own: Sequence[str] = ()) -> None:
    """Both files, from whatever is finished."""
    every, lines = [], []
    for folder in folders:
        by_mask, dataset = trained(folder, runs, own), load(folder, data)
        for mask in MASKS:
            made = rows(folder, mask, references(dataset, mask) | by_mask[mask])
            every += made
            lines += section(folder, mask, made)
    about = "Test split, selected on valid Recall@20; mean ± standard deviation over seeds. " + MARKS.format(
        base="LightGCN"
    )
    head = ["# Every backbone with its defaults", "", about, "", source, ""]
    write_page(write_rows(RESULTS / "baselines.csv", every), [*head, *lines])


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing, then writes the tables."""
    given = options(__doc__ or "", "runs/baselines").parse_args(arguments)
    from jmmrec.models import MODELS

    root, folders = places(given.data, given.only, FOLDERS)
    given.runs = runs_of(given.runs, root, folders)
    jobs = [
        (folder, model, seed, root, given.runs)
        for seed in given.seeds
        for folder in folders
        for model in given.models or MODELS
    ]
    carry_out(train, [] if given.report else jobs, given.jobs, given.budget)
    source = provenance(called("baselines.py", arguments), given.note)
    own = [model for model in given.models or () if ":" in model]
    write(folders, root, Path(given.runs), source, own)


if __name__ == "__main__":
    main()
