"""Virtual items that must be similar enough, with and without a number.

Reproduces: MDVT's Tables 6 and 7 (Baby, NDCG@10). The paper's claims: a threshold in place of n hurts, more so
without warm-up; with both it comes close; between n1 and n2 items (MDVT+) it is as good as MDVT or better.
Thresholds .5 to .9, n and [n1, n2] are chosen on valid here. What the paper leaves open (negatives, users without
any) is in docs/mdvt.md. Rows without n are mined for every batch, the others as --refresh says.

    python experiments/mdvt/table6_7.py --data DATA --only lfm2k --models freedom --seeds 0:2
5 to 30 runs a row and seed. Time and memory: not measured yet.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.mdvt.study import HYBRID, MDVT, PLAIN, Cell, main

TAUS = (0.5, 0.6, 0.7, 0.8, 0.9)
AT_ONCE = (("strategy", "static"), ("thresholds", (0,)))


def cells(folder: str, model: str) -> Sequence[Cell]:
    """The backbone, MDVT, and four rows of which the best setting on valid is shown."""
    made = [PLAIN, MDVT]
    for tau in TAUS:
        over = (("variant", (("tau", tau),)),)
        made.append(Cell(f"hybrid-tau{tau}-n0", (("", "MDVT (w p w/o n)"),), HYBRID, (("n", 0), *over)))
        made.append(Cell(f"static0-tau{tau}-n0", (("", "MDVT (w p w/o w,n)"),), AT_ONCE, (("n", 0), *over)))
        for n in (2, 4, 8):
            made.append(Cell(f"hybrid-tau{tau}-n{n}", (("", "MDVT (w p)"),), HYBRID, (("n", n), *over)))
            for n_min in (1, 2) if n > 2 else (1,):  # between 2 and 2 is plain MDVT
                least = (("variant", (("tau", tau), ("n_min", n_min))),)
                key = f"hybrid-tau{tau}-n{n_min}to{n}"
                made.append(Cell(key, (("", "MDVT+ (w p)"),), HYBRID, (("n", n), *least)))
    return made


def run(arguments: Sequence[str] | None = None) -> None:
    """The table."""
    main(
        "table6_7", "Virtual items over a threshold", __doc__ or "", cells, metrics=("ndcg@10", "recall@20"),
        against=lambda _: "MDVT", tables=("6", "7"), names={"backbone": "origin"}, arguments=arguments,
    )  # fmt: skip


if __name__ == "__main__":
    run()
