"""LightGCN-M (named by MMSSL, WWW'23, and CI²MG, MM'23): LightGCN with modality features beside or among the ids.

    F_m = X̄_m A_mᵀ + a_m,   LG(u, i) = (1/(L+1)) Σ_{l=0..L} Â^l [u; i],   Â = D^-1/2 A D^-1/2
    late:      [LG(U, V) | F^U_1 F^V_1 | ..],   F^U_m = D_u⁻¹ R F_m,   F^V_m = D_v⁻¹ Rᵀ F^U_m    (CI²MG, Eq. 1)
    channels:  [LG(U, V) | LG(U, F_1) | ..]       early:  LG(U, V + Σ_m F_m)
    elliot:    [LG(U, V) | T, rn(Σ_m X̄_m W_mᵀ + w)],   T a second table of users
    L = mean_b -ln σ(⟨e_u, e_i⟩ - ⟨e_u, e_j⟩) + reg · ½ Σ_b ‖·‖² / b

X̄ has something in the place of missing rows. No paper defines the model; `late` is CI²MG with every part switched off.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import ConfigError, check_choice, check_range, check_whole
from jmmrec.graph import bipartite
from jmmrec.losses import l2_squares
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.channels import channel_tables, fuse, fusion_init, split_channels
from jmmrec.models.ci2mg.inputs import NORMS, Inputs, Views, two_hops
from jmmrec.models.ci2mg.known import Tables, exchanged, known_rows, projected
from jmmrec.models.common import batch_bpr, layer_mean
from jmmrec.models.layers import dense_init, dropout, id_tables, named_key, xavier_uniform
from jmmrec.retrieval import normalise_rows

CHOICES = {
    "norm": ("sym_exact", "sym_eps7", "sym_eps8"), "variant": ("late", "channels", "early", "elliot"),
    "fusion": ("sum", "linear"), "impute": ("mean", "zero", "neigh_mean"), "feature_norm": NORMS,
}  # fmt: skip
CONTENT = "content of all modalities"


@dataclasses.dataclass(frozen=True)
class LightGcnM(Backbone):
    """LightGCN-M.

    Attributes:
      embed_dim: width of ids and of each modality. n_layers: L, steps. norm: of Â, see `jmmrec.graph.edge_values`.
      variant: where features enter, `late` (two steps over the graph, beside the ids), `channels` (a LightGCN of its
        own for each modality, with the same users), `early` (in the items' layer 0) or `elliot` (not propagated).
      fusion: what stands side by side makes a score by the `sum` of the products, or goes through a `linear` map; in
        `early` it is what enters layer 0.
      impute: what a missing row holds, the `mean` of the others, `zero` or `neigh_mean` (of 10 that share users).
      feature_norm: of features, `l2` (unit rows), `none`, `centred` or `zscore`, see CI²MG. dropout: of F, in training.
      reg: weight of the regulariser on layer-0 ids; in `elliot` on propagated ids, T and unit rows of F (constant).

    >>> LightGcnM(variant="channels").n_layers
    3
    """

    joined = "concat"
    card = Card(
        "named in MMSSL, WWW, and CI2MG, ACM MM", 2023, "1 or more", "(U + I + Σ D_m + M) d",
        "8 (L + M) E d + 4 Σ n_m D_m d, n_m items that have m, L = n_layers",
    )  # fmt: skip

    embed_dim: int = 64
    n_layers: int = 3
    norm: str = "sym_exact"
    variant: str = "late"
    fusion: str = "sum"
    impute: str = "mean"
    feature_norm: str = "l2"
    dropout: float = 0.0
    reg: float = 1e-4

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_whole("n_layers", self.n_layers, 0, 32)
        for option, choices in CHOICES.items():
            check_choice(option, getattr(self, option), choices)
        check_range("dropout", self.dropout, 0, 0.99)
        check_range("reg", self.reg, 0, float("inf"))
        if self.variant == "elliot" and self.fusion == "linear":
            raise ConfigError("fusion is linear, which variant elliot does not have; set fusion to sum.")

    @property
    def inputs(self) -> Inputs:
        """Eq. 1's options, as in CI²MG."""
        return Inputs(impute=self.impute, norm=self.feature_norm, dropout=self.dropout)

    def prepare(self, data: TrainingData) -> dict:
        """Graphs by both normalisations, items without training users, the rows that each modality has."""
        shape, known = (data.n_users, data.n_items), known_rows(data, self.inputs, filled=True)[0]
        graphs = {name: bipartite(data.train, *shape, norm) for name, norm in (("graph", self.norm), ("mean", "mean"))}
        return {**graphs, "cold": jnp.asarray(np.bincount(data.train[:, 1], minlength=shape[1]) == 0), "known": known}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier tables and maps, biases of 0; in `elliot` ids N(0, 0.1²), one default layer over all features."""
        keys, d, elliot = jax.random.split(key, 4), self.embed_dim, self.variant == "elliot"
        shape, wide = static["graph"].user_item.shape, {n: k["x"].shape[1] for n, k in static["known"].items()}
        table = jax.nn.initializers.normal(0.1) if elliot else xavier_uniform
        params: dict[str, Any] = id_tables(keys[0], shape, d, table)
        if elliot:
            whole = {n: dense_init(named_key(keys[1], n), sum(wide.values()), d) for n in (*wide, CONTENT)}
            maps = {n: {"weight": whole[n]["weight"][:, :w]} for n, w in wide.items()}
            more = {"bias": whole[CONTENT]["bias"], "taste": xavier_uniform(keys[3], (shape[0], d))}
            return params | more | {"project": maps}, ()
        weights = {n: xavier_uniform(named_key(keys[1], n), (d, w)) for n, w in wide.items()}
        params["project"] = {n: {"weight": weight, "bias": jnp.zeros(d)} for n, weight in weights.items()}
        if self.fusion == "linear":
            layers = fusion_init(keys[2], ("id", *wide), d)
            params["fusion"] = {"item": layers["item"]} if self.variant == "early" else layers
        return params, ()

    def draws(self, key: jax.Array, names: list[str], n_items: int) -> Tables:
        """Dropout masks of F, by name; none without dropout."""
        shape = n_items, self.embed_dim
        return {n: dropout(named_key(key, n), 1.0 - self.dropout, shape) for n in names} if self.dropout else {}

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """The variant's tables; given `features` are read as the stored ones, missing rows remain missing."""
        made, n_items, given = {}, len(static["cold"]), features or {}
        drop = self.draws(key, list(static["known"]), n_items) if train and key is not None else {}
        for name, known in static["known"].items():
            known = exchanged(known, given[name], self.inputs) if name in given else known
            layer = params["project"][name]
            made[name] = (projected(layer, known, n_items) + layer.get("bias", 0.0)) * drop.get(name, 1.0)
        modal = self._channels(params, static, made)
        user, item = (jnp.concatenate(side, axis=1) for side in zip(*modal.values(), strict=True))
        if self.fusion == "linear" and self.variant != "early":
            user, item = (fuse(params["fusion"][s], tuple(modal), t) for s, t in (("user", user), ("item", item)))
        return Encoded(user, item, {name: modal[name] for name in modal if name != CONTENT})

    def _channels(self, params, static: dict, made: Tables) -> Views:
        items = [params["item"], *made.values()]
        if self.variant == "channels":
            pair = channel_tables(static["graph"], params["user"], items, self.n_layers)[0]
            return split_channels(("id", *made), *pair)
        if self.variant == "early":
            first = sum(items[1:], items[0])
            if self.fusion == "linear":
                first = fuse(params["fusion"]["item"], ("id", *made), jnp.concatenate(items, axis=1))
            return {"id": layer_mean(static["graph"], params["user"], first, self.n_layers)}
        ids = layer_mean(static["graph"], params["user"], params["item"], self.n_layers)
        if self.variant == "late":
            return {"id": ids, **two_hops(static["mean"], static["cold"], made, {}, self.inputs)}
        return {"id": ids, CONTENT: (params["taste"], normalise_rows(sum(made.values(), params["bias"])))}

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, and the regulariser."""
        user, item = (encoded.user, encoded.item) if self.variant == "elliot" else (params["user"], params["item"])
        reg = l2_squares((user[batch.user], item[batch.positive], item[batch.negative]), batch.mask)
        rank = batch_bpr(encoded.user, encoded.item, batch)
        return rank + self.reg * reg, {"bpr": rank, "reg": reg}
