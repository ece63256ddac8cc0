"""Everything about a training run that is not the model: one frozen dataclass, static under jit."""

import dataclasses
import functools
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jmmrec.data.sampling import SAMPLERS
from jmmrec.errors import check_choice, check_names, check_range, check_whole
from jmmrec.models.base import Backbone
from jmmrec.retrieval.metrics import parse_metric
from jmmrec.retrieval.topk import MEMORY


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
      epochs: at most. batch_size: training pairs in a step.
      learning_rate: of Adam (β 0.9/0.999, ε 1e-8). decay, decay_epochs: epoch e uses learning_rate ·
        decay^(e / decay_epochs). weight_decay: coupled L2, added to the gradient before the moments. decoupled_decay:
        added to Adam's direction after them (AdamW).
      patience: the run stops when more evaluations than this in a row brought no better valid score.
      monitor: valid metric that selects, e.g. recall@20; `none` trains all `epochs`, looks at no valid rows and keeps
        the last (to serve a model of all data). round_digits: rounds it first, as the PyTorch toolbox
        (4) does; None compares unrounded. eval_every: epochs between evaluations.
      reset_patience: start counting anew when virtual triplets come in.
      sampler: `pairs`, every training pair once, or `users`, users drawn uniformly.
      seeds_per_program: runs in one vmapped program; 0 takes all seeds (in searches one at a time), 1 gives every run
        the bits it has alone.
      checkpoint_seconds: a checkpoint after the first epoch that ends this long after the last one; 0 for each.
      rank_memory: bytes for the score blocks of an evaluation.

    >>> TrainConfig(patience=5).monitor
    'recall@20'
    """

    epochs: int = 1000
    batch_size: int = 2048
    learning_rate: float = 1e-3
    decay: float = 1.0
    decay_epochs: float = 50.0
    weight_decay: float = 0.0
    decoupled_decay: float = 0.0
    patience: int = 20
    monitor: str = "recall@20"
    round_digits: int | None = None
    eval_every: int = 1
    reset_patience: bool = False
    sampler: str = "pairs"
    seeds_per_program: int = 0
    checkpoint_seconds: float = 20.0
    rank_memory: int = MEMORY

    def __post_init__(self) -> None:
        infinity = float("inf")
        check_whole("epochs", self.epochs, 1, infinity)
        check_whole("batch_size", self.batch_size, 1, 1 << 24)
        check_range("learning_rate", self.learning_rate, 0, infinity, open_low=True)
        check_range("decay", self.decay, 0, infinity, open_low=True)
        check_range("decay_epochs", self.decay_epochs, 0, infinity, open_low=True)
        check_range("weight_decay", self.weight_decay, 0, infinity)
        check_range("decoupled_decay", self.decoupled_decay, 0, infinity)
        check_whole("patience", self.patience, 0, infinity)
        check_whole("eval_every", self.eval_every, 1, infinity)
        check_whole("seeds_per_program", self.seeds_per_program, 0, infinity)
        check_range("checkpoint_seconds", self.checkpoint_seconds, 0, infinity)
        check_whole("rank_memory", self.rank_memory, 1 << 16, infinity)
        check_choice("sampler", self.sampler, SAMPLERS)
        if self.monitor is None or str(self.monitor).lower() == "none":
            object.__setattr__(self, "monitor", "none")
            return
        name, k = parse_metric(self.monitor)
        object.__setattr__(self, "monitor", f"{name}@{k}")  # as scores are named, however it was spelled

    @property
    def judged(self) -> bool:
        """Whether a valid metric selects and stops.

        >>> TrainConfig(monitor="none", epochs=30).judged
        False
        """
        return self.monitor != "none"

    def optimiser(self, model: Backbone) -> optax.GradientTransformationExtraArgs:
        """Direction of a step before the learning rate, which the step multiplies in as a number.

        Adam; parameters that the model calls rare have moments of their own, which rest with them (as PyTorch's do
        where a parameter has no gradient), and `update` then needs `due=model.due(state)`.
        """
        coupled = [optax.add_decayed_weights(self.weight_decay)] if self.weight_decay else []
        adam = optax.with_extra_args_support(optax.chain(*coupled, optax.scale_by_adam(), *self._after(model)))
        if not model.rare:
            return adam
        rare = optax.conditionally_mask(adam, lambda step, **extra: jnp.asarray(extra["due"]), forward_extra_args=True)
        labels = {True: "rare", False: "always"}
        return optax.partition(
            {"always": adam, "rare": rare}, lambda params: {name: labels[name in model.rare] for name in params}
        )

    def _after(self, model: Backbone) -> list[optax.GradientTransformation]:
        """What comes after the moments: decoupled decay, and paces."""
        found: list[optax.GradientTransformation] = []
        if self.decoupled_decay:
            others = (lambda params: _named(params, params.keys() - model.paces)) if model.paces else None
            found.append(optax.add_decayed_weights(self.decoupled_decay, others))
        for name, pace in model.paces.items():
            found.append(optax.masked(optax.scale(pace), functools.partial(_named, names={name})))
        return found

    @property
    def program(self) -> "TrainConfig":
        """What of it is part of a compiled epoch, the rest as by default: runs that agree here share one program.

        >>> TrainConfig(learning_rate=0.1, patience=5).program == TrainConfig().program
        True
        """
        return TrainConfig(weight_decay=self.weight_decay, decoupled_decay=self.decoupled_decay)

    @classmethod
    def of(cls, model: Backbone, **options: Any) -> "TrainConfig":
        """What the model's authors train it with, changed by `options`.

        >>> from jmmrec.models import BprMf
        >>> TrainConfig.of(BprMf(), patience=5).patience
        5
        """
        check_names("training", options, cls.__dataclass_fields__)
        return cls(**{**model.training, **options})

    def rate(self, epoch: int, start: float | None = None) -> float:
        """Learning rate of an epoch, counted from 0; `start` in place of `learning_rate`."""
        return (self.learning_rate if start is None else start) * self.decay ** (epoch / self.decay_epochs)


def _named(params: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Whether each leaf stands under one of the top-level names."""
    return {name: jax.tree.map(lambda _, here=name in names: here, part) for name, part in params.items()}


def init_key(seed: int) -> jax.Array:
    """Key of a run's first parameters.

    >>> bool((init_key(0) == epoch_key(0, 0)).all())
    False
    """
    return jax.random.fold_in(jax.random.key(seed), 0)


def epoch_key(seed: int, epoch: int) -> jax.Array:
    """Key of everything random in one epoch; the same whatever happened before, so runs resume and branch exactly."""
    return jax.random.fold_in(jax.random.key(seed), epoch + 1)
