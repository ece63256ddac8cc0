"""The data sets of MDVT: users, items, interactions, sparsity, widths of the modalities.

Reproduces: Table 1 of MDVT (KDD'25). Its interactions are all of Baby's, Sports' and Clothing's, and those of training
alone for TikTok, which is where its numbers come out. What differs: features of Clothing and TikTok's text cannot be
had, Baby and Sports come with published item graphs and vectors derived from them instead of the official features, and
Last.fm-2K is ours. Seconds on one core, under 1 GB; trains nothing.

    python experiments/mdvt/table1.py --data DATA
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.sizes import SETS, tell

PAPER = {
    "amazon_baby": {"users": 19445, "items": 7050, "all": 160792, "sparsity": 99.88, "widths": "image, text"},
    "amazon_sports": {"users": 35598, "items": 18357, "all": 296337, "sparsity": 99.95, "widths": "image, text"},
    "amazon_clothing": {"users": 39387, "items": 23033, "all": 278677, "sparsity": 99.97, "widths": "image, text"},
    "tiktok": {"users": 9319, "items": 6710, "train": 59541, "sparsity": 99.90, "widths": "image, text, audio"},
}


def run(arguments: Sequence[str] | None = None) -> None:
    """The table."""
    counted = {"tiktok": "train"}
    sets = (*SETS, "amazon_clothing")
    tell(__doc__ or "", "mdvt_table1", PAPER, sets, lambda folder: counted.get(folder, "all"), arguments)


if __name__ == "__main__":
    run()
