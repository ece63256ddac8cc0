"""What MMSSL learns beside the gradient of its loss: the discriminator before a batch, modal graphs after it."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.models import mmssl_adversary as adversary
from jmmrec.models import mmssl_graphs as graphs
from jmmrec.models.base import Backbone, Batch, Encoded
from jmmrec.models.layers import dropout, named_key
from jmmrec.models.mmssl_terms import modal_rows
from jmmrec.retrieval import normalise_rows, top_n

NOISE, REAL_TAU, REAL_SCALE = 1e-5, 0.005, 100.0
TINY = 1e-8
AUTHORS = {"batch_size": 1024, "learning_rate": 5.5e-4, "decoupled_decay": 0.01, "sampler": "users"}


def real_rows(observed: jax.Array, similarity: jax.Array, uniform: jax.Array, text: bool) -> jax.Array:
    """What a real row looks like: noisy soft-maxed interactions plus what the model thinks, of unit length.

    Args:
      observed: 0/1 (b, n_items). similarity: (b, n_items), unit rows. uniform: (b, n_items) in [0, 1).
      text: the temperature divides interactions and noise, as the paper says; else the noise alone, as its code does.

    >>> real_rows(jnp.eye(2), jnp.zeros((2, 2)), jnp.full((2, 2), 0.5), True)[0].tolist()
    [1.0, 0.0]
    """
    gumbel = -jnp.log(-jnp.log(uniform + TINY) + TINY)
    logits = (observed if not text else observed / REAL_TAU) + NOISE / REAL_TAU * gumbel
    return normalise_rows(jax.nn.softmax(logits, axis=1) + REAL_SCALE * similarity)


class ByMode:
    """`training`: of the class that of the default mode, of an instance that of its own."""

    def __get__(self, model: "Hooks | None", owner: type) -> Mapping[str, Any]:
        return AUTHORS if model is not None and model.adversarial else {}


class Hooks(Backbone):
    """Chance and state of a backbone with the options named here."""

    training = ByMode()  # type: ignore[assignment]
    mode: str
    topk: int
    topk_rate: float
    feature_dropout: float
    disc_rate: float

    @property
    def adversarial(self) -> bool:
        """Whether there is a discriminator."""
        return self.mode != "port"

    @property
    def slope(self) -> float:
        """Of the discriminator's leaky ReLU; that of the public code is linear."""
        return 0.2 if self.mode == "paper" else 1.0

    def listed(self, n_items: int) -> int:
        """Items that each user of a batch adds to a learned graph."""
        return min(self.topk, n_items) if self.mode == "paper" else int(n_items * self.topk_rate)

    def draws(self, key: jax.Array, stage: str, names: Sequence[str], shape: tuple[int, ...]) -> dict[str, Any]:
        """All that is random.

        Args:
          stage: `encode`, shape (n_items, d): masks of modal features. `disc`, shape (b, n_items): noise of real rows,
            places between real and fake rows, dropout of three passes. `loss`, same shape: dropout of one.
        """
        if stage == "encode":
            return {"features": {n: dropout(named_key(key, n), 1 - self.feature_dropout, shape) for n in names}}
        if stage == "loss":
            return adversary.chance(key, names, shape[0], shape[1], ("adversarial",))
        uniform = jax.random.uniform(named_key(key, "real rows"), shape)
        return {"uniform": uniform, **adversary.chance(key, names, shape[0], shape[1], ("fake", "real", "penalty"))}

    def epoch(self, params, state, static, key: jax.Array) -> tuple[Any, tuple]:
        """Mode paper: graphs of what the epoch before has listed."""
        if self.mode == "paper":
            learned = state["learned"]
            new = jax.lax.cond(learned["count"] > 0, graphs.rebuilt, dict, learned)
            state = state | {"learned": new}
        return state, ()

    def before_batch(self, params, state, static, aux, batch: Batch, key: jax.Array) -> tuple[Any, dict]:
        """A step of the discriminator, on tables of a forward pass of its own."""
        if not self.adversarial:
            return state, {}
        first, second = jax.random.split(key)
        encoded = self.encode(params, state, static, aux, key=first, train=True)
        fake, seen = modal_rows(encoded, batch)
        chance = self.draws(second, "disc", sorted(fake), seen.shape)
        liked = normalise_rows((encoded.user[batch.user] @ encoded.item.T) * (1.0 - seen))
        real = real_rows(seen, liked, chance["uniform"], self.mode == "paper")
        stepped, log = adversary.step(state["adversary"], fake, real, chance, batch.mask, self.slope, self.disc_rate)
        return state | {"adversary": stepped}, log

    def after_batch(self, state, encoded: Encoded, batch: Batch) -> Any:
        """Lists each user's items that are nearest in a modality; mode published: rebuilds graphs of them as well."""
        if not self.adversarial:
            return state

        def _add(learned: dict) -> dict:
            found, _ = modal_rows(encoded, batch)
            k = self.listed(len(encoded.item))
            near = {name: top_n(self._lacking(name, rows, encoded), k)[1] for name, rows in found.items()}
            return graphs.append(learned, batch.user, near, batch.mask, self.mode != "paper")

        learned = state["learned"]
        return state | {
            "learned": _add(learned) if self.mode == "paper" else graphs.after_batch(learned, batch.step, _add)
        }

    def convinced(self, encoded: Encoded, batch: Batch, key: jax.Array) -> jax.Array:
        """The generator's term: minus how observed the discriminator finds the modal rows of the batch's users."""
        fake, seen = modal_rows(encoded, batch)
        drop = self.draws(key, "loss", sorted(fake), seen.shape)["adversarial"]
        return -adversary.mean_score(encoded.extra["adversary"], fake, drop, batch.mask, self.slope)

    def _lacking(self, name: str, rows: jax.Array, encoded: Encoded) -> jax.Array:
        here = encoded.extra["present"].get(name)
        return rows if here is None else jnp.where(here, rows, -jnp.inf)
