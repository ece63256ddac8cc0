"""CI²MG, Eqs. 10, 12, 14, 15: the losses."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jmmrec.errors import check_choice, check_range
from jmmrec.graph.hypergraph import directions
from jmmrec.losses import info_nce
from jmmrec.models.base import Batch, Encoded
from jmmrec.models.ci2mg.options import INFINITY


@dataclasses.dataclass(frozen=True)
class Objective:
    """Eqs. 10, 12, 14, 15: weights and readings of the losses, and Eq. 13's score.

    Attributes:
      contrast: λ1, its weight. reconstruct: λ2, its weight. reg: λ3, of half the squares of the batch's id rows over
        its size. tau: of the contrast. negatives: `all` items, or those of the `batch`. symmetric: also inter to intra.
      target: of the reconstruction, projected features without (`proj_sg`) or with gradient (`proj`), or the raw ones
        through a decoder (`raw_decoder`). reduce: `mean` over observed items or `sum`.
      score_norm: of each modality's block in the score, `none` or `l2`. score_user: users' blocks, `features` of
        Eq. 1 or the `generated` ones of their items.

    >>> Objective().contrast, Objective().reconstruct
    (0.01, 1.0)
    """

    contrast: float = 0.01
    reconstruct: float = 1.0
    reg: float = 1e-3
    tau: float = 0.2
    negatives: str = "all"
    symmetric: bool = False
    target: str = "proj_sg"
    reduce: str = "mean"
    score_norm: str = "none"
    score_user: str = "features"

    def __post_init__(self) -> None:
        for weight in ("contrast", "reconstruct", "reg"):
            check_range(weight, getattr(self, weight), 0, INFINITY)
        check_range("tau", self.tau, 0, INFINITY, open_low=True)
        check_choice("negatives", self.negatives, ("all", "batch"))
        check_choice("target", self.target, ("proj_sg", "proj", "raw_decoder"))
        check_choice("reduce", self.reduce, ("mean", "sum"))
        check_choice("score_norm", self.score_norm, ("none", "l2"))
        check_choice("score_user", self.score_user, ("features", "generated"))


def contrast(intra: jax.Array, inter: jax.Array, batch: Batch, options: Objective) -> jax.Array:
    """Eq. 10 of one modality: each item's intra vector finds its own inter vector among those of all items.

    Args:
      intra, inter: Q and Q̂, (n_items, d).

    >>> batch = Batch(*(jnp.zeros(1, int),) * 3, jnp.ones(1, bool), 0)
    >>> round(float(contrast(jnp.eye(2), jnp.eye(2), batch, Objective(tau=1.0))), 4)
    0.3133
    """
    query, keys, mask = directions(intra), directions(inter), None
    if options.negatives == "batch":
        query, keys, mask = query[batch.positive], keys[batch.positive], batch.mask
    found = info_nce(query, keys, tau=options.tau, mask=mask, limit=1.0)
    if not options.symmetric:
        return found
    return 0.5 * (found + info_nce(keys, query, tau=options.tau, mask=mask, limit=1.0))


def reconstruction(
    made: jax.Array, target: jax.Array, present: jax.Array | None, known: Mapping, decoder: Mapping, options: Objective
) -> jax.Array:
    """Eq. 12 of one modality: squared distance of generated vectors to features, over items that have the modality.

    Args:
      made: Z (n_items, d). target: projected features (n_items, d). present: bool (n_items,), None if all are.
      known: `rows` and features `x` (n, D), for the raw decoder, whose `weight` is (D, d).

    >>> made, target = jnp.ones((2, 3)), jnp.zeros((2, 3))
    >>> float(reconstruction(made, target, jnp.array([True, False]), {}, {}, Objective()))
    3.0
    """
    if options.target == "raw_decoder":
        made, target = made[known["rows"]] @ decoder["weight"].T, known["x"]
        present = None if present is None else present[known["rows"]]
    elif options.target == "proj_sg":
        target = jax.lax.stop_gradient(target)
    gaps = jnp.sum((made - target) ** 2, axis=1)
    here = jnp.ones(len(gaps)) if present is None else present.astype(gaps.dtype)
    total = jnp.sum(gaps * here)
    return total / jnp.maximum(jnp.sum(here), 1.0) if options.reduce == "mean" else total


def contrasts(
    intra: Mapping[str, jax.Array], inter: Mapping[str, jax.Array], batch: Batch, options: Objective
) -> dict[str, jax.Array]:
    """Σ_m of `contrast`, and `contrast_chance`: what vectors that cannot be told apart give."""
    found = sum((contrast(intra[name], inter[name], batch, options) for name in intra), jnp.zeros(()))
    n_items = len(next(iter(intra.values())))
    return {"contrast": found, "contrast_chance": chance(len(intra), n_items, batch, options)}


def chance(n_modalities: int, n_items: int, batch: Batch, options: Objective) -> jax.Array:
    """What Σ_m of `contrast` is for vectors that cannot be told apart: M ln of the candidates.

    >>> batch = Batch(*(jnp.zeros(1, int),) * 3, jnp.ones(1, bool), 0)
    >>> round(float(chance(3, 100, batch, Objective())), 2)
    13.82
    """
    candidates = jnp.sum(batch.mask) if options.negatives == "batch" else n_items
    return n_modalities * jnp.log(jnp.asarray(candidates, jnp.float32))


def remarks(parts: Mapping[str, float], options: Objective) -> tuple[str, ...]:
    """Whether the contrast of an epoch with these loss parts is within 1 % of `chance`, in a sentence.

    Nothing where it has no weight, or is no number.

    >>> remarks({"contrast": 13.8, "contrast_chance": 13.82}, Objective())[0].split(";")[0]
    'The contrast (Eq. 10) teaches nothing: 13.8 where vectors that cannot be told apart give 13.82'
    """
    here, least = parts.get("contrast", 0.0), parts.get("contrast_chance", INFINITY)
    if not options.contrast or not here >= 0.99 * least:
        return ()
    return (
        f"The contrast (Eq. 10) teaches nothing: {here:.4g} where vectors that cannot be told apart give {least:.4g}; "
        "inputs.norm=centred with a smaller hyper.tau, or hyper.residual, tells items apart better.",
    )


def reconstructions(decoders: Mapping, encoded: Encoded, options: Objective) -> jax.Array:
    """Σ_m of `reconstruction`, from what the model left in `extra`."""
    extra, total = encoded.extra, jnp.zeros(())
    for name, target in extra["target"].items():
        here, known = extra["present"].get(name), extra["known"][name]
        total += reconstruction(extra["made"][name], target, here, known, decoders.get(name, {}), options)
    return total
