"""SGL (Wu et al., SIGIR'21): LightGCN whose nodes recognise themselves in two sub-graphs drawn at random.

    E = (1/(L+1)) Σ_{l=0..L} Â^l E⁰,   E' and E'' the same over sub-graphs Â' and Â'', each with its own degrees
    c_u = -ln( exp(⟨ê'_u, ê''_u⟩/τ) / Σ_{k in users} exp(⟨ê'_u, ê''_k⟩/τ) ),   ê = e / ‖e‖;   c_i likewise
    L = mean_b -ln σ(⟨e_u, e_i⟩ - ⟨e_u, e_j⟩) + λ (mean_b c_u + mean_b c_i) + reg · ½ Σ_b ‖e⁰‖² / b

A sub-graph lacks edges (ED), nodes with all their edges (ND), or other edges in every layer (RW).
"""

import dataclasses

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import EdgeList, bipartite, drop_edges, drop_nodes, edge_list, keep_edges, mask_edges
from jmmrec.losses.regularise import FORMS
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, batch_rows, layer_mean
from jmmrec.models.layers import id_tables
from jmmrec.models.views import CANDIDATES, node_nce, walk_mean

SIDES = {"both": ("user", "item"), "user": ("user",), "item": ("item",)}


@dataclasses.dataclass(frozen=True)
class Sgl(Backbone):
    """SGL.

    Attributes:
      embed_dim: width of the tables. n_layers: L, of propagation.
      augment: how sub-graphs are drawn, `ed` without some edges, `nd` without some nodes, `rw` anew in every layer.
      drop: fraction of edges (of users and of items in `nd`) that a sub-graph lacks.
      sampling: `exact`, the same number always, or `bernoulli`, each edge or node by itself.
      refresh: sub-graphs are drawn before every `epoch` or in every `step`.
      ssl_weight: λ, weight of the contrast. tau: τ, temperature. ssl_side: `both`, or only the `user` or `item` term.
      candidates: k runs over `all` nodes of the kind, or those of the `batch`.
      reg: weight of the regulariser on layer-0 rows. reg_form: `l2sq`, or `norm` (PyTorch toolbox).
      norm: normalisation of all graphs, see `jmmrec.graph.edge_values`.

    >>> Sgl(augment="nd", drop=0.2).tau
    0.2
    """

    card = Card("Wu et al., SGL, SIGIR", 2021, "none", "(U + I) d", "24 L E d + 6 B (U + I) d, L = n_layers")

    embed_dim: int = 64
    n_layers: int = 3
    augment: str = "ed"
    drop: float = 0.1
    sampling: str = "exact"
    refresh: str = "epoch"
    ssl_weight: float = 0.1
    tau: float = 0.2
    ssl_side: str = "both"
    candidates: str = "all"
    reg: float = 1e-4
    reg_form: str = "l2sq"
    norm: str = "sym_exact"

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_whole("n_layers", self.n_layers, 0, 32)
        check_choice("augment", self.augment, ("ed", "nd", "rw"))
        check_range("drop", self.drop, 0, 0.99)
        check_choice("sampling", self.sampling, ("exact", "bernoulli"))
        check_choice("refresh", self.refresh, ("epoch", "step"))
        check_range("ssl_weight", self.ssl_weight, 0, float("inf"))
        check_range("tau", self.tau, 0, float("inf"), open_low=True)
        check_choice("ssl_side", self.ssl_side, SIDES)
        check_choice("candidates", self.candidates, CANDIDATES)
        check_range("reg", self.reg, 0, float("inf"))
        check_choice("reg_form", self.reg_form, FORMS)
        check_choice("norm", self.norm, ("sym_exact", "sym_eps7", "sym_eps8"))

    def prepare(self, data: TrainingData) -> dict:
        """The whole graph, and the edges that sub-graphs are drawn from."""
        shape = data.n_users, data.n_items
        return {"graph": bipartite(data.train, *shape, self.norm), "edges": edge_list(data.train, *shape)}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Two tables."""
        return id_tables(key, static["graph"].user_item.shape, self.embed_dim), ()

    def draws(self, key: jax.Array, edges: EdgeList) -> list[list[jax.Array]]:
        """For each of the two views the edges that stay, once, or for every layer in `rw`.

        Ascending positions where their number is fixed, else a flag for every edge.
        """
        keys = jax.random.split(key, (2, self.n_layers if self.augment == "rw" else 1))
        return [[self._stay(k, edges) for k in view] for view in keys]

    def _stay(self, key: jax.Array, edges: EdgeList) -> jax.Array:
        if self.sampling == "exact":
            return (drop_nodes if self.augment == "nd" else drop_edges)(key, edges, self.drop)
        if self.augment != "nd":
            return jax.random.bernoulli(key, 1 - self.drop, edges.user.shape)
        first, second = jax.random.split(key)
        user = jax.random.bernoulli(first, 1 - self.drop, (edges.n_users,))
        return user[edges.user] & jax.random.bernoulli(second, 1 - self.drop, (edges.n_items,))[edges.item]

    def views(self, edges: EdgeList, drawn: list[list[jax.Array]]) -> list[list]:
        """For each view the graph of every layer, normalised by the degrees of the edges that stay."""
        graphs = [[(mask_edges if s.dtype == bool else keep_edges)(edges, s, self.norm) for s in v] for v in drawn]
        return graphs if self.augment == "rw" else [view * self.n_layers for view in graphs]

    def epoch(self, params, state, static, key: jax.Array) -> tuple[tuple, list | tuple]:
        """Draws the epoch's sub-graphs."""
        return state, self._drawn(static, key) if self.refresh == "epoch" else ()

    def _drawn(self, static: dict, key: jax.Array) -> list[list]:
        return self.views(static["edges"], self.draws(key, static["edges"]))

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Layer mean over the whole graph; in training over the two sub-graphs, too."""
        tables = params["user"], params["item"]
        user, item = layer_mean(static["graph"], *tables, self.n_layers)
        graphs = aux if train and self.refresh == "epoch" else []
        if train and self.refresh == "step" and key is not None:
            graphs = self._drawn(static, key)
        views = [dict(zip(("user", "item"), walk_mean(view, *tables), strict=True)) for view in graphs]
        return Encoded(user, item, {"id": (user, item)}, {"views": views})

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, the views' contrast for users and positive items, and the regulariser; all divided by the rows."""
        parts = {"bpr": batch_bpr(encoded.user, encoded.item, batch)}
        nodes = {"user": batch.user, "item": batch.positive}
        for side in SIDES[self.ssl_side] if encoded.extra["views"] else ():
            first, second = (view[side] for view in encoded.extra["views"])
            options = {"tau": self.tau, "mask": batch.mask, "candidates": self.candidates}
            parts[f"ssl_{side}"] = node_nce(first, second, nodes[side], **options)
        rows = batch_rows(params, batch)
        parts["reg"] = FORMS[self.reg_form](rows, batch.mask)
        ssl = sum((value for name, value in parts.items() if name.startswith("ssl_")), jnp.zeros(()))
        return parts["bpr"] + self.ssl_weight * ssl + self.reg * parts["reg"], parts
