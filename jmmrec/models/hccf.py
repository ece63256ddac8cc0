"""HCCF (Xia et al., SIGIR'22): what a node gets over its edges, contrasted with what it gets over learned hyperedges.

    Γ_u = U H_uᵀ,   G^l = drop(Â) E^{l-1},   Y^l_U = D(Γ_u) (D(Γ_u)ᵀ E^{l-1}_U),   items likewise
    E^l = G^l + Y^l,   E = Σ_{l=0..L} E^l,   D dropout
    c^l_u = -ln( exp(⟨ĝ_u, ŷ_u⟩/τ) / Σ_k exp(⟨ĝ_u, ŷ_k⟩/τ) ),   k the different users of the batch;   c^l_i likewise
    L = mean_b -ln σ(⟨e_u, e_i⟩ - ⟨e_u, e_j⟩) + λ Σ_l (mean c^l_u + mean c^l_i) + reg · Σ_W ‖W‖²

Variant `tf`, the paper's: G = φ(Â E), Y = φ(Γ ψ(φ(Γᵀ E))), E^l = G + Y + E^{l-1}; ψ are three steps x ← φ(V x) + x
along the hyperedges, φ leaky ReLU of slope 0.5, and ŷ in the contrast comes from a W of its own. Variant `sparse` has
no H: Γ_u = m U.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import EdgeList, bipartite, edge_list, propagate_bipartite, scale_edges
from jmmrec.losses import bpr, pair_margin
from jmmrec.losses.bpr import masked_mean
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.layers import dropout, id_tables, named_key, xavier_uniform
from jmmrec.models.views import CANDIDATES, node_nce, once_each

SIDES = ("user", "item")
STEPS = 3  # of ψ


@dataclasses.dataclass(frozen=True)
class Hccf(Backbone):
    """HCCF.

    Attributes:
      embed_dim: width of the tables. n_layers: L, steps. n_hyper: K, hyperedges of users and of items.
      variant: `torch` (authors' later code), `tf` (paper) or `sparse` (authors' code for sparse data).
      drop: fraction of the entries of Â, and of Γ, dropped in every training step anew for each layer.
      ssl_weight: λ, of the contrast. tau: its τ. candidates: k over the nodes of the `batch`, or over `all`.
      detach_graph: the contrast sends no gradient into G. main: ranking loss, `bpr` or `hinge`, max(0, 1 - margin).
      reg: weight of the sum of squares of all parameters. mult: m of `sparse`. slope: of φ.
      norm: normalisation of the graph, see `jmmrec.graph.edge_values`.

    >>> Hccf(variant="sparse").n_hyper
    128
    """

    card = Card(
        "Xia et al., HCCF, SIGIR", 2022, "none", "(U + I) d + 2 K d, K = n_hyper",
        "8 L E d + 12 L (U + I) K d + 12 L B² d, L = n_layers",
    )  # fmt: skip
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 4096}

    embed_dim: int = 64
    n_layers: int = 2
    n_hyper: int = 128
    variant: str = "torch"
    drop: float = 0.5
    ssl_weight: float = 0.2
    tau: float = 0.1
    candidates: str = "batch"
    detach_graph: bool = True
    main: str = "bpr"
    reg: float = 1e-6
    mult: float = 0.1
    slope: float = 0.5
    norm: str = "sym_exact"

    def __post_init__(self) -> None:
        for name, low, high in (("embed_dim", 1, 1 << 16), ("n_layers", 0, 32), ("n_hyper", 1, 1 << 16)):
            check_whole(name, getattr(self, name), low, high)
        check_range("drop", self.drop, 0, 0.99)
        check_range("slope", self.slope, 0, 1)
        for name in ("ssl_weight", "reg", "mult"):
            check_range(name, getattr(self, name), 0, float("inf"))
        check_range("tau", self.tau, 0, float("inf"), open_low=True)
        check_choice("variant", self.variant, ("torch", "tf", "sparse"))
        check_choice("candidates", self.candidates, CANDIDATES)
        check_choice("main", self.main, ("bpr", "hinge"))
        check_choice("norm", self.norm, ("sym_exact", "sym_eps7", "sym_eps8"))

    def prepare(self, data: TrainingData) -> dict:
        """The graph, and its edges."""
        shape = data.n_users, data.n_items
        return {"graph": bipartite(data.train, *shape, self.norm), "edges": edge_list(data.train, *shape)}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier tables and weights; `tf` has maps of hyperedges and of the contrast for every layer and side."""
        d, k, own = self.embed_dim, self.n_hyper, {side: named_key(key, side) for side in SIDES}
        params: dict[str, Any] = id_tables(key, static["graph"].user_item.shape, d)
        if self.variant != "sparse":
            params["hyper"] = {side: xavier_uniform(own[side], (k, d)) for side in SIDES}
        if self.variant == "tf":
            several = jax.nn.initializers.glorot_uniform(batch_axis=(0, 1))
            shapes = {"maps": (self.n_layers, STEPS, k, k), "contrast": (self.n_layers, 1, d, d)}
            for name, shape in shapes.items():
                params[name] = {side: several(named_key(own[side], name), shape) for side in SIDES}
        return params, ()

    def draws(self, key: jax.Array, edges: EdgeList) -> list[dict]:
        """For every layer masks of inverted dropout: `down` and `up` (n_edges,), `user` and `item` (n, K)."""
        k = self.embed_dim if self.variant == "sparse" else self.n_hyper
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("down", "up"), edges.user.shape)
        shapes |= {"user": (edges.n_users, k), "item": (edges.n_items, k)}
        keys = [{name: named_key(one, name) for name in shapes} for one in jax.random.split(key, self.n_layers)]
        return [{name: dropout(one[name], 1 - self.drop, s) for name, s in shapes.items()} for one in keys]

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Sum of all layers; what each got over edges and over hyperedges is kept for the contrast."""
        members = {s: params[s] @ params["hyper"][s].T if "hyper" in params else self.mult * params[s] for s in SIDES}
        drawn = self.draws(key, static["edges"]) if train and self.drop and key is not None else [{}] * self.n_layers
        tables, total, pairs = {s: params[s] for s in SIDES}, {s: params[s] for s in SIDES}, []
        for layer, kept in enumerate(drawn):
            graph = static["graph"]
            if kept:
                graph = scale_edges(graph, static["edges"].by_item, kept["down"], kept["up"])
            near = dict(zip(SIDES, map(self._act, propagate_bipartite(graph, *tables.values())), strict=True))
            maps = {s: params["maps"][s][layer] if self.variant == "tf" else () for s in SIDES}
            far = {s: self._hyper(members[s] * kept.get(s, 1.0), tables[s], maps[s]) for s in SIDES}
            pairs.append((near, far))
            tables = {s: near[s] + far[s] + (tables[s] if self.variant == "tf" else 0.0) for s in SIDES}
            total = {s: total[s] + tables[s] for s in SIDES}
        return Encoded(total["user"], total["item"], {"id": (total["user"], total["item"])}, {"pairs": pairs})

    def _act(self, x: jax.Array) -> jax.Array:
        return jax.nn.leaky_relu(x, self.slope) if self.variant == "tf" else x

    def _hyper(self, members: jax.Array, table: jax.Array, maps) -> jax.Array:
        held = self._act(members.T @ table)
        for weight in maps:
            held = self._act(weight @ held) + held
        return self._act(members @ held)

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, the contrast of all layers, and the size of all parameters."""
        user, item = encoded.user[batch.user], encoded.item
        margin = pair_margin(user, item[batch.positive], item[batch.negative])
        rank = bpr if self.main == "bpr" else lambda margin, mask: masked_mean(jnp.maximum(0.0, 1.0 - margin), mask)
        parts = {"bpr": rank(margin, batch.mask)} | {f"ssl_{side}": jnp.zeros(()) for side in SIDES}
        for side, rows in (("user", batch.user), ("item", batch.positive)):
            nodes, real = once_each(rows, batch.mask, len(params[side]))
            for layer, (near, far) in enumerate(encoded.extra["pairs"]):
                graph = jax.lax.stop_gradient(near[side]) if self.detach_graph else near[side]
                hyper = far[side] @ params["contrast"][side][layer, 0].T if self.variant == "tf" else far[side]
                options = {"tau": self.tau, "mask": real, "candidates": self.candidates}
                parts[f"ssl_{side}"] += node_nce(graph, hyper, nodes, **options)
        parts["reg"] = sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(params)), jnp.zeros(()))
        return parts["bpr"] + self.ssl_weight * (parts["ssl_user"] + parts["ssl_item"]) + self.reg * parts["reg"], parts
