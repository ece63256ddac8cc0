"""This machine beside the one on which the PyTorch toolbox was timed: three kernels whose times there are known."""

import statistics
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from benchmarks.machine import LARGE
from benchmarks.measure import Line, alternate
from benchmarks.propagation import WIDTH, programs
from benchmarks.setting import Setting

# Seconds on the toolbox's machine: an add at its 39 GB/s; all of Baby's items, 4,096 wide, projected to 64, forward and
# backward; two layers on Baby's square matrix, forward and backward.
THERE = {"add": 3 * 4 * LARGE / 39e9, "projection": 0.032, "BCOO, automatic gradient": 0.065}
PART = "this machine beside the toolbox's"


def calibration(setting: Setting) -> list[Line]:
    """A line for each kernel, with how much longer it takes here."""
    rows, weight = jnp.ones((setting.data.n_items, setting.wide[0])), jnp.ones((WIDTH, setting.wide[0]))
    project = jax.jit(jax.value_and_grad(lambda weight, rows: jnp.sum((rows @ weight.T) ** 2)))
    runs = {
        "add": setting.probe.runs()["add"],
        "projection": lambda: project(weight, rows),
        "BCOO, automatic gradient": programs(setting)[0]["BCOO, automatic gradient"],
    }
    seconds = alternate(runs, setting.rounds[0])
    return [
        Line(PART, name, times, None, None, f"{1e3 * THERE[name]:.3g} ms there: {_factor(name, times):.2g} times here")
        for name, times in seconds.items()
    ]


def slowdown(lines: Sequence[Line]) -> float:
    """How much slower this machine is: the smallest of the kernels' factors.

    >>> slowdown([Line(PART, "projection", (0.064,)), Line(PART, "BCOO, automatic gradient", (0.0975,))])
    1.5
    """
    return min(_factor(line.what, line.seconds) for line in lines)


def _factor(name: str, seconds: Sequence[float]) -> float:
    return statistics.median(seconds) / THERE[name]
