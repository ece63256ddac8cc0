"""What MDVT's experiments draw."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.compare import gap
from experiments.mdvt.study import TITLE, evaluations, trained
from experiments.shelf import short, write_rows

Drawn = Mapping[tuple[str, str], Mapping[str, Sequence[tuple]]]


def histories(found: Mapping[str, Sequence[tuple]], labels: Sequence[str] | None = None) -> dict[str, list]:
    """label -> the epoch records of each seed."""
    made = {}
    for label, parts in found.items():
        if labels is None or label in labels:
            lanes = [lane for r, outcome in parts for lane in (r.outcomes[outcome] if outcome else r.lanes).values()]
            made[label] = [list(lane.history) for lane in lanes]
    return made


def flattened(record: Mapping[str, Any]) -> dict[str, Any]:
    """An epoch's record with the ranking loss beside the total."""
    return {**record, "bpr": record["parts"]["bpr"]}


def name(key: tuple[str, str]) -> str:
    """Of a panel."""
    return f"{TITLE.get(key[1], short(key[1]))}, {key[0]}"


def curves(drawn: Drawn, stem: Path) -> list[str]:
    """Loss and valid NDCG@10 by epoch, a figure for each model and data set."""
    from jmmrec.report import plot_history

    return [_saved(plot_history(histories(found)), stem, key) for key, found in drawn.items()]


def convergence(drawn: Drawn, stem: Path) -> list[str]:
    """Total loss, the ranking part of it, and valid NDCG@10, of the backbone and with hybrid MDVT."""
    from jmmrec.report import plot_history

    files = []
    for key, found in drawn.items():
        made = histories(found, ("backbone", "+MDVT (H)"))
        flat = {label: [list(map(flattened, seed)) for seed in seeds] for label, seeds in made.items()}
        files.append(_saved(plot_history(flat, panels=("loss", "bpr", "valid/ndcg@10")), stem, key))
    return files


def _with_backbone(drawn: Drawn) -> Drawn:
    """The panels whose backbone is trained: without it there is nothing to compare with."""
    return {key: found for key, found in drawn.items() if "backbone" in found}


def differences(drawn: Drawn, stem: Path) -> list[str]:
    """What each warm-up adds to the backbone's test Recall@10, in percent, with 95 % intervals."""
    from jmmrec.report import plot_groups
    from jmmrec.report.stats import crossed_test

    drawn = _with_backbone(drawn)
    labels = dict.fromkeys(label for found in drawn.values() for label in found if label != "backbone")
    values: dict[str, list[float]] = {label: [] for label in labels}
    halves: dict[str, list[float]] = {label: [] for label in labels}
    for found in drawn.values():
        made = evaluations(found, ("recall@10",))
        base = made["backbone"].per_user["recall@10"]
        for label in labels:
            test, more = None, float("nan")  # a row that is not trained yet
            if label in made:
                mine = made[label].per_user["recall@10"]
                test = crossed_test(mine, base) if min(len(mine), len(base)) > 1 else None
                more = test.difference if test else float(mine.mean() - base.mean())
            values[label].append(100 * more / float(base.mean()))
            halves[label].append(50 * (test.high - test.low) / float(base.mean()) if test else float("nan"))
    panels = [name(key).replace(", ", "\n") for key in drawn]
    figure = plot_groups(values, panels, halves=halves, label="test Recall@10 beyond the backbone's, %")
    figure.axes[0].axhline(0, color="black", linewidth=0.8)
    figure.savefig(f"{stem}.png", dpi=120)
    return [f"{stem.name}.png"]


EDGES = {"tiktok": (1, 2, 3, 4)}  # nobody there has 5 to 20


def groups(drawn: Drawn, stem: Path) -> list[str]:
    """Test Recall@10 of users by the number of their training items, in groups of 5 and more.

    The numbers are a CSV beside it, with what each group gains over the backbone.
    """
    import numpy as np

    from jmmrec.report import plot_groups
    from jmmrec.train.evaluate import SPARSITY_EDGES

    files, every = [], []
    for key, found in _with_backbone(drawn).items():
        whole = evaluations(found, ("recall@10",))
        made = {label: one.per_user["recall@10"] for label, one in whole.items()}
        mined = {label: trained(parts)["refresh"] for label, parts in found.items()}
        masks = whole["backbone"].sparsity(EDGES.get(key[0], SPARSITY_EDGES))
        masks = {group: here for group, here in masks.items() if here.sum() >= 5}
        values = {label: [float(one[:, here].mean()) for here in masks.values()] for label, one in made.items()}
        files.append(_saved(plot_groups(values, list(masks), label=f"test Recall@10, {name(key)}"), stem, key))
        for label, one in made.items():
            twins = np.array_equal(one, made["backbone"])
            for group, here in masks.items():
                row = {"data": key[0], "model": key[1], "row": label, "training_items": group, "users": here.sum()}
                row |= {"seeds": len(one), "recall@10": f"{one[:, here].mean():.5f}", "refresh": mined[label]}
                base = None if label == "backbone" else made["backbone"][:, here]
                every.append(row | gap(one[:, here], base, same=twins))
    write_rows(Path(f"{stem}_groups.csv"), every)
    return files


def _saved(figure: Any, stem: Path, key: tuple[str, str]) -> str:
    path = Path(f"{stem}_{key[0]}_{key[1]}.png")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    return path.name
