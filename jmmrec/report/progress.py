"""What a person sees while a model trains: one live line on a terminal, a few plain lines elsewhere."""

import math
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    import rich.console
    import rich.progress

PLAIN_SECONDS = 10.0


class PeakMemory(NamedTuple):
    """Bytes: the most this process has held, and the most its device has held where the device tells."""

    process: int | None
    device: int | None


def peak_memory() -> PeakMemory:
    """Peak resident bytes of this process since it started, and peak bytes of the first local device.

    Returns:
      None where the system or the backend (the CPU's, for one) does not say.

    >>> peak_memory().process > 10**6
    True
    """
    import jax

    stats = jax.local_devices()[0].memory_stats() or {}
    return PeakMemory(_peak_resident(), stats.get("peak_bytes_in_use"))


def _peak_resident() -> int | None:
    try:
        # Not ru_maxrss where it can be helped: a child process starts with its parent's.
        with open("/proc/self/status", encoding="ascii") as status:
            return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Progress:
    """A context manager that shows each epoch's record; training code calls `update` and knows nothing else of it.

    Args:
      total_epochs: the most that will be trained; with early stopping the remaining time is an upper bound.
      seeds: how many models are trained at once; 0 for a search, where runs come and go.
      console: where to write; default: standard error, so that output can be piped.
      quiet: show nothing.
      title: shown before each line.
      clock: seconds, for tests.

    On a terminal one line is redrawn. Elsewhere plain lines are written at epochs 1, 2, 5, 10, 20, 50, ..., when
    the last one is 10 s old, and for the last epoch.

    >>> import io, rich.console
    >>> out = io.StringIO()
    >>> with Progress(50, seeds=1, console=rich.console.Console(file=out, width=200)) as progress:
    ...     progress.update({"epoch": 1, "loss": 0.69, "epochs_per_s": 7.0, "memory_bytes": 2**28})
    >>> print(out.getvalue().strip())
    epoch 1/50 · loss 0.69 · 7 epochs/s · at most 0:07 left · peak 268 MB
    """

    def __init__(
        self,
        total_epochs: int,
        seeds: int = 1,
        console: "rich.console.Console | None" = None,
        *,
        quiet: bool = False,
        title: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from rich.console import Console

        self.total_epochs, self.seeds, self.quiet, self.title, self.clock = total_epochs, seeds, quiet, title, clock
        self.console = console or Console(stderr=True)
        self._live: rich.progress.Progress | None = None
        self._last: dict[str, Any] | None = None
        self._first: tuple[float, int] | None = None
        self._printed_epoch, self._printed_at = -1, -math.inf

    def __enter__(self) -> Self:
        if self.console.is_terminal and not self.quiet:
            from rich.markup import escape

            live = _live(self.console)
            self._task = live.add_task(escape(self.title), total=self.total_epochs, text="compiling")
            live.start()
            self._live = live
        return self

    def update(self, record: Mapping[str, Any]) -> None:
        """Shows one epoch; call it once for each.

        Args:
          record: `epoch` (1 for the first finished one) and, as far as known, `loss`, `metric` (name of the valid
            metric), `valid` (its value), `best`, `patience_left`, `epochs_per_s`, `active_seeds`, `memory_bytes`;
            means over the seeds still training. Speed and memory are measured here where they are not given;
            other keys are left alone.
        """
        if self.quiet:
            return
        now = self.clock()
        # The first epoch holds the compilation, so speed is counted from its end.
        self._first = self._first or (now, record["epoch"])
        self._last = {"epochs_per_s": self._speed(now, record["epoch"]), **record}
        if "memory_bytes" not in record:
            peak = peak_memory()
            self._last["memory_bytes"] = peak.process if peak.device is None else peak.device
        if self._live is not None:
            text = describe(self._last, self.total_epochs, self.seeds)
            self._live.update(self._task, completed=record["epoch"], text=text)
        elif _is_milestone(record["epoch"]) or now - self._printed_at >= PLAIN_SECONDS:
            self._print(now)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._last is not None and self._printed_epoch != self._last["epoch"]:
            self._print(self.clock())

    def _speed(self, now: float, epoch: int) -> float | None:
        assert self._first is not None
        seconds, epochs = now - self._first[0], epoch - self._first[1]
        return epochs / seconds if seconds > 0 and epochs > 0 else None

    def _print(self, now: float) -> None:
        assert self._last is not None
        line = describe(self._last, self.total_epochs, self.seeds)
        self.console.print(
            f"{self.title}: {line}" if self.title else line, markup=False, highlight=False, soft_wrap=True
        )
        self._printed_epoch, self._printed_at = self._last["epoch"], now


def describe(record: Mapping[str, Any], total_epochs: int, seeds: int = 1) -> str:
    """One line for one epoch, of what the record holds (keys as in `Progress.update`).

    >>> describe({"epoch": 3, "loss": 0.5, "metric": "recall@20", "valid": 0.0731, "best": 0.0733}, 1000)
    'epoch 3/1000 · loss 0.5 · valid recall@20 0.0731 (best 0.0733)'
    """
    epoch, speed, active = record["epoch"], record.get("epochs_per_s"), record.get("active_seeds", seeds)
    parts = [f"epoch {epoch}/{total_epochs}"]
    if active > seeds:
        parts.append(f"{active} runs")
    elif active != seeds:
        parts.append(f"{active} of {seeds} seeds")
    if record.get("loss") is not None:
        parts.append(f"loss {record['loss']:.4g}")
    if record.get("valid") is not None:
        best = f" (best {record['best']:.4f})" if record.get("best") is not None else ""
        parts.append(f"valid {record.get('metric', 'metric')} {record['valid']:.4f}{best}")
    if speed:
        parts += [f"{speed:.3g} epochs/s", f"at most {_duration((total_epochs - epoch) / speed)} left"]
    if record.get("patience_left") is not None:
        parts.append(f"patience {record['patience_left']}")
    if record.get("memory_bytes"):
        parts.append(f"peak {record['memory_bytes'] / 1e6:,.0f} MB")
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _is_milestone(epoch: int) -> bool:
    """1, 2, 5, 10, 20, 50, ..."""
    return str(epoch).rstrip("0") in {"1", "2", "5"}


def _live(console: "rich.console.Console") -> "rich.progress.Progress":
    from rich import progress, table

    one_line = table.Column(no_wrap=True, overflow="ellipsis")
    text = progress.TextColumn("{task.fields[text]}", markup=False, table_column=one_line)
    return progress.Progress("{task.description}", progress.BarColumn(bar_width=20), text, console=console)
