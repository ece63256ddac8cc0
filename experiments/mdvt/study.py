"""What MDVT's experiments share: cells, how they are trained, and the tables made of what is finished.

Settings are the paper's where it gives them: batch 2048, Adam, patience 20, λ 0.2, g 0.1, s 2, n 2 (MMGCN and SLMRec
4), static thresholds {0, 5, 10, 20, 40, 80}. It says "standard settings" of the rest: here learning rate 1e-3 (DRAGON
1e-4), weight decay 1e-4 for SLMRec, valid Recall@20 to stop and to choose by, n 2 for MMSSL, every model otherwise with
its defaults. Some of its numbers are with g 0.2, by its Table 5 (on Baby those of MMGCN, DRAGON and LGMRec). What
differs everywhere: data sets that can be had (Last.fm-2K, TikTok without text, Baby with published item graphs), and
selection on valid, where the public code's choice over its grid reads test.
"""

import argparse
import csv
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.compare import MARKS, also, measured, shown
from experiments.shelf import (
    EPOCHS,
    RESULTS,
    called,
    carry_out,
    check_figures,
    filed,
    load,
    modalities,
    options,
    places,
    provenance,
    runs_of,
    short,
    shortened,
    write_page,
    write_rows,
)
from experiments.verdicts import idle

PAPER_NAME = {"amazon_baby": "Baby", "amazon_sports": "Sports", "tiktok": "TikTok"}
SHORT = {"recall@5": "R@5", "recall@10": "R@10", "recall@20": "R@20", "ndcg@5": "N@5", "ndcg@10": "N@10"}
TITLE = {
    "mmgcn": "MMGCN", "slmrec": "SLMRec", "freedom": "FREEDOM", "dragon": "DRAGON", "lgmrec": "LGMRec",
    "mmssl": "MMSSL",
}  # fmt: skip
BEST_N = {"mmgcn": 4, "slmrec": 4}
STRATEGIES = ("none", "static", "dynamic", "hybrid")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run, and the rows that it fills.

    Attributes:
      key: names its folder; the same in every experiment, so that runs are shared. rows: outcome of the run -> label
        of its row; "" is what the run chose. warmup: options of `WarmupConfig`. mdvt, amr: options; None is without.
      held: (cell, outcome) of runs that have this one's bits among theirs, so that it need not be trained.
    """

    key: str
    rows: tuple[tuple[str, str], ...]
    warmup: tuple[tuple[str, Any], ...] = ()
    mdvt: tuple[tuple[str, Any], ...] | None = None
    amr: tuple[tuple[str, Any], ...] | None = None
    held: tuple[tuple["Cell", str], ...] = ()


FULL = Cell(
    "mdvt",
    (("none", "backbone"), ("static", "+MDVT (S)"), ("dynamic", "+MDVT (D)"), ("hybrid", "+MDVT (H)")),
    (("strategy", "all"), ("gap", 0.1), ("span", 2)),
    (),
)
HYBRID = (("strategy", "hybrid"), ("gap", 0.1), ("span", 2))
MDVT = Cell("hybrid", (("", "MDVT"),), HYBRID, (), held=((FULL, "hybrid"),))
PLAIN = Cell("plain", (("", "backbone"),), held=((FULL, "none"), (MDVT, "none")))
DYNAMIC = (("strategy", "dynamic"), ("gap", 0.1))


def lone(cells: Sequence[Cell]) -> list[Cell]:
    """Cells with the dynamic warm-up in place of a search: one run each instead of a trunk and its branches."""
    made = []
    for cell in cells:
        if cell.warmup == FULL.warmup:
            labels = dict(cell.rows)
            made += [PLAIN] if "none" in labels else []
            own = dataclasses.replace(cell, key="dynamic", rows=(("", labels["dynamic"]),), held=((cell, "dynamic"),))
        elif cell.warmup == HYBRID:
            held = tuple((other, "dynamic") for other, outcome in cell.held if outcome == "hybrid")
            own = dataclasses.replace(cell, key=cell.key.replace("hybrid", "dynamic"), held=held)
        else:
            made.append(cell)
            continue
        made.append(dataclasses.replace(own, warmup=DYNAMIC))
    return made


def train(folder: str, model: str, cell: Cell, refresh: str, seed: int, data: str, runs: str, epochs: int) -> str:
    """Runs one seed of a cell to its end; returns the run folder."""
    import jmmrec
    from jmmrec.models import make
    from jmmrec.train.record import RunFolder

    if done := finished(folder, model, cell, refresh, seed, runs, epochs):
        return str(done[0].path)
    out = RunFolder(run_folder(folder, model, cell, refresh, seed, runs, epochs))
    backbone = make(model) if cell.amr is None else jmmrec.with_amr(make(model), **dict(cell.amr))
    mdvt = None
    if cell.mdvt is not None:
        mdvt = {"n": BEST_N.get(model, 2), "lam": 0.2, "refresh": refresh, **dict(cell.mdvt)}
        mdvt["variant"] = dict(mdvt.get("variant", ()))
        mdvt["refresh"] = "batch" if mdvt["n"] == 0 else mdvt["refresh"]
    jmmrec.fit(
        backbone, load(folder, data), warmup=jmmrec.WarmupConfig(**dict(cell.warmup)), mdvt=mdvt, seeds=(seed,),
        seeds_per_program=1, checkpoint_seconds=60, epochs=epochs, out=out.path, resume=out.exists,
    )  # fmt: skip
    return str(out.path)


def finished(
    folder: str, model: str, cell: Cell, refresh: str, seed: int, runs: str, epochs: int
) -> tuple[Any, str] | None:
    """The run of one seed of a cell, its own or one that holds it, and the outcome there; None if none is finished."""
    from jmmrec.train.record import RunFolder

    for one, outcome in ((cell, ""), *cell.held):
        found = RunFolder(run_folder(folder, model, one, refresh, seed, runs, epochs))
        if found.exists and found.read()["status"] == "finished":
            return found, outcome
    return None


def run_folder(folder: str, model: str, cell: Cell, refresh: str, seed: int, runs: str, epochs: int = EPOCHS) -> Path:
    """Where one seed of a cell is trained; shorter runs than the others' stay apart."""
    mined = "" if cell.mdvt is None else f"-{dict(cell.mdvt).get('refresh', refresh)}"
    return Path(runs) / f"{folder}-{filed(model)}-{cell.key}{mined}{shortened(epochs)}-seed{seed}"


def needed(cells: Sequence[Cell]) -> list[Cell]:
    """Those that no other one of them holds, each once, however many rows it fills."""

    def run(cell: Cell) -> tuple[str, Any]:
        return cell.key, dict(cell.mdvt or ()).get("refresh")

    found = {run(cell): cell for cell in cells}
    return [cell for cell in found.values() if not any(run(other) in found for other, _ in cell.held)]


def collect(
    folder: str, model: str, cells: Sequence[Cell], refresh: str, seeds: Sequence[int], runs: str, epochs: int = EPOCHS
) -> tuple[dict[str, list[tuple]], dict[str, str]]:
    """Of every row the finished runs, (result, outcome), and the cell: of several with one label the best on valid."""
    import jmmrec

    found: dict[str, list] = {}
    for cell in cells:
        done = [part for seed in seeds if (part := finished(folder, model, cell, refresh, seed, runs, epochs))]
        for outcome, label in cell.rows if done else ():
            found.setdefault(label, []).append(([(f, held or outcome) for f, held in done], cell.key))
    best = {label: max(several, key=valid) for label, several in found.items()}
    opened = {f.path: jmmrec.open_run(f.path) for parts, _ in best.values() for f, _ in parts}
    rows = {label: [(opened[f.path], outcome or None) for f, outcome in parts] for label, (parts, _) in best.items()}
    return rows, {label: key for label, (_, key) in best.items()}


def valid(candidate: tuple) -> tuple[int, float]:
    """How many seeds of a row there are, and their mean best score on valid."""
    lanes = [(f.read()["lanes"], outcome) for f, outcome in candidate[0]]  # by outcome, the chosen one last
    ends = [one[outcome] if outcome else list(one.values())[-1] for one, outcome in lanes]
    scores = [lane["best_valid"] for end in ends for lane in end.values()]
    return len(scores), sum(scores) / len(scores)


def trained(parts: Sequence[tuple]) -> dict[str, str]:
    """Of each seed of a row when virtual items were mined, from which epoch they counted, and the best epoch.

    And the virtual loss, its mean over the first epoch that had it and over the last.
    """
    lanes = [lane for r, outcome in parts for lane in (r.outcomes[outcome] if outcome else r.lanes).values()]
    losses = [[epoch["parts"]["virtual"] for epoch in lane.history if "virtual" in epoch["parts"]] for lane in lanes]
    since = " ".join("never" if lane.warmup.since is None else str(lane.warmup.since) for lane in lanes)
    refresh = "" if not any(losses) else str(parts[0][0].model.refresh)
    first, last = (" ".join(f"{values[end]:.2g}" if values else "-" for values in losses) for end in (0, -1))
    ends = {"virtual_loss_first": first, "virtual_loss_last": last} if any(losses) else {}
    best = " ".join(str(lane.best_epoch) for lane in lanes)
    return {"refresh": refresh, "virtual_since": since, "best_epoch": best, **ends}


def never_on(made: Sequence[dict], plan: Sequence[Cell]) -> list[str]:
    """A remark on rows some of whose seeds are the backbone: their best epoch comes before virtual triplets do."""
    with_mdvt = {label for cell in plan if cell.mdvt is not None for outcome, label in cell.rows if outcome != "none"}
    rows = {row["row"]: row for row in made if row["row"] in with_mdvt and idle(row)}
    found = [f"{label} in {idle(row)} of {row['seeds']}" for label, row in rows.items()]
    said = f"Seeds whose best epoch has no virtual triplets yet, so the backbone's: {'; '.join(found)}."
    return [said, ""] if found else []


def evaluations(found: Mapping[str, Sequence[tuple]], metrics: Sequence[str]) -> dict[str, Any]:
    """label -> merged test evaluation."""
    from jmmrec.train import merge_seeds

    names, ks = (tuple(dict.fromkeys(part)) for part in zip(*(metric.split("@") for metric in metrics), strict=True))
    how = {"metrics": names, "ks": tuple(map(int, ks))}
    return {
        label: merge_seeds([result.evaluate(strategy=outcome, **how) for result, outcome in parts])
        for label, parts in found.items()
    }


def paper(tables: Sequence[str]) -> dict[tuple[str, str, str, str], float]:
    """(data, model, row, metric) -> the paper's value."""
    with open(Path(__file__).with_name("paper.csv"), encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["table"] in tables]
    return {(line["dataset"], line["model"], line["variant"], line["metric"]): float(line["value"]) for line in lines}


def rows(
    where: tuple[str, str],
    made: Sequence[dict],
    published: Mapping[tuple, float],
    names: Mapping[str, str],
) -> list[dict]:
    """Measured rows of a data set and a model, the paper's numbers beside them."""
    folder, model = where
    place = PAPER_NAME.get(folder, ""), TITLE.get(model, model)
    found = []
    for row in made:
        value = published.get((*place, names.get(row["row"], row["row"]), SHORT[row["metric"]]), "")
        found.append({"data": folder, "model": short(model)} | row | {"paper": value})
    return found


def section(made: Sequence[dict], metrics: Sequence[str]) -> list[str]:
    """One Markdown table of one model on one data set, the paper's numbers in brackets."""
    first = made[0]
    lines = [f"## {first['data']}, {TITLE.get(first['model'], first['model'])}", ""]
    lines += [f"{first['users']:,} users; {modalities(first['data'])}; training items hidden in ranking.", ""]
    lines += ["| | seeds | " + " | ".join(metrics) + " |", "| --- | ---: |" + " ---: |" * len(metrics)]
    for label in dict.fromkeys(row["row"] for row in made):
        cells = {row["metric"]: row for row in made if row["row"] == label}
        values = " | ".join(text(cells[metric]) for metric in metrics)
        lines.append(f"| {label} | {cells[metrics[0]]['seeds']} | {values} |")
    return [*lines, ""]


def choices(plan: Sequence[Cell], keys: Mapping[str, str]) -> list[str]:
    """What was chosen on valid, where a row is the best of several cells."""
    labels = [label for cell in plan for _, label in cell.rows]
    said = [f"{label}: {key}" for label, key in keys.items() if labels.count(label) > 1]
    return [f"Chosen on valid: {'; '.join(said)}.", ""] if said else []


def text(cell: Mapping[str, Any]) -> str:
    """What we find, and the paper's number."""
    return shown(cell) + (f" ({float(cell['paper']):.4f})" if cell["paper"] else "")


ABOUT = (
    "Test split, selected on valid Recall@20; mean ± standard deviation over seeds, the paper's number in brackets "
    f"where its data set is this one. {MARKS.format(base='the backbone')}"
)


def mined(refresh: str) -> str:
    """When virtual items were mined, in words."""
    return "Mined for every batch." if refresh == "batch" else "Mined once an epoch, where a row says no other."


EMPTY = dict.fromkeys(
    ("setting", "refresh", "virtual_since", "best_epoch", "virtual_loss_first", "virtual_loss_last"), ""
)
WARMED = {"": "", "dynamic": "The dynamic warm-up, one run, in place of every search over warm-ups."}


def asked(about: str) -> argparse.ArgumentParser:
    """The options that all of MDVT's experiments have; `data` may be the folder of one data set."""
    parser = options(about, "runs/mdvt", seeds="0:5", jobs=2)
    parser.add_argument("--refresh", default="epoch", choices=("batch", "epoch"), help="when virtual items are mined")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="at most; early stopping ends most runs sooner")
    return parser


def main(
    name: str,
    title: str,
    about: str,
    cells: Callable[[str, str], Sequence[Cell]],
    *,
    metrics: Sequence[str] = ("recall@5", "recall@10", "ndcg@5", "ndcg@10"),
    models: Sequence[str] = ("freedom",),
    folders: Sequence[str] = ("lfm2k", "tiktok"),
    base: str = "backbone",
    against: Callable[[str], str | None] = lambda _: None,
    tables: Sequence[str] = (),
    names: Mapping[str, str] = {},
    plot: Callable[[dict, Path], Sequence[str]] | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Trains what is missing, then writes CSV, page and figure of whatever is finished.

    Args:
      cells: of a data set and a model. against: from a row to another one that a claim compares it with, beside the
        backbone. tables: of the paper, whose numbers stand beside ours. names: our label -> the
        paper's. plot: from (data, model) -> label -> runs, and a stem, the figures' file names.
    """
    parser = asked(about)
    parser.add_argument("--warmup", default="", choices=("dynamic",), help="one run in place of each warm-up search")
    given = parser.parse_args(arguments)
    (root, chosen), backbones = places(given.data, given.only, folders), given.models or models
    given.runs = runs_of(given.runs, root, chosen)
    seeds, plans = given.seeds, lone if given.warmup else list
    if plot:
        check_figures()
    jobs = [
        (folder, model, cell, given.refresh, seed, root, given.runs, given.epochs)
        for seed in seeds
        for folder in chosen
        for model in backbones
        for cell in needed(plans(cells(folder, model)))
    ]
    carry_out(train, [] if given.report else jobs, given.jobs, given.budget)
    every, lines, drawn, same = [], [], {}, {"epochs": given.epochs, "warmup": given.warmup}
    for folder in chosen:
        for model in backbones:
            plan = plans(cells(folder, model))
            found, keys = collect(folder, model, plan, given.refresh, seeds, given.runs, given.epochs)
            if found:
                drawn[folder, model] = found
                made = measured(evaluations(found, metrics), metrics, base, against)
                made = rows((folder, model), made, paper(tables), names)
                how = {label: {"setting": keys[label], **trained(parts)} for label, parts in found.items()}
                made = [row | EMPTY | how[row["row"]] | same for row in made]
                every, lines = every + made, lines + section(made, metrics) + choices(plan, keys) + never_on(made, plan)
    used = [r.folder for found in drawn.values() for parts in found.values() for r, _ in parts]
    note = " ".join(filter(None, (mined(given.refresh), WARMED[given.warmup], given.note)))
    source = provenance(called(f"mdvt/{name}.py", arguments), note, used)
    written = write_rows(RESULTS / f"mdvt_{name}.csv", every)
    print("\n".join(lines))
    figures = [f"![{title}]({file})\n" for file in (plot(drawn, written.with_suffix("")) if plot else ())]
    write_page(written, [f"# {title}", "", about.strip(), "", ABOUT + also(every), "", source, "", *figures, *lines])
