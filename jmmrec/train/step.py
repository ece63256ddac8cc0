"""One epoch as one compiled program: a scan over steps, negatives drawn inside, nothing synchronised with the host."""

import copy
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jmmrec.data.sampling import NegativeTable, draw_negatives
from jmmrec.models.base import Backbone, Batch
from jmmrec.train.config import TrainConfig


class TrainState(NamedTuple):
    """What the optimiser changes. Keys and batches are functions of (seed, epoch, step) and never stored."""

    params: Any
    opt: Any
    state: Any


def step(
    model: Backbone,
    optimiser: optax.GradientTransformationExtraArgs,
    train: TrainState,
    static,
    aux,
    batch: Batch,
    key,
    rate,
) -> tuple[TrainState, dict]:
    """One optimiser step on one batch.

    Args:
      key: of the step. rate: learning rate.

    Returns:
      the next state and the loss parts, scalars, `loss` the total.

    See `run_epoch` for an example.
    """
    encode_key, loss_key = jax.random.split(key)
    state, adversary = model.before_batch(train.params, train.state, static, aux, batch, jax.random.fold_in(key, 2))

    def _objective(params):
        encoded = model.encode(params, state, static, aux, key=encode_key, train=True)
        total, parts = model.loss(params, encoded, batch, loss_key)
        return total, (encoded, parts)

    (total, (encoded, parts)), gradients = jax.value_and_grad(_objective, has_aux=True)(train.params)
    updates, opt = optimiser.update(gradients, train.opt, train.params, due=model.due(state))
    params = jax.tree.map(lambda p, u: p - rate * u, train.params, updates)
    log = parts | adversary | {"loss": total}
    return TrainState(params, opt, model.after_batch(state, encoded, batch)), log


def run_epoch(
    model: Backbone,
    config: TrainConfig,
    train: TrainState,
    static,
    table: NegativeTable,
    rows: jax.Array,
    order: jax.Array,
    key: jax.Array,
    rate: jax.Array,
) -> tuple[TrainState, dict]:
    """One epoch.

    Args:
      table, rows: negatives and int32 (n_train, 2) training pairs. order: int32 (steps, b), -1 where padded, see
        `jmmrec.data.sampling.epoch_order`. key: of the epoch. rate: learning rate.

    Returns:
      the next state and each loss part at every step, (steps,).

    >>> import numpy as np
    >>> from jmmrec.data.dataset import Dataset
    >>> from jmmrec.data.sampling import negative_table, epoch_order
    >>> from jmmrec.models import BprMf
    >>> d = Dataset(2, 3, np.array([[0, 0], [1, 1]]), np.array([[0, 1]]), np.array([[1, 2]])).for_training()
    >>> model, config = BprMf(embed_dim=4), TrainConfig()
    >>> static = model.prepare(d)
    >>> params, state = model.init(jax.random.key(0), static)
    >>> train = TrainState(params, config.optimiser(model).init(params), state)
    >>> order = jnp.asarray(epoch_order(d.train, 2, seed=0, epoch=0))
    >>> table = negative_table(d.train, 2)
    >>> _, log = run_epoch(model, config, train, static, table, jnp.asarray(d.train), order, jax.random.key(1), 1e-3)
    >>> log["loss"].shape
    (1,)
    """
    optimiser = config.optimiser(model)
    hook_key, steps_key = jax.random.split(key)
    state, aux = model.epoch(train.params, train.state, static, hook_key)

    def _body(train: TrainState, number_and_places: tuple[jax.Array, jax.Array]):
        number, places = number_and_places
        negative_key, step_key = jax.random.split(jax.random.fold_in(steps_key, number))
        user, positive = rows[jnp.maximum(places, 0)].T
        negative = draw_negatives(negative_key, table, user)
        batch = Batch(user, positive, negative, places >= 0, number)
        return step(model, optimiser, train, static, aux, batch, step_key, rate)

    numbers = jnp.arange(len(order), dtype=jnp.int32)
    return jax.lax.scan(_body, train._replace(state=state), (numbers, order))


single = functools.partial(jax.jit, static_argnums=(0, 1))(run_epoch)


def with_numbers(model: Backbone, numbers: Mapping[str, Any]) -> Backbone:
    """The model with some options replaced by numbers or by traced values, which are not checked.

    Args:
      numbers: by name; an option inside another one, or inside a combinator's backbone, as `backbone.reg`.

    >>> from jmmrec.models import BprMf
    >>> with_numbers(BprMf(), {"reg": 0.5}).reg
    0.5
    """
    model = copy.copy(model)
    for name, value in numbers.items():
        first, _, rest = name.partition(".")
        object.__setattr__(model, first, with_numbers(getattr(model, first), {rest: value}) if rest else value)
    return model


@functools.partial(jax.jit, static_argnums=(0, 1))
def together(model, config, train, static, table, rows, order, key, rate, numbers) -> tuple[TrainState, dict]:
    """`run_epoch` for several runs at once: all but `static`, `table` and `rows` have a leading axis of runs."""

    def _one(train, order, key, rate, numbers):
        return run_epoch(with_numbers(model, numbers), config, train, static, table, rows, order, key, rate)

    return jax.vmap(_one)(train, order, key, rate, numbers)
