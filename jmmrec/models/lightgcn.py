"""LightGCN (He et al., SIGIR'20): propagation of ids over the user-item graph, without weights or activations.

E = (1/(L+1)) Σ_{l=0..L} Â^l E⁰,    Â = D^-1/2 A D^-1/2
L = mean_b -ln σ(⟨e_u, e_i⟩ - ⟨e_u, e_j⟩) + reg · R(e⁰_u, e⁰_i, e⁰_j)
"""

import dataclasses

import jax

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import Bipartite, bipartite, edge_list, scale_edges
from jmmrec.losses.regularise import FORMS
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, batch_rows, layer_mean
from jmmrec.models.layers import dropout, xavier_uniform

INITS = {"xavier_uniform": xavier_uniform, "normal": jax.nn.initializers.normal(0.1)}


@dataclasses.dataclass(frozen=True)
class LightGcn(Backbone):
    """LightGCN.

    Attributes:
      embed_dim: width of the tables. n_layers: L, of propagation.
      reg: weight of the regulariser on layer-0 rows. reg_form: `l2sq` (authors) or `norm` (PyTorch toolbox).
      init_with: `xavier_uniform`, or `normal` with standard deviation 0.1 as the authors' code.
      norm: normalisation of the graph, see `jmmrec.graph.edge_values`.
      edge_dropout: fraction of edges dropped in every training step, the rest scaled up, degrees as they were.

    >>> LightGcn(n_layers=2).norm
    'sym_eps7'
    """

    card = Card("He et al., LightGCN, SIGIR", 2020, "none", "(U + I) d", "8 L E d, L = n_layers")

    embed_dim: int = 64
    n_layers: int = 3
    reg: float = 1e-4
    reg_form: str = "l2sq"
    init_with: str = "xavier_uniform"
    norm: str = "sym_eps7"
    edge_dropout: float = 0.0

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_whole("n_layers", self.n_layers, 0, 32)
        check_range("reg", self.reg, 0, float("inf"))
        check_range("edge_dropout", self.edge_dropout, 0, 0.99)
        check_choice("reg_form", self.reg_form, FORMS)
        check_choice("init_with", self.init_with, INITS)
        check_choice("norm", self.norm, ("sym_eps7", "sym_exact", "sym_eps8"))

    def prepare(self, data: TrainingData) -> dict:
        """The normalised graph, and the order that sorts its edges by item."""
        edges = edge_list(data.train, data.n_users, data.n_items)
        return {"graph": bipartite(data.train, data.n_users, data.n_items, self.norm), "by_item": edges.by_item}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Two tables."""
        first, second = jax.random.split(key)
        n_users, n_items = static["graph"].user_item.shape
        table = INITS[self.init_with]
        return {"user": table(first, (n_users, self.embed_dim)), "item": table(second, (n_items, self.embed_dim))}, ()

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Mean of layers 0..L."""
        graph = self._dropped(static, key) if train and self.edge_dropout and key is not None else static["graph"]
        user, item = layer_mean(graph, params["user"], params["item"], self.n_layers)
        return Encoded(user, item, {"id": (user, item)})

    def _dropped(self, static: dict, key: jax.Array) -> Bipartite:
        keep = 1.0 - self.edge_dropout
        mask = dropout(key, keep, static["by_item"].shape)
        return scale_edges(static["graph"], static["by_item"], mask)

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """BPR on propagated vectors, regulariser on raw ones."""
        rank = batch_bpr(encoded.user, encoded.item, batch)
        rows = batch_rows(params, batch)
        reg = FORMS[self.reg_form](rows, batch.mask)
        return rank + self.reg * reg, {"bpr": rank, "reg": reg}
