"""MMGCL (Yi et al., SIGIR'22): a graph channel for ids and for each modality, fused, and two views that disturb them.

T_c = (1/(L+1)) Σ_l Â^l [U; I_c],   I_id = V,   I_m = rn(X̄_m) A_mᵀ + a_m,   the same U in every channel
user = R_u [T_id | T_m1 | ...]_users,   item = R_v [T_id | T_m1 | ...]_items;   û, v̂ of unit length
' : every channel on a graph that lacks some edges.   '' : one modality's I_m is noise.
c_u = -ln( exp(⟨û'_u, û''_u⟩/τ) / (Σ_k exp(⟨û'_u, û''_k⟩/τ) + exp(⟨û'_u, n̂⟩/τ)) ),   k in the batch;  c_v likewise
n = R_v of item i's channels in '', but one modality's taken from the sampled negative j
L = mean_b -ln σ(⟨e_u, e_i⟩ - ⟨e_u, e_j⟩) + α/2 (mean_b c_u + mean_b c_v)
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import EdgeList, bipartite, drop_edges, drop_nodes, edge_list
from jmmrec.losses import bpr, pair_margin
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.channels import Pair, channel_tables, fuse, fusion_init, in_channel, split_channels
from jmmrec.models.ci2mg.inputs import Inputs
from jmmrec.models.ci2mg.known import known_rows
from jmmrec.models.layers import id_tables, projections, xavier_uniform
from jmmrec.models.mmgcl_views import WEIGHTS, contrasts, layer_zero, replaced, thinned, units
from jmmrec.models.weights import modality_weights, weights_by_name

CHOICES = {
    "norm": ("sym_exact", "sym_eps7", "sym_eps8"), "ssl": ("paper", "code", "port"), "ed": ("per_channel", "shared"),
    "mask": ("random", "zero", "node_drop"), "impute": ("mean", "zero", "neigh_mean"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Mmgcl(Backbone):
    """MMGCL over any number of modalities.

    Attributes:
      embed_dim: d, width of every channel. n_layers: L, of propagation. norm: of all graphs, see
        `jmmrec.graph.edge_values`. ssl: what is contrasted, the two views of users and of items (`paper`), users with
        items of the first view, twice (`code`), or users of the first view with items of each (`port`).
      ssl_weight: α, weight of the contrast. tau: τ, temperature. drop: share of edges (in `node_drop` of users and of
        items) left out. ed: the first view's edges are drawn `per_channel`, or once (`shared`).
      mask: the masked modality's I_m becomes `random` or `zero`, or its channel loses nodes (`node_drop`).
      cn: whether `paper` has the challenging negative n, with a modality other than the masked one, if there is any.
      modal_weights: how often each modality is masked, by name; must name every modality. Default: all as often.
      impute: what a missing row holds, the `mean` of the others, `zero` or `neigh_mean` (of 10 that share users).

    >>> Mmgcl(ssl="code", ed="shared", mask="node_drop").training
    {'weight_decay': 0.0001}
    """

    joined = "concat"
    card = Card(
        "Yi et al., MMGCL, SIGIR", 2022, "1 or more", "(U + I + Σ D_m + M) d + 2 (1 + M) d²",
        "6 L (3 + 2 M) E d + 4 Σ n_m D_m d + 12 B² d, n_m items that have m, L = n_layers")  # fmt: skip
    training: ClassVar[Mapping[str, Any]] = {"weight_decay": 1e-4}

    embed_dim: int = 64
    n_layers: int = 3
    norm: str = "sym_exact"
    ssl: str = "paper"
    ssl_weight: float = 0.4
    tau: float = 0.2
    drop: float = 0.05
    ed: str = "per_channel"
    mask: str = "random"
    cn: bool = True
    modal_weights: tuple[tuple[str, float], ...] = ()
    impute: str = "mean"

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_whole("n_layers", self.n_layers, 0, 32)
        check_range("ssl_weight", self.ssl_weight, 0, float("inf"))
        check_range("tau", self.tau, 0, float("inf"), open_low=True)
        check_range("drop", self.drop, 0, 0.99)
        for option, choices in CHOICES.items():
            check_choice(option, getattr(self, option), choices)
        object.__setattr__(self, "modal_weights", weights_by_name(self.modal_weights, positive=True))

    def prepare(self, data: TrainingData) -> dict:
        """Graph and edges, unit rows of each modality, which items have them, how often each is masked."""
        shape, fill = (data.n_users, data.n_items), Inputs(impute=self.impute, norm="none")
        known, there = known_rows(data, fill, filled=True)
        weights = modality_weights(tuple(known), self.modal_weights, 1 / len(known))
        graphs = {"graph": bipartite(data.train, *shape, self.norm), "edges": edge_list(data.train, *shape)}
        return graphs | {
            "known": {name: units(rows) for name, rows in known.items()},
            "present": jnp.stack([there.get(name, jnp.ones(data.n_items, bool)) for name in known]),
            "weights": jnp.array([weights[name] for name in known], jnp.float32),
        }

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier tables and weights, default biases."""
        keys, features = jax.random.split(key, 3), {name: known["x"] for name, known in static["known"].items()}
        params: dict[str, Any] = id_tables(keys[0], static["graph"].user_item.shape, self.embed_dim)
        params["project"] = projections(keys[1], features, self.embed_dim, xavier_uniform)
        return params | {"fusion": fusion_init(keys[2], ("id", *features), self.embed_dim)}, ()

    def draws(self, key: jax.Array, edges: EdgeList, weights: jax.Array) -> dict:
        """`kept` edges of each channel or of all, numbers of the `masked` and `swapped` modality, noise or edges."""
        keys, m = jax.random.split(key, 4), len(weights)
        channels = jax.random.split(keys[0], 1 if self.ed == "shared" else 1 + m)
        masked = jax.random.categorical(keys[1], jnp.log(weights))
        kept = jax.vmap(lambda key: drop_edges(key, edges, self.drop))(channels)
        found: dict[str, Any] = {"masked": masked, "kept": kept}
        found["swapped"] = (masked + jax.random.randint(keys[2], (), 1, max(2, m))) % m
        if self.mask == "random":
            found["noise"] = jax.random.normal(keys[3], (edges.n_items, self.embed_dim))
        elif self.mask == "node_drop":
            found["stay"] = drop_nodes(keys[3], edges, self.drop)
        return found

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """All channels in one product a layer, then fused; in training the views' channels, too."""
        items, names = layer_zero(params, static["known"], features or {}, self.impute), ("id", *static["known"])
        tables, shared = channel_tables(static["graph"], params["user"], items, self.n_layers)
        extra: dict[str, Any] = {"tables": [tables], "present": static["present"]}
        if train and key is not None and self.ssl_weight:
            drawn = self.draws(key, static["edges"], static["weights"])
            other = replaced(self, static, params["user"], items, shared, drawn)
            pair = (in_channel(1 + drawn["masked"], *p, self.embed_dim) for p in zip(other, tables, strict=True))
            extra["tables"] += [thinned(self, static["edges"], params["user"], items, drawn["kept"]), tuple(pair)]
            extra["swapped"] = drawn["swapped"]
        return Encoded(*self._fused(params, *tables), split_channels(names, *tables), extra)

    def _fused(self, params, user: jax.Array, item: jax.Array) -> Pair:
        names = ("id", *sorted(params["project"]))
        return fuse(params["fusion"]["user"], names, user), fuse(params["fusion"]["item"], names, item)

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, and the views' contrasts; only rows of the batch are fused."""
        tables, terms = encoded.extra["tables"], {}
        rows = [self._fused(params, user[batch.user], item[batch.positive]) for user, item in tables]
        negative = self._fused(params, tables[0][0][batch.user], tables[0][1][batch.negative])[1]
        rank = bpr(pair_margin(*rows[0], negative), batch.mask)
        if len(rows) > 1:
            challenge = self._challenge(params, encoded.extra, batch) if self.cn and self.ssl == "paper" else None
            terms = contrasts(rows[1], rows[2], challenge, self.ssl, self.tau, batch.mask)
        return rank + self.ssl_weight * WEIGHTS[self.ssl] * sum(terms.values(), jnp.zeros(())), {"bpr": rank, **terms}

    def _challenge(self, params, extra: dict, batch: Batch) -> Pair:
        (user, item), modality = extra["tables"][2], extra["swapped"]
        mixed = in_channel(1 + modality, item[batch.negative], item[batch.positive], self.embed_dim)
        there = extra["present"][modality]
        return self._fused(params, user[batch.user], mixed)[1], there[batch.positive] & there[batch.negative]
