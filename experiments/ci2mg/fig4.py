"""CI²MG's four hyper-parameters, one at a time: prototypes K, hypergraph layers L, and the weights λ1 and λ2.

Reproduces: Figure 4 of CI²MG (MM'23), which carries no numbers; its text finds K 64 or 256, L about 2, λ1 1 or 0.01,
and λ2 0.01, 0.1 or 1 best. All on test here, to show the sensitivity; a value is to be chosen on valid. 90 % of the
items miss modalities; settings as in table2.py.

    python experiments/ci2mg/fig4.py --data DATA --jobs 2
Twelve settings a seed, 26 minutes of one core each on Last.fm-2K. Not run yet, on no machine.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.ci2mg.study import Cell, main
from experiments.compare import points

VALUES = {
    "K": ("hyper", "n_prototypes", (16, 64, 256)),
    "L": ("hyper", "n_layers", (1, 2, 3, 4)),
    "λ1": ("terms", "contrast", (0.001, 0.01, 0.1, 1.0)),
    "λ2": ("terms", "reconstruct", (0.001, 0.01, 0.1, 1.0)),
}


def cells() -> list[Cell]:
    """The defaults, and every other value."""
    from jmmrec.models import Ci2mg

    made, usual = [Cell("defaults", "ci2mg")], Ci2mg()
    for name, (group, option, values) in VALUES.items():
        others = [value for value in values if value != getattr(getattr(usual, group), option)]
        made += [Cell(f"{name} = {value:g}", "ci2mg", ((group, ((option, value),)),)) for value in others]
    return made


def run(arguments: Sequence[str] | None = None) -> None:
    """All values."""
    main(
        "fig4", "CI²MG's hyper-parameters", __doc__ or "", cells(), base="defaults", arguments=arguments,
        plot=lambda rows, path: points(rows, path, "recall@20", "defaults", "model"),
    )  # fmt: skip


if __name__ == "__main__":
    run()
