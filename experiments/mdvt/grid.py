"""MDVT's whole grid on one backbone and data set: λ, n, static thresholds, gaps g, spans s, in one command.

Reproduces: the search behind MDVT's Tables 2 and 5 and Figures 6 to 9 (5 λ × 4 n × (6 static thresholds + 5 g + 5 g
× 5 s), g up to .5 as in Table 5), and says what it cost: epochs trained, epochs if every different run had begun
from scratch, epochs if every cell had. The choice on valid is shown beside what a choice on test would have
claimed.

    python experiments/mdvt/grid.py --data DATA --only lfm2k --models freedom --seeds 0:1 --jobs 2
Each seed is a folder under --runs and goes on where it was stopped. `--lams 0.2 --ns 2` is what the recommended
setting needs, a twentieth of all: FREEDOM on Last.fm-2K, one seed, 38 minutes and 1.2 GB on one busy core (4,461 epochs
for 36 cells that would be 54,152 from scratch). All of it would take half a day; GPU: not run. Expect no cell above the
backbone.
fig6.py, fig7_8.py, fig9.py and table5.py show views of it, or train the part of it that they need.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.compare import also, measured, points
from experiments.mdvt.study import ABOUT, BEST_N, TITLE, asked, mined, paper, rows, text
from experiments.shelf import (
    RESULTS,
    called,
    carry_out,
    check_figures,
    filed,
    load,
    places,
    provenance,
    runs_of,
    short,
    shortened,
    write_page,
    write_rows,
)

LAMS, NS, GAPS = (0.1, 0.2, 0.3, 0.4, 0.5), (1, 2, 4, 8), (0.1, 0.2, 0.3, 0.4, 0.5)
FINISHED = "finished"
METRICS = ("recall@10", "recall@20", "ndcg@10")
View = Callable[[str, str, Sequence[Any]], tuple[list[str], list[tuple[str, Any]]]]


class Sizes(NamedTuple):
    """What a grid goes through, as in `jmmrec.tuning.Grid`."""

    lams: tuple[float, ...]
    ns: tuple[int, ...]
    thresholds: tuple[int, ...] = (0, 5, 10, 20, 40, 80)
    gaps: tuple[float, ...] = GAPS
    spans: tuple[int, ...] = (1, 2, 3, 4, 5)
    cross: tuple[float, int] | None = None

    @property
    def grid(self) -> Any:
        """The grid."""
        from jmmrec.tuning import Grid

        return Grid(**self._asdict())

    @property
    def name(self) -> str:
        """In a folder's name: λ and n, and what else is not as usual."""
        usual, parts = self._field_defaults, {"lam": self.lams, "n": self.ns}
        rest = {"T": "thresholds", "g": "gaps", "s": "spans", "cross": "cross"}
        parts |= {short: getattr(self, name) for short, name in rest.items() if getattr(self, name) != usual[name]}
        return "-".join(short + "_".join(map(str, values)) for short, values in parts.items())


class Job(NamedTuple):
    """One seed of a grid."""

    folder: str
    model: str
    sizes: Sizes
    refresh: str
    seed: int
    data: str
    runs: str
    epochs: int

    @property
    def where(self) -> Path:
        """The folder where it is trained."""
        name = f"{self.folder}-{filed(self.model)}-grid-{self.refresh}-{self.sizes.name}{shortened(self.epochs)}"
        return Path(self.runs) / f"{name}-seed{self.seed}"


def held(job: Job) -> Job:
    """The job, or that of a larger finished grid which has its cells."""
    alike = f"{job.folder}-{filed(job.model)}-grid-{job.refresh}-lam*-seed{job.seed}"
    for mark in sorted(Path(job.runs).glob(f"{alike}/{FINISHED}")):
        about = json.loads((mark.parent / "grid.json").read_text(encoding="utf-8"))
        sizes = {name: about["grid"].get(name) for name in Sizes._fields}
        other = Sizes(**{name: tuple(values) if values else values for name, values in sizes.items()})
        if about["config"]["epochs"] == job.epochs and set(job.sizes.grid.cells()) <= set(other.grid.cells()):
            return job._replace(sizes=other)
    return job


def search(job: Job) -> Any:
    """The grid of one seed, trained as far as it is not."""
    from jmmrec.tuning import mdvt_grid

    return mdvt_grid(
        job.model, load(job.folder, job.data), job.sizes.grid, mdvt={"refresh": job.refresh}, seeds=(job.seed,),
        config={"epochs": job.epochs, "checkpoint_seconds": 120}, out=job.where,
        say=lambda text: print(f"{job.where.name}: {text}", flush=True),
    )  # fmt: skip


def train(*parts: Any) -> str:
    """`search` in a process of its own; says what it cost, and marks the folder as finished."""
    job = Job(*parts)
    trained, once, every = search(job).epochs
    (job.where / FINISHED).touch()
    return f"{job.folder}, {short(job.model)}, seed {job.seed}: {trained} epochs; {once} once each, {every} every cell"


def opened(grids: Sequence[Any], key: Any) -> Any:
    """Merged test evaluation of one cell; key None is the backbone."""
    from jmmrec.train import merge_seeds

    return merge_seeds([grid.evaluate(key, metrics=("recall", "ndcg"), ks=(10, 20)) for grid in grids])


def valid(grids: Sequence[Any], key: Any) -> str:
    """Mean best score on valid of one cell."""
    scores = []
    for grid in grids:
        scores += [trunk.best_score for trunk in grid.trunks.values()] if key is None else grid.score(key)
    return f"{sum(scores) / len(scores):.5f}"


def plain_epochs(grids: Sequence[Any], key: Any) -> str:
    """Epochs of one cell before virtual triplets came in, seed by seed."""
    lanes = [grid.lane(key, seed) if key else trunk for grid in grids for seed, trunk in grid.trunks.items()]
    return " ".join("never" if lane.role == "trunk" else str(lane.born) for lane in lanes)


def shared(grids: Sequence[Any]) -> list[Any]:
    """The cells that the grids of all seeds have, of which no run diverged."""
    return [key for key in grids[0].finished if all(key in grid.finished for grid in grids)]


def best_key(grids: Sequence[Any], strategy: str) -> Any:
    """The cell with the best mean valid score over all seeds."""
    keys = [key for key in shared(grids) if key[0] == strategy]
    return max(keys, key=lambda key: sum(sum(grid.score(key)) for grid in grids))


def everything(folder: str, model: str, grids: Sequence[Any]) -> tuple[list[str], list[tuple[str, Any]]]:
    """The choice of each strategy, what it cost, and what a choice on test would have claimed."""
    from jmmrec.tuning.grid import setting

    costs = [sum(part) for part in zip(*(grid.epochs for grid in grids), strict=True)]
    count = len(grids[0].grid.cells())
    said = [
        f"{costs[0]:,} epochs trained; {costs[1]:,} if every different run had begun from scratch, {costs[2]:,} if "
        f"every one of the {count} cells had.",
        *(grid.claims() for grid in grids),
    ]
    strategies = dict.fromkeys(key[0] for key in shared(grids))
    found = {strategy: best_key(grids, strategy) for strategy in strategies}
    return said, [("backbone", None), *((f"{s}: {setting(key)}", key) for s, key in found.items())]


def recommended(model: str) -> int:
    """The paper's n for a model."""
    return BEST_N.get(model, 2)


def main(
    name: str,
    title: str,
    about: str,
    view: View,
    *,
    against: Callable[[str], str | None] = lambda _: None,
    tables: Sequence[str] = (),
    lams: Sequence[float] = (0.2,),
    ns: Sequence[int] | None = None,
    models: Sequence[str] = ("freedom",),
    narrow: Mapping[str, tuple] | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Trains what is missing of the grids, then writes what `view` asks to see of them.

    Args:
      narrow: what of warm-ups is enough (`Sizes`); λ and n are then varied one at a time.
      view: from data, model and grids (one a seed) to sentences and (label, cell). against: as in `study.main`.
      tables: of the paper, whose numbers stand beside ours. ns: default the model's best.
    """
    parser = asked(about)
    parser.add_argument("--lams", nargs="*", type=float, default=list(lams))
    parser.add_argument("--ns", nargs="*", type=int, default=ns and list(ns), help="default: the paper's for the model")
    given = parser.parse_args(arguments)
    (root, chosen), backbones = places(given.data, given.only, ("lfm2k", "tiktok")), given.models or models
    given.runs, seeds = runs_of(given.runs, root, chosen), given.seeds
    check_figures()

    def job(folder: str, model: str, seed: int) -> Job:
        sizes = Sizes(tuple(given.lams), tuple(given.ns or (recommended(model),)))
        if narrow is not None:
            sizes = sizes._replace(**narrow, cross=(0.2, recommended(model)))
        return held(Job(folder, model, sizes, given.refresh, seed, root, given.runs, given.epochs))

    jobs = [job(folder, model, seed) for seed in seeds for folder in chosen for model in backbones]
    carry_out(train, [] if given.report else jobs, given.jobs, given.budget)
    every, lines = [], []
    for folder in chosen:
        for model in backbones:
            wanted = [job(folder, model, seed) for seed in seeds]
            done = [one for one in wanted if (one.where / FINISHED).exists()]
            if not done:
                continue
            grids = [search(one) for one in done]  # reads them, and trains nothing
            said, cells = view(folder, model, grids)
            seen = [(label, key) for label, key in cells if key is None or key in shared(grids)]
            scores = {label: valid(grids, key) for label, key in seen}
            made = measured({label: opened(grids, key) for label, key in seen}, METRICS, "backbone", against)
            made = rows((folder, model), made, paper(tables), {})
            how = {"refresh": given.refresh, "epochs": given.epochs}
            plain = {label: plain_epochs(grids, key) for label, key in seen}
            made = [row | {"valid": scores[row["row"]], "plain_epochs": plain[row["row"]]} | how for row in made]
            every, lines = every + made, lines + section(made, said)
    source = provenance(called(f"mdvt/{name}.py", arguments), f"{mined(given.refresh)} {given.note}")
    written = write_rows(RESULTS / f"mdvt_{name}.csv", every)
    print("\n".join(lines))
    figure = points(every, written.with_suffix(".png"), "recall@10", "backbone")
    page = [f"# {title}", "", about.strip(), "", ABOUT + also(every), "", source, ""]
    write_page(written, [*page, f"![{title}]({figure})", "", *lines])


def section(made: Sequence[dict], said: Sequence[str]) -> list[str]:
    """One Markdown table."""
    first = made[0]
    lines = [f"## {first['data']}, {TITLE.get(first['model'], first['model'])}", "", *(line + "\n" for line in said)]
    lines += ["| | seeds | valid recall@20 | " + " | ".join(METRICS) + " |", "| --- |" + " ---: |" * (2 + len(METRICS))]
    for label in dict.fromkeys(row["row"] for row in made):
        cells = {row["metric"]: row for row in made if row["row"] == label}
        values = " | ".join(text(cells[metric]) for metric in METRICS)
        one = cells[METRICS[0]]
        lines.append(f"| {label} | {one['seeds']} | {float(one['valid']):.4f} | {values} |")
    return [*lines, ""]


def run(arguments: Sequence[str] | None = None) -> None:
    """The whole grid."""
    main("grid", "MDVT's grid", __doc__ or "", everything, lams=LAMS, ns=NS, arguments=arguments)


if __name__ == "__main__":
    run()
