"""What falls below LightGCN with its defaults, with the options that valid chooses for it.

Reproduces nothing published: it tells a model that is broken from one whose defaults, made for Amazon's reviews, do not
suit a data set. Every pair of a model and a data set that `results/baselines.csv` marks as worse than LightGCN on test
Recall@20 (train items hidden, p < 0.01) is trained with each setting of a small grid, seed 0 unless --seeds
says otherwise; the one with the best valid Recall@20 is evaluated on test. LightGCN itself keeps its defaults. What was
searched stays in the table when more seeds show that chance may have put it below.

    python experiments/below_lightgcn.py --data DATA --jobs 2
Every setting is a run folder under --runs and resumes where it was stopped; `--only`, `--models`, `--budget` and
`--report` as in baselines.py. Grids: options that the models' authors search, as few settings as two cores
could train. GPU: not run.
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.baselines import OPTIONS
from experiments.shelf import DATA, RESULTS, called, carry_out, load, options, provenance, write_page, write_rows

GRIDS: dict[str, dict[str, Sequence[Any]]] = {
    "bpr": {"model.reg": (0.01, 0.03)},
    "vbpr": {"model.reg_form": ("l2sq",), "model.reg": (0.01, 0.03)},
    "slmrec": {"model.ssl_weight": (0.01, 1.0), "config.learning_rate": (1e-3, 1e-2)},
    "bm3": {"model.n_layers": (1, 2), "model.reg": (0.01, 0.1)},
    "mmgcn": {"config.learning_rate": (1e-4,)},
    "lattice": {"config.learning_rate": (5e-4, 5e-3)},
    "grcn": {"config.learning_rate": (1e-4,)},
    "mmssl": {"config.learning_rate": (1e-4, 1e-3)},
    "dragon": {"config.learning_rate": (1e-3,)},
    "lgmrec": {"model.cl_weight": (0.0, 1e-6)},
}
METRIC = "recall@20"


def fallen() -> list[dict[str, str]]:
    """Rows of the baselines that stand below LightGCN and have a grid, whether by chance or not."""
    with open(RESULTS / "baselines.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (row["metric"], row["mask"]) == (METRIC, "train")]
    return [row for row in rows if row["p"] and row["minus_lightgcn"].startswith("-") and row["model"] in GRIDS]


def found(folder: str, model: str, seeds: tuple, data: str, runs: str) -> Any:
    """The search, trained as far as it is not finished."""
    from jmmrec.tuning import search

    out = Path(runs) / f"{folder}-{model}"
    return search(model, load(folder, data), GRIDS[model], seeds=seeds, out=out, quiet=True)


def train(*job: Any) -> str:
    """One search to its end, in its own process; returns its best setting."""
    return f"{job[0]} {job[1]}: {found(*job).best.name}"


def finished(folder: str, model: str, runs: str) -> bool:
    """Whether all settings of a search are trained, or diverged."""
    from jmmrec.train.record import RunFolder
    from jmmrec.tuning.space import as_space, product

    count = len(list(product(as_space(GRIDS[model]))))
    trials = [RunFolder(Path(runs) / f"{folder}-{model}" / f"trial-{number:04d}") for number in range(count)]
    return all(trial.exists and trial.read()["status"] in ("finished", "diverged") for trial in trials)


def row(below: dict[str, str], seeds: tuple, data: str, runs: str) -> dict[str, Any]:
    """One model on one data set: with defaults, with what valid chose, and the best of the grid seen from test."""
    search = found(below["data"], below["model"], seeds, data, runs)
    tests = [trial.result.evaluate(**OPTIONS).mean[METRIC] for trial in search.finished]
    chosen, default = search.finished.index(search.best), float(below["mean"])
    return {
        "data": below["data"], "model": below["model"], "metric": METRIC, "split": "test", "mask": "train",
        "seeds": len(seeds),
        "settings": len(search.trials), "chosen": search.best.name, "valid": f"{search.best.score:.5f}",
        "default": f"{default:.5f}", "default_seeds": below["seeds"], "searched": f"{tests[chosen]:.5f}",
        "lightgcn": f"{default - float(below['minus_lightgcn']):.5f}", "best_on_test": f"{max(tests):.5f}",
    }  # fmt: skip


def page(made: Sequence[dict[str, Any]], source: str) -> list[str]:
    """The table."""
    seeds = f"{made[0]['seeds']} seed{'s' * (made[0]['seeds'] > 1)}"
    about = (
        f"Test Recall@20, train items hidden; searched: {seeds}, the setting with the best valid Recall@20; LightGCN"
    )
    lines = ["# What falls below LightGCN, searched", "", f"{about} with its defaults.", "", source, ""]
    lines += ["| data | model | defaults | searched | LightGCN | chosen | settings |"]
    lines += ["| --- | --- | ---: | ---: | ---: | --- | ---: |"]
    for one in made:
        shown = " | ".join(f"{float(one[name]):.4f}" for name in ("default", "searched", "lightgcn"))
        lines.append(f"| {one['data']} | {one['model']} | {shown} | {one['chosen']} | {one['settings']} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing, then writes the table."""
    given = options(__doc__ or "", "runs/below_lightgcn", seeds="0:1", names=tuple(GRIDS), own=False).parse_args(
        arguments
    )
    seeds = given.seeds
    below = [one for one in fallen() if one["data"] in (given.only or DATA) and one["model"] in (given.models or GRIDS)]
    jobs = [(one["data"], one["model"], seeds, given.data, given.runs) for one in below if float(one["p"]) < 0.01]
    carry_out(train, [] if given.report else jobs, given.jobs, given.budget)
    done = [one for one in below if finished(one["data"], one["model"], given.runs)]
    made = [row(one, seeds, given.data, given.runs) for one in done]
    if not made:
        raise SystemExit("no search is finished yet of what stands below LightGCN among these.")
    source = provenance(called("below_lightgcn.py", arguments), given.note)
    write_page(write_rows(RESULTS / "below_lightgcn.csv", made), page(made, source))


if __name__ == "__main__":
    main()
