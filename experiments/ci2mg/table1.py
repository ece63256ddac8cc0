"""The data sets of CI²MG: users, items, interactions, sparsity, widths of the modalities.

Reproduces: Table 1 of CI²MG (MM'23). Its interactions are those of training and validation for Baby and Sports, and of
training alone for TikTok, which is where its numbers come out; its sparsity follows from them. What differs: Allrecipes
and TikTok's text cannot be had, Baby and Sports come with published item graphs and vectors derived from them instead
of the official features, and Last.fm-2K is ours. Seconds on one core, under 1 GB; trains nothing.

    python experiments/ci2mg/table1.py --data DATA
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.sizes import SETS, tell

BOTH = "train and valid"
PAPER = {
    "amazon_sports": {"users": 35598, "items": 18357, BOTH: 256308, "sparsity": 99.961,
                      "widths": "image 4096, text 1024"},
    "amazon_baby": {"users": 19445, "items": 7050, BOTH: 139110, "sparsity": 99.899, "widths": "image 4096, text 1024"},
    "tiktok": {"users": 9319, "items": 6710, "train": 59541, "sparsity": 99.904,
               "widths": "image 128, audio 128, text 768"},
    "allrecipes": {"users": 19805, "items": 10067, BOTH: 58922, "sparsity": 99.970, "widths": "image 2048, text 20"},
}  # fmt: skip


def run(arguments: Sequence[str] | None = None) -> None:
    """The table."""
    counted = {"tiktok": "train"}
    tell(__doc__ or "", "ci2mg_table1", PAPER, SETS, lambda folder: counted.get(folder, BOTH), arguments)


if __name__ == "__main__":
    run()
