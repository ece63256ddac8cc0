"""Figures, drawn on `Figure` objects alone: no window, no pyplot, no state between calls."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jmmrec.errors import ConfigError, JmmrecError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette without its yellow: told apart with any colour vision; dashes tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))
STYLE: dict[Any, Any] = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}

History = Sequence[Mapping[str, Any]]


def plot_history(
    histories: Mapping[str, Sequence[History]],
    path: str | pathlib.Path | None = None,
    *,
    panels: Sequence[str] = ("loss", "valid/ndcg@10"),
) -> "Figure":
    """Training curves side by side, one panel per record key, one colour per run.

    The line is the mean over seeds and the band one standard deviation, as far as every seed has trained; seeds
    that trained longer go on as thin lines. A triangle stands where a seed's virtual triplets were switched on.

    Args:
      histories: name shown -> per seed -> epoch records with `epoch`, the panels' keys where measured, and
        optionally `virtual_active`.
      path: where to write the figure too (ending: png, pdf, svg, ...).
      panels: record keys.

    Raises:
      JmmrecError: matplotlib is not installed, or no record holds a panel's key.

    >>> seed = [{"epoch": e, "loss": 1 / e, "valid/ndcg@10": e / 9, "virtual_active": e > 2} for e in (1, 2, 3)]
    >>> [axes.get_title(loc="left") for axes in plot_history({"FREEDOM": [seed]}).axes]
    ['loss', 'valid NDCG@10']
    """
    for key in panels:
        if not any(key in record for seeds in histories.values() for seed in seeds for record in seed):
            raise JmmrecError(f"no epoch record holds {key!r}, so there is nothing to draw; name a recorded key.")
    figure, all_axes = _figure(len(panels))
    for key, axes in zip(panels, all_axes, strict=True):
        for k, seeds in enumerate(histories.values()):
            _draw_run(axes, [_series(seed, key) for seed in seeds], COLOURS[k % len(COLOURS)], DASHES[k % len(DASHES)])
            _draw_activation(axes, seeds, key, COLOURS[k % len(COLOURS)])
        axes.set_title(_label(key), loc="left")
        axes.set_xlabel("epoch")
        axes.locator_params("x", integer=True)
    _legend(figure, histories)
    return _saved(figure, path)


def plot_groups(
    values: Mapping[str, Sequence[float]],
    groups: Sequence[str],
    path: str | pathlib.Path | None = None,
    *,
    halves: Mapping[str, Sequence[float]] | None = None,
    label: str = "",
) -> "Figure":
    """Means per group (sparsity groups, metrics) as dots with intervals, one colour per run.

    Dots, because the differences of interest are small beside the distance to zero that a bar must draw.

    Args:
      values: name shown -> one number per group.
      groups: names along the axis.
      path: where to write the figure too.
      halves: half intervals, laid out as `values`; NaN draws none.
      label: of the vertical axis.

    Raises:
      JmmrecError: matplotlib is not installed, or a run has not one number per group.

    >>> len(plot_groups({"VBPR": [0.1, 0.2], "FREEDOM": [0.2, 0.3]}, ["few", "many"]).axes)
    1
    """
    for name, numbers in values.items():
        if len(numbers) != len(groups):
            raise JmmrecError(f"{name} has {len(numbers)} values for {len(groups)} groups; give one for each.")
    figure, (axes,) = _figure(1)
    offsets = (np.arange(len(values)) - (len(values) - 1) / 2) * 0.6 / max(len(values), 1)
    for k, (name, numbers) in enumerate(values.items()):
        spread = None if halves is None else np.asarray(halves[name], float)
        places = np.arange(len(groups)) + offsets[k]
        axes.errorbar(places, numbers, spread, fmt="o", color=COLOURS[k % len(COLOURS)], capsize=3, label=name)
    axes.set_xticks(np.arange(len(groups)), groups)
    axes.set_title(label, loc="left")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return _saved(figure, path)


def _figure(panels: int) -> "tuple[Figure, list[Axes]]":
    try:
        import matplotlib

        from jmmrec.report.drawing import Drawing
    except ImportError as error:
        raise JmmrecError("figures need matplotlib, which is not installed: pip install 'jmmrec[plot]'.") from error
    with matplotlib.rc_context(STYLE):
        figure = Drawing(figsize=(1.2 + 4.2 * panels, 3.4), layout="constrained")
        return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _series(seed: History, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and values of the records that hold the key."""
    kept = [(record["epoch"], record[key]) for record in seed if key in record]
    return np.array([e for e, _ in kept], int), np.array([v for _, v in kept], float)


def _mean_over_seeds(series: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs (n,) that every seed has, and values (n_seeds, n)."""
    epochs = series[0][0]
    for other, _ in series[1:]:
        epochs = np.intersect1d(epochs, other)
    return epochs, np.stack([values[np.isin(at, epochs)] for at, values in series])


def _draw_run(axes: "Axes", series: Sequence[tuple[np.ndarray, np.ndarray]], colour: str, dashes: Any) -> None:
    epochs, values = _mean_over_seeds(series)
    if len(epochs):
        mean, std = values.mean(axis=0), values.std(axis=0, ddof=min(1, len(values) - 1))
        axes.plot(epochs, mean, color=colour, linestyle=dashes, linewidth=1.6)
        if len(values) > 1:
            axes.fill_between(epochs, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
    last = epochs[-1] if len(epochs) else -1
    for at, alone in series:
        if len(at) and at[-1] > last:
            axes.plot(at[at >= last], alone[at >= last], color=colour, linewidth=0.5, alpha=0.6)


def _draw_activation(axes: "Axes", seeds: Sequence[History], key: str, colour: str) -> None:
    """A triangle on the mean line, or past its end on the seed's own."""
    series = [_series(seed, key) for seed in seeds]
    epochs, values = _mean_over_seeds(series)
    for seed, (at, alone) in zip(seeds, series, strict=True):
        switched = next((record["epoch"] for record in seed if record.get("virtual_active")), None)
        if switched is None or not len(at):
            continue
        x, y = (epochs, values.mean(axis=0)) if len(epochs) and switched <= epochs[-1] else (at, alone)
        axes.plot(
            switched, np.interp(switched, x, y), "v", color=colour, markersize=7, markeredgecolor="white", zorder=3
        )


def _legend(figure: "Figure", histories: Mapping[str, Sequence[History]]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=COLOURS[k % len(COLOURS)], linestyle=DASHES[k % len(DASHES)], label=name)
        for k, name in enumerate(histories)
    ]
    if any(record.get("virtual_active") for seeds in histories.values() for seed in seeds for record in seed):
        handles.append(Line2D([], [], color="0.4", marker="v", linestyle="", label="virtual triplets on"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5), frameon=False)


def _label(key: str) -> str:
    """`valid/ndcg@10` becomes `valid NDCG@10`.

    >>> _label("valid/recall@20")
    'valid Recall@20'
    """
    split, _, metric = key.rpartition("/")
    shown = {"ndcg": "NDCG", "map": "MAP", "mrr": "MRR"}
    name, at, k = metric.partition("@")
    return f"{split} {shown.get(name, name.capitalize())}{at}{k}".strip() if at else key.replace("/", " ")


def _saved(figure: "Figure", path: str | pathlib.Path | None) -> "Figure":
    if path is not None:
        ending, known = pathlib.Path(path).suffix[1:].lower(), figure.canvas.get_supported_filetypes()
        if ending and ending not in known:
            raise ConfigError(f"{path} ends in {ending!r}; figures are written as {', '.join(known)}.")
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=160)
    return figure
