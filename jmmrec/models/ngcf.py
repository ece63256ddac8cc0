"""NGCF (Wang et al., SIGIR'19): messages over the user-item graph through a dense layer each, layers side by side.

S = Â E^{l-1},   E^l = drop(φ(S W₁ᵀ + b₁ + (E^{l-1} ⊙ S) W₂ᵀ + b₂)),   φ leaky ReLU of slope 0.2
E = [E⁰ | rn(E¹) | .. | rn(E^L)],   Â = (D + I)^-1 (A + I)
L = mean_b -ln σ(⟨e_u, e_i⟩ - ⟨e_u, e_j⟩) + reg · ½ Σ_b (‖e_u‖² + ‖e_i‖² + ‖e_j‖²) / b
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import Bipartite, EdgeList, bipartite, edge_list, propagate_bipartite, scale_edges
from jmmrec.losses import l2_squares
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr
from jmmrec.models.layers import dense, dropout, id_tables, layer_masks, named_key, xavier_uniform
from jmmrec.retrieval.vectors import normalise_rows

GRAPHS = {"row_selfloop": "row_selfloop", "mean_plus_i": "mean", "mean": "mean", "sym_plus_i": "sym_exact"}
SLOPE = 0.2


@dataclasses.dataclass(frozen=True)
class Ngcf(Backbone):
    """NGCF.

    Attributes:
      embed_dim: width of the tables and of every layer; final vectors hold 1 + L of them. n_layers: L, of propagation.
      norm: Â, `row_selfloop` as above, `mean_plus_i` for D^-1 A + I, `mean` for D^-1 A, or the paper's `sym_plus_i`,
        D^-1/2 A D^-1/2 + I.
      act_on: φ of the `sum`, or of both `terms` and then their sum (authors' code).
      norm_layers: layers above 0 enter E with rows of unit length.
      node_dropout: fraction of messages dropped from Â in every training step, the rest scaled up.
      drop_unit: what is dropped, every `edge` in each direction and every self loop by itself, or all that a `node`
        sends to others.
      message_dropout: fraction of the entries of every layer that is dropped.
      reg: weight of the regulariser. reg_on: rows of E, `output`, or of E⁰, `ego`.

    >>> Ngcf(n_layers=2).norm
    'row_selfloop'
    """

    card = Card(
        "Wang et al., NGCF, SIGIR", 2019, "none", "(U + I) d + 2 L (d² + d)",
        "8 L E d + 12 L (U + I) d², L = n_layers",
    )  # fmt: skip
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-4, "batch_size": 1024}

    embed_dim: int = 64
    n_layers: int = 3
    norm: str = "row_selfloop"
    act_on: str = "sum"
    norm_layers: bool = True
    node_dropout: float = 0.1
    drop_unit: str = "edge"
    message_dropout: float = 0.1
    reg: float = 1e-5
    reg_on: str = "output"

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_whole("n_layers", self.n_layers, 0, 32)
        check_choice("norm", self.norm, GRAPHS)
        check_choice("act_on", self.act_on, ("sum", "terms"))
        check_range("node_dropout", self.node_dropout, 0, 0.99)
        check_choice("drop_unit", self.drop_unit, ("edge", "node"))
        check_range("message_dropout", self.message_dropout, 0, 0.99)
        check_range("reg", self.reg, 0, float("inf"))
        check_choice("reg_on", self.reg_on, ("output", "ego"))

    def prepare(self, data: TrainingData) -> dict:
        """Â, and its edges."""
        shape = data.n_users, data.n_items
        graph = bipartite(data.train, *shape, GRAPHS[self.norm])
        if self.norm.endswith("_plus_i"):
            graph = graph._replace(user_loop=jnp.ones(shape[0]), item_loop=jnp.ones(shape[1]))
        return {"graph": graph, "edges": edge_list(data.train, *shape)}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier uniform everywhere: tables, weights, and biases as rows of one."""
        params: dict[str, Any] = id_tables(key, static["graph"].user_item.shape, self.embed_dim)
        for name in self._names():
            keys = {part: jax.random.split(named_key(key, f"{name} {part}")) for part in ("sum", "product")}
            params[name] = {
                part: {
                    "weight": xavier_uniform(first, (self.embed_dim, self.embed_dim)),
                    "bias": xavier_uniform(second, (1, self.embed_dim))[0],
                }
                for part, (first, second) in keys.items()
            }
        return params, ()

    def _names(self) -> list[str]:
        return [f"layer{number}" for number in range(1, self.n_layers + 1)]

    def draws(self, key: jax.Array, edges: EdgeList) -> dict:
        """Masks of inverted dropout for a step.

        `down` and `up` (n_edges,), `loops` for users and items or None, and `messages` as from `layer_masks`.
        """
        keys, sizes, keep = jax.random.split(key, 5), (edges.n_users, edges.n_items), 1 - self.node_dropout
        loops = tuple(dropout(k, keep, (n,)) for k, n in zip(keys[:2], sizes, strict=True))
        if self.drop_unit == "node":
            down, up, loops = loops[1][edges.item], loops[0][edges.user], None
        else:
            down, up = (dropout(k, keep, edges.user.shape) for k in keys[2:4])
        messages = layer_masks(keys[4], 1 - self.message_dropout, sizes, self.embed_dim, self.n_layers)
        return {"down": down, "up": up, "loops": loops, "messages": messages}

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """All layers side by side."""
        graph, edges, messages = static["graph"], static["edges"], [(1.0, 1.0)] * self.n_layers
        if train and key is not None and (self.node_dropout or self.message_dropout):
            drawn = self.draws(key, edges)
            graph = scale_edges(graph, edges.by_item, drawn["down"], drawn["up"], drawn["loops"])
            messages = drawn["messages"]
        tables: tuple[jax.Array, ...] = params["user"], params["item"]
        layers: list[tuple[jax.Array, ...]] = [tables]
        for name, masks in zip(self._names(), messages, strict=True):
            tables = tuple(x * mask for x, mask in zip(self._layer(params[name], graph, tables), masks, strict=True))
            layers.append(tuple(map(normalise_rows, tables)) if self.norm_layers else tables)
        user, item = (jnp.concatenate(side, axis=1) for side in zip(*layers, strict=True))
        return Encoded(user, item, {"id": (user, item)})

    def _layer(self, layer: dict, graph: Bipartite, tables: tuple[jax.Array, ...]) -> list[jax.Array]:
        found = []
        for x, s in zip(tables, propagate_bipartite(graph, *tables), strict=True):
            terms = dense(layer["sum"], s), dense(layer["product"], x * s)
            terms = (terms[0] + terms[1],) if self.act_on == "sum" else terms
            found.append(sum(jax.nn.leaky_relu(term, SLOPE) for term in terms))
        return found

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, and the rows' size."""
        user, item = (encoded.user, encoded.item) if self.reg_on == "output" else (params["user"], params["item"])
        reg = l2_squares((user[batch.user], item[batch.positive], item[batch.negative]), batch.mask)
        rank = batch_bpr(encoded.user, encoded.item, batch)
        return rank + self.reg * reg, {"bpr": rank, "reg": reg}
