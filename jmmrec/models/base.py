"""What a backbone is: a frozen config whose methods are pure functions. Any object with these methods will do."""

from typing import Any, NamedTuple, Protocol

import flax.struct
import jax

from jmmrec.data.dataset import TrainingData

Params = Any
State = Any
Static = Any
Aux = Any


class Batch(NamedTuple):
    """Training triples of one step; padded rows have mask False and must not count.

    Attributes:
      user, positive, negative: int32 (b,). mask: bool (b,). step: int32 scalar, number of the step in its epoch.
    """

    user: jax.Array
    positive: jax.Array
    negative: jax.Array
    mask: jax.Array
    step: jax.Array


class Encoded(flax.struct.PyTreeNode):
    """What every backbone's `encode` returns; scores are `user @ item.T`.

    Attributes:
      user: (n_users, D). item: (n_items, D).
      modal: name -> (user, item) tables of one channel (`id` or a modality), for losses and variants.
      extra: whatever else the backbone's loss reads.
    """

    user: jax.Array
    item: jax.Array
    modal: dict[str, tuple[jax.Array, jax.Array]] = flax.struct.field(default_factory=dict)
    extra: dict[str, Any] = flax.struct.field(default_factory=dict)


class Backbone(Protocol):
    """The protocol. Subclasses are frozen dataclasses: hashable, static under jit, no arrays inside.

    `static` and `aux` are pytrees passed as arguments, never captured; `state` holds what no gradient trains.
    """

    def prepare(self, data: TrainingData) -> Static:
        """On the host, once: graphs and feature arrays. It sees no test rows."""
        ...

    def init(self, key: jax.Array, static: Static) -> tuple[Params, State]:
        """Fresh parameters and state."""
        ...

    def epoch(self, params: Params, state: State, static: Static, key: jax.Array) -> tuple[State, Aux]:
        """Before every epoch, fixed shapes: pruned graphs, refreshed neighbours. Default: nothing."""
        return state, ()

    def encode(
        self,
        params: Params,
        state: State,
        static: Static,
        aux: Aux,
        *,
        features: dict[str, jax.Array] | None = None,
        key: jax.Array | None = None,
        train: bool,
    ) -> Encoded:
        """All users and items. With train=False `aux` and `key` are not read; `features` replaces the stored ones."""
        ...

    def loss(self, params: Params, encoded: Encoded, batch: Batch, key: jax.Array) -> tuple[jax.Array, dict]:
        """Total loss of the batch and its parts, unweighted, by name; `parts["bpr"]` is the ranking loss."""
        ...

    def after_batch(self, state: State, encoded: Encoded, batch: Batch) -> State:
        """State after an optimiser step, from that step's forward pass. Default: unchanged."""
        return state
