"""FREEDOM (Zhou and Shen, ACM MM'23): a frozen item graph from features, and a user-item graph pruned every epoch.

    A_mm = Σ_m α_m K_m,  K_m the directed 10-nearest-neighbour graph of modality m (self included)
    [C_u; C_i] = (1/(L+1)) Σ_l Ã^l [U; I],   user = C_u,   item = C_i + A_mm^{n_mm} I
    L = bpr(user, item) + λ_f Σ_m bpr(user, f_m),   f_m = X_m W_mᵀ + b_m

Training propagates over Ã, m = ⌊E(1-ρ)⌋ edges drawn anew every epoch without replacement with probability
∝ (d_u d_i)^-1/2 and re-normalised; evaluation over the full graph.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import Bipartite, bipartite, edge_list, item_graph, keep_edges, propagate, sample_edges
from jmmrec.graph.neighbours import KNN_NORMS
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, current_features, layer_mean, presence, raw_features
from jmmrec.models.layers import dense, projections, xavier_uniform
from jmmrec.models.weights import modality_weights, weights_by_name


@dataclasses.dataclass(frozen=True)
class Freedom(Backbone):
    """FREEDOM over any number of modalities.

    Attributes:
      embed_dim: width of all tables. n_ui_layers: L, on the user-item graph. n_mm_layers: steps on the item graph.
      knn_k: neighbours of an item, itself included. knn_norm: `uniform` (1/k) or `weighted` (by cosine).
      visual_weight: α of the modality called image; the others share the rest equally.
      modal_weights: α by name, instead; must name every modality.
      edge_drop: ρ, fraction of edges dropped in training.
      modal_bpr_weight: λ_f ("reg_weight" in public code).
      train_raw_feats: the features are trained, as in the public code; False keeps them fixed and saves
        two optimiser moments for each feature value.

    >>> Freedom(modal_weights=(("audio", 0.1), ("text", 0.9))).edge_drop
    0.8
    """

    ranks_by_ids = True
    card = Card(
        "Zhou and Shen, FREEDOM, ACM MM",
        2023,
        "1 or more",
        "(U + I) d + Σ D_m (I + d)",
        "8 L (1 - ρ) E d + 6 I Σ D_m d, ρ = edge_drop",
    )

    embed_dim: int = 64
    n_ui_layers: int = 2
    n_mm_layers: int = 1
    knn_k: int = 10
    knn_norm: str = "uniform"
    visual_weight: float = 0.1
    modal_weights: tuple[tuple[str, float], ...] = ()
    edge_drop: float = 0.8
    modal_bpr_weight: float = 1e-3
    train_raw_feats: bool = True

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_whole("n_ui_layers", self.n_ui_layers, 0, 32)
        check_whole("n_mm_layers", self.n_mm_layers, 0, 32)
        check_whole("knn_k", self.knn_k, 1, 1 << 16)
        check_choice("knn_norm", self.knn_norm, KNN_NORMS)
        object.__setattr__(self, "modal_weights", weights_by_name(self.modal_weights))
        check_range("visual_weight", self.visual_weight, 0, 1)
        check_range("edge_drop", self.edge_drop, 0, 0.999)
        check_range("modal_bpr_weight", self.modal_bpr_weight, 0, float("inf"))

    def prepare(self, data: TrainingData) -> dict:
        """Full graph, edge list, frozen item graph, features."""
        features = raw_features(data)
        weights = modality_weights(tuple(features), self.modal_weights, self.visual_weight)
        return {
            "graph": bipartite(data.train, data.n_users, data.n_items, "sym_eps7"),
            "edges": edge_list(data.train, data.n_users, data.n_items),
            "items": item_graph(data.modalities, weights, self.knn_k, self.knn_norm),
            "features": features,
            "present": presence(data.modalities),
        }

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier tables, default dense maps, features as first values of their trainable copies."""
        first, second, third = jax.random.split(key, 3)
        n_users, n_items = static["graph"].user_item.shape
        params = {
            "user": xavier_uniform(first, (n_users, self.embed_dim)),
            "item": xavier_uniform(second, (n_items, self.embed_dim)),
            "project": projections(third, static["features"], self.embed_dim),
        }
        if self.train_raw_feats:
            params["features"] = dict(static["features"])
        return params, ()

    def epoch(self, params, state, static, key: jax.Array) -> tuple[tuple, Bipartite]:
        """Draws the epoch's edges and normalises what they leave."""
        if self.edge_drop == 0:
            return state, static["graph"]
        edges = static["edges"]
        kept = sample_edges(key, edges.weight, int(len(edges.user) * (1 - self.edge_drop)))
        return state, keep_edges(edges, kept)

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Layer mean of ids over the (pruned) graph, plus ids smoothed over the item graph."""
        user, item = layer_mean(aux if train else static["graph"], params["user"], params["item"], self.n_ui_layers)
        smooth = params["item"]
        for _ in range(self.n_mm_layers):
            smooth = propagate(static["items"], smooth)
        features = current_features(static, params, features)
        modal = {name: (user, dense(params["project"][name], x)) for name, x in features.items()}
        item = item + smooth
        return Encoded(user, item, {"id": (user, item), **modal}, {"present": static["present"]})

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking by ids, and weakly by each modality's projection where both items have it."""
        parts = {"bpr": batch_bpr(encoded.user, encoded.item, batch)}
        for name in params["project"]:
            mask, present = batch.mask, encoded.extra["present"].get(name)
            if present is not None:
                mask = mask & present[batch.positive] & present[batch.negative]
            parts[f"bpr_{name}"] = batch_bpr(*encoded.modal[name], batch, mask)
        modal = sum((parts[f"bpr_{name}"] for name in params["project"]), jnp.zeros(()))
        return parts["bpr"] + self.modal_bpr_weight * modal, parts
