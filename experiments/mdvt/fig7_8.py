"""λ and n.

Reproduces: MDVT's Figures 7 and 8 (hybrid warm-up, Recall@10). The paper's claim: λ of .2 is best for every model;
n of 2, for MMGCN and SLMRec of 4. Its figures have no printed numbers.

    python experiments/mdvt/fig7_8.py --data DATA --only lfm2k --seeds 0:3
Reads what grid.py has trained, or trains the eight pairs with g .1 and s 2, about 40 runs a seed: by the time of
grid.py's runs, 1 h 45 on one core for FREEDOM on Last.fm-2K. GPU: not run.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.mdvt.grid import LAMS, NS, main, recommended


def view(folder: str, model: str, grids: Sequence[Any]) -> tuple[list[str], list[tuple[str, Any]]]:
    """λ at the paper's n, and n at its λ."""
    have, n = grids[0].grid, recommended(model)
    rows = [(f"λ = {lam}", ("hybrid", lam, n, 0.1, 2)) for lam in have.lams]
    rows += [(f"n = {k}", ("hybrid", 0.2, k, 0.1, 2)) for k in have.ns]
    return [], [("backbone", None), *rows]


def run(arguments: Sequence[str] | None = None) -> None:
    """The table."""
    best = "λ = 0.2"  # with the model's best n
    main(
        "fig7_8", "λ and n", __doc__ or "", view, against=lambda _: best, lams=LAMS, ns=NS,
        narrow={"thresholds": (), "gaps": (0.1,), "spans": (2,)}, arguments=arguments,
    )  # fmt: skip


if __name__ == "__main__":
    run()
