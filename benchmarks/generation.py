"""CI²MG: a step with its transport solved once an epoch and anew at every step, and hypergraph convolution by size."""

import functools
import statistics

import jax
import jax.numpy as jnp

from benchmarks.measure import Line, alternate, temporary_bytes
from benchmarks.setting import Setting, power_law, widened
from benchmarks.training import ready, scan
from jmmrec.data import TrainingData
from jmmrec.graph.hypergraph import hypergraph_smooth
from jmmrec.models import Ci2mg

SPORTS = (35_598, 18_357, 218_409)
PROTOTYPES, WIDTH = 64, 64
NODES = (8_192, 16_384, 32_768)
STEPS = 2


def model(refresh: str) -> Ci2mg:
    """The default model; a benchmark's tables need no converged start."""
    return Ci2mg(ot={"refresh": refresh, "sinkhorn": {"cold_iterations": 1}})


def sized(setting: Setting) -> dict[str, TrainingData]:
    """Baby, and a generated graph as large as Sports; small ones where the setting is."""
    small = setting.users < 10_000
    sports = power_law(*((60, 50, 300) if small else SPORTS), dim=8)
    return {
        "Baby": widened(setting.data, setting.wide),
        "the size of Sports (generated)": widened(sports.for_training(), setting.wide),
    }


def generation(setting: Setting) -> list[Line]:
    """Lines of both parts."""
    return [*_steps(setting), *_convolution(setting)]


def _steps(setting: Setting) -> list[Line]:
    lines = []
    for name, data in sized(setting).items():
        found = {r: scan(ready(model(r), data, 1024, STEPS)) for r in ("epoch", "step")}
        seconds = alternate({r: run for r, (run, _) in found.items()}, 1)
        part = f"CI2MG on {name}: {data.n_items:,} items, {STEPS} steps of 1,024 rows"
        notes = {"epoch": "20 Sinkhorn iterations before the steps", "step": "5 at each step"}
        for refresh, (_, memory) in found.items():
            against = None if refresh == "epoch" else seconds["epoch"]
            lines.append(Line(part, f"refresh {refresh}", seconds[refresh], against, memory, notes[refresh]))
    return lines


def _convolution(setting: Setting) -> list[Line]:
    sizes = (64, 128) if setting.users < 10_000 else NODES
    runs, memory = {}, {}
    for n in sizes:
        keys = jax.random.split(jax.random.key(0))
        given = jax.nn.softmax(jax.random.normal(keys[0], (n, PROTOTYPES))), jax.random.normal(keys[1], (n, WIDTH))
        program = jax.jit(jax.grad(lambda h, x: jnp.sum(hypergraph_smooth(h, x) ** 2), (0, 1))).lower(*given).compile()
        runs[f"{n:,} items"], memory[f"{n:,} items"] = functools.partial(program, *given), temporary_bytes(program)
    seconds = alternate(runs, setting.rounds[0])
    part = f"hypergraph convolution, {PROTOTYPES} prototypes, width {WIDTH}, forward and backward"
    least = statistics.median(seconds[f"{sizes[0]:,} items"]) / sizes[0]
    return [
        Line(
            part, what, times, None, memory[what],
            f"{statistics.median(times) / n / least:.2f} times the first line's time for an item",
        )
        for n, (what, times) in zip(sizes, seconds.items(), strict=True)
    ]  # fmt: skip
