"""Recall@20 as modalities of 50 to 90 % of the items go missing.

Reproduces: Figure 3 of CI²MG (MM'23): CI²MG, MMSSL, SLMRec, MMGCL and LightGCN-M at 50, 60, 70 and 80 %; the figure
carries no numbers, so there are none of the paper's to compare with. Added: the 90 % of Table 2, and LightGCN, which
reads no features and is a flat line. Every row is compared with CI²MG with prototypes.
Masks are nested: what is hidden at 50 % is hidden at 90 %. Settings as in table2.py, with which it shares run folders.

    python experiments/ci2mg/fig3.py --data DATA --jobs 2
Five rates of what table2.py trains for these models, 26 minutes of one core for a seed of CI²MG on Last.fm-2K at each,
11 with prototypes, 4 on TikTok; GPU: not run. Expect no curve of CI²MG above LightGCN, and none that falls much with
the rate.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.ci2mg.study import main
from experiments.ci2mg.table2 import CELLS, PUBLIC, QUICK

SHOWN = ("LightGCN", "LightGCN-M", PUBLIC, "MMGCL", "SLMRec", "MMSSL", "CI2MG", QUICK)
RATES = (0.5, 0.6, 0.7, 0.8, 0.9)
COLOURS = tuple(f"C{number}" for number in range(len(SHOWN)))  # a model's own in every panel


def plot(rows: list[dict], path: Path) -> None:
    """A panel for each data set: Recall@20 with its 95 % interval over seeds against the rate."""
    from matplotlib.figure import Figure

    rows, colours = [row for row in rows if row["metric"] == "recall@20"], dict(zip(SHOWN, COLOURS, strict=True))
    names = list(dict.fromkeys(row["data"] for row in rows))
    figure = Figure(figsize=(1.8 + 4.5 * len(names), 3.5), layout="tight")
    panels = figure.subplots(1, len(names), squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        for model in SHOWN:
            mine = [row for row in rows if (row["data"], row["model"]) == (name, model)]
            mean, low, high = ([float(row[key]) for row in mine] for key in ("mean", "low95", "high95"))
            if not mine:
                continue
            bars = [[m - b for m, b in zip(mean, low, strict=True)], [b - m for m, b in zip(mean, high, strict=True)]]
            style = {"marker": "o", "capsize": 3, "label": model, "color": colours[model]}
            panel.errorbar([100 * row["rate"] for row in mine], mean, bars, **style)
        panel.set(title=name, xlabel="items missing modalities, %", ylabel="test Recall@20")
    lines = {label: line for panel in panels[0] for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    there = [model for model in SHOWN if model in lines]
    style = {"fontsize": 8, "loc": "center left", "bbox_to_anchor": (1, 0.5), "frameon": False}
    panels[0][-1].legend([lines[model] for model in there], there, **style)
    figure.savefig(path, dpi=120)


def run(arguments: Sequence[str] | None = None) -> None:
    """The curves."""
    cells, title = [cell for cell in CELLS if cell.label in SHOWN], "Recall@20 by missing rate"
    against = {cell.label: QUICK for cell in cells}
    main("fig3", title, __doc__ or "", cells, against=against, rates=RATES, arguments=arguments, plot=plot)


if __name__ == "__main__":
    run()
