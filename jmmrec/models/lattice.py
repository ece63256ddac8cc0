"""LATTICE (Zhang, Zhu, Liu, Wu, Wang and Wang, ACM MM'21): item graphs mined from features and learned in training.

    f_m = X_m W_mᵀ + b_m,   L_m = the k largest cosines of f_m in each row,   a = softmax(μ)
    S = (1-λ) D^-1/2 (Σ_m a_m L_m) D^-1/2 + λ Σ_m a_m O_m,   D row sums,   O_m the weighted graph of raw features
    h = Sⁿ I,   user = C_u,   item = C_i + rn(h),   [C_u; C_i] from LightGCN over (D+1)^-1 (A+I), or [U; I]
    L = bpr(user, item) + ρ ½ (Σ‖user_u‖² + Σ‖item_i‖² + Σ‖item_j‖²) / B

S is built with gradient in the first batch of an epoch; the others use it as it is, and what it was built from rests.
Neighbours are lists of k: nothing of items × items exists. Items that miss a modality are in none of its graphs.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import LearnedGraph, bipartite, learned_graph, learned_smooth, list_graph, propagate
from jmmrec.losses import l2_squares
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, current_features, layer_mean, raw_features
from jmmrec.models.layers import dense, id_tables, projections
from jmmrec.retrieval import normalise_rows

SOURCES = ("features", "project", "modal_weight")


@dataclasses.dataclass(frozen=True)
class Lattice(Backbone):
    """LATTICE over any number of modalities.

    Attributes:
      embed_dim: width of all tables. cf_model: `lightgcn` with n_ui_layers layers, or `mf`.
      n_layers: n, steps on the item graph. knn_k: k, neighbours of an item, itself included.
      lambda_coeff: λ, share of the raw features' graph. rebuild: the learned graph once an `epoch` or every `batch`.
      edge_norm: of the user-item graph, see `jmmrec.graph.edge_values`. train_raw_feats: the features are trained, too.
      reg: ρ, weight of the regulariser. nominal_batch: B, fixed whatever rows a batch has, as in the public code.

    >>> Lattice(cf_model="mf").rebuild
    'epoch'
    """

    card = Card(
        "Zhang et al., LATTICE, ACM MM", 2021, "1 or more", "(U + I) d + Σ D_m (I + d)",
        "8 L E d + 8 n M I k d, L = n_ui_layers, n = n_layers, k = knn_k; once an epoch 2 M I² d + 6 I Σ D_m d",
    )  # fmt: skip
    training: ClassVar[Mapping[str, Any]] = {"decay": 0.96, "decay_epochs": 50.0}

    embed_dim: int = 64
    cf_model: str = "lightgcn"
    n_ui_layers: int = 2
    n_layers: int = 1
    knn_k: int = 10
    lambda_coeff: float = 0.9
    rebuild: str = "epoch"
    edge_norm: str = "row_selfloop"
    reg: float = 1e-4
    nominal_batch: int = 2048
    train_raw_feats: bool = True

    def __post_init__(self) -> None:
        for name, high in (("embed_dim", 1 << 16), ("knn_k", 1 << 16), ("nominal_batch", 1 << 30)):
            check_whole(name, getattr(self, name), 1, high)
        for name in ("n_ui_layers", "n_layers"):
            check_whole(name, getattr(self, name), 0, 32)
        check_choice("cf_model", self.cf_model, ("lightgcn", "mf"))
        check_range("lambda_coeff", self.lambda_coeff, 0, 1)
        check_choice("rebuild", self.rebuild, ("epoch", "batch"))
        check_choice("edge_norm", self.edge_norm, ("row_selfloop", "sym_eps7", "sym_exact"))
        check_range("reg", self.reg, 0, float("inf"))

    @property
    def rare(self) -> tuple[str, ...]:
        """What the learned graph is made of."""
        return SOURCES if self.rebuild == "epoch" else ()

    def due(self, state: dict) -> jax.Array:
        """Whether this step builds the graph."""
        return state["due"]

    def prepare(self, data: TrainingData) -> dict:
        """User-item graph, the raw features' item graphs, features, and which items have each modality."""
        features, modalities = raw_features(data), data.modalities
        return {
            "graph": bipartite(data.train, data.n_users, data.n_items, self.edge_norm),
            "original": {name: list_graph(m, self.knn_k, "weighted", name) for name, m in modalities.items()},
            "features": features,
            "here": {name: jnp.flatnonzero(m.present) for name, m in modalities.items() if not m.present.all()},
        }

    def init(self, key: jax.Array, static: dict) -> tuple[dict, dict]:
        """Xavier tables, default dense maps, features as first values of their copies; no learned graph yet."""
        (first, second), features = jax.random.split(key), static["features"]
        params: dict = id_tables(first, static["graph"].user_item.shape, self.embed_dim)
        params["project"] = projections(second, features, self.embed_dim)
        params["modal_weight"] = dict.fromkeys(features, jnp.full(1, 1 / len(features), jnp.float32))
        if self.train_raw_feats:
            params["features"] = dict(features)
        shapes = jax.eval_shape(self.build, params, static)
        graph = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return params, {"due": jnp.array(True), "graph": graph}

    def epoch(self, params, state: dict, static, key) -> tuple[dict, tuple]:
        """The next step builds the graph."""
        return state | {"due": jnp.array(True)}, ()

    def before_batch(self, params, state: dict, static, aux, batch: Batch, key) -> tuple[dict, dict]:
        """Only the first step of an epoch builds; its number is the same for all runs of a program."""
        return state | {"due": batch.step == 0 if self.rebuild == "epoch" else jnp.array(True)}, {}

    def build(self, sources: dict, fixed: dict, lists: dict | None = None) -> LearnedGraph:
        """The learned graph of the features as they are projected now."""
        names, project = sorted(sources["project"]), sources["project"]
        vectors = {name: dense(project[name], {**fixed, **sources}["features"][name]) for name in names}
        share = jax.nn.softmax(jnp.concatenate([sources["modal_weight"][name] for name in names]))
        return learned_graph(vectors, dict(zip(names, share, strict=True)), self.knn_k, fixed["here"], lists)

    def smooth(self, graph: LearnedGraph, fixed: dict, x: jax.Array, value_gradient: bool = True) -> jax.Array:
        """Sⁿ x."""
        for _ in range(self.n_layers):
            original = sum(graph.share[name] * propagate(o, x) for name, o in fixed["original"].items())
            x = (1 - self.lambda_coeff) * graph.smooth(x, value_gradient) + self.lambda_coeff * original
        return x

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Collaborative tables; items with their smoothed ids."""
        user, item, given = params["user"], params["item"], set() if features is None else {"features"}
        features = current_features(static, params, features)
        fixed, due = static | {"features": features}, state["due"] if train else True
        sources = {name: (params | fixed)[name] for name in SOURCES if name in params or name in given}
        found = learned_smooth(self.build, self.smooth, due, state["graph"], sources, fixed, item)
        smooth, graph = cast(tuple, found)
        if self.cf_model == "lightgcn":
            user, item = layer_mean(static["graph"], user, item, self.n_ui_layers)
        modal = {name: (user, dense(params["project"][name], x)) for name, x in features.items()}
        return Encoded(user, item + normalise_rows(smooth), {"id": (user, item), **modal}, {"graph": graph})

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, and the final rows' size."""
        user, item = encoded.user, encoded.item
        rank, rows = batch_bpr(user, item, batch), (user[batch.user], item[batch.positive], item[batch.negative])
        reg = l2_squares(rows, batch.mask, self.nominal_batch)
        return rank + self.reg * reg, {"bpr": rank, "reg": reg}

    def after_batch(self, state: dict, encoded: Encoded, batch: Batch) -> dict:
        """Keeps the graph for the steps to come."""
        return state | {"graph": encoded.extra["graph"]}
