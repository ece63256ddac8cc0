"""MMSSL (Wei et al., WWW'23): modal user-item graphs learned against a discriminator, and contrasts of modal views.

    F_m = X_m W_mᵀ + b_m;  uF_m = G F_m,  iF_m = G' uF_m;  uS_m = G_m I,  iS_m = G'_m U
    G = D_u^-1/2 R,  G' = D_i^-1/2 Rᵀ;  at first G_m = G, G'_m = G'
    ū = mean_m attention(uS)_m;  u⁰ = U + η rn(ū), likewise i⁰;  u^l = G i^(l-1), i^l = G' u^l, soft-maxed in layer L
    user = mean_l u^l + ω Σ_m rn(uF_m);  item = mean_l i^l + ω Σ_m rn(iF_m);  rn: rows of unit length
    L = bpr + reg · ‖batch‖²/2b + φ ‖F‖²/2I + κ Σ_m c(uS_m, user) - γ mean D(rows of uF_m iF_mᵀ)

Modes: `port` has no D, fixed graphs and contrasts the modalities of all items instead; `published` does what the
authors' code does; `paper` does what the text says. What differs: docs/models/mmssl.md.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import ConfigError, check_choice, check_range, check_whole
from jmmrec.graph import bipartite
from jmmrec.losses import l2_squares
from jmmrec.models import mmssl_adversary as adversary
from jmmrec.models import mmssl_graphs as graphs
from jmmrec.models import mmssl_terms as terms
from jmmrec.models.base import Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, current_features, presence, raw_features, shared_items
from jmmrec.models.layers import dense_init, id_tables, named_key, projections, xavier_uniform
from jmmrec.models.mmssl_hooks import Hooks
from jmmrec.retrieval import normalise_rows


@dataclasses.dataclass(frozen=True)
class Mmssl(Hooks):
    """MMSSL over any number of modalities.

    Attributes:
      embed_dim: width of all tables. mode: `port`, `published` or `paper`.
      n_layers: L, of propagation. n_heads: heads of the attention between modalities.
      reg: weight of the regulariser on final rows. feat_reg: φ, of modal vectors. ssl_weight: κ, of the contrasts.
      tau: their temperature. adv_weight: γ, of the discriminator's word. id_rate: η. model_rate: ω.
      feature_dropout: of F_m, in training, not in the port. disc_rate: learning rate of the discriminator.
      topk_rate: a user's listed items as a fraction of all, rounded down (published). topk: their number (paper).

    >>> Mmssl(mode="published").training["batch_size"], Mmssl.training
    (1024, {})
    """

    card = Card(
        "Wei et al., MMSSL, WWW",
        2023,
        "1 or more",
        "(U + I + Σ D_m + 5 d) d; the discriminator has I²/4 + I²/32 more",
        "8 (L + 1 + M) E d + 6 I Σ D_m d + 12 (M - 1) I² d (port) or + (7 M + 2) B I²/2 (others)",
    )
    embed_dim: int = 64
    mode: str = "port"
    n_layers: int = 2
    n_heads: int = 4
    reg: float = 1e-5
    feat_reg: float = 1e-5
    ssl_weight: float = 0.03
    tau: float = 0.5
    adv_weight: float = 1e-4
    id_rate: float = 0.36
    model_rate: float = 0.55
    feature_dropout: float = 0.2
    disc_rate: float = 3e-4
    topk_rate: float = 1e-4
    topk: int = 10

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, ("port", "published", "paper"))
        for name in ("embed_dim", "n_heads", "topk"):
            check_whole(name, getattr(self, name), 1, 1 << 16)
        check_whole("n_layers", self.n_layers, 0, 32)
        for name in ("reg", "feat_reg", "ssl_weight", "adv_weight", "id_rate", "model_rate"):
            check_range(name, getattr(self, name), 0, float("inf"))
        for name in ("tau", "disc_rate"):
            check_range(name, getattr(self, name), 0, float("inf"), open_low=True)
        check_range("feature_dropout", self.feature_dropout, 0, 0.99)
        check_range("topk_rate", self.topk_rate, 0, 1)
        if self.mode == "paper" and self.embed_dim % self.n_heads:
            raise ConfigError(f"embed_dim is {self.embed_dim}; in mode paper n_heads, {self.n_heads}, must divide it.")

    def prepare(self, data: TrainingData) -> dict:
        """One-sided graphs, features, which items have them, one or two; room for the longest row of training items."""
        graph = bipartite(data.train, data.n_users, data.n_items, "rowhalf_eps8")
        return {
            "graph": graph,
            "features": raw_features(data),
            "present": (present := presence(data.modalities)),
            "both": {} if self.adversarial else shared_items(data.modalities, present),
            "window": jnp.arange(jnp.diff(graph.user_item.indptr).max()),
        }

    def init(self, key: jax.Array, static: dict) -> tuple[dict, Any]:
        """Xavier weights; only what takes part: keys and queries in mode paper, the shared map in the port."""
        shape, d = static["graph"].user_item.shape, self.embed_dim
        keys = {name: named_key(key, name) for name in ("ids", "project", "mix", "query", "key", "common", "disc")}
        params: dict[str, Any] = {
            **id_tables(keys["ids"], shape, d),
            "project": projections(keys["project"], static["features"], d, xavier_uniform),
            "mix": xavier_uniform(keys["mix"], (d, self.n_heads * d)),
        }
        if self.mode == "paper":
            params |= {name: xavier_uniform(keys[name], (d, d)) for name in ("query", "key")}
        if not self.adversarial:
            return params | {"common": dense_init(keys["common"], d, d, xavier_uniform)}, ()
        learned = graphs.start(sorted(static["features"]), static["graph"], self.listed(shape[1]))
        return params, {"learned": learned, "adversary": adversary.start(keys["disc"], shape[1], self.disc_rate)}

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Layer mean of ids and of what modalities add to them, plus unit modal vectors."""
        graph, ids = static["graph"], (params["user"], params["item"])
        features, drop = current_features(static, params, features), {}
        if train and self.adversarial and key is not None:
            drop = self.draws(key, "encode", sorted(features), ids[1].shape)["features"]
        modal = terms.modal_tables(params, graph, features, drop)
        learned = state["learned"] if self.adversarial else {"fresh": 1.0}
        views = graphs.views(learned, graph, sorted(modal), *ids)
        mixed = (terms.mixed(params, [views[n][side] for n in sorted(views)], self.n_heads) for side in (0, 1))
        user, item = (table + self.id_rate * normalise_rows(m) for table, m in zip(ids, mixed, strict=True))
        ids = terms.layers(graph, user, item, self.n_layers)
        unit = {name: (normalise_rows(user), normalise_rows(item)) for name, (user, item) in modal.items()}
        user, item = (ids[side] + self.model_rate * sum(unit[n][side] for n in sorted(unit)) for side in (0, 1))
        down = graph.user_item
        extra = {"modal": modal, "views": views, "present": static["present"], "both": static["both"]}
        if self.adversarial:
            train_rows = {"indptr": down.indptr, "indices": down.indices, "window": static["window"]}
            extra |= {"train": train_rows, "adversary": state["adversary"]["params"]}
        return Encoded(user, item, {"id": ids, **unit}, extra)

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, regularisers, contrasts; with a discriminator, how observed it finds the batch's modal rows."""
        rows = (encoded.user[batch.user], encoded.item[batch.positive], encoded.item[batch.negative])
        modal, present = encoded.extra["modal"], encoded.extra["present"]
        parts = {
            "bpr": batch_bpr(encoded.user, encoded.item, batch),
            "reg": l2_squares(rows, batch.mask),
            "features": terms.feature_norm(modal, present, users=self.adversarial),
        }
        if not self.adversarial:
            contrasts, adversarial = terms.modal_contrasts(modal, encoded.extra["both"], self.tau), {}
        else:
            contrasts = terms.user_contrasts(encoded.extra["views"], encoded.user, batch, self.tau)
            adversarial = {"adversarial": self.convinced(encoded, batch, key)}
        total = parts["bpr"] + self.reg * parts["reg"] + self.feat_reg * parts["features"]
        total += self.ssl_weight * sum(contrasts.values())
        return total + self.adv_weight * sum(adversarial.values()), parts | contrasts | adversarial
