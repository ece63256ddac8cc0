"""MGCN (Yu et al., MM'23): ids purified by features, item and user-item graphs, attention to what modalities share.

    E_m = I ⊙ σ(g_m(X_m W_mᵀ + b_m)),   E_m ← K_m E_m (n_layers times),   view_m = [R̂ E_m; E_m]
    content = (1/(L+1)) Σ_l Â^l [U; I],   [a_m] = softmax_m q(view_m),   common = Σ_m a_m view_m
    side = (Σ_m σ(p_m(content)) ⊙ (view_m - common) + common) / (1 + M),   [user; item] = content + side
    L = bpr + c (NCE(side_i, content_i) + NCE(side_u, content_u)) + reg ½ (Σ‖user_u‖² + Σ‖item_i‖² + Σ‖item_j‖²) / B

K_m is the item graph of modality m, Â and its block R̂ the user-item graph; g_m and p_m are dense layers, q one with
tanh and another to a number, shared by all modalities; NCE is in-batch, by cosine, with temperature τ.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import bipartite, item_graph, propagate
from jmmrec.graph.neighbours import KNN_NORMS
from jmmrec.losses import info_nce, l2_squares
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, current_features, layer_mean, presence, raw_features
from jmmrec.models.layers import dense, dense_init, id_tables, projections
from jmmrec.retrieval import normalise_rows


@dataclasses.dataclass(frozen=True)
class Mgcn(Backbone):
    """MGCN over any number of modalities.

    Attributes:
      embed_dim: width of all tables. n_ui_layers: L, on the user-item graph. n_layers: steps on the item graphs.
      knn_k: neighbours of an item, itself included. knn_norm: `weighted` (by cosine) or `uniform` (1/k).
      cl_weight: c, weight of the contrast. tau: τ of the contrast. reg: weight of the squares.
      nominal_batch: B, by which they are divided whatever the batch holds, as in the public code.
      train_raw_feats: the features are trained, as in the public code; False keeps them fixed and saves two
        optimiser moments for each feature value.

    >>> Mgcn(train_raw_feats=False).training["decay"]
    0.96
    """

    card = Card(
        "Yu et al., MGCN, ACM MM",
        2023,
        "1 or more",
        "(U + I) d + Σ D_m (d + I) + (2 M + 1) d²",
        "8 L E d + 4 M (E + k I) d + 6 I Σ D_m d + 6 M (2 U + 3 I) d² + 12 B² d, k = knn_k",
    )
    training: ClassVar[Mapping[str, Any]] = {"decay": 0.96, "decay_epochs": 50.0}

    embed_dim: int = 64
    n_ui_layers: int = 2
    n_layers: int = 1
    knn_k: int = 10
    knn_norm: str = "weighted"
    cl_weight: float = 0.01
    tau: float = 0.2
    reg: float = 1e-4
    nominal_batch: int = 2048
    train_raw_feats: bool = True

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_whole("n_ui_layers", self.n_ui_layers, 0, 32)
        check_whole("n_layers", self.n_layers, 0, 32)
        check_whole("knn_k", self.knn_k, 1, 1 << 16)
        check_choice("knn_norm", self.knn_norm, KNN_NORMS)
        check_range("cl_weight", self.cl_weight, 0, float("inf"))
        check_range("tau", self.tau, 0, float("inf"), open_low=True)
        check_range("reg", self.reg, 0, float("inf"))
        check_whole("nominal_batch", self.nominal_batch, 1)

    def prepare(self, data: TrainingData) -> dict:
        """User-item graph, one item graph for each modality, features."""
        graphs = {
            name: item_graph({name: m}, {name: 1.0}, self.knn_k, self.knn_norm) for name, m in data.modalities.items()
        }
        return {
            "graph": bipartite(data.train, data.n_users, data.n_items, "sym_exact"),
            "items": graphs,
            "features": raw_features(data),
            "present": presence(data.modalities),
        }

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier tables, default dense layers, features as first values of their trainable copies."""
        dim, features = self.embed_dim, static["features"]
        ids, project, gate, prefer, query, score = jax.random.split(key, 6)
        square = {name: jnp.zeros((1, dim)) for name in features}
        params = id_tables(ids, static["graph"].user_item.shape, dim) | {
            "project": projections(project, features, dim),
            "gate": projections(gate, square, dim),
            "prefer": projections(prefer, square, dim),
            "query": dense_init(query, dim, dim),
            "score": dense_init(score, dim, 1)["weight"],
        }
        if self.train_raw_feats:
            params["features"] = dict(features)
        return params, ()

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Content of ids, and beside it what the modalities' views share and what each adds."""
        content = layer_mean(static["graph"], params["user"], params["item"], self.n_ui_layers)
        views = {
            name: self._view(params, static, name, x) for name, x in current_features(static, params, features).items()
        }
        side = [self._side(params, c, {name: v[at] for name, v in views.items()}) for at, c in enumerate(content)]
        user, item = (c + s for c, s in zip(content, side, strict=True))
        return Encoded(user, item, {"id": content, **views}, {"content": content, "side": side})

    def _view(self, params, static, name: str, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Ids behind the gate of a modality, smoothed over its item graph; users have their items' mean."""
        gate = jax.nn.sigmoid(dense(params["gate"][name], dense(params["project"][name], x)))
        item = params["item"] * gate
        if name in static["present"]:
            item = jnp.where(static["present"][name][:, None], item, 0.0)
        for _ in range(self.n_layers):
            item = propagate(static["items"][name], item)
        return propagate(static["graph"].user_item, item), item

    def _side(self, params, content: jax.Array, views: Mapping[str, jax.Array]) -> jax.Array:
        """What the views share, and of what each has beyond that as much as the content prefers."""
        # Gradients of the bias nearly cancel between modalities. Spread over nodes, and with centred scores, they do
        # so node by node, before any rounding adds up.
        bias = jnp.broadcast_to(params["query"]["bias"], content.shape)
        asked = [jnp.tanh(view @ params["query"]["weight"].T + bias) @ params["score"].T for view in views.values()]
        scores = jnp.stack(asked) - sum(asked) / len(asked)
        shares = jax.nn.softmax(scores, axis=0)
        common = sum((share * view for share, view in zip(shares, views.values(), strict=True)), jnp.zeros(()))
        wanted = {name: jax.nn.sigmoid(dense(params["prefer"][name], content)) for name in views}
        return (common + sum(wanted[name] * (view - common) for name, view in views.items())) / (1 + len(views))

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, contrast of side and content inside the batch, squares of the batch's rows."""
        user, item = encoded.user, encoded.item
        parts = {"bpr": batch_bpr(user, item, batch)}
        for at, (name, rows) in enumerate((("cl_user", batch.user), ("cl_item", batch.positive))):
            side, content = (normalise_rows(encoded.extra[part][at][rows]) for part in ("side", "content"))
            parts[name] = info_nce(side, content, tau=self.tau, mask=batch.mask, limit=1.0)
        rows = user[batch.user], item[batch.positive], item[batch.negative]
        parts["reg"] = l2_squares(rows, batch.mask, self.nominal_batch)
        contrast = parts["cl_user"] + parts["cl_item"]
        return parts["bpr"] + self.reg * parts["reg"] + self.cl_weight * contrast, parts
