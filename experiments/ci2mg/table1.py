"""The data sets: users, items, interactions, sparsity, widths of the modalities.

Reproduces: Table 1 of CI²MG (MM'23). Its interactions are those of training and validation for Baby and Sports, and of
training alone for TikTok, which is where its numbers come out; its sparsity follows from them. What differs: Allrecipes
and TikTok's text cannot be had, Baby and Sports come with published item graphs and vectors derived from them instead
of the official features, and Last.fm-2K is ours. Seconds on one core, under 1 GB; trains nothing.

    python experiments/ci2mg/table1.py --data DATA
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.shelf import DATA, RESULTS, called, load, options, places, provenance, write_page, write_rows

# Users, items, interactions, sparsity in percent, widths.
PAPER = {
    "amazon_sports": (35598, 18357, "", 256308, 99.961, "image 4096, text 1024"),
    "amazon_baby": (19445, 7050, "", 139110, 99.899, "image 4096, text 1024"),
    "tiktok": (9319, 6710, 59541, "", 99.904, "image 128, audio 128, text 768"),
    "allrecipes": (19805, 10067, "", 58922, 99.970, "image 2048, text 20"),
}
NAMES = ("users", "items", "train", "train and valid", "sparsity", "widths")


def measured(folder: str, data: str) -> tuple:
    """The same numbers of a data set as it is loaded here; sparsity of what the paper counts."""
    dataset = load(folder, data)
    train, both = len(dataset.train), len(dataset.train) + len(dataset.valid)
    counted = train if folder == "tiktok" else both
    sparsity = round(100 * (1 - counted / (dataset.n_users * dataset.n_items)), 3)
    widths = ", ".join(f"{name} {one.features.shape[1]}" for name, one in dataset.modalities.items())
    return dataset.n_users, dataset.n_items, train, both, sparsity, widths


def text(value: Any) -> str:
    """A number as the table shows it.

    >>> text(9308), text(99.9046), text("")
    ('9,308', '99.905 %', '')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f} %" if isinstance(value, float) else value


def run(arguments: Sequence[str] | None = None) -> None:
    """The table."""
    parser = options(__doc__ or "", "runs/ci2mg")
    given = parser.parse_args(arguments)
    root, sets = places(given.data, given.only, [folder for folder in DATA if folder != "amazon_scientific"])
    every, lines = [], ["| data | whose | " + " | ".join(NAMES) + " |", "| --- | --- |" + " ---: |" * 5 + " --- |"]
    for folder in dict.fromkeys([*sets, *(PAPER if given.only is None else ())]):
        here = measured(folder, root) if folder in DATA else ("",) * len(NAMES)
        for whose, values in (("ours", here), ("paper", PAPER.get(folder, ("",) * len(NAMES)))):
            if any(values):
                every.append({"data": folder, "row": whose} | dict(zip(NAMES, values, strict=True)))
                lines.append(f"| {folder} | {whose} | " + " | ".join(map(text, values)) + " |")
    source = provenance(called("ci2mg/table1.py", arguments), given.note)
    written = write_rows(RESULTS / "ci2mg_table1.csv", every)
    print("\n".join(lines))
    write_page(written, ["# The data sets", "", (__doc__ or "").strip(), "", source, "", *lines])


if __name__ == "__main__":
    run()
