"""Progress: which lines are written, what they say, and that quiet means quiet."""

import io
from collections.abc import Iterator

import pytest
import rich.console

from jmmrec.report import Progress, peak_memory
from jmmrec.report.progress import describe


def lines(total: int, step: float, quiet: bool = False, stop: int | None = None) -> list[str]:
    """What `total` epochs of `step` seconds each write to something that is no terminal."""
    out = io.StringIO()
    now: Iterator[float] = (step * k for k in range(10**6))
    console = rich.console.Console(file=out, width=40)
    with Progress(total, console=console, quiet=quiet, clock=lambda: next(now)) as progress:
        for epoch in range(1, (stop or total) + 1):
            progress.update({"epoch": epoch, "memory_bytes": 0})
    return out.getvalue().splitlines()


def epochs(written: list[str]) -> list[int]:
    return [int(line.split()[1].split("/")[0]) for line in written]


def test_plain_lines_thin_out_and_end_with_the_last_epoch() -> None:
    assert epochs(lines(120, step=0.01)) == [1, 2, 5, 10, 20, 50, 100, 120]
    assert epochs(lines(10, step=0.01)) == [1, 2, 5, 10]


def test_slow_epochs_are_written_every_ten_seconds() -> None:
    assert epochs(lines(18, step=4)) == [1, 2, 5, 8, 10, 13, 16, 18]


def test_early_stopping_ends_with_the_epoch_reached() -> None:
    assert epochs(lines(1000, step=0.01, stop=7)) == [1, 2, 5, 7]


def test_quiet() -> None:
    assert lines(10, step=20, quiet=True) == []


def test_speed_leaves_out_the_first_epoch_and_bounds_the_rest() -> None:
    assert lines(100, step=0.5)[1] == "epoch 2/100 · 2 epochs/s · at most 0:49 left"


def test_an_error_passes_through_after_the_last_line() -> None:
    out = io.StringIO()
    with (
        pytest.raises(RuntimeError, match="diverged"),
        Progress(9, console=rich.console.Console(file=out), title="FREEDOM") as progress,
    ):
        for epoch in (1, 2, 3):
            progress.update({"epoch": epoch, "memory_bytes": 0, "epochs_per_s": None})
        raise RuntimeError("diverged")
    assert out.getvalue().splitlines()[-1] == "FREEDOM: epoch 3/9"


def test_a_full_record() -> None:
    record = {
        "epoch": 20,
        "loss": 0.43216,
        "metric": "recall@20",
        "valid": 0.07311,
        "best": 0.0733,
        "patience_left": 18,
        "epochs_per_s": 0.25,
        "active_seeds": 3,
        "memory_bytes": 412_400_000,
        "unknown": "left alone",
    }
    assert describe(record, 1000, seeds=5) == (
        "epoch 20/1000 · 3 of 5 seeds · loss 0.4322 · valid recall@20 0.0731 (best 0.0733) · 0.25 epochs/s · "
        "at most 1:05:20 left · patience 18 · peak 412 MB"
    )


def test_a_terminal_gets_one_live_line() -> None:
    out = io.StringIO()
    console = rich.console.Console(file=out, force_terminal=True, width=150)
    with Progress(3, console=console, title="[FREEDOM]") as progress:
        for epoch in (1, 2, 3):
            progress.update({"epoch": epoch, "loss": 0.5})
    assert "epoch 3/3 · loss 0.5" in out.getvalue()
    assert "[FREEDOM]" in out.getvalue()


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_memory().process
    held = bytearray(b"x") * (before + 50_000_000)  # more than was ever resident
    after = peak_memory().process
    assert len(held) + 10**6 < after


def test_a_search_counts_runs() -> None:
    assert describe({"epoch": 3, "active_seeds": 8}, 9, seeds=0) == "epoch 3/9 · 8 runs"
