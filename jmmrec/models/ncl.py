"""NCL (Lin et al., WWW'22): LightGCN whose nodes resemble their neighbourhood and the centre of their cluster.

    E = (1/(L+1)) Σ_{l=0..L} Â^l E⁰,   context C = Â^{2h} E⁰: what a node's like say of it
    s_u = -ln( exp(⟨ĉ_u, ê⁰_u⟩/τ) / Σ_{k in users} exp(⟨ĉ_u, ê⁰_k⟩/τ) ),   ê = e / ‖e‖;   s_i likewise
    p_u = -ln( exp(⟨ê⁰_u, ẑ_{a(u)}⟩/τ) / Σ_k exp(⟨ê⁰_u, ẑ_k⟩/τ) ),   z centroids, a(u) the cluster of u;   p_i likewise
    L_r = mean_b -ln σ(⟨e_u, e_i⟩ - ⟨e_u, e_j⟩) + reg · ½ Σ_b ‖e⁰‖² / b
    L = L_r + B λ mean_b (s_u + α s_i) + B ρ mean_b (p_u + p_i)

Before every epoch k-means finds the clusters of users' and of items' rows of E⁰ (the E-step); p counts only after the
warm-up. B, a nominal batch, stands for the public code's sums over rows.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import bipartite, k_means, propagate_bipartite
from jmmrec.losses.regularise import FORMS
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, batch_rows
from jmmrec.models.layers import id_tables
from jmmrec.models.views import node_nce


@dataclasses.dataclass(frozen=True)
class Ncl(Backbone):
    """NCL.

    Attributes:
      embed_dim: width of the tables. n_layers: L, of propagation. norm: of the graph, see `jmmrec.graph.edge_values`.
      tau: τ of both contrasts. hyper_layers: h; the context is 2 h steps away.
      ssl_weight: λ, weight of the contrast. alpha: α, weight of items beside users. proto_weight: ρ.
      n_clusters: of users and of items; where there are fewer, as many as there are.
      kmeans_iters: iterations of k-means. warmup: epochs without p.
      reduce: `sum`, B is nominal_batch, or `mean`, B is 1. nominal_batch: rows that the authors' sums run over.
      reg: weight of the regulariser on layer-0 rows. reg_form: `l2sq`, or `norm` (public code).

    >>> Ncl(n_clusters=50).training
    {'batch_size': 4096}
    """

    card = Card(
        "Lin et al., NCL, WWW", 2022, "none", "(U + I) d",
        "8 L E d + 6 B (U + I + 2 K) d, L = n_layers, K = n_clusters; once an epoch 4 T (U + I) K d, T = kmeans_iters",
    )  # fmt: skip
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 4096}

    embed_dim: int = 64
    n_layers: int = 3
    norm: str = "sym_eps7"
    tau: float = 0.1
    hyper_layers: int = 1
    ssl_weight: float = 1e-7
    alpha: float = 1.0
    proto_weight: float = 8e-8
    n_clusters: int = 1000
    kmeans_iters: int = 20
    warmup: int = 20
    reduce: str = "sum"
    nominal_batch: int = 4096
    reg: float = 1e-4
    reg_form: str = "l2sq"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("embed_dim", 1, 1 << 16), ("n_layers", 0, 32), ("hyper_layers", 1, 16), ("n_clusters", 1, 1 << 20),
            ("kmeans_iters", 0, 1 << 16), ("warmup", 0, 1 << 30), ("nominal_batch", 1, 1 << 30),
        ):  # fmt: skip
            check_whole(name, getattr(self, name), low, high)
        for name in ("ssl_weight", "alpha", "proto_weight", "reg"):
            check_range(name, getattr(self, name), 0, float("inf"))
        check_range("tau", self.tau, 0, float("inf"), open_low=True)
        check_choice("norm", self.norm, ("sym_eps7", "sym_exact", "sym_eps8"))
        check_choice("reduce", self.reduce, ("sum", "mean"))
        check_choice("reg_form", self.reg_form, FORMS)

    def prepare(self, data: TrainingData) -> dict:
        """The graph."""
        return {"graph": bipartite(data.train, data.n_users, data.n_items, self.norm)}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, dict]:
        """Two tables; no epoch has begun."""
        return id_tables(key, static["graph"].user_item.shape, self.embed_dim), {"epoch": jnp.int32(0)}

    def draws(self, key: jax.Array) -> dict[str, jax.Array]:
        """Keys of the two k-means, which begin at random rows."""
        return dict(zip(("user", "item"), jax.random.split(key), strict=True))

    def epoch(self, params, state: dict, static, key: jax.Array) -> tuple[dict, dict]:
        """The E-step: clusters of both tables; `on` is 0 in the warm-up and 1 after it."""
        found: dict[str, Any] = {
            side: k_means(k, params[side], min(self.n_clusters, len(params[side])), self.kmeans_iters)
            for side, k in self.draws(key).items()
        }
        on = (state["epoch"] >= self.warmup).astype(jnp.float32)
        return {"epoch": state["epoch"] + 1}, found | {"on": on}

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Layer mean; the context, and in training the clusters."""
        layers: list[tuple[jax.Array, jax.Array]] = [(params["user"], params["item"])]
        for _ in range(max(self.n_layers, 2 * self.hyper_layers)):
            layers.append(propagate_bipartite(static["graph"], *layers[-1]))
        kept = layers[: self.n_layers + 1]
        user, item = (functools.reduce(jnp.add, side) / len(kept) for side in zip(*kept, strict=True))
        context = dict(zip(("user", "item"), layers[2 * self.hyper_layers], strict=True))
        extra = {"context": context, "clusters": aux if train else {}}
        return Encoded(user, item, {"id": (user, item)}, extra)

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, regulariser and, for users and positive items, both contrasts."""
        rows = batch_rows(params, batch)
        parts = {"bpr": batch_bpr(encoded.user, encoded.item, batch), "reg": FORMS[self.reg_form](rows, batch.mask)}
        total, scale = parts["bpr"] + self.reg * parts["reg"], self.nominal_batch if self.reduce == "sum" else 1
        clusters, options = encoded.extra["clusters"], {"tau": self.tau, "mask": batch.mask}
        for side, nodes, weight in (("user", batch.user, 1.0), ("item", batch.positive, self.alpha)):
            near = node_nce(encoded.extra["context"][side], params[side], nodes, **options)
            parts[f"structure_{side}"] = near
            total += scale * self.ssl_weight * weight * near
            if clusters:
                found = clusters[side]
                alike = node_nce(params[side], found.centroids, nodes, target=found.assigned, **options)
                parts[f"proto_{side}"] = clusters["on"] * alike
                total += scale * self.proto_weight * parts[f"proto_{side}"]
        return total, parts
