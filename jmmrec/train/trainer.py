"""The trainer: prepares a model and its data once, starts lanes, and carries any set of lanes one epoch further."""

import dataclasses
import functools
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.data.dataset import TrainingData
from jmmrec.data.sampling import NegativeTable, epoch_order, negative_table
from jmmrec.errors import ConfigError, DataError, DivergenceError
from jmmrec.models.base import Backbone
from jmmrec.retrieval import Questions, parse_metric, per_user, questions
from jmmrec.train.config import TrainConfig, epoch_key, init_key
from jmmrec.train.evaluate import ask
from jmmrec.train.lane import ALL, Lane
from jmmrec.train.mdvt import Mdvt, activated
from jmmrec.train.step import TrainState, single, together, with_numbers
from jmmrec.train.warmup import Never, Policy
from jmmrec.train.wrapper import innermost

VALID_METRICS = ("recall", "ndcg")
VALID_KS = (10, 20)


@dataclasses.dataclass(frozen=True, eq=False)
class Trainer:
    """A model bound to training data. Build it with `trainer`."""

    model: Backbone
    data: TrainingData
    config: TrainConfig
    static: Any
    table: NegativeTable
    rows: jax.Array
    valid: Questions | None

    def start(self, seed: int, policy: Policy = Never(), label: str = "", role: str = "plain") -> Lane:  # noqa: B008
        """A fresh lane."""
        train = _fresh(self.model, self.config.program, init_key(seed), self.static)
        return Lane(label or f"seed {seed}", seed, policy, policy.start(), train, role)

    def advance(self, lanes: Sequence[Lane]) -> list[Lane]:
        """Each lane one epoch further, in the order given.

        Lanes with the same loss run together in vmapped programs of `seeds_per_program`.

        Raises:
          DivergenceError: a loss or parameter became NaN or infinite; says in which lane, epoch and step. A branch of
            a search is lost instead, and the others go on.
        """
        done: dict[str, Lane] = {}
        for active in (False, True):
            group = [lane for lane in lanes if lane.warmup.active == active]
            # In a search the number of runs changes all the time, and each number would be another program.
            plain = all(lane.role == "plain" for lane in lanes)
            size = self.config.seeds_per_program or (max(len(group), 1) if plain else 1)
            for low in range(0, len(group), size):
                part = group[low : low + size]
                # There branches stop one by one: the rest of a program is filled up, so that it stays the same program.
                fill = [] if plain or size == 1 else part[:1] * (size - len(part))
                done |= {lane.label: lane for lane in self._timed(part, fill, active)}
        return [done[lane.label] for lane in lanes]

    def _timed(self, part: Sequence[Lane], fill: Sequence[Lane], active: bool) -> list[Lane]:
        """The lanes of one program one epoch further, judged; the time it took is shared evenly among them."""
        began = time.perf_counter()
        after = self._epoch([*part, *fill], active)[: len(part)]
        after = [lane if lane.lost else self._judge(lane) for lane in after]
        share = round((time.perf_counter() - began) / len(part), 6)
        return [dataclasses.replace(lane, times=(*lane.times, share)) for lane in after]

    def _epoch(self, lanes: Sequence[Lane], active: bool) -> list[Lane]:
        model, config = activated(self.model) if active else self.model, self.config.program
        if len(lanes) == 1:
            train, *rest = self._inputs(lanes[0])
            own = with_numbers(model, dict(lanes[0].numbers))
            outputs = [single(own, config, train, self.static, self.table, self.rows, *rest)]
        else:
            stacked = together(model, config, *self._stacked(lanes))
            outputs = [jax.tree.map(lambda leaf, n=n: leaf[n], stacked) for n in range(len(lanes))]
        return [self._after(lane, *output) for lane, output in zip(lanes, outputs, strict=True)]

    def _stacked(self, lanes: Sequence[Lane]) -> tuple:
        """The arguments of a program of several lanes."""
        train, *rest = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(self._inputs, lanes))
        names = [name for name, _ in lanes[0].numbers]
        numbers = {name: jnp.asarray([dict(lane.numbers)[name] for lane in lanes]) for name in names}
        return train, self.static, self.table, self.rows, *rest, numbers

    def held(self, lane: Lane) -> tuple[int, int]:
        """Bytes that lanes like this one hold while they train in one program, virtual triplets and all.

        Compiles it for one and for two of them, and asks the compiler for arguments, results and temporaries.

        Returns:
          what is held whatever their number, static part included, and what each one adds: beside its share of the
          program the state that it was stacked from, and its best.
        """
        assert lane.train is not None
        best = (lane.train.params, self.model.kept(lane.train.state))  # one that has none yet will have one
        own = sum(leaf.nbytes for leaf in jax.tree.leaves((lane.train, best)))
        one, two = (self.program_bytes([lane] * count) for count in (1, 2))
        return 2 * one - two, two - one + own

    def fitting(self, lane: Lane, memory: int) -> int:
        """How many lanes like this one share a program within so many bytes.

        Raises:
          ConfigError: not even one does, or this device's compiler does not tell.
        """
        fixed, each = self.held(lane)
        if fixed + each > memory:
            raise ConfigError(
                f"memory is {memory / 2**30:.3g} GB but one run in it needs {(fixed + each) / 2**30:.3g}; give that, "
                "or 0 to train each alone."
            )
        return (memory - fixed) // max(each, 1)

    def traced(self, lanes: Sequence[Lane]) -> jax.stages.Traced:
        """The program that trains these lanes together, with virtual triplets, not yet compiled."""
        return together.trace(activated(self.model), self.config.program, *self._stacked(lanes))

    def program_bytes(self, lanes: Sequence[Lane]) -> int:
        """Arguments, results and temporaries of the program that trains these lanes with virtual triplets.

        Raises:
          ConfigError: this device's compiler does not tell.
        """
        told = self.traced(lanes).lower().compile().memory_analysis()
        if told is None:
            raise ConfigError("the compiler of this device does not tell what a program holds; leave memory 0.")
        return told.argument_size_in_bytes + told.output_size_in_bytes + told.temp_size_in_bytes

    def _inputs(self, lane: Lane) -> tuple:
        order = epoch_order(self.data.train, self.config.batch_size, lane.seed, lane.epoch, self.config.sampler)
        rate = jnp.float32(self.config.rate(lane.epoch, lane.rate))
        return lane.train, jnp.asarray(order), epoch_key(lane.seed, lane.epoch), rate

    def _after(self, lane: Lane, train: TrainState, log: dict) -> Lane:
        log = {name: np.asarray(values) for name, values in log.items()}
        if broken := self._broken(lane, train, log):
            if lane.role != "branch":
                raise DivergenceError(broken)
            return dataclasses.replace(lane, train=None, best=None, best_score=-1.0, stopped=broken)
        loss = float(log["loss"].mean(dtype=np.float64))
        warmup = lane.policy.update(lane.warmup, lane.epoch, loss)
        record = {"epoch": lane.epoch, "seed": lane.seed, "loss": loss}
        record["parts"] = {k: float(v.mean(dtype=np.float64)) for k, v in log.items() if k != "loss"}
        record["virtual_active"] = lane.warmup.active
        stale = 0 if self.config.reset_patience and warmup.active and not lane.warmup.active else lane.stale
        return dataclasses.replace(
            lane, train=train, warmup=warmup, epoch=lane.epoch + 1, stale=stale, history=(*lane.history, record)
        )

    def _broken(self, lane: Lane, train: TrainState, log: dict) -> str:
        """What is not finite, and since when; nothing where all is well."""
        where = f"{lane.label} diverged in epoch {lane.epoch}"
        bad = {name: np.flatnonzero(~np.isfinite(values)) for name, values in log.items()}
        bad = {name: steps for name, steps in bad.items() if len(steps)}
        if bad:
            first = min(steps[0] for steps in bad.values())
            names = ", ".join(f"{n} is {log[n][first]}" for n, steps in bad.items() if steps[0] == first)
            return f"{where}, step {first}: {names}; lower the learning rate or look at the features."
        leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(_finite(train.params)))
        broken = [jax.tree_util.keystr(path) for path, finite in leaves if not finite]
        if not broken:
            return ""
        return (
            f"{where}, last step {len(log['loss']) - 1}: parameter {broken[0]} holds NaN or infinity; "
            "lower the learning rate or look at the features."
        )

    def _judge(self, lane: Lane) -> Lane:
        """Valid metrics, best so far, early stopping."""
        last = lane.epoch >= self.config.epochs
        stopped = ALL.format(lane.epoch) if last else ""
        if lane.epoch % self.config.eval_every and not last:
            return lane
        assert lane.train is not None
        best = (lane.train.params, self.model.kept(lane.train.state))
        if not self.config.judged:
            return _put_away(dataclasses.replace(lane, best=best, best_epoch=lane.epoch - 1, stopped=stopped))
        metrics = self._valid_metrics(self._asked(lane), best)
        score = metrics[self.config.monitor]
        score = score if self.config.round_digits is None else round(score, self.config.round_digits)
        better = score > lane.best_score
        stale = 0 if better else lane.stale + 1
        if stale > self.config.patience:
            stopped = f"no better {self.config.monitor} in {stale} evaluations"
        record = lane.history[-1] | {f"valid/{name}": value for name, value in metrics.items()} | {"best": better}
        judged = dataclasses.replace(
            lane,
            best=best if better else lane.best,
            best_score=score if better else lane.best_score,
            best_epoch=lane.epoch - 1 if better else lane.best_epoch,
            stale=stale,
            stopped=stopped,
            history=(*lane.history[:-1], record),
        )
        return _put_away(judged)

    def _asked(self, lane: Lane) -> Backbone:
        """The model that ranks: MDVT's own numbers are no part of it, and each value would be another program."""
        inner = [(name, value) for name, value in lane.numbers if "." in name or not isinstance(self.model, Mdvt)]
        return with_numbers(self.model, dict(inner)) if inner else self.model

    def _valid_metrics(self, model: Backbone, best: tuple[Any, Any]) -> dict[str, float]:
        assert self.valid is not None
        name, k = parse_metric(self.config.monitor)
        ranked = ask(model, best, self.static, self.valid, max(k, *VALID_KS), self.config.rank_memory)
        hits = self.valid.hits(ranked)
        found = per_user(hits, self.valid.n_relevant, VALID_KS, VALID_METRICS)
        found |= per_user(hits, self.valid.n_relevant, [k], [name])
        return {metric: float(values.mean()) for metric, values in found.items()}


def _put_away(lane: Lane) -> Lane:
    """A lane that has stopped keeps its best alone, unless it could go on with more epochs."""
    more = lane.running or (lane.had_all and lane.role == "plain")
    return lane if more else dataclasses.replace(lane, train=None)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _fresh(model: Backbone, config: TrainConfig, key: jax.Array, static: Any) -> TrainState:
    params, state = model.init(key, static)
    return TrainState(params, config.optimiser(model).init(params), state)


@jax.jit
def _finite(params: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.isfinite(leaf).all(), params)


def trainer(model: Backbone, data: TrainingData, config: TrainConfig = TrainConfig()) -> Trainer:  # noqa: B008
    """Prepares a model on training data; test rows are not part of it.

    Raises:
      DataError: no valid rows to select on, or a model that the data cannot feed.

    >>> from jmmrec.data.dataset import Dataset
    >>> from jmmrec.models import BprMf
    >>> d = Dataset(2, 3, np.array([[0, 0], [1, 1]]), np.array([[0, 1]]), np.array([[1, 2]]))
    >>> t = trainer(BprMf(embed_dim=4), d.for_training(), TrainConfig(epochs=2))
    >>> t.advance([t.start(seed=0)])[0].epoch
    1
    """
    if config.judged and not len(data.valid):
        raise DataError(
            f"{data.name} has no valid rows, which early stopping selects on; split it with a valid part, or train a "
            "number of epochs to the end with monitor='none'."
        )
    sizes = (data.n_users, data.n_items)
    return Trainer(
        model=model,
        data=data,
        config=config,
        static=model.prepare(data),
        table=negative_table(data.train, data.n_users),
        rows=jnp.asarray(data.train),
        valid=questions(data.valid, data.train, data.train, *sizes, memory=config.rank_memory)
        if config.judged
        else None,
    )


def check_tables(bound: Trainer) -> None:
    """Raises `ConfigError` where a backbone of one's own gives no (params, state), or tables of other sizes.

    >>> from jmmrec.data import load
    >>> from jmmrec.models import BprMf
    >>> check_tables(trainer(BprMf(), load("synthetic").for_training()))
    """
    name, sizes = type(innermost(bound.model)[0]).__name__, (bound.data.n_users, bound.data.n_items)
    found = jax.eval_shape(bound.model.init, jax.random.key(0), bound.static)
    if not isinstance(found, tuple) or len(found) != 2:
        raise ConfigError(f"{name}.init returns {type(found).__name__}; it has to return two things, params and state.")
    encode = functools.partial(bound.model.encode, train=False)
    encoded = jax.eval_shape(encode, *found, bound.static, None)
    if (len(encoded.user), len(encoded.item)) != sizes:
        shapes = f"{encoded.user.shape} and {encoded.item.shape}"
        raise ConfigError(f"{name}.encode gives tables of {shapes} for {sizes[0]} users and {sizes[1]} items; mend it.")


def check_monitor(config: TrainConfig, data: TrainingData, chooses: bool = False) -> None:
    """Raises `ConfigError` where the metric's K is above the number of items, so that every list holds all of them.

    Args:
      chooses: whether settings are chosen by the metric, so that there has to be one.

    >>> from jmmrec.data import load
    >>> check_monitor(TrainConfig(), load("synthetic").for_training())
    """
    if chooses and not config.judged:
        raise ConfigError("monitor is none, but what is searched is chosen by a valid metric; name one.")
    if config.judged and parse_metric(config.monitor)[1] > data.n_items:
        raise ConfigError(f"monitor is {config.monitor} but {data.name} has only {data.n_items} items; lower its K.")
