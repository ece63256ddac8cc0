"""Measures everything in one run and prints ratios: `python benchmarks/run.py [--data FOLDER] [--quick]`."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console

from benchmarks.accuracy import accuracy
from benchmarks.backbones import backbones
from benchmarks.calibration import calibration
from benchmarks.generation import generation
from benchmarks.machine import description
from benchmarks.measure import Line
from benchmarks.propagation import propagation
from benchmarks.report import inside, markdown, placed, renewed, show
from benchmarks.search import mining, ranking
from benchmarks.setting import Setting, setting
from benchmarks.training import epochs, seeds, virtual
from benchmarks.transport import transport

PARTS: dict[str, Callable[[Setting], list[Line]]] = {
    "machine": calibration,
    "propagation": propagation,
    "mining": mining,
    "ranking": ranking,
    "epochs": epochs,
    "backbones": backbones,
    "virtual": virtual,
    "seeds": seeds,
    "transport": transport,
    "accuracy": accuracy,
    "generation": generation,
}


def measure(
    where: Setting, say: Callable[[str], None] = lambda name: None, only: Sequence[str] = tuple(PARTS)
) -> list[Line]:
    """All lines of the report, or those of some parts; `say` hears what is being measured."""
    lines = []
    for name, part in PARTS.items():
        if name in only:
            say(name)
            lines += part(where)
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", metavar="FOLDER", help="Amazon Baby; default $JMMREC_DATA/amazon_baby")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, measures nothing")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts; default: all")
    parser.add_argument("--markdown", metavar="FILE", help="also write the tables there, each in its own's place")
    options = parser.parse_args(arguments)
    console, start = Console(stderr=True), time.perf_counter()
    where = setting(options.data, options.quick)
    lines = measure(where, lambda name: console.print(f"[dim]{name} ...[/]"), options.only)
    head = [
        f"On {where.origin}; {description()}.",
        f"Median (smallest–largest) of {where.rounds[0]} rounds for propagation and beside the toolbox, "
        f"{where.rounds[1]} elsewhere; "
        f"variants take turns; whole run {time.perf_counter() - start:.0f} s.",
    ]
    out = Console()
    show(lines, head, out if out.is_terminal else Console(width=160))
    if options.markdown:
        file = Path(options.markdown)
        page = file.read_text(encoding="utf-8") if file.exists() else ""
        text = markdown(lines, head) if options.only == list(PARTS) else renewed(inside(page), lines, head)
        file.write_text(placed(page, text), encoding="utf-8")


if __name__ == "__main__":
    main()
