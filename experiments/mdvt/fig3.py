"""MDVT without aggregation and without scaling: what each adds, and the learning curves.

Reproduces: MDVT's Figures 2 and 3 (Baby; static threshold 20). The paper's claim: both parts are needed, and
without them the curves are less stable. Its figures have no printed numbers. Without aggregation every user has n
triplets, the k-th best with the k-th worst, summed; without scaling the model's loss keeps its weight
(docs/mdvt.md).

    python experiments/mdvt/fig3.py --data DATA --only lfm2k --seeds 0:3
Four runs a seed and model, 3 to 5 minutes and 1 GB each for FREEDOM on Last.fm-2K, on one busy core; GPU: not run. Two
of the paper's five models by default, others by --models. Expect no differences: the virtual loss is soon too small to
matter (docs/mdvt.md).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.mdvt.study import PLAIN, Cell, main

STATIC = (("strategy", "static"), ("thresholds", (20,)))


def cells(folder: str, model: str) -> Sequence[Cell]:
    """The backbone and three forms of MDVT."""
    made = [PLAIN]
    for key, label, variant in (
        ("static20", "MDVT", ()),
        ("static20-noaggr", "w/o-Aggr", (("aggregate", "none"),)),
        ("static20-noscale", "w/o-Scale", (("scale", "add"),)),
    ):
        made.append(Cell(key, (("", label),), STATIC, (("variant", variant),)))
    return made


def run(arguments: Sequence[str] | None = None) -> None:
    """The table and the curves."""
    from experiments.mdvt.figures import curves

    main(
        "fig3", "MDVT without its parts", __doc__ or "", cells, metrics=("recall@10", "recall@20", "ndcg@10"),
        models=("freedom", "lgmrec"), against=lambda _: "MDVT", plot=curves, arguments=arguments,
    )  # fmt: skip


if __name__ == "__main__":
    run()
