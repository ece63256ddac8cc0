"""Virtual items mined once an epoch, or for every batch.

Reproduces nothing of the paper's, whose public code mines for every batch (its text says "updated with model
optimization"): it is the check on which the other
experiments rest, nearly all of which mine once an epoch, from the tables at its beginning (a page says where one mines
for every batch). Expect a small difference, if any, for every batch: on Last.fm-2K, five seeds, +.0026 (-.0005 to
+.0057) in Recall@10 and +.0039 (+.0000 to +.0077) in Recall@20.

    python experiments/mdvt/mining.py --data DATA --only lfm2k --models freedom --seeds 0:5 --warmup dynamic
Two runs a seed and the backbone's, 2 to 4 minutes each for FREEDOM on one core on Last.fm-2K. Without `--warmup` it is
all warm-ups, twice the time of table2.py, whose runs are the first half: a trunk and about ten branches, both ways.
GPU: not run.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.mdvt.study import FULL, Cell, main

EACH = " mined for every batch"
OFTEN = dataclasses.replace(
    FULL, rows=tuple((how, label + EACH) for how, label in FULL.rows if how != "none"), mdvt=(("refresh", "batch"),)
)


def cells(folder: str, model: str) -> Sequence[Cell]:
    """All warm-ups, both ways; the backbone is the same."""
    return (FULL, OFTEN)


def run(arguments: Sequence[str] | None = None) -> None:
    """The table, each warm-up against itself mined the other way."""
    main(
        "mining", "Mining once an epoch or for every batch", __doc__ or "", cells,
        metrics=("recall@10", "recall@20", "ndcg@10"), against=lambda label: label.removesuffix(EACH),
        arguments=arguments,
    )  # fmt: skip


if __name__ == "__main__":
    run()
