"""Spans s of the hybrid warm-up.

Reproduces: MDVT's Figure 9 (Recall@10). The paper's claim: a span of 2 is enough. Its figure has no printed numbers.

    python experiments/mdvt/fig9.py --data DATA --only lfm2k --seeds 0:3
Reads what grid.py has trained, or trains the part with the paper's λ and n, in the time said there; GPU: not run.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.mdvt.grid import main, recommended


def view(folder: str, model: str, grids: Sequence[Any]) -> tuple[list[str], list[tuple[str, Any]]]:
    """Every s at g = .1."""
    n = recommended(model)
    return [], [("backbone", None), *((f"s = {s}", ("hybrid", 0.2, n, 0.1, s)) for s in grids[0].grid.spans)]


def run(arguments: Sequence[str] | None = None) -> None:
    """The table."""
    main("fig9", "Spans of the hybrid warm-up", __doc__ or "", view, against=lambda _: "s = 2", arguments=arguments)


if __name__ == "__main__":
    run()
