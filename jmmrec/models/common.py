"""What several backbones share: layer means, batch losses, features and weights of modalities."""

import functools
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import Modality, TrainingData
from jmmrec.errors import DataError
from jmmrec.graph import Bipartite, propagate_bipartite
from jmmrec.losses import bpr, mean_squares, pair_margin
from jmmrec.models.base import Batch
from jmmrec.models.weights import visual_first


def layer_mean(graph: Bipartite, user: jax.Array, item: jax.Array, n_layers: int) -> tuple[jax.Array, jax.Array]:
    """LightGCN propagation: the mean of layers 0..L, (1/(L+1)) Σ_l Â^l [user; item] (LightGCN, SIGIR'20, Eq. 8).

    Args:
      user: (n_users, d). item: (n_items, d). n_layers: L.

    Returns:
      user and item tables of the same shapes.

    >>> from jmmrec.graph import bipartite
    >>> g = bipartite([[0, 0]], 1, 1, "mean")
    >>> [t.tolist() for t in layer_mean(g, jnp.array([[2.0]]), jnp.array([[4.0]]), 1)]
    [[[3.0]], [[3.0]]]
    """
    total_user, total_item = user, item
    for _ in range(n_layers):
        user, item = propagate_bipartite(graph, user, item)
        total_user, total_item = total_user + user, total_item + item
    return total_user / (n_layers + 1), total_item / (n_layers + 1)


def batch_bpr(user: jax.Array, item: jax.Array, batch: Batch, mask: jax.Array | None = None) -> jax.Array:
    """BPR of a batch from whole tables (`jmmrec.losses.bpr`); `mask` replaces the batch's own.

    >>> b = Batch(*(jnp.zeros(1, int),) * 3, jnp.ones(1, bool), 0)
    >>> round(float(batch_bpr(jnp.ones((1, 2)), jnp.ones((1, 2)), b)), 4)
    0.6931
    """
    margin = pair_margin(user[batch.user], item[batch.positive], item[batch.negative])
    return bpr(margin, batch.mask if mask is None else mask)


def batch_rows(tables: Mapping, batch: Batch) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rows of a batch's users, positives and negatives, (b, d) each, from tables `user` and `item`.

    >>> b = Batch(*(jnp.zeros(2, int),) * 3, jnp.ones(2, bool), 0)
    >>> [rows.shape for rows in batch_rows({"user": jnp.ones((3, 4)), "item": jnp.ones((5, 4))}, b)]
    [(2, 4), (2, 4), (2, 4)]
    """
    return tables["user"][batch.user], tables["item"][batch.positive], tables["item"][batch.negative]


def pair_squares(user: jax.Array, item: jax.Array, batch: Batch) -> jax.Array:
    """Mean over the entries of a batch's pairs of e_u² + e_i², each row being two pairs, (u, i) and (u, j).

    >>> b = Batch(*(jnp.zeros(1, int),) * 3, jnp.ones(1, bool), 0)
    >>> float(pair_squares(jnp.ones((1, 2)), jnp.ones((1, 2)), b))
    2.0
    """
    items = mean_squares(item[batch.positive], batch.mask) + mean_squares(item[batch.negative], batch.mask)
    return mean_squares(user[batch.user], batch.mask) + 0.5 * items


def raw_features(data: TrainingData) -> dict[str, jax.Array]:
    """Features of every modality, float32 (n_items, d_m).

    Raises:
      DataError: the data set has no modality.

    >>> from jmmrec.data.synthetic import demo_dataset
    >>> raw_features(demo_dataset().for_training())["text"].shape
    (600, 32)
    """
    if not data.modalities:
        raise DataError(f"{data.name} has no modality; use an id-only model such as lightgcn, or add <name>_feat.npy.")
    return {name: jnp.asarray(m.features) for name, m in data.modalities.items()}


def current_features(static: Mapping, params: Mapping, given: Mapping | None = None) -> dict[str, jax.Array]:
    """Features by modality: the `given` ones, else the trained copies in `params`, else the stored ones.

    >>> current_features({"features": {"text": 1, "image": 2}}, {"features": {"text": 3}}, {"image": 4})
    {'text': 3, 'image': 4}
    """
    return {**static["features"], **params.get("features", {}), **(given or {})}


def presence(modalities: Mapping[str, Modality]) -> dict[str, jax.Array]:
    """bool (n_items,) for each modality that has missing rows; complete ones are left out.

    >>> import numpy as np
    >>> presence({"text": Modality(np.ones((2, 1)), np.array([True, False]))})["text"].tolist()
    [True, False]
    """
    return {name: jnp.asarray(m.present) for name, m in modalities.items() if not m.present.all()}


def shared_items(names: Iterable[str], present: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """int32 (n,), items with both the first of `visual_first` and another, by the other's name; none where all are.

    >>> shared_items(("image", "text"), {"text": jnp.array([True, False])})["text"].tolist()
    [0]
    """
    first, *others = visual_first(names)
    known = {name: [present[n] for n in (first, name) if n in present] for name in others}
    return {n: jnp.flatnonzero(functools.reduce(jnp.logical_and, both)) for n, both in known.items() if both}


def known_rows(mask: jax.Array, present: Mapping[str, jax.Array], name: str, items: jax.Array) -> jax.Array:
    """`mask` (b,) without the rows whose `items` (b,) lack the modality; `present` as from `presence`.

    >>> here = jnp.array([True, True])
    >>> known_rows(here, {"text": jnp.array([True, False])}, "text", jnp.array([0, 1])).tolist()
    [True, False]
    """
    return mask & present[name][items] if name in present else mask
