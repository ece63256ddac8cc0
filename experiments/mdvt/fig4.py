"""Users by the number of their training items, with and without MDVT.

Reproduces: MDVT's Figure 4 (SLMRec, FREEDOM, LGMRec). The paper's claim: MDVT helps users with few items most. Its
figure has no printed numbers; its groups are 1-5 and 6-10, the rest is read from the axis. Groups of TikTok are by one
item: 9,195 of its 9,308 users have one to four, 103 more than twenty: these hold 71 % of the training rows.

    python experiments/mdvt/fig4.py --data DATA --only tiktok --seeds 0:5
It shows the runs of table2.py and trains those that are missing, in the time said there. Expect no group of FREEDOM's
that gains; single seeds of LGMRec go either way.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.mdvt.study import FULL, Cell, main


def cells(folder: str, model: str) -> Sequence[Cell]:
    """The runs of table2.py."""
    return (FULL,)


def run(arguments: Sequence[str] | None = None) -> None:
    """The table, and a panel for each model and data set."""
    from experiments.mdvt.figures import groups

    main(
        "fig4", "Users by the number of their training items", __doc__ or "", cells,
        metrics=("recall@10", "recall@20"), models=("slmrec", "freedom", "lgmrec"), plot=groups, arguments=arguments,
    )  # fmt: skip


if __name__ == "__main__":
    run()
