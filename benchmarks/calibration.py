"""This machine beside the one on which the PyTorch toolbox was timed: three kernels whose times there are known."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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


def kernels(setting: Setting) -> dict[str, Callable[[], Any]]:
    """Each kernel as a call."""
    rows, weight = jnp.ones((setting.data.n_items, setting.wide[0])), jnp.ones((WIDTH, setting.wide[0]))
    project = jax.jit(jax.value_and_grad(lambda weight, rows: jnp.sum((rows @ weight.T) ** 2)))
    return {
        "add": setting.probe.runs()["add"],
        "projection": lambda: project(weight, rows),
        "BCOO, automatic gradient": programs(setting)[0]["BCOO, automatic gradient"],
    }


def calibration(setting: Setting) -> list[Line]:
    """A line for each kernel, with how much longer it takes here."""
    lines = []
    for name, times in alternate(kernels(setting), setting.rounds[0]).items():
        longer = statistics.median(times) / THERE[name]
        lines.append(Line(PART, name, times, None, None, f"{1e3 * THERE[name]:.3g} ms there: {longer:.2g} times here"))
    return lines


def slowdowns(seconds: Mapping[str, Sequence[float]]) -> list[float]:
    """How much slower this machine was in each round: the smallest of the kernels' factors.

    >>> slowdowns({"projection": (0.064, 0.064), "BCOO, automatic gradient": (0.0975, 0.13)})
    [1.5, 2.0]
    """
    rounds = zip(*([time / THERE[name] for time in times] for name, times in seconds.items()), strict=True)
    return [min(factors) for factors in rounds]
