"""Training loss by epoch with and without MDVT.

Reproduces: MDVT's Figure 5 (MMGCN, FREEDOM, DRAGON on Baby). The paper's claim: with MDVT training converges in
fewer epochs. The losses of both are on different scales once virtual triplets are on, since λ mixes in another
loss; the model's own part is drawn as well.

    python experiments/mdvt/fig5.py --data DATA --only tiktok --models freedom
It shows the runs of table2.py and trains those that are missing, in the time said there. Expect FREEDOM's best epochs
where the backbone's are; single seeds of SLMRec and LGMRec go either way.
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
    """The table and the curves."""
    from experiments.mdvt.figures import convergence

    main(
        "fig5", "Convergence", __doc__ or "", cells, metrics=("recall@10", "ndcg@10"),
        models=("mmgcn", "freedom", "dragon"), plot=convergence, arguments=arguments,
    )  # fmt: skip


if __name__ == "__main__":
    run()
