"""What CI²MG reads of features: the rows that are known, and one vector that stands for all others."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.data.dataset import TrainingData
from jmmrec.data.impute import FILLS
from jmmrec.models.common import raw_features
from jmmrec.retrieval import normalise_rows

if TYPE_CHECKING:
    from jmmrec.models.ci2mg.inputs import Inputs

Tables = dict[str, jax.Array]


def known_rows(data: TrainingData, options: "Inputs", filled: bool = False) -> tuple[dict[str, Tables], Tables]:
    """Of each modality, in the order of names, what `projected` reads; and bool (n_items,), True where observed.

    Args:
      filled: rows that `jmmrec.data.impute` filled count as their items' own. With impute `given` they are known,
        but count as missing.

    Raises:
      DataError: the data set has no modality.
    """
    known, observed = {}, {}
    for name, x in sorted(raw_features(data).items()):
        more: Tables = {}
        modality = data.modalities[name]
        here = modality.present if filled else modality.observed
        if not here.all():
            observed[name] = jnp.asarray(here)
        here = modality.present if options.impute == "given" else here
        rows = np.flatnonzero(here)
        if options.impute == "neigh_mean" and 0 < len(rows) < len(here):
            missing, rows = jnp.asarray(np.flatnonzero(~here), jnp.int32), np.arange(len(here))
            found = FILLS["neigh_mean"](data, name, np.flatnonzero(~here), 0, options.neighbours)
            filled_in = jnp.asarray(found, x.dtype)
            x, more = x.at[missing].set(filled_in), {"missing": missing, "filled": filled_in}
        known[name] = standing(jnp.asarray(rows, jnp.int32), x, options, jnp.asarray(here[rows])) | more
    return known, observed


def exchanged(known: Mapping[str, jax.Array], features: jax.Array, options: "Inputs") -> Tables:
    """`known` of other (n_items, D) features; rows that `known_rows` filled in keep their fill, missing ones stay so.

    >>> from jmmrec.models.ci2mg import Inputs
    >>> plain = Inputs(norm="none")
    >>> known = standing(jnp.arange(2), jnp.array([[1.0], [7.0]]), plain, jnp.array([True, False]))
    >>> known |= {"missing": jnp.array([1]), "filled": jnp.array([[7.0]])}
    >>> exchanged(known, jnp.array([[2.0], [0.0]]), plain)["x"].tolist()
    [[2.0], [7.0]]
    """
    if "filled" in known:
        features = features.at[known["missing"]].set(known["filled"])
    return {**known, **standing(known["rows"], features, options, known["own"])}


def standing(rows: jax.Array, features: jax.Array, options: "Inputs", own: jax.Array | None = None) -> Tables:
    """The known rows of (n_items, D) features, normalised, and what fills the others.

    Args:
      own: bool, which of the rows are not filled in: statistics read those alone; default all.

    >>> from jmmrec.models.ci2mg import Inputs
    >>> found = standing(jnp.array([0, 2]), jnp.array([[1.0], [9.0], [3.0]]), Inputs(norm="none"))
    >>> found["x"].tolist(), found["fill"].tolist()
    ([[1.0], [3.0]], [2.0])
    """
    x = features[rows]
    if options.norm in ("l2", "centred"):
        x = normalise_rows(x)
    weight = jnp.ones(len(rows)) if own is None else own.astype(x.dtype)
    count = jnp.maximum(weight.sum(), 1)
    if options.norm == "centred":
        x = normalise_rows(x - weight @ x / count)
    if options.norm == "zscore":
        mean = weight @ x / count
        x = (x - mean) / jnp.maximum(jnp.sqrt(weight @ (x - mean) ** 2 / count), 1e-6)
    mean = weight @ x / count
    fill = jnp.zeros_like(mean) if options.impute == "zero" else mean
    return {"rows": rows, "own": weight > 0, "x": x, "fill": fill}


def projected(layer: Mapping, known: Mapping, n_items: int) -> jax.Array:
    """Known rows times Wᵀ, and the fill's product everywhere else; no bias.

    Args:
      layer: `weight` (d, D). known: `rows` int32 (n,), their features `x` (n, D), and `fill` (D,).

    Returns:
      (n_items, d).

    >>> known = {"rows": jnp.array([1]), "x": jnp.ones((1, 2)), "fill": jnp.zeros(2)}
    >>> projected({"weight": jnp.ones((1, 2))}, known, 3).tolist()
    [[0.0], [2.0], [0.0]]
    """
    made = known["x"] @ layer["weight"].T
    if len(known["rows"]) == n_items:
        return made
    everywhere = jnp.broadcast_to(known["fill"] @ layer["weight"].T, (n_items, made.shape[1]))
    return everywhere.at[known["rows"]].set(made, unique_indices=True, indices_are_sorted=True)


def from_others(tables: Tables, present: Tables) -> Tables:
    """Missing rows hold the mean of the item's other modalities, where it has any.

    >>> both = {"a": jnp.ones((1, 1)), "b": jnp.zeros((1, 1))}
    >>> from_others(both, {"b": jnp.array([False])})["b"].tolist()
    [[1.0]]
    """
    everyone = jnp.ones(len(next(iter(tables.values()))), bool)
    here = {name: present.get(name, everyone)[:, None] for name in tables}
    count = sum(here.values(), jnp.zeros((), jnp.int32))
    mean = sum(jnp.where(here[name], table, 0.0) for name, table in tables.items()) / jnp.maximum(count, 1)
    return {name: jnp.where(here[name] | (count == 0), table, mean) for name, table in tables.items()}
