"""What CI²MG's experiments share: cells of a grid, each trained on masked data and evaluated under the same masks."""

import argparse
import csv
import dataclasses
import itertools
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

METRICS = ("recall@20", "precision@20", "ndcg@20")
OPTIONS = {"ks": (20,), "metrics": ("recall", "precision", "ndcg")}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One row of a table on one data set at one rate.

    Attributes:
      label: of the row. model: registered name. options: of the model, as (name, value); groups as dictionaries are
        given as tuples of pairs. features: whether the model reads any; one that does not is trained once for all
        rates.
    """

    label: str
    model: str
    options: tuple[tuple[str, Any], ...] = ()
    features: bool = True

    def made(self) -> Any:
        """The model."""
        import jmmrec.models

        return jmmrec.models.make(self.model, **nested(self.options))


def nested(pairs: Any) -> Any:
    """Tuples of pairs as dictionaries, anything else as it is.

    >>> nested((("ot", (("delta", "none"),)), ("task", False)))
    {'ot': {'delta': 'none'}, 'task': False}
    """
    return {name: nested(value) for name, value in pairs} if isinstance(pairs, tuple) else pairs


@dataclasses.dataclass(frozen=True)
class Masks:
    """How modalities are hidden: the protocol and seed of the mask, the fill for models that need values."""

    protocol: str = "item_subset"
    seed: int = 0
    impute: str = "mean"


def masked(folder: str, data: str, rate: float | None, masks: Masks, fill: bool) -> Any:
    """The data set with this rate hidden; missing rows filled where `fill` is asked for."""
    from jmmrec.data import impute, with_missing

    dataset = load(folder, data)
    if rate is None:
        return dataset
    hidden = with_missing(dataset, rate, masks.protocol, masks.seed)
    return impute(hidden, masks.impute) if fill else hidden


def run_folder(
    folder: str, cell: Cell, rate: float | None, masks: Masks, seed: int, runs: str, epochs: int = EPOCHS
) -> Path:
    """Where a cell's seed is trained: a model with its defaults is one run, however a table calls it."""
    where = f"{masks.protocol}{masks.seed}-{rate:g}" if cell.features and rate is not None else "any"
    label = "-" + "".join(c if c.isalnum() else "_" for c in cell.label.lower()) if cell.options else ""
    return Path(runs) / f"{folder}-{where}-{filed(cell.model)}{label}{shortened(epochs)}-seed{seed}"


def train(
    folder: str, cell: Cell, rate: float, masks: Masks, seed: int, data: str, runs: str, epochs: int = EPOCHS
) -> str:
    """Runs one seed of one cell to its end, in its own process; returns the run folder."""
    import jmmrec
    from jmmrec.train.record import RunFolder

    out = RunFolder(run_folder(folder, cell, rate, masks, seed, runs, epochs))
    if not (out.exists and out.read()["status"] == "finished"):
        dataset = masked(folder, data, rate if cell.features else None, masks, fill=cell.model != "ci2mg")
        settings = {"seeds": (seed,), "seeds_per_program": 1, "checkpoint_seconds": 60, "epochs": epochs}
        jmmrec.fit(cell.made(), dataset, **settings, out=out.path, resume=out.exists)
    return str(out.path)


def collect(
    cells: Sequence[Cell],
    folder: str,
    rate: float,
    masks: Masks,
    seeds: Sequence[int],
    runs: str,
    epochs: int = EPOCHS,
) -> dict[str, Any]:
    """label -> merged test evaluation of the finished seeds."""
    import jmmrec
    from jmmrec.train import merge_seeds
    from jmmrec.train.record import RunFolder

    found = {}
    for cell in cells:
        paths = [run_folder(folder, cell, rate, masks, seed, runs, epochs) for seed in seeds]
        folders = [RunFolder(path) for path in paths]
        parts = [jmmrec.open_run(f.path) for f in folders if f.exists and f.read()["status"] == "finished"]
        if parts:
            merged = [dataclasses.replace(part.evaluate(**OPTIONS), per_group={}) for part in parts]
            found[cell.label] = (merge_seeds(merged), remarks(parts))
    return found


def remarks(results: Sequence[Any]) -> tuple[str, ...]:
    """What the model says of the worst last epoch of all seeds (CI²MG: of the transport and of the contrast)."""
    last = [lane.history[-1]["parts"] for result in results for lane in result.lanes.values()]
    return results[0].model.remarks({name: max(parts[name] for parts in last) for name in last[0]})


def paper(table: str) -> dict[tuple[str, str, str], float]:
    """(data, model, metric) -> the paper's value, as a fraction."""
    with open(Path(__file__).with_name("paper.csv"), encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["table"] == table]
    return {(row["data"], row["model"], row["metric"]): float(row["percent"]) / 100 for row in rows}


def rows(where: tuple[str, float], masks: Masks, made: Sequence[dict], said: Mapping, published: Mapping) -> list[dict]:
    """Measured rows of a data set at a rate, with the masks, the paper's numbers, and what the models say."""
    folder, rate = where
    about = {"data": folder, "protocol": masks.protocol, "mask_seed": masks.seed, "rate": rate}
    found = []
    for row in made:
        label, metric = row["row"], row["metric"]
        rest = {key: value for key, value in row.items() if key != "row"}
        remark = " ".join(said[label]) if metric == METRICS[0] else ""
        found.append(about | {"model": label} | rest | {"paper": published.get((folder, label, metric), "")})
        found[-1] |= {"remark": remark}
    return found


def section(made: Sequence[dict]) -> list[str]:
    """One Markdown table of the rows of one data set and rate."""
    first = made[0]
    masked = f"{first['protocol']}, mask {first['mask_seed']}"
    title = f"## {first['data']}, {100 * float(first['rate']):.0f} % missing ({masked})"
    head = f"{first['users']:,} users, {modalities(first['data'])}; hidden in ranking: {first['mask']} items."
    lines = [title, "", head, "", "| | seeds | " + " | ".join(METRICS) + " | paper's recall@20 |"]
    lines += ["| --- | ---: |" + " ---: |" * len(METRICS) + " ---: |"]
    for label in dict.fromkeys(row["model"] for row in made):
        cells = {row["metric"]: row for row in made if row["model"] == label}
        values = " | ".join(shown(cell) for cell in cells.values())
        published = cells[METRICS[0]]["paper"]
        lines.append(
            f"| {label} | {cells[METRICS[0]]['seeds']} | {values} | {f'{published:.4f}' if published else ''} |"
        )
    said: dict[str, list[str]] = {}
    for row in made:
        if row["remark"]:
            said.setdefault(row["remark"], []).append(row["model"])
    return [*lines, "", *(f"{' and '.join(models)}: {text}\n" for text, models in said.items())]


def asked(about: str, rates: Sequence[float], cells: Sequence[Cell]) -> argparse.ArgumentParser:
    """The options that all of CI²MG's experiments have."""
    parser = options(about, "runs/ci2mg", seeds="0:5", names=[cell.label for cell in cells])
    parser.add_argument("--rates", nargs="*", type=float, default=list(rates))
    parser.add_argument("--protocol", default="item_subset")
    parser.add_argument("--mask-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="at most; early stopping ends most runs sooner")
    return parser


def own_cells(models: Sequence[str], cells: Sequence[Cell]) -> list[Cell]:
    """Rows of backbones of your own.

    Raises:
      SystemExit: one has a row's name.
    """
    own = [Cell(short(model), model) for model in models if ":" in model]
    if taken := {cell.label for cell in own} & {cell.label for cell in cells}:
        raise SystemExit(f"there is a row {min(taken)} already; call the class otherwise.")
    return own


def main(
    name: str,
    title: str,
    about: str,
    cells: Sequence[Cell],
    *,
    table: str = "",
    base: str = "LightGCN",
    against: Mapping[str, str] = {},
    rates: Sequence[float] = (0.9,),
    folders: Sequence[str] = ("lfm2k", "tiktok"),
    arguments: Sequence[str] | None = None,
    plot: Callable[[list[dict], Path], Any] | None = None,
) -> None:
    """Trains what is missing of a grid, then writes its CSV and page (and a figure) from whatever is finished.

    Args:
      against: from a row to another one that a claim compares it with, beside `base`.
    """
    given = asked(about, rates, cells).parse_args(arguments)
    masks, seeds = Masks(given.protocol, given.mask_seed), given.seeds
    if plot:
        check_figures()
    root, sets = places(given.data, given.only, folders)
    given.runs = runs_of(given.runs, root, sets)
    cells = [*cells, *own_cells(given.models or (), cells)]
    chosen = [cell for cell in cells if not given.models or {cell.label, cell.model} & set(given.models)]
    jobs = [
        (folder, cell, rate, masks, seed, root, given.runs, given.epochs)
        for seed in seeds
        for folder in sets
        for cell in chosen
        for rate in (given.rates if cell.features else given.rates[:1])
    ]
    carry_out(train, [] if given.report else jobs, given.jobs, given.budget)
    every, lines = [], []
    for folder in sets:
        for rate in given.rates:
            found = collect(cells, folder, rate, masks, seeds, given.runs, given.epochs)
            if found:
                made = measured({label: one for label, (one, _) in found.items()}, METRICS, base, against.get)
                said = {label: remark for label, (_, remark) in found.items()}
                made = rows((folder, rate), masks, made, said, paper(table) if table else {})
                every, lines = every + [row | {"epochs": given.epochs} for row in made], lines + section(made)
    used = [
        run_folder(folder, cell, rate, masks, seed, given.runs, given.epochs)
        for folder, cell, rate, seed in itertools.product(sets, cells, given.rates, seeds)
    ]
    source = provenance(called(f"ci2mg/{name}.py", arguments), given.note, used)
    other = "" if masks == Masks() else f"_{masks.protocol}{masks.seed}"
    written = write_rows(RESULTS / f"ci2mg_{name}{other}.csv", every)
    head = [f"# {title}", "", about.strip(), "", MARKS.format(base=base) + also(every, "model"), "", source, ""]
    if plot:
        plot(every, written.with_suffix(".png"))
        head += [f"![{title}]({written.stem}.png)", ""]
    write_page(written, [*head, *lines])
