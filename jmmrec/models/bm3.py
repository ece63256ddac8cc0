"""BM3 (Zhou et al., WWW'23): no negatives; every table foretells a dropped-out copy of its partner's and of itself.

    [C_u; C_i] = (1/(L+1)) Σ_l Â^l [U; I],   h_u = C_u,   h_i = C_i + I,   f_m = X_m W_mᵀ + b_m
    gap(a, b) = mean_batch 1 - cos(Π a, stop_gradient(drop_p(b))),   Π the predictor, a dense layer
    L = gap(h_u, h_i) + gap(h_i, h_u) + c Σ_m [gap(f_m, h_i) + gap(f_m, f_m)] + ρ (‖h_u‖_F + ‖h_i‖_F) / I

Scores are ⟨Π h_u, Π h_i⟩. The paper says L2 regulariser; what stands above, whole tables and norms that are not
squared, is the public code's.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import bipartite
from jmmrec.losses import cosine_gap
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import current_features, known_rows, layer_mean, presence, raw_features
from jmmrec.models.layers import dense, dense_init, dropout, id_tables, named_key, projections, xavier_normal
from jmmrec.retrieval.vectors import safe_norm


@dataclasses.dataclass(frozen=True)
class Bm3(Backbone):
    """BM3 over any number of modalities.

    Attributes:
      embed_dim: width of all tables. n_layers: L, of propagation. drop: p, fraction of entries dropped from targets.
      modal_weight: c, of the modalities' terms. reg: ρ, weight of the regulariser.
      vt_space: tables that virtual triplets see in training: `scored`, Π h as in evaluation, or `pre`, h.
      train_raw_feats: the features are trained, as in the public code; False keeps them fixed and saves
        two optimiser moments for each feature value.

    >>> Bm3(n_layers=2, drop=0.3).modal_weight
    2.0
    """

    ranks_by_ids = True
    card = Card("Zhou et al., BM3, WWW", 2023, "1 or more", "(U + I) d + Σ D_m (I + d) + d²", "8 L E d + 6 I Σ D_m d")

    embed_dim: int = 64
    n_layers: int = 1
    drop: float = 0.5
    modal_weight: float = 2.0
    reg: float = 0.1
    vt_space: str = "scored"
    train_raw_feats: bool = True

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_whole("n_layers", self.n_layers, 0, 32)
        check_range("drop", self.drop, 0, 0.99)
        check_range("modal_weight", self.modal_weight, 0, float("inf"))
        check_range("reg", self.reg, 0, float("inf"))
        check_choice("vt_space", self.vt_space, ("scored", "pre"))

    def prepare(self, data: TrainingData) -> dict:
        """The graph and raw features."""
        graph = bipartite(data.train, data.n_users, data.n_items, "sym_eps7")
        return {"graph": graph, "features": raw_features(data), "present": presence(data.modalities)}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier tables and weights, features as first values of their trainable copies."""
        first, second, third = jax.random.split(key, 3)
        params = {
            **id_tables(first, static["graph"].user_item.shape, self.embed_dim),
            "predict": dense_init(second, self.embed_dim, self.embed_dim, xavier_normal),
            "project": projections(third, static["features"], self.embed_dim, xavier_normal),
        }
        if self.train_raw_feats:
            params["features"] = dict(static["features"])
        return params, ()

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Layer mean of ids, items with their own ids added; `user` and `item` pass the predictor."""
        user, item = layer_mean(static["graph"], params["user"], params["item"], self.n_layers)
        item = item + params["item"]
        features = current_features(static, params, features)
        modal = {name: (user, dense(params["project"][name], x)) for name, x in features.items()}
        seen = user, item
        if not train or self.vt_space == "scored":
            seen = dense(params["predict"], user), dense(params["predict"], item)
        extra = {"present": static["present"], "features": features}
        return Encoded(*seen, modal={"id": (user, item), **modal}, extra=extra)

    def draws(self, key: jax.Array, rows: int, names: tuple[str, ...]) -> dict[str, jax.Array]:
        """By target, `user`, `item` and the modalities after `modal/`, what the rows of a batch keep, (rows, d)."""
        targets = ("user", "item", *(f"modal/{name}" for name in names))
        return {t: dropout(named_key(key, t), 1 - self.drop, (rows, self.embed_dim)) for t in targets}

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Gaps in the batch, whose features are gathered first; `bpr` is that between users and items, both ways."""
        keep, modal, mask = self.draws(key, len(batch.user), tuple(params["project"])), encoded.modal, batch.mask
        user, item = modal["id"][0][batch.user], modal["id"][1][batch.positive]

        def _gap(online: jax.Array, target: jax.Array, kept: str, mask: jax.Array = mask) -> jax.Array:
            return cosine_gap(dense(params["predict"], online), target * keep[kept], mask)

        parts = {"user_item": _gap(user, item, "item"), "item_user": _gap(item, user, "user")}
        content = jnp.zeros(())
        for name in params["project"]:
            own = dense(params["project"][name], encoded.extra["features"][name][batch.positive])
            known = known_rows(mask, encoded.extra["present"], name, batch.positive)
            parts[f"align_{name}"] = _gap(own, item, "item", known)
            parts[f"self_{name}"] = _gap(own, own, f"modal/{name}", known)
            content += parts[f"align_{name}"] + parts[f"self_{name}"]
        parts["reg"] = (safe_norm(modal["id"][0]) + safe_norm(modal["id"][1])) / len(modal["id"][1])
        parts["bpr"] = parts["user_item"] + parts["item_user"]
        return parts["bpr"] + self.modal_weight * content + self.reg * parts["reg"], parts
