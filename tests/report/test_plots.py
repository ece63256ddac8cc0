"""Figures: what was drawn, read back from the figure, and that a file comes out."""

import subprocess
import sys

import numpy as np
import pytest

from jmmrec.errors import JmmrecError
from jmmrec.report import plot_groups, plot_history

pytest.importorskip("matplotlib", reason="needs the extra `plot`")


def seed(epochs: int, shift: float = 0.0, on: int | None = None) -> list[dict]:
    return [
        {"epoch": e, "loss": 1 / e + shift, "valid/ndcg@10": e / 100, "virtual_active": on is not None and e >= on}
        for e in range(1, epochs + 1)
    ]


def test_history_draws_the_mean_as_far_as_all_seeds_go() -> None:
    figure = plot_history({"A": [seed(4), seed(6, 1.0)]})
    loss, valid = figure.axes
    mean, tail = loss.lines
    np.testing.assert_array_equal(mean.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_allclose(mean.get_ydata(), 1 / np.arange(1, 5) + 0.5)
    np.testing.assert_array_equal(tail.get_xdata(), [4, 5, 6])
    assert len(loss.collections) == 1
    assert valid.get_title(loc="left") == "valid NDCG@10"


def test_history_marks_the_switch_of_each_seed() -> None:
    figure = plot_history({"base": [seed(5)], "hybrid": [seed(4, on=2), seed(8, on=7)]})
    markers = [line for line in figure.axes[1].lines if line.get_marker() == "v"]
    assert [float(m.get_xdata()[0]) for m in markers] == [2, 7]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["base", "hybrid", "virtual triplets on"]


def test_history_without_virtual_triplets_has_no_entry_for_them() -> None:
    figure = plot_history({"A": [seed(3)]})
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["A"]
    assert not figure.axes[0].collections  # one seed: no band


def test_a_metric_measured_at_some_epochs_only() -> None:
    records = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5, "valid/ndcg@10": 0.3}]
    (line,) = plot_history({"A": [records]}).axes[1].lines
    np.testing.assert_array_equal(line.get_xdata(), [2])


def test_files_are_written(tmp_path) -> None:
    plot_history({"A": [seed(3), seed(3, 0.1)]}, tmp_path / "new" / "h.png")
    plot_groups({"A": [1, 2]}, ["few", "many"], tmp_path / "g.png", halves={"A": [0.1, float("nan")]})
    for path in (tmp_path / "new" / "h.png", tmp_path / "g.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 5000


def test_nothing_global_is_touched() -> None:
    """In a process of its own: other tests load ott, which loads pyplot."""
    history = [{"epoch": 1, "loss": 1.0, "valid/ndcg@10": 0.1, "virtual_active": False}]
    code = f"import sys; from jmmrec.report import plot_history; plot_history({{'A': [{history}]}}); "
    subprocess.run([sys.executable, "-c", f"{code} assert 'matplotlib.pyplot' not in sys.modules"], check=True)


def test_plots_refuse() -> None:
    with pytest.raises(JmmrecError, match="no epoch record holds 'valid/mrr@5'"):
        plot_history({"A": [seed(2)]}, panels=("valid/mrr@5",))
    with pytest.raises(JmmrecError, match="B has 1 values for 2 groups"):
        plot_groups({"A": [1, 2], "B": [1]}, ["few", "many"])


def test_without_matplotlib_the_sentence_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(JmmrecError, match=r"pip install 'jmmrec\[plot\]'"):
        plot_history({"A": [seed(2)]})
