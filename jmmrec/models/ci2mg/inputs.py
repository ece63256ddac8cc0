"""CI²MG, Eq. 1: projected features, and two steps over the graph."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import ConfigError, check_choice, check_range, check_whole
from jmmrec.graph import Bipartite, bipartite, propagate
from jmmrec.models.ci2mg.known import Tables, exchanged, from_others, known_rows, projected

NORMS = ("none", "l2", "centred", "zscore")
Views = dict[str, tuple[jax.Array, jax.Array]]


@dataclasses.dataclass(frozen=True)
class Inputs:
    """From features to F of Eq. 1.

    Attributes:
      impute: what a missing row holds: `mean` of the observed rows, `zero`, `item_other_mean` (mean of the item's other
        modalities, after projection), `neigh_mean` (of items that share users), or what it was `given` by
        `jmmrec.data.impute`: Eq. 1 and statistics read that, Eq. 12 does not. neighbours: of neigh_mean.
      bias: where the projection's bias is added, `pre` or `post` Eq. 1. norm: of observed rows, `none`, `l2`,
        `centred` (unit rows less their mean, unit again) or `zscore`. dropout: of projected features, in training.
      graph: Eq. 1's normalisation, `mean`, `rowhalf_eps8` or `sym_eps8`. cold: what items without training users keep,
        their own features (`self`) or `zero`. residual: adds an item's own features to Eq. 1's result.

    >>> Inputs().impute
    'mean'
    """

    impute: str = "mean"
    neighbours: int = 10
    bias: str = "pre"
    norm: str = "l2"
    dropout: float = 0.0
    graph: str = "mean"
    cold: str = "self"
    residual: bool = False

    def __post_init__(self) -> None:
        check_choice("impute", self.impute, ("mean", "zero", "item_other_mean", "neigh_mean", "given"))
        check_whole("neighbours", self.neighbours, 1, 10_000)
        if self.neighbours != Inputs.neighbours and self.impute != "neigh_mean":
            raise ConfigError(f"neighbours is {self.neighbours}, which impute {self.impute!r} does not read; leave it.")
        check_choice("bias", self.bias, ("pre", "post"))
        check_choice("norm", self.norm, NORMS)
        check_range("dropout", self.dropout, 0, 0.99)
        check_choice("graph", self.graph, ("mean", "rowhalf_eps8", "sym_eps8"))
        check_choice("cold", self.cold, ("self", "zero"))


def two_hops(graph: Bipartite, cold: jax.Array, tables: Tables, bias: Tables, options: Inputs) -> Views:
    """Eq. 1: F^U = D_u⁻¹ R F, F^V = D_v⁻¹ Rᵀ F^U, all modalities side by side.

    Args:
      cold: bool (n_items,), items without training users. tables: name -> (n_items, d). bias: name -> (d,), added
        afterwards; empty if it was added before.

    Returns:
      name -> (user, item).

    >>> from jmmrec.graph import bipartite
    >>> g = bipartite([[0, 0]], 1, 2, "mean")
    >>> given = {"text": jnp.array([[2.0], [4.0]])}
    >>> two_hops(g, jnp.array([False, True]), given, {}, Inputs())["text"][1].tolist()
    [[2.0], [4.0]]
    """
    stacked = jnp.concatenate(list(tables.values()), axis=1)
    user = propagate(graph.user_item, stacked)
    item = propagate(graph.item_user, user)
    item = item + stacked if options.residual else item
    item = jnp.where(cold[:, None], stacked if options.cold == "self" else 0.0, item)
    width = stacked.shape[1] // len(tables)
    found = {}
    for place, name in enumerate(tables):
        cut = slice(place * width, (place + 1) * width)
        found[name] = (user[:, cut] + bias.get(name, 0.0), item[:, cut] + bias.get(name, 0.0))
    return found


def tables(params: Mapping, static: Mapping, options: Inputs, given: Mapping, drop: Mapping) -> tuple[Tables, Views]:
    """Projected features F, and what Eq. 1 makes of them, by name.

    Args:
      given: features (n_items, D) that replace the stored ones, missing rows remain missing. drop: name -> mask
        (n_items, d), or none.
    """
    n_items, made = len(static["cold"]), {}
    for name, known in static["known"].items():
        if name in given:
            known = exchanged(known, given[name], options)
        made[name] = projected(params["project"][name], known, n_items)
    if options.impute == "item_other_mean":
        made = from_others(made, static["present"])
    bias = {name: params["project"][name]["bias"] for name in made}
    target = {name: table + bias[name] for name, table in made.items()}
    start = target if options.bias == "pre" else made
    start = {name: table * drop[name] for name, table in start.items()} if drop else start
    views = two_hops(static["hops"], static["cold"], start, {} if options.bias == "pre" else bias, options)
    return target, views


def prepare(data: TrainingData, options: Inputs) -> dict:
    """Graphs by both normalisations, items without training users, and of each modality the rows that are known.

    Raises:
      DataError: the data set has no modality. ConfigError: it is imputed, and the model would not read the fills.

    >>> from jmmrec.data.synthetic import demo_dataset
    >>> prepare(demo_dataset().for_training(), Inputs())["known"]["text"]["x"].shape
    (600, 32)
    """
    filled = [name for name, m in data.modalities.items() if (m.present & ~m.observed).any()]
    if filled and options.impute != "given":
        raise ConfigError(
            f"{data.name} has imputed rows ({', '.join(filled)}), which CI2MG with inputs.impute {options.impute!r} "
            "takes for missing; give inputs.impute 'given', or leave the data's imputation out."
        )
    known, observed = known_rows(data, options)
    degree = np.bincount(data.train[:, 1], minlength=data.n_items)
    hops = bipartite(data.train, data.n_users, data.n_items, options.graph)
    return {
        "hops": hops,
        "mean": hops if options.graph == "mean" else bipartite(data.train, data.n_users, data.n_items, "mean"),
        "sym": bipartite(data.train, data.n_users, data.n_items, "sym_exact"),
        "cold": jnp.asarray(degree == 0),
        "known": known,
        "present": observed,
    }
