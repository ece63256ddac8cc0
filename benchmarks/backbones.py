"""Every registered backbone on the same work: seconds per epoch, memory, and what cannot be avoided."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from benchmarks.calibration import kernels, slowdowns
from benchmarks.machine import PROBES
from benchmarks.measure import Line, Spread, alternate
from benchmarks.setting import Setting, widened
from benchmarks.training import Ready, floor, must, ready, scan
from jmmrec.models import MODELS, make

# Seconds per epoch of the PyTorch toolbox on this work (Baby, features 4096 + 384 wide, batch 2048, its defaults), two
# cores of another machine, which calibration.py holds this one against.
TOOLBOX = {
    "bpr": 1.2, "vbpr": 6.0, "lightgcn": 6.2, "freedom": 22.7, "bm3": 26.0, "slmrec": 36.0, "mgcn": 37.0,
    "lgmrec": 70.0, "dragon": 105.0, "mmgcn": 125.0,
}  # fmt: skip


def backbones(setting: Setting, names: tuple[str, ...] = tuple(MODELS)) -> list[Line]:
    """One line for each model: a few steps timed, scaled to a whole epoch."""
    data = widened(setting.data, setting.wide)
    part = f"{setting.steps} steps of every backbone, features {' + '.join(map(str, setting.wide))} wide"
    steps, known = (setting.batch_size, setting.steps), kernels(setting)
    return [_line(part, name, ready(make(name), data, *steps), setting, known) for name in names]


def _line(part: str, name: str, what: Ready, setting: Setting, known: Mapping[str, Callable[[], Any]]) -> Line:
    run, temporary = scan(what)
    # The host of a virtual machine is not always as fast: kernels known on the toolbox's machine take turns with it.
    runs = {name: run} | setting.probe.runs() | (known if name in TOOLBOX else {})
    seconds = alternate(runs, setting.rounds[0 if name in TOOLBOX else 1])
    rates = setting.probe.rates({probe: seconds[probe] for probe in PROBES})
    epochs = [s * what.steps / len(what.order) for s in seconds[name]]
    epoch, given = statistics.median(epochs), what.fresh()
    held = sum(leaf.nbytes for leaf in jax.tree.leaves((given, what.fixed)) if hasattr(leaf, "nbytes"))
    theirs = ""
    if name in TOOLBOX:
        theirs = f" ({_beside(TOOLBOX[name], epochs, slowdowns({kernel: seconds[kernel] for kernel in known}))})"
    least = must(floor(what), rates, epoch / what.steps)
    note = f"{epoch:.3g} s an epoch{theirs}; {least}; {held / 2**20:.0f} MB of arguments"
    return Line(part, name, seconds[name], None, temporary, note)


def _beside(theirs: float, epochs: Sequence[float], slower: Sequence[float]) -> str:
    """The toolbox's time and ours, in each round as if its machine had been as slow as this one was then.

    >>> _beside(22.7, [11.7, 23.4, 11.7], [1.6, 3.0, 1.5])
    'toolbox 22.7 s: 1.9x as it stands, 2.91 (2.91–3.1) times at one speed'
    """
    ratios = [theirs * factor / ours for ours, factor in zip(epochs, slower, strict=True)]
    stands = theirs / statistics.median(epochs)
    return f"toolbox {theirs:.3g} s: {stands:.1f}x as it stands, {Spread.of(ratios)} times at one speed"
