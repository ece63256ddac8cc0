"""Similarity from some of the channels, and from how frequent items are.

Reproduces: MDVT's Table 3 (hybrid warm-up, Recall@10). The paper's claims: ids alone are better than no MDVT,
modalities alone worse than none; ids with a modality are better than ids alone, all together best; frequency alone (F1)
hurts, frequency among similar items (F2) helps less than similarity. What differs: TikTok has audio where the paper has
text; Last.fm-2K audio, text, whisper. FREEDOM ranks by ids, so that MDVT_id is MDVT itself there, and pairs say more
than "all"; LGMRec's tables hold its modalities too.

    python experiments/mdvt/table3.py --data DATA --models freedom --seeds 0:3
Thirteen hybrid searches a seed on Last.fm-2K, nine on TikTok, each a trunk and five branches: by the time of grid.py's
runs about 12 minutes of one core each for FREEDOM on Last.fm-2K. `--warmup dynamic` trains one run in place of each
search, 2 minutes. GPU: not run.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.mdvt.study import HYBRID, MDVT, PLAIN, Cell, main
from experiments.shelf import DATA

NO_IDS = ("dragon", "mmgcl")  # models without a table of item ids


def cells(folder: str, model: str) -> Sequence[Cell]:
    """The backbone, MDVT, and nine ways to choose."""
    import itertools

    if folder not in DATA:
        raise SystemExit(
            f"this table goes through channels by name; add those of {folder} to DATA in experiments/shelf.py."
        )
    channels = (*(() if model in NO_IDS else ("id",)), *DATA[folder])
    subsets = [c for size in (1, 2) for c in itertools.combinations(channels, size) if len(c) < len(channels)]
    made = [PLAIN, MDVT]
    for names in subsets:
        variant = (("variant", (("similarity", names),)),)
        made.append(Cell(f"hybrid-{'+'.join(names)}", (("", f"MDVT_{'-'.join(names)}"),), HYBRID, variant))
    for label, choose in (("MDVT_F1", "frequent"), ("MDVT_F2", "similar_frequent")):
        made.append(Cell(f"hybrid-{choose}", (("", label),), HYBRID, (("variant", (("choose", choose),)),)))
    return made


def run(arguments: Sequence[str] | None = None) -> None:
    """The table."""
    names = {"backbone": "origin", "MDVT_id": "MDVT_ID", "MDVT_image": "MDVT_V", "MDVT_text": "MDVT_T"}
    names |= {"MDVT_id-image": "MDVT_ID-V", "MDVT_id-text": "MDVT_ID-T", "MDVT_image-text": "MDVT_V-T"}
    main(
        "table3", "Where similarity comes from", __doc__ or "", cells, metrics=("recall@10", "recall@20"),
        against=lambda row: "MDVT_id" if row.startswith("MDVT_id-") else "MDVT", tables=("3",), names=names,
        arguments=arguments,
    )  # fmt: skip


if __name__ == "__main__":
    run()
