"""Rows of a table with their intervals and their tested differences to other rows, and how these are marked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

MARKS = (
    "▲ / ▼: better / worse than {base} at p < 0.01, uncorrected, for other users and other seeds "
    "(`jmmrec.report.crossed_test`); one seed says nothing of other seeds and gets no mark."
)
ALSO = "△ / ▽: the same,"
BASE = ("minus_base", "diff_low95", "diff_high95", "p")
OTHER = ("minus_other", "other_low95", "other_high95", "p_other")


def tested(ours: Any, base: Any) -> Any:
    """Difference of two (seeds, users) tables of a metric, tested for other users and other seeds.

    None where they are one, there is no base, or one has a single seed: a lucky one lifts all its users alike.
    """
    from jmmrec.report.stats import crossed_test

    return None if base is None or base is ours or min(len(ours), len(base)) < 2 else crossed_test(ours, base)


def measured(
    found: Mapping[str, Any], metrics: Sequence[str], base: str, against: Callable[[str], str | None] = lambda _: None
) -> list[dict[str, Any]]:
    """One row for each label and metric: our number, its difference to `base`, and to the row it is `against`.

    Args:
      found: label -> merged test evaluation. against: from a label to another one, where a claim compares the two.
    """
    from jmmrec.report.stats import interval

    made = []
    for label, one in found.items():
        other = against(label)
        for metric in metrics:
            ours = interval(one.per_seed[metric])
            row = {
                "row": label, "metric": metric, "split": one.split, "mask": one.mask, "seeds": len(one.seeds),
                "users": len(one.users), "mean": f"{ours.mean:.5f}", "std": f"{ours.std:.5f}",
                "low95": f"{ours.low:.5f}", "high95": f"{ours.high:.5f}", **_gap(found, label, base, metric, BASE),
            }  # fmt: skip
            made.append(row | {"other": other or ""} | _gap(found, label, other, metric, OTHER))
    return made


def _gap(
    found: Mapping[str, Any], label: str, other: str | None, metric: str, columns: Sequence[str]
) -> dict[str, str]:
    base = found[other].per_user[metric] if other in found else None
    return gap(found[label].per_user[metric], base, columns)


def gap(ours: Any, base: Any, columns: Sequence[str] = BASE, same: bool | None = None) -> dict[str, str]:
    """A difference and its test as columns of a row; empty where there is nothing to test.

    Where both sides are the same runs there is no difference, and no spread of it; where nobody on either side has a
    hit there is nothing to test.

    Args:
      ours, base: (seeds, users). same: whether they are the same runs; default whether all their numbers are.

    >>> import numpy as np
    >>> both = np.eye(2, 6)
    >>> [gap(a, a.copy())["diff_high95"] for a in (both, 0 * both)]
    ['+0.00000', '']
    """
    test = tested(ours, base)
    ends = ["", "", "", ""] if base is None or base is ours else [f"{ours.mean() - base.mean():+.5f}", "", "", ""]
    if test is not None and (ours.any() or base.any()):
        same = (ours.shape == base.shape and bool((ours == base).all())) if same is None else same
        ends[1:] = (
            [f"{0:+.5f}", f"{0:+.5f}", "1"] if same else [f"{test.low:+.5f}", f"{test.high:+.5f}", f"{test.p:.2g}"]
        )
    return dict(zip(columns, ends, strict=True))


def also(made: Sequence[Mapping[str, Any]], name: str = "row") -> str:
    """What the open triangles mean, where a row is compared with another one beside the base.

    Args:
      name: the column that names rows.
    """
    pairs = dict.fromkeys((row[name], row["other"]) for row in made if row["minus_other"])
    others = list(dict.fromkeys(other for _, other in pairs))
    told = f"against {others[0]}" if len(others) == 1 else "; ".join(f"{row} against {other}" for row, other in pairs)
    return f" {ALSO} {told}." if others else ""


def mark(row: Mapping[str, Any], gap: str, p: str, signs: str = "▲▼") -> str:
    """A sign where a difference is beyond p < 0.01.

    >>> mark({"minus_base": "+0.1", "p": "0.001"}, "minus_base", "p")
    ' ▲'
    """
    told = row.get(p) and float(row[p]) < 0.01
    return f" {signs[0] if row[gap].startswith('+') else signs[1]}" if told else ""


def shown(row: Mapping[str, Any], gap: str = "minus_base", p: str = "p") -> str:
    """Mean ± standard deviation of a row, and ▲ or ▼, △ or ▽ where its differences are beyond p < 0.01.

    >>> shown({"mean": "0.25", "std": "nan", "seeds": 1, "minus_base": "+0.1", "p": "0.001"})
    '0.2500 ▲'
    """
    spread = f" ± {float(row['std']):.4f}" if int(row["seeds"]) > 1 else ""
    return f"{float(row['mean']):.4f}{spread}{mark(row, gap, p)}{mark(row, 'minus_other', 'p_other', '△▽')}"


def points(rows: Sequence[Mapping[str, Any]], path: Any, metric: str, dashed: str, name: str = "row") -> str:
    """Draws a metric of every row with its interval over seeds, a panel for each data set and model; the file's name.

    Args:
      dashed: the row that is drawn as a line across. name: the column that names rows.
    """
    from matplotlib.figure import Figure

    rows = [row for row in rows if row["metric"] == metric]
    kinds = list(dict.fromkeys((row["data"], "" if name == "model" else row["model"]) for row in rows))
    most = max(sum(row["data"] == data for row in rows) for data, _ in kinds)
    figure = Figure(figsize=((1.5 + 0.35 * most) * len(kinds), 3.8), layout="constrained")
    for panel, (data, model) in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        mine = [row for row in rows if row["data"] == data and (name == "model" or row["model"] == model)]
        kept = [row for row in mine if row[name] != dashed]
        mean, low, high = ([float(row[key]) for row in kept] for key in ("mean", "low95", "high95"))
        ends = [[m - b for m, b in zip(mean, low, strict=True)], [b - m for m, b in zip(mean, high, strict=True)]]
        panel.errorbar([row[name] for row in kept], mean, ends, fmt="o", capsize=3)
        for row in mine:
            if row[name] == dashed:
                panel.axhline(float(row["mean"]), color="gray", linestyle="--", label=dashed)
                panel.legend(frameon=False)
        panel.tick_params(axis="x", labelrotation=90)
        panel.set_title(f"{data}{', ' * bool(model)}{model}", loc="left")
        panel.set_ylabel(f"test {metric}")
        panel.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=120)
    return path.name
