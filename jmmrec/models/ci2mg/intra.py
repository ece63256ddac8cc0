"""CI²MG, Eqs. 3-5: generation within a modality, by hypergraph convolution over prototypes."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph.hypergraph import HYPER_NORMS, MEMBERSHIPS, hypergraph_smooth, membership
from jmmrec.models.ci2mg.options import ACTIVATIONS, INFINITY, activate


@dataclasses.dataclass(frozen=True)
class Hyper:
    """Eqs. 3-5, generation within a modality.

    Attributes:
      n_prototypes: K, hyperedges of a modality. n_layers: convolutions. assign: membership, `softmax` of cosines, or
        their `relu`, `abs` or `raw` value. tau: of that softmax. topk: hyperedges an item keeps, 0 for all.
      weight: of hyperedges, `diag` (positive), `full`, `theta` (a map of vectors instead) or `none`. norm: `rw` or
        `sym`. act: between layers. update: `all` items, or `missing_only`. residual: adds the item's own vector.
      start: first prototypes, `xavier`, or `kmeans` centres of Eq. 1's result.

    >>> Hyper().n_prototypes
    64
    """

    n_prototypes: int = 64
    n_layers: int = 2
    assign: str = "softmax"
    tau: float = 0.1
    topk: int = 0
    weight: str = "diag"
    norm: str = "rw"
    act: str = "lrelu"
    update: str = "all"
    residual: bool = False
    start: str = "xavier"

    def __post_init__(self) -> None:
        check_whole("n_prototypes", self.n_prototypes, 1, 1 << 16)
        check_whole("n_layers", self.n_layers, 1, 32)
        check_choice("assign", self.assign, MEMBERSHIPS)
        check_range("tau", self.tau, 0, INFINITY, open_low=True)
        check_whole("topk", self.topk, 0, 1 << 16)
        check_choice("weight", self.weight, ("diag", "full", "theta", "none"))
        check_choice("norm", self.norm, HYPER_NORMS)
        check_choice("act", self.act, ACTIVATIONS)
        check_choice("update", self.update, ("all", "missing_only"))
        check_choice("start", self.start, ("xavier", "kmeans"))


def intra(layer: Mapping, x: jax.Array, present: jax.Array | None, options: Hyper) -> jax.Array:
    """Eqs. 3-5: items to their prototypes and back, n_layers times; (n_items, d).

    Args:
      layer: `prototypes` (K, d), and `weight` as the option says. present: bool (n_items,), None if all are.
    """
    members = membership(x, layer["prototypes"], kind=options.assign, tau=options.tau, topk=options.topk)
    weight = jax.nn.softplus(layer["weight"]) if options.weight == "diag" else layer.get("weight")
    made = x
    for number in range(options.n_layers):
        made = hypergraph_smooth(members, made, None if options.weight == "theta" else weight, options.norm)
        made = made @ layer["weight"].T if options.weight == "theta" else made
        made = activate(options.act if number + 1 < options.n_layers else "none", made)
    made = x + made if options.residual else made
    if options.update == "all":
        return made
    return x if present is None else jnp.where(present[:, None], x, made)


def intra_tables(params: Mapping, static: Mapping, views: Mapping, options: Hyper) -> dict[str, jax.Array]:
    """Q of every modality, by name: Eq. 5's where the model has prototypes, else Eq. 1's items.

    Args:
      views: name -> (user, item) of Eq. 1.
    """
    items, here = {name: item for name, (_, item) in views.items()}, static["present"]
    if "hyper" not in params:
        return items
    return {name: intra(params["hyper"][name], x, here.get(name), options) for name, x in items.items()}
