"""LGMRec (Guo et al., AAAI'24): local graphs for ids and for each modality, global hypergraphs learned from features.

    [C_u; C_i] = (1/(L+1)) Σ_l Â^l [U; I],    M_m = Â^{n_mm} [D_u^-1 R F_m; F_m],  F_m = X_m W_mᵀ
    S_i = drop softmax((X_m H_mᵀ + g)/τ),  S_u = drop softmax((R X_m H_mᵀ + g')/τ),  g, g' ~ Gumbel(0, 1)
    z = S_iᵀ y,  y = S_i z  (n_hyper times, y = C_i at first),   Y_m = [S_u z; S_i z]
    [user; item] = C + Σ_m rn(M_m) + α rn(Σ_m Y_m),    rn: rows to unit length
    L = bpr + c Σ_{a<b} hcl(Y_a, Y_b) + reg (‖u‖_F + ‖i‖_F + ‖j‖_F)/b

hcl contrasts each user (and positive item) of the batch in modality a with all users (items) in modality b.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import bipartite, propagate, propagate_bipartite
from jmmrec.losses import REDUCTIONS, batch_norms
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, current_features, layer_mean, presence, raw_features
from jmmrec.models.hyperedges import chance, contrasts, gather
from jmmrec.models.layers import id_tables, named_key, xavier_uniform
from jmmrec.retrieval import normalise_rows

EVAL_GUMBEL = ("fixed", "off")


@dataclasses.dataclass(frozen=True)
class LgmRec(Backbone):
    """LGMRec over any number of modalities.

    Attributes:
      embed_dim: width of all tables. n_ui_layers: L (0: plain matrix factorisation). n_mm_layers: n_mm, of which only
        the last layer counts. n_hyper_layers: how often items go to their hyperedges and back.
      hyper_num: hyperedges of a modality. keep_rate: of hyperedge entries in training, the rest is dropped.
      alpha: α, weight of the global tables. tau: τ of the hyperedges' softmax and of the contrast.
      cl_weight: c, weight of the contrast. hcl_reduction: `sum` (public code) or `mean` over the batch. reg: weight
        of the norms of batch rows. eval_gumbel: `fixed` noise in evaluation, one draw for good, or `off`.

    Each pair of modalities counts once in the contrast: of the two the visual one, else the first by name, is compared
    with all rows of the other. A lone modality has no contrast.

    >>> LgmRec(hyper_num=64).eval_gumbel
    'fixed'
    """

    card = Card(
        "Guo et al., LGMRec, AAAI",
        2024,
        "1 or more",
        "(U + I) d + Σ D_m (d + K), K = hyper_num",
        "8 L E d + 4 M (2 n_mm + 1) E d + 4 I Σ D_m (d + K) + 3 M (M - 1) B (U + I) K",
    )

    embed_dim: int = 64
    n_ui_layers: int = 2
    n_mm_layers: int = 2
    n_hyper_layers: int = 1
    hyper_num: int = 4
    keep_rate: float = 0.5
    alpha: float = 0.3
    tau: float = 0.2
    cl_weight: float = 1e-4
    hcl_reduction: str = "sum"
    reg: float = 1e-6
    eval_gumbel: str = "fixed"

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        for option, least in (("n_ui_layers", 0), ("n_mm_layers", 0), ("n_hyper_layers", 1)):
            check_whole(option, getattr(self, option), least, 32)
        check_whole("hyper_num", self.hyper_num, 1, 1 << 12)
        for option, most in (("keep_rate", 1), ("tau", float("inf"))):
            check_range(option, getattr(self, option), 0, most, open_low=True)
        for option in ("alpha", "cl_weight", "reg"):
            check_range(option, getattr(self, option), 0, float("inf"))
        check_choice("hcl_reduction", self.hcl_reduction, REDUCTIONS)
        check_choice("eval_gumbel", self.eval_gumbel, EVAL_GUMBEL)

    def prepare(self, data: TrainingData) -> dict:
        """The normalised graph, the same edges with weight 1, users' degrees, features."""
        graph = bipartite(data.train, data.n_users, data.n_items, "sym_eps7")
        ones = jnp.ones_like(graph.user_item.values)
        return {
            "graph": graph,
            "chosen": graph.user_item.replace(values=ones, t_values=ones),
            "share": 1.0 / (jnp.diff(graph.user_item.indptr).astype(jnp.float32) + 1e-7)[:, None],
            "features": raw_features(data),
            "present": presence(data.modalities),
        }

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier tables and maps, without biases."""
        first, second, third = jax.random.split(key, 3)
        features = static["features"].items()
        maps = {
            part: {name: xavier_uniform(named_key(k, name), (n, x.shape[1])) for name, x in features}
            for part, k, n in (("project", second, self.embed_dim), ("hyper", third, self.hyper_num))
        }
        return id_tables(first, static["graph"].user_item.shape, self.embed_dim) | maps, ()

    def draws(self, key: jax.Array, names: tuple[str, ...], shape: tuple[int, int], train: bool) -> dict:
        """Of each modality (noise, mask of kept entries) for users and for items; 0 and 1 where there is no chance."""
        noisy = train or self.eval_gumbel == "fixed"
        keep = self.keep_rate if train else None
        keys = {name: jax.random.split(named_key(key, name)) for name in names}
        return {
            name: [chance(k, (n, self.hyper_num), noisy, keep) for k, n in zip(pair, shape, strict=True)]
            for name, pair in keys.items()
        }

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Ids and features along the user-item graph, and ids through the hyperedges of every modality."""
        graph, features = static["graph"], current_features(static, {}, features)
        ids = layer_mean(graph, params["user"], params["item"], self.n_ui_layers)
        key = key if train and key is not None else jax.random.key(0)
        draws = self.draws(key, tuple(features), graph.user_item.shape, train)
        local, hyper = {}, {}
        for name, x in features.items():
            both = x @ jnp.concatenate([params["project"][name], params["hyper"][name]]).T
            item, logits = both[:, : self.embed_dim], both[:, self.embed_dim :]
            tables = static["share"] * propagate(static["chosen"], item), item
            for _ in range(self.n_mm_layers):
                tables = propagate_bipartite(graph, *tables)
            local[name] = [normalise_rows(table) for table in tables]
            logits, present = (propagate(static["chosen"], logits), logits), static["present"].get(name)
            hyper[name] = gather(
                logits, draws[name], ids[1], tau=self.tau, n_layers=self.n_hyper_layers, present=present
            )
        user, item = (
            table + sum(m[side] for m in local.values()) + self._scaled(sum(h.tables[side] for h in hyper.values()))
            for side, table in enumerate(ids)
        )
        modal: dict[str, Any] = {n: tuple(map(jnp.add, local[n], map(self._scaled, hyper[n].tables))) for n in features}
        return Encoded(user, item, {"id": ids, **modal}, {"hyper": hyper, "present": static["present"]})

    def _scaled(self, table: Any) -> jax.Array:
        return self.alpha * normalise_rows(table)

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, contrast of the modalities' hyperedges, norms of the batch's rows."""
        user, item, extra = encoded.user, encoded.item, encoded.extra
        rank, options = batch_bpr(user, item, batch), {"tau": self.tau, "reduction": self.hcl_reduction}
        hcl_user, hcl_item = contrasts(extra["hyper"], extra["present"], batch, **options)
        reg = batch_norms((user[batch.user], item[batch.positive], item[batch.negative]), batch.mask)
        total = rank + self.cl_weight * (hcl_user + hcl_item) + self.reg * reg
        return total, {"bpr": rank, "hcl_user": hcl_user, "hcl_item": hcl_item, "reg": reg}
