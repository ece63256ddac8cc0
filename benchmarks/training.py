"""Epochs: one compiled scan against a Python loop of steps, several seeds in one program, virtual triplets."""

import dataclasses
import functools
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.count import Count, adam, count
from benchmarks.machine import PROBES, Probe, Rates
from benchmarks.measure import Line, alternate, lines_of, temporary_bytes
from benchmarks.setting import Setting, widened
from jmmrec.data import TrainingData
from jmmrec.data.sampling import draw_negatives, epoch_order, negative_table
from jmmrec.models import Backbone, Freedom, LightGcn
from jmmrec.models.base import Batch
from jmmrec.train.config import TrainConfig, epoch_key, init_key
from jmmrec.train.mdvt import activated, with_mdvt
from jmmrec.train.step import TrainState, run_epoch, single, step, together

RATE = jnp.float32(1e-3)
MODELS: dict[str, Backbone] = {"LightGCN": LightGcn(n_layers=2), "FREEDOM": Freedom()}


@dataclasses.dataclass(frozen=True, eq=False)
class Ready:
    """A model with everything an epoch reads.

    Attributes:
      fixed: static part, negatives, rows. steps: of a whole epoch, of which `order` may hold the first few.
    """

    model: Backbone
    config: TrainConfig
    data: TrainingData
    fixed: tuple[Any, ...]
    order: jax.Array
    steps: int

    def fresh(self, seed: int = 0) -> TrainState:
        """Parameters, optimiser and state of a new run; copies, so that they may be donated."""
        params, state = self.model.init(init_key(seed), self.fixed[0])
        start = TrainState(params, self.config.optimiser(self.model).init(params), state)
        return jax.tree.map(jnp.array, start)


def ready(model: Backbone, data: TrainingData, batch_size: int, steps: int | None = None) -> Ready:
    """Prepares a model; `steps` cuts its epochs short."""
    order = epoch_order(data.train, batch_size, seed=0, epoch=0)
    fixed = (model.prepare(data), negative_table(data.train, data.n_users), jnp.asarray(data.train))
    return Ready(model, TrainConfig(batch_size=batch_size), data, fixed, jnp.asarray(order[:steps]), len(order))


def scan(what: Ready) -> tuple[Callable[[], Any], int]:
    """An epoch as the trainer runs it, and the temporary memory of its program."""
    given = (what.fresh(), *what.fixed, what.order, epoch_key(0, 0), RATE)
    compiled = single.lower(what.model, what.config, *given).compile()
    return lambda: compiled(*given), temporary_bytes(compiled)


def loop(what: Ready) -> tuple[Callable[[], Any], int]:
    """The same epoch as a Python loop of jitted steps that reuse the memory of the state they replace."""
    model = what.model
    optimiser = what.config.optimiser(model)
    hook = jax.jit(model.epoch)

    @functools.partial(jax.jit, donate_argnums=0)
    def one(train: TrainState, static, aux, table, rows, places, number, key):
        negative_key, step_key = jax.random.split(jax.random.fold_in(key, number))
        user, positive = rows[jnp.maximum(places, 0)].T
        batch = Batch(user, positive, draw_negatives(negative_key, table, user), places >= 0, number)
        return step(model, optimiser, train, static, aux, batch, step_key, RATE)

    static, table, rows = what.fixed
    hook_key, steps_key = jax.random.split(epoch_key(0, 0))
    orders = list(what.order)
    held = {"train": what.fresh()}

    def run() -> list[dict]:
        train, logs = held["train"], []
        state, aux = hook(train.params, train.state, static, hook_key)
        train = train._replace(state=state)
        for number, places in enumerate(orders):
            train, log = one(train, static, aux, table, rows, places, jnp.int32(number), steps_key)
            logs.append(log)
        held["train"] = jax.block_until_ready(train)
        return logs

    aux = jax.eval_shape(hook, held["train"].params, held["train"].state, static, hook_key)[1]
    places = (orders[0], jnp.int32(0), steps_key)
    return run, temporary_bytes(one.lower(held["train"], static, aux, table, rows, *places).compile())


def floor(what: Ready) -> Count:
    """What one step must at least do."""
    given = (what.fresh(), *what.fixed, what.order, epoch_key(0, 0), RATE)
    counted = count(functools.partial(run_epoch, what.model, what.config), *given)
    params, rare = given[0].params, what.model.rare
    seldom = adam({name: params[name] for name in rare if name in params})
    steps = len(what.order)
    return counted.times(1 / steps) + adam(params) + seldom.times(1 / steps - 1)


def epochs(setting: Setting) -> list[Line]:
    """Scan against loop, epochs per second and the share of the time that bytes and products must take."""
    lines, rounds, probe = [], setting.rounds[1], setting.probe
    for name, model in MODELS.items():
        lines += _epochs(f"epoch of {name}", ready(model, setting.data, setting.batch_size), rounds, probe)
    what = ready(Freedom(), widened(setting.data, setting.wide), setting.batch_size, setting.steps)
    widths = " + ".join(map(str, setting.wide))
    return lines + _epochs(f"{len(what.order)} steps of FREEDOM, trained features {widths} wide", what, rounds, probe)


def _epochs(part: str, what: Ready, rounds: int, probe: Probe) -> list[Line]:
    programs = {"ours: one scan": scan(what), "Python loop of jitted steps": loop(what)}
    seconds = alternate({name: run for name, (run, _) in programs.items()} | probe.runs(), rounds)
    rates = probe.rates({name: seconds.pop(name) for name in PROBES})
    a_step = {name: statistics.median(times) / len(what.order) for name, times in seconds.items()}
    notes = {name: f"{1 / (time * what.steps):.3g} epochs/s" for name, time in a_step.items()}
    first = next(iter(notes))
    notes[first] += f"; {must(floor(what), rates, a_step[first])}"
    return lines_of(part, seconds, {name: size for name, (_, size) in programs.items()}, notes)


def must(least: Count, rates: Rates, seconds: float) -> str:
    """In words: which share of a step's seconds cannot be avoided, and for what."""
    parts = {name: value / seconds for name, value in least.seconds(rates).items()}
    shares = ", ".join(f"{name} {part:.0%}" for name, part in parts.items() if part >= 0.005)
    return f"at least {sum(parts.values()):.0%} of it must be: {shares}"


def seeds(setting: Setting, count: int = 5) -> list[Line]:
    """Several seeds of LightGCN in one vmapped program against one after another."""
    what = ready(MODELS["LightGCN"], setting.data, setting.batch_size, setting.steps)
    starts = [what.fresh(seed) for seed in range(count)]
    keys = [epoch_key(seed, 0) for seed in range(count)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    several = (jnp.stack([what.order] * count), jnp.stack(keys), jnp.full(count, RATE))
    one = single.lower(what.model, what.config, starts[0], *what.fixed, what.order, keys[0], RATE).compile()
    all_ = together.lower(what.model, what.config, stacked, *what.fixed, *several, {}).compile()
    variants: dict[str, Callable] = {
        "ours: one vmapped program": lambda: all_(stacked, *what.fixed, *several, {}),
        "one after another": lambda: [
            one(start, *what.fixed, what.order, key, RATE) for start, key in zip(starts, keys, strict=True)
        ],
    }
    memory = {"ours: one vmapped program": temporary_bytes(all_), "one after another": temporary_bytes(one)}
    seconds = alternate(variants, setting.rounds[1])
    return lines_of(f"{len(what.order)} steps of LightGCN, {count} seeds", seconds, memory)


def virtual(setting: Setting) -> list[Line]:
    """Steps of FREEDOM without virtual triplets, with mining once an epoch, and with mining in every batch."""
    models = {
        "virtual triplets off": Freedom(),
        "mined once (an epoch's share)": activated(with_mdvt(Freedom(), refresh="epoch")),
        "mined in every step": activated(with_mdvt(Freedom(), refresh="batch")),
    }
    whats = {name: ready(model, setting.data, setting.batch_size, setting.steps) for name, model in models.items()}
    runs = {name: scan(what) for name, what in whats.items()}
    steps = len(next(iter(whats.values())).order)
    seconds = alternate({name: run for name, (run, _) in runs.items()}, setting.rounds[1])
    notes = {name: f"{1e3 * statistics.median(times) / steps:.3g} ms a step" for name, times in seconds.items()}
    memory = {name: size for name, (_, size) in runs.items()}
    return lines_of(f"{steps} steps of FREEDOM with MDVT, n = 2, all users", seconds, memory, notes)
