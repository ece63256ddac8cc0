"""Gaps g of the dynamic and the hybrid warm-up.

Reproduces: MDVT's Table 5 (Recall@10; Amazon sets). The paper's claim: g of .1 or .2 is best, and results fall with
larger ones. On LGMRec the published rule switches on at the first check whatever g is, so its rows cannot differ.

    python experiments/mdvt/table5.py --data DATA --only lfm2k --seeds 0:3
Reads what grid.py has trained, or trains the part with the paper's λ and n, in the time said there; GPU: not run.
Expect no difference on Last.fm-2K: FREEDOM's loss falls by less than a tenth at the first look already, so every g
switches on there.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.mdvt.grid import GAPS, main, recommended


def view(folder: str, model: str, grids: Sequence[Any]) -> tuple[list[str], list[tuple[str, Any]]]:
    """Dynamic and hybrid for every g, and when they switch on."""
    n = recommended(model)
    from jmmrec.train.search import switched_on

    said = []
    for g in GAPS:
        since = [switched_on(trunk, grid.grid.dynamic(g)) for grid in grids for trunk in grid.trunks.values()]
        said.append(f"g = {g}: on after {', '.join('never' if s is None else str(s) for s in since)} plain epochs.")
    cells = [(f"Dynamic g={g}", ("dynamic", 0.2, n, g, None)) for g in GAPS]
    return said, [("backbone", None), *cells, *((f"Hybrid g={g}", ("hybrid", 0.2, n, g, 2)) for g in GAPS)]


def run(arguments: Sequence[str] | None = None) -> None:
    """The table."""
    main(
        "table5", "Gaps of the dynamic and hybrid warm-up", __doc__ or "", view,
        against=lambda label: f"{label.partition('=')[0]}=0.1", tables=("5",), arguments=arguments,
    )  # fmt: skip


if __name__ == "__main__":
    run()
