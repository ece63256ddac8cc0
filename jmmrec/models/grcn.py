"""GRCN (Wei et al., ACM MM'20): content says which interactions to believe, ids propagate over what is left.

    p_u = rn(P_u),   f_i = rn(φ(W x_i + b)),   s_ui = ⟨p_u, f_i⟩                 for each modality, φ leaky ReLU
    routing, R times:   p_u <- rn(p_u + Σ_i a_ui f_i),   a_ui = softmax_i s_ui   over the user's items
    content:   user_m = p_u + Σ_i a_ui f_i,   item_m = f_i + Σ_u a_iu p_u,   a_iu = softmax_u s_ui
    believed:  w_ui = ReLU(max_m c_im a_ui),   w_iu = ReLU(max_m c_um a_iu)      c a trained value for node, modality
    ids:       [user; item]_id = Σ_{l=0..L} W^l rn([U; I])
    user = [user_id | user_m1 | ...],   item alike,   L = bpr + reg (Σ of the mean squares of U, I and P in the batch)

Routing is in the paper, but has no effect on any number that the public code puts out: R is 0 unless asked for.
An item that lacks a modality takes no part in that modality's attention, and its own block of it is zero.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import (
    Adjacency,
    Pattern,
    at_columns,
    edge_products,
    edge_softmax,
    pattern,
    propagate,
    turned,
)  # fmt: skip
from jmmrec.losses import mean_squares
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, current_features, pair_squares, presence, raw_features
from jmmrec.models.layers import dense, named_key, node_tables, projections, xavier_normal
from jmmrec.models.weights import VISUAL, visual_first
from jmmrec.retrieval.vectors import normalise_rows

CHOOSE = {"max": jnp.max, "mean": jnp.mean}


@dataclasses.dataclass(frozen=True)
class Grcn(Backbone):
    """GRCN over any number of modalities.

    Attributes:
      embed_dim: d, width of each block of the final vectors. n_layers: L, of propagation. n_routing: R, rounds of
        routing; the paper has 3. choose: weight of an edge from those of the modalities, their `max` or `mean`.
      reg: weight of the regulariser.
      reg_whole: it also takes the mean square of all preferences of the modality called image, visual or v,
        as in the public code.

    >>> Grcn(n_routing=3).choose
    'max'
    """

    joined = "concat"
    card = Card(
        "Wei et al., GRCN, ACM MM", 2020, "1 or more", "(U + I) (d + M) + M U d + Σ D_m d",
        "4 I Σ D_m d + (18 + 12 R) M E d + 12 L E d, R = n_routing",
    )  # fmt: skip

    embed_dim: int = 64
    n_layers: int = 2
    n_routing: int = 0
    choose: str = "max"
    reg: float = 1e-3
    reg_whole: bool = True

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_whole("n_layers", self.n_layers, 0, 32)
        check_whole("n_routing", self.n_routing, 0, 32)
        check_choice("choose", self.choose, CHOOSE)
        check_range("reg", self.reg, 0, float("inf"))

    def prepare(self, data: TrainingData) -> dict:
        """Where the edges are, and raw features."""
        edges = pattern(data.train, data.n_users, data.n_items)
        return {"edges": edges, "features": raw_features(data), "present": presence(data.modalities)}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier everywhere but for biases; c's columns stand in the order of `blocks`."""
        keys, features, d = jax.random.split(key, 4), static["features"], self.embed_dim
        shape, names = static["edges"].ones.shape, visual_first(static["features"])
        columns = [node_tables(named_key(keys[0], name), shape, len(names)) for name in names]
        params: dict[str, Any] = node_tables(keys[1], shape, d)
        params["trust"] = {s: jnp.stack([c[s][:, 0] for c in columns], axis=1) for s in ("user", "item")}
        params["preference"] = {name: xavier_normal(named_key(keys[2], name), (shape[0], d)) for name in features}
        return params | {"project": projections(keys[3], features, d, xavier_normal)}, ()

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Content first, then ids over the edges that it believes; all side by side."""
        features, edges, trust = current_features(static, {}, features), static["edges"], params["trust"]
        content = {name: self._content(params, static, name, features[name]) for name in visual_first(features)}
        to_user, to_item = (jnp.stack(w, axis=1) for w in zip(*(found[1] for found in content.values()), strict=True))
        down, up = self._believed(edges, to_user, trust["item"]), self._believed(edges.T, to_item, trust["user"])
        user, item = normalise_rows(params["user"]), normalise_rows(params["item"])
        total_user, total_item = user, item
        for _ in range(self.n_layers):
            user, item = propagate(down, item, True), propagate(up, user, True)
            total_user, total_item = total_user + user, total_item + item
        modal = {"id": (total_user, total_item)} | {name: found[0] for name, found in content.items()}
        user, item = (jnp.concatenate(side, axis=1) for side in zip(*modal.values(), strict=True))
        return Encoded(user, item, modal)

    def _content(self, params, static, name: str, x: jax.Array) -> tuple[tuple, tuple]:
        edges, keep, t_keep = static["edges"], None, None
        user = normalise_rows(params["preference"][name])
        item = normalise_rows(jax.nn.leaky_relu(dense(params["project"][name], x)))
        if name in static["present"]:
            item = jnp.where(static["present"][name][:, None], item, 0.0)
            keep = static["present"][name][edges.ones.indices]
            t_keep = keep[edges.order]
        for _ in range(self.n_routing):
            weight = edge_softmax(edges, edge_products(edges, user, item), keep)
            user = normalise_rows(user + propagate(edges.weighted(weight), item, True))
        scores = edge_products(edges, user, item)
        to_user, to_item = edge_softmax(edges, scores, keep), edge_softmax(edges.T, turned(edges, scores), t_keep)
        from_items = propagate(edges.weighted(to_user), item, True)
        from_users = propagate(edges.T.weighted(to_item), user, True)
        return (user + from_items, item + from_users), (to_user, to_item)

    def _believed(self, edges: Pattern, weights: jax.Array, trust: jax.Array) -> Adjacency:
        return edges.weighted(jax.nn.relu(CHOOSE[self.choose](weights * at_columns(edges, trust), axis=1)))

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, and the regulariser of what propagation starts from."""
        parts = {"bpr": batch_bpr(encoded.user, encoded.item, batch)}
        reg = {"reg_id": pair_squares(params["user"], params["item"], batch)}
        for name, table in params["preference"].items():
            reg[f"reg_{name}"] = mean_squares(table[batch.user], batch.mask)
            if self.reg_whole and name in VISUAL:
                reg[f"reg_whole_{name}"] = jnp.mean(table**2)
        return parts["bpr"] + self.reg * sum(reg.values(), jnp.zeros(())), parts | reg
