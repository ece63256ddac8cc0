"""The ladder: CI²MG's parts added one by one, with 90 % of the items missing modalities.

Reproduces: Table 3 of CI²MG (MM'23) on TikTok and Baby, and on Last.fm-2K. Rows are cumulative, as its text says. The
lowest rung propagates ids as LightGCN, the second as Eq. 2 (maps and leaky ReLU), so that what intra
brings is its own; the fusion of intra and inter before Eq. 11 is not defined in the paper, here it
is their mean. Settings as in table2.py; its quicker CI²MG has rungs of its own, from the one with transport on.

    python experiments/ci2mg/table3.py --data DATA --jobs 2
Nine models a seed: up to 26 minutes of one core each on Last.fm-2K, less on the lower rungs and with prototypes
(`--models LightGCN-M "Eq. 2's ids" "+ Intra" "+ Inter, prototypes" "+ Conl, prototypes" "CI2MG, prototypes"`). Not run
yet, on no machine.
Expect no rung to add much: docs/models/ci2mg.md says why.
"""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.ci2mg.study import Cell, main
from experiments.ci2mg.table2 import PROTOTYPES, QUICK

OFF = {"intra": False, "inter": False, "conl": False, "task": False}
LADDER = (
    Cell("LightGCN-M", "ci2mg", (*OFF.items(), ("ids", (("encoder", "lightgcn"),)))),
    Cell("Eq. 2's ids", "ci2mg", tuple(OFF.items())),
    Cell("+ Intra", "ci2mg", tuple((OFF | {"intra": True}).items())),
    Cell("+ Inter", "ci2mg", tuple((OFF | {"intra": True, "inter": True}).items())),
    Cell("+ Conl", "ci2mg", (("task", False),)),
    Cell("CI2MG", "ci2mg"),
)
QUICKER = (
    LADDER[2],
    *(Cell(f"{cell.label}, prototypes", "ci2mg", (*cell.options, *PROTOTYPES)) for cell in LADDER[3:5]),
    Cell(QUICK, "ci2mg", PROTOTYPES),
)


def run(arguments: Sequence[str] | None = None) -> None:
    """The whole ladder."""
    below = {upper.label: lower.label for rungs in (LADDER, QUICKER) for lower, upper in itertools.pairwise(rungs)}
    main(
        "table3", "CI²MG's ladder", __doc__ or "", (*LADDER, *QUICKER[1:]), table="3", base="LightGCN-M",
        against=below, arguments=arguments,
    )  # fmt: skip


if __name__ == "__main__":
    run()
