"""CI²MG: transport solved once an epoch beside transport solved at every step, and hypergraph convolution by size."""

import functools
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.measure import Line, alternate, temporary_bytes
from benchmarks.setting import Setting, power_law, widened
from benchmarks.training import RATE, Ready, ready
from jmmrec.data import TrainingData
from jmmrec.data.sampling import draw_negatives
from jmmrec.graph.hypergraph import hypergraph_smooth
from jmmrec.models import Ci2mg
from jmmrec.models.base import Batch
from jmmrec.train.config import epoch_key
from jmmrec.train.step import TrainState, step

SPORTS = (35_598, 18_357, 218_409)
PROTOTYPES, WIDTH = 64, 64
NODES = (8_192, 16_384, 32_768)
BATCH = 1024
Seconds = tuple[float, ...]


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


def hook(what: Ready) -> tuple[Callable[[], Any], int]:
    """What is done once an epoch, and its temporary memory."""
    train = what.fresh()
    given = (train.params, train.state, what.fixed[0], jax.random.split(epoch_key(0, 0))[0])
    program = jax.jit(what.model.epoch).lower(*given).compile()
    return functools.partial(program, *given), temporary_bytes(program)


def one_step(what: Ready) -> tuple[Callable[[], Any], int]:
    """The first step of an epoch with everything given that is made once an epoch, and its temporary memory."""
    model, optimiser = what.model, what.config.optimiser(what.model)
    state, aux = hook(what)[0]()
    static, negatives, rows = what.fixed

    def _step(train: TrainState, static, aux, negatives, rows, places, key):
        negative_key, step_key = jax.random.split(jax.random.fold_in(key, 0))
        user, positive = rows[jnp.maximum(places, 0)].T
        batch = Batch(user, positive, draw_negatives(negative_key, negatives, user), places >= 0, jnp.int32(0))
        return step(model, optimiser, train, static, aux, batch, step_key, RATE)

    key = jax.random.split(epoch_key(0, 0))[1]
    given = (what.fresh()._replace(state=state), static, aux, negatives, rows, what.order[0], key)
    program = jax.jit(_step).lower(*given).compile()
    return functools.partial(program, *given), temporary_bytes(program)


def _steps(setting: Setting) -> list[Line]:
    lines = []
    for name, data in sized(setting).items():
        whats = {refresh: ready(model(refresh), data, BATCH) for refresh in ("epoch", "step")}
        found = {
            "once an epoch": hook(whats["epoch"]),
            "a step": one_step(whats["epoch"]),
            "a step that solves": one_step(whats["step"]),
        }
        seconds = alternate({what: run for what, (run, _) in found.items()}, setting.rounds[1])
        part = f"CI2MG on {name}: {data.n_items:,} items, steps of {BATCH:,} rows"
        lines += amortised(part, seconds, {what: size for what, (_, size) in found.items()}, whats["epoch"].steps)
    return lines


def amortised(part: str, seconds: Mapping[str, Seconds], memory: Mapping[str, int], steps: int) -> list[Line]:
    """The three times as they are, and a step with its share of what is done once in an epoch of so many steps.

    >>> found = amortised("p", {"once an epoch": (8.0,), "a step": (1.0,), "a step that solves": (3.0,)}, {}, 4)
    >>> [line.seconds[0] for line in found], str(found[-1].ratio)
    ([8.0, 1.0, 3.0, 3.0], '1 (1–1)')
    """
    hooks, plain, solving = (seconds[what] for what in ("once an epoch", "a step", "a step that solves"))
    share = tuple(one + once / steps for one, once in zip(plain, hooks, strict=True))

    def _epoch(times: Seconds) -> str:
        return f"{steps * statistics.median(times):.3g} s an epoch of {steps} steps"

    notes = ("20 Sinkhorn iterations, from the last potentials", "the epoch's transport given")
    return [
        Line(part, "refresh epoch: once an epoch", hooks, None, memory.get("once an epoch"), notes[0]),
        Line(part, "refresh epoch: a step", plain, None, memory.get("a step"), notes[1]),
        Line(part, "refresh epoch: a step with its share", share, None, None, _epoch(share)),
        Line(part, "refresh step: a step", solving, share, memory.get("a step that solves"),
             f"5 Sinkhorn iterations in it; {_epoch(solving)}"),
    ]  # fmt: skip


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
