"""MMSSL's discriminator (Wei et al., WWW'23): rows of similarities with all items, each as an observed one or not.

    D(x) = 100 σ(w₃ᵀ N(φ(W₂ N(φ(W₁ x)))))      N: batch normalisation and dropout, φ: leaky ReLU
    L_D = mean D(fake) - mean D(real) + 0.3 mean (‖∇_x̂ Σ D(x̂)‖ - 1)²,   x̂ = a real + (1 - a) fake

Only the first layer sees items. It is linear, so its values at x̂ follow from those at real and fake rows, and its
weight is stored item-major. Masked rows count nowhere: not in losses, nor in the statistics of a batch.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jmmrec.losses.bpr import masked_mean
from jmmrec.models.layers import dense, named_key
from jmmrec.retrieval.vectors import safe_norm

KEEP, SCALE, PENALTY = (0.69, 0.5), 100.0, 0.3
Rows = Mapping[str, jax.Array]


def optimiser(rate: float) -> optax.GradientTransformation:
    """The discriminator's own Adam."""
    return optax.adam(rate, b1=0.5, b2=0.9)


def hidden_widths(n_items: int) -> tuple[int, int]:
    """Of the two hidden layers.

    >>> hidden_widths(7050)
    (1762, 881)
    """
    return max(1, n_items // 4), max(1, n_items // 8)


def start(key: jax.Array, n_items: int, rate: float) -> dict[str, Any]:
    """Fresh parameters (He's normal weights, zero biases) and moments.

    >>> start(jax.random.key(0), 80, 3e-4)["params"]["first"]["weight"].shape
    (80, 20)
    """
    wide, narrow = hidden_widths(n_items)
    keys = jax.random.split(key, 3)

    layers = (("first", keys[0], n_items, wide), ("second", keys[1], wide, narrow), ("last", keys[2], narrow, 1))
    params = {
        name: {"weight": jax.random.normal(k, (n_out, n_in)) * (2.0 / n_in) ** 0.5, "bias": jnp.zeros(n_out)}
        for name, k, n_in, n_out in layers
    }
    params["first"]["weight"] = params["first"]["weight"].T
    for name, width in (("norm_first", wide), ("norm_second", narrow)):
        params[name] = {"scale": jnp.ones(width), "shift": jnp.zeros(width)}
    return {"params": params, "opt": optimiser(rate).init(params)}


def chance(key: jax.Array, names: Sequence[str], rows: int, n_items: int, passes: Sequence[str]) -> dict[str, dict]:
    """One draw for each modality, cut into `alpha`, name -> (rows, 1), and each pass's dropout of both hidden layers.

    >>> drawn = chance(jax.random.key(0), ["text"], 2, 80, ["fake"])
    >>> drawn["alpha"]["text"].shape, [m.shape for m in drawn["fake"]["text"]]
    ((2, 1), [(2, 20), (2, 10)])
    """
    widths = hidden_widths(n_items)
    cuts = [1, *(1 + width for width in itertools.accumulate(widths * len(passes)))][:-1]
    found: dict[str, dict] = {name: {} for name in ("alpha", *passes)}
    for name in names:
        drawn = jax.random.uniform(named_key(key, name), (rows, 1 + len(passes) * sum(widths)))
        found["alpha"][name], *blocks = jnp.split(drawn, cuts, axis=1)
        masks = [(u < keep) / jnp.float32(keep) for u, keep in zip(blocks, KEEP * len(passes), strict=True)]
        for number, one in enumerate(passes):
            found[one][name] = tuple(masks[2 * number : 2 * number + 2])
    return found


def scores(params: Mapping, hidden: jax.Array, drop: Mapping, mask: jax.Array, slope: float) -> jax.Array:
    """D of rows from the values of its first layer.

    Args:
      hidden: (rows, wide), modalities below one another by name. drop: name -> masks of both layers.
      mask: bool (rows,). slope: of φ.
    """
    first, second = (_below({name: pair[n] for name, pair in drop.items()}) for n in (0, 1))
    hidden = _normed(params["norm_first"], jax.nn.leaky_relu(hidden, slope), mask) * first
    hidden = jax.nn.leaky_relu(dense(params["second"], hidden), slope)
    hidden = _normed(params["norm_second"], hidden, mask) * second
    return SCALE * jax.nn.sigmoid(dense(params["last"], hidden)[:, 0])


def _normed(layer: Mapping, x: jax.Array, mask: jax.Array) -> jax.Array:
    rows = jnp.maximum(jnp.sum(mask), 1)
    centred = x - jnp.sum(jnp.where(mask[:, None], x, 0.0), axis=0) / rows
    variance = jnp.sum(jnp.where(mask[:, None], centred**2, 0.0), axis=0) / rows
    return layer["scale"] * centred * jax.lax.rsqrt(variance + 1e-5) + layer["shift"]


def _first(params: Mapping, rows: jax.Array) -> jax.Array:
    return rows @ params["first"]["weight"] + params["first"]["bias"]


def mean_score(params: Mapping, fake: Rows, drop: Mapping, mask: jax.Array, slope: float) -> jax.Array:
    """Mean of D over the rows of every modality; mask: bool (b,)."""
    mask = jnp.tile(mask, len(fake))
    return masked_mean(scores(params, _first(params, _below(fake)), drop, mask, slope), mask)


def _below(rows: Rows) -> jax.Array:
    return jnp.concatenate([rows[name] for name in sorted(rows)])


def losses(
    params: Mapping, fake: Rows, real: jax.Array, chance: Mapping, mask: jax.Array, slope: float
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """L_D and its terms.

    Args:
      fake: name -> (b, n_items). real: (b, n_items), taken once for each modality.
      chance: `alpha`, name -> (b, 1), and dropout of the passes `fake`, `real`, `penalty`. mask: bool (b,).
    """
    mask, alpha = jnp.tile(mask, len(fake)), _below(chance["alpha"])
    on_fake, on_real = _first(params, _below(fake)), jnp.tile(_first(params, real), (len(fake), 1))

    def _mean(hidden: jax.Array, name: str) -> jax.Array:
        return masked_mean(scores(params, hidden, chance[name], mask, slope), mask)

    rows = jnp.maximum(jnp.sum(mask), 1)
    between = jax.grad(_mean)(alpha * on_real + (1 - alpha) * on_fake, "penalty") * rows
    steepness = safe_norm(between @ params["first"]["weight"].T, axis=1)
    parts = {
        "disc_fake": _mean(on_fake, "fake"),
        "disc_real": -_mean(on_real, "real"),
        "disc_gradient_penalty": PENALTY * masked_mean((steepness - 1.0) ** 2, mask),
    }
    total = sum(parts.values(), jnp.zeros(()))
    return total, parts | {"disc_total": total}


def step(
    state: Mapping, fake: Rows, real: jax.Array, chance: Mapping, mask: jax.Array, slope: float, rate: float
) -> tuple[dict[str, Any], dict[str, jax.Array]]:
    """One step of the discriminator; its new state and the terms of its loss. Arguments as in `losses`."""
    gradients, log = jax.grad(losses, has_aux=True)(state["params"], fake, real, chance, mask, slope)
    updates, opt = optimiser(rate).update(gradients, state["opt"])
    return {"params": optax.apply_updates(state["params"], updates), "opt": opt}, log
