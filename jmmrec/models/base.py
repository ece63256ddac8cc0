"""What a backbone is: a frozen config whose methods are pure functions. Subclass it for hooks that do nothing."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

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


class Card(NamedTuple):
    """What `jmmrec models` says of a model.

    Attributes:
      paper: short name of the publication and where it appeared. year: of it. modalities: how many it takes.
      parameters, cost: trained values, and the work of one step, as formulas in U users, I items, E interactions,
        d width, D_m width of modality m, M modalities, B rows of a batch.
    """

    paper: str
    year: int
    modalities: str
    parameters: str
    cost: str


class Backbone(Protocol):
    """The protocol. Subclasses are frozen dataclasses: hashable, static under jit, no arrays inside.

    `static` and `aux` are pytrees passed as arguments, never captured; `state` holds what the step's gradient does
    not train.

    Attributes:
      card: what the list of models says of it; None for models of your own.
      training: options of `jmmrec.train.TrainConfig` that its authors train it with, used where none are given.
      joined: how channels (`Encoded.modal`) become one table, `sum`, or `concat` where they stand side by side.
      ranks_by_ids: whether the `bpr` part of the loss is the same whatever the features are.
    """

    card: ClassVar[Card | None] = None
    joined: ClassVar[str] = "sum"
    ranks_by_ids: ClassVar[bool] = False
    training: ClassVar[Mapping[str, Any]] = {}

    @property
    def rare(self) -> tuple[str, ...]:
        """Top-level parameters that take part in some steps only. Default: none."""
        return ()

    @property
    def paces(self) -> Mapping[str, float]:
        """Top-level parameters with a rate of their own (times the run's) and no decoupled decay. Default: none."""
        return {}

    def due(self, state: State) -> jax.Array | bool:
        """Whether the parameters named by `rare` take part in this step; if not, their moments rest as well."""
        return True

    def prepare(self, data: TrainingData) -> Static:
        """On the host, once: graphs and feature arrays. It sees no test rows."""
        ...

    def init(self, key: jax.Array, static: Static) -> tuple[Params, State]:
        """Fresh parameters and state."""
        ...

    def epoch(self, params: Params, state: State, static: Static, key: jax.Array) -> tuple[State, Aux]:
        """Before every epoch, fixed shapes: pruned graphs, refreshed neighbours. Default: nothing."""
        return state, ()

    def before_batch(
        self, params: Params, state: State, static: Static, aux: Aux, batch: Batch, key: jax.Array
    ) -> tuple[State, dict]:
        """Before every step: what an adversary learns with an optimiser of its own, and its losses by name.

        Default: nothing.
        """
        return state, {}

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

    def kept(self, state: State) -> State:
        """What of the state `encode` reads with train=False; it is kept with the best parameters. Default: all."""
        return state

    def remarks(self, parts: Mapping[str, float]) -> tuple[str, ...]:
        """Sentences about a run whose last epoch had these loss parts, for its user. Default: none."""
        return ()
