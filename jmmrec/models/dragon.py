"""DRAGON (Zhou, Zhou, Zhang and Shen, ECAI'23): user-item, user-user and item-item graphs over features alone, no ids.

    X⁰_m = rn([P_m; MLP_m(X_m)]),   O_m = Σ_{l=0..L} Â^l X⁰_m                        (a sum, not a mean)
    user⁰ = [ω_1 ⊙ O_1 | ω_2 ⊙ O_2 ..],   user = user⁰ + W^{n_u} user⁰,   W_uk ∝ exp(c_uk) over k neighbours of u
    item⁰ = [O_1 | O_2 ..],               item = item⁰ + A_mm^{n_mm} item⁰,   A_mm as in FREEDOM
    L = mean_b -log₂ σ(⟨u, i⟩ - ⟨u, j⟩) + ρ (Σ_m mean P_m[u]² + mean ω²)

c counts the items that two users share. Users with fewer than k neighbours have random ones of their own repeated,
drawn anew every epoch: only weights change, and `state` holds how often each neighbour stands in the list. Before the
first epoch each stands there once, which gives the weights of the expected number of repeats.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import Adjacency, bipartite, item_graph, propagate, user_graph
from jmmrec.graph.cooccurrence import LONGEST, MEASURES
from jmmrec.losses import LOG_BASES, bpr, mean_squares, pair_margin
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.channels import split_channels
from jmmrec.models.common import current_features, layer_mean, raw_features
from jmmrec.models.layers import dense, named_key, projections, weighted_rows, xavier_normal
from jmmrec.models.weights import modality_weights, weights_by_name
from jmmrec.retrieval import normalise_rows


@dataclasses.dataclass(frozen=True)
class Dragon(Backbone):
    """DRAGON over any number of modalities, side by side in alphabetical order.

    Attributes:
      embed_dim: width of one modality's table; final vectors hold all of them. hidden: width inside the MLPs.
      n_ui_layers: L, user-item steps. n_mm_layers: n_mm, steps among items. user_layers: n_u, steps among users.
      knn_k: neighbours of an item, itself included. visual_weight: share of the modality called image in the item
        graph; the others share the rest equally. modal_weights: shares by name, instead; must name every modality.
      user_k: k, neighbours of a user, at most 200. user_graph: by `count` of common items, or the nearest by `cosine`
        with equal weights. weight_softmax: ω passes a softmax over modalities in every step, not only at the start.
      reg: ρ, weight of the regulariser. log_base: of the ranking loss, `2` or `e`.

    >>> Dragon(user_k=20).log_base
    '2'
    """

    joined = "concat"
    card = Card(
        "Zhou, Zhou, Zhang and Shen, DRAGON, ECAI",
        2023,
        "1 or more",
        "M U (d + 1) + Σ h (D_m + d), h = hidden",
        "4 I Σ h (D_m + 2 d) + 8 L E M d + 4 I k M² d, k = knn_k",
    )
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    embed_dim: int = 64
    hidden: int = 256
    n_ui_layers: int = 2
    n_mm_layers: int = 1
    user_layers: int = 1
    knn_k: int = 10
    visual_weight: float = 0.1
    modal_weights: tuple[tuple[str, float], ...] = ()
    user_k: int = 40
    user_graph: str = "count"
    weight_softmax: bool = False
    reg: float = 1e-3
    log_base: str = "2"

    def __post_init__(self) -> None:
        for name, high in (("embed_dim", 1 << 16), ("hidden", 1 << 16), ("knn_k", 1 << 16), ("user_k", LONGEST)):
            check_whole(name, getattr(self, name), 1, high)
        for name, low in (("n_ui_layers", 0), ("n_mm_layers", 0), ("user_layers", 1)):
            check_whole(name, getattr(self, name), low, 32)
        check_range("visual_weight", self.visual_weight, 0, 1)
        object.__setattr__(self, "modal_weights", weights_by_name(self.modal_weights))
        check_choice("user_graph", self.user_graph, MEASURES)
        check_range("reg", self.reg, 0, float("inf"))
        check_choice("log_base", self.log_base, LOG_BASES)

    def prepare(self, data: TrainingData) -> dict:
        """Three graphs and the features."""
        features, shape = raw_features(data), (data.n_users, data.n_items)
        shares = modality_weights(tuple(features), self.modal_weights, self.visual_weight)
        return {
            "graph": bipartite(data.train, *shape, "sym_exact"),
            "items": item_graph(data.modalities, shares, self.knn_k),
            "users": user_graph(data.train, *shape, self.user_graph, self.user_k),
            "features": features,
        }

    def init(self, key: jax.Array, static: dict) -> tuple[dict, dict]:
        """Xavier tables of users, default dense layers, ω a softmax of small numbers, every neighbour listed once."""
        repeats, features = jnp.ones(static["users"].mass.shape, jnp.uint8), static["features"]
        n_users, names, keys = len(repeats), sorted(features), jax.random.split(key, 4)
        logits = jnp.hstack([jax.random.normal(named_key(keys[3], name), (n_users, 1)) for name in names])
        logits *= (2.0 / (len(names) + n_users)) ** 0.5
        weight = logits if self.weight_softmax else jax.nn.softmax(logits)
        params = {
            "user": {name: xavier_normal(named_key(keys[0], name), (n_users, self.embed_dim)) for name in names},
            "hidden": projections(keys[1], features, self.hidden),
            "out": projections(keys[2], dict.fromkeys(names, jnp.zeros((0, self.hidden))), self.embed_dim),
            "weight": dict(zip(names, jnp.split(weight, len(names), axis=1), strict=True)),
        }
        return params, {"repeats": repeats}

    def epoch(self, params, state, static, key: jax.Array) -> tuple[dict, tuple]:
        """Fills up short lists of neighbours."""
        if self.user_graph == "count":
            state = {"repeats": static["users"].repeats(key, self.user_k)}
        return state, ()

    def draws(self, state: dict, static: dict) -> Adjacency:
        """W, all its rows of the same length."""
        return static["users"].weighted(state["repeats"])

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Modalities side by side through all three graphs."""
        features = current_features(static, params, features)
        names, layers = sorted(features), self.n_ui_layers + 1
        hidden = {name: jax.nn.leaky_relu(dense(params["hidden"][name], features[name])) for name in names}
        item = [layers * normalise_rows(dense(params["out"][name], hidden[name])) for name in names]
        user = [layers * normalise_rows(params["user"][name]) for name in names]
        user, item = layer_mean(static["graph"], jnp.hstack(user), jnp.hstack(item), self.n_ui_layers)
        weight = jnp.hstack([params["weight"][name] for name in names])
        weight = jax.nn.softmax(weight) if self.weight_softmax else weight
        user = last = user * jnp.repeat(weight, self.embed_dim, axis=1)
        smooth, users = item, self.draws(state, static)
        for _ in range(self.n_mm_layers):
            smooth = propagate(static["items"], smooth)
        for _ in range(self.user_layers - 1):
            last = propagate(users, last)
        final, item = user + propagate(users, last), item + smooth
        return Encoded(final, item, split_channels(names, final, item), {"user": user, "last": last, "users": users})

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking and regularisers. Users come from the last step's input, so that only rows of the batch are made."""
        users, item, shape = encoded.extra["users"], encoded.item, (len(encoded.user), -1)
        lists, weights = users.indices.reshape(shape)[batch.user], users.values.reshape(shape)[batch.user]
        user = encoded.extra["user"][batch.user] + weighted_rows(encoded.extra["last"], lists, weights)
        rank = bpr(pair_margin(user, item[batch.positive], item[batch.negative]), batch.mask)
        parts = {"bpr": rank / jnp.log(2.0) if self.log_base == "2" else rank}
        for name, table in params["user"].items():
            parts[f"reg_{name}"] = mean_squares(table[batch.user], batch.mask)
        parts["reg_weight"] = jnp.mean(jnp.hstack(list(params["weight"].values())) ** 2)
        return parts["bpr"] + self.reg * sum(v for name, v in parts.items() if name != "bpr"), parts
