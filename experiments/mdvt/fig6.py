"""How the three warm-ups work: results by the number of plain epochs, and what each of them picks.

Reproduces: MDVT's Figure 6 (MMGCN, FREEDOM on Baby; g .1, s 2). The paper's claim: the best warm-up lies in a similar
range for all three. Its figure has no printed numbers, and no rule for similar: the ledger asks whether the best static
threshold lies within s epochs of what dynamic finds.

    python experiments/mdvt/fig6.py --data DATA --only lfm2k --seeds 0:3
Reads what grid.py has trained, or trains the part with the paper's λ and n, in the time said there; GPU: not run.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.mdvt.grid import main, recommended


def view(folder: str, model: str, grids: Sequence[Any]) -> tuple[list[str], list[tuple[str, Any]]]:
    """Every static threshold, and the three choices."""
    n = recommended(model)
    static = [("static", 0.2, n, t, None) for t in grids[0].grid.thresholds]
    chosen = {"dynamic": ("dynamic", 0.2, n, 0.1, None), "hybrid": ("hybrid", 0.2, n, 0.1, 2)}
    picks = []
    for grid in grids:
        for seed in grid.trunks:
            best = max(static, key=grid.score)
            lanes = [grid.lane(key, seed) for key in (best, *chosen.values())]
            early, dynamic, hybrid = ("never" if lane.role == "trunk" else f"after {lane.born}" for lane in lanes)
            picks.append(f"Seed {seed}, plain epochs: static {early}, dynamic {dynamic}, hybrid {hybrid}.")
    rows = [(f"T = {key[3]}", key) for key in static]
    return picks, [("backbone", None), *rows, *chosen.items()]


def run(arguments: Sequence[str] | None = None) -> None:
    """The table."""
    main("fig6", "What the warm-ups pick", __doc__ or "", view, models=("freedom", "mmgcn"), arguments=arguments)


if __name__ == "__main__":
    run()
