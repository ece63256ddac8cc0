"""CI²MG, Eqs. 11 and 13: intra and inter joined into an item's block, and blocks into tables."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.errors import check_choice, check_range
from jmmrec.graph import Bipartite, propagate
from jmmrec.models.ci2mg.inputs import Views
from jmmrec.models.ci2mg.options import ACTIVATIONS, activate
from jmmrec.retrieval import normalise_rows

EPSILON = 1e-5
SHARED = "shared"


@dataclasses.dataclass(frozen=True)
class Fuse:
    """Eq. 11, task-guided generation, and what stands in its place on the ladder's lower rungs.

    Attributes:
      act: σ of Eq. 11, `lrelu`, `tanh` or `none`. bias: `vector` (with batch normalisation its β), `matrix` (a free
        vector for each item, beside β) or `none` (no β either). batch_norm: whether there is one. shared: one for all
        modalities; in training each is normalised by its own batch, one after the other moves the running statistics.
      evaluate: its statistics in evaluation, `running` ones or those of the `batch` (all items). momentum: of those.
      ladder: without Eq. 11, intra and inter are joined by their `mean` or by a map of both (`concat_linear`).

    >>> Fuse().evaluate
    'running'
    """

    act: str = "lrelu"
    bias: str = "vector"
    batch_norm: bool = True
    shared: bool = False
    evaluate: str = "running"
    momentum: float = 0.9
    ladder: str = "mean"

    def __post_init__(self) -> None:
        check_choice("act", self.act, ACTIVATIONS)
        check_choice("bias", self.bias, ("vector", "matrix", "none"))
        check_choice("evaluate", self.evaluate, ("running", "batch"))
        check_range("momentum", self.momentum, 0, 1)
        check_choice("ladder", self.ladder, ("mean", "concat_linear"))


def fused(
    layer: Mapping, norm: Mapping, running: Any, intra: jax.Array, inter: jax.Array, options: Fuse, train: bool
) -> tuple[jax.Array, Any]:
    """Eq. 11: Z = σ(BN([Q; Q̂] W + b)), and the batch's mean and variance, None without batch normalisation.

    Args:
      layer: `weight` (d, 2d), perhaps `bias`. norm: `scale`, perhaps `shift` (d,). running: (mean, variance) so far.
    """
    both = jnp.concatenate([intra, inter], axis=1) @ layer["weight"].T + layer.get("bias", 0.0)
    if not options.batch_norm:
        return activate(options.act, both), None
    seen = (both.mean(axis=0), both.var(axis=0))
    mean, variance = seen if train or options.evaluate == "batch" else running
    both = (both - mean) * jax.lax.rsqrt(variance + EPSILON) * norm["scale"] + norm.get("shift", 0.0)
    return activate(options.act, both), seen


def blocks(views: Views, norm: str) -> Views:
    """Eq. 13: the blocks of modalities that stand beside that of ids, rows of unit length with `l2`.

    >>> blocks({"text": (jnp.ones((1, 1)), jnp.full((1, 1), 5.0))}, "l2")["text"][1].tolist()
    [[1.0]]
    """
    if norm == "none":
        return views
    return {name: (normalise_rows(user), normalise_rows(item)) for name, (user, item) in views.items()}


def joined(layer: Mapping | None, intra: jax.Array, inter: jax.Array) -> jax.Array:
    """The block of the ladder's rungs below Eq. 11: the mean of both, or a map of both side by side.

    >>> joined(None, jnp.ones((1, 1)), jnp.zeros((1, 1))).tolist()
    [[0.5]]
    """
    if layer is None:
        return 0.5 * (intra + inter)
    return jnp.concatenate([intra, inter], axis=1) @ layer["weight"].T


def gathered(mean: Bipartite, items: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Users' blocks as means of their training items' blocks, by name."""
    return {name: propagate(mean.user_item, table) for name, table in items.items()}


def moved(running: dict[str, tuple], seen: Mapping[str, tuple], momentum: float) -> dict[str, tuple]:
    """Running statistics after a batch: momentum · old + (1 - momentum) · new, by name.

    Args:
      running: of each modality, or of all under one name, which then moves once for each. seen: of each modality.

    >>> moved({"text": (1.0,)}, {"text": (2.0,)}, 0.9)
    {'text': (1.1,)}
    """
    for name, new in seen.items():
        place = name if name in running else SHARED
        after = jax.tree.map(lambda old, new: momentum * old + (1.0 - momentum) * new, running[place], new)
        running = running | {place: after}
    return running


def item_blocks(
    params: Mapping, running: Any, intra: Mapping, inter: Mapping, options: Fuse, task: bool, train: bool
) -> tuple[dict[str, jax.Array], dict[str, Any]]:
    """Every modality's block of the items, by Eq. 11 where `task` is on, and the statistics seen; both by name."""
    items, seen = {}, {}
    for name in intra:
        layer = params.get("fuse", {}).get(name)
        if task:
            place = SHARED if options.shared else name
            norm, known = params.get("norm", {}).get(place, {}), running[place] if options.batch_norm else None
            items[name], seen[name] = fused(layer, norm, known, intra[name], inter[name], options, train)
        else:
            items[name] = joined(layer, intra[name], inter[name])
    return items, seen
