"""Every registered backbone on the same work: seconds per epoch, memory, and what cannot be avoided."""

import statistics

import jax

from benchmarks.machine import PROBES
from benchmarks.measure import Line, alternate
from benchmarks.setting import Setting, widened
from benchmarks.training import Ready, floor, must, ready, scan
from jmmrec.models import MODELS, make

# Seconds per epoch of the PyTorch toolbox on this work (Baby, features 4096 + 384 wide, batch 2048, its defaults), two
# cores of another machine, which calibration.py holds this one against.
TOOLBOX = {
    "bpr": 1.2, "vbpr": 6.0, "lightgcn": 6.2, "freedom": 22.7, "bm3": 26.0, "slmrec": 36.0, "mgcn": 37.0,
    "lgmrec": 70.0, "dragon": 105.0, "mmgcn": 125.0,
}  # fmt: skip


def backbones(setting: Setting, names: tuple[str, ...] = tuple(MODELS), slowdown: float = 1.0) -> list[Line]:
    """One line for each model: a few steps timed, scaled to a whole epoch.

    Args:
      slowdown: how many times longer the toolbox would take here than on its own machine.
    """
    data = widened(setting.data, setting.wide)
    part = f"{setting.steps} steps of every backbone, features {' + '.join(map(str, setting.wide))} wide"
    steps = setting.batch_size, setting.steps
    return [_line(part, name, ready(make(name), data, *steps), setting, slowdown) for name in names]


def _line(part: str, name: str, what: Ready, setting: Setting, slowdown: float) -> Line:
    run, temporary = scan(what)
    seconds = alternate({name: run} | setting.probe.runs(), setting.rounds[1])
    rates = setting.probe.rates({probe: seconds[probe] for probe in PROBES})
    a_step = statistics.median(seconds[name]) / len(what.order)
    epoch, given = a_step * what.steps, what.fresh()
    held = sum(leaf.nbytes for leaf in jax.tree.leaves((given, what.fixed)) if hasattr(leaf, "nbytes"))
    theirs = f" ({_beside(TOOLBOX[name], epoch, slowdown)})" if name in TOOLBOX else ""
    note = f"{epoch:.3g} s an epoch{theirs}; {must(floor(what), rates, a_step)}; {held / 2**20:.0f} MB of arguments"
    return Line(part, name, seconds[name], None, temporary, note)


def _beside(theirs: float, ours: float, slowdown: float) -> str:
    """The toolbox's time and ours.

    >>> _beside(22.7, 11.7, 1.6)
    'toolbox 22.7 s: 1.9x as it stands, 3.1x at one speed'
    """
    return f"toolbox {theirs:.3g} s: {theirs / ours:.1f}x as it stands, {slowdown * theirs / ours:.1f}x at one speed"
