"""Six backbones alone and with static, dynamic and hybrid MDVT.

Reproduces: MDVT's Table 2. The paper's claim: all three help every backbone everywhere, hybrid most (Baby, FREEDOM,
Recall@10: .0627, with static .0652, dynamic .0648, hybrid .0662). What differs: TikTok without text, the sets that
cannot be had; thresholds are chosen on valid.

    python experiments/mdvt/table2.py --data DATA/tiktok --models freedom --seeds 0:2
Two seeds of FREEDOM on TikTok: 22 minutes and 4.5 GB on 2 cores that do nothing else, 32 on shared ones with a kill and
a restart (a trunk and about ten branches a seed); GPU: not run. Expect no gain of FREEDOM; single seeds of SLMRec and
LGMRec go either way. Backbones are not the runs of baselines.py: SLMRec has weight decay 1e-4 here, DRAGON 1e-4 as its
learning rate, and a run of LGMRec ends by luck (docs/models/lgmrec.md).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.mdvt.study import FULL, TITLE, Cell, main


def cells(folder: str, model: str) -> Sequence[Cell]:
    """All four rows share one trunk."""
    return (FULL,)


def run(arguments: Sequence[str] | None = None) -> None:
    """The table, and differences to the backbone as a figure."""
    from experiments.mdvt.figures import differences

    main(
        "table2", "Backbones with and without MDVT", __doc__ or "", cells, models=tuple(TITLE), tables=("2",),
        names={"backbone": "origin"}, against={"+MDVT (H)": "+MDVT (S)", "+MDVT (S)": "+MDVT (D)"}.get,
        plot=differences, arguments=arguments,
    )  # fmt: skip


if __name__ == "__main__":
    run()
