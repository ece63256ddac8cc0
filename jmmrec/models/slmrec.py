"""SLMRec (Tao et al., TMM'22): a graph channel for ids and for each modality, fused, and made to foretell each other.

    T_c = (1/(L+1)) Σ_l Â^l [U; I_c],   I_id = I,   I_m = rn(X_m) W_mᵀ + b_m,   the same U in every channel
    user = F_u [T_id | T_m1 | ...]_users,   item = F_i [T_id | T_m1 | ...]_items
    L = InfoNCE(rn(user_u), rn(item_i); τ) + α Σ_m InfoNCE(c_m, p_m(T_m); τ_s)      over the positives of the batch
    c_m = q_m(c_n),   n the modality before m in the chain; before the first one c is T_id

The chain goes from ids over what is seen and what is heard to what is written (`channels_of`). q and p keep the width,
but the last stage halves it. The public code has two modalities and keeps q of the stage for sound without its term;
so does this for any two. A lone modality has the first stage alone.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import bipartite
from jmmrec.losses import bpr, info_nce, pair_margin
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.channels import channel_means, fuse, fusion_init, split_channels
from jmmrec.models.common import current_features, known_rows, presence, raw_features
from jmmrec.models.layers import dense, id_tables, layer_masks, projections, xavier_uniform
from jmmrec.models.slmrec_tasks import chain_init, channels_of, dropped_mean, foretell
from jmmrec.retrieval.vectors import normalise_rows


@dataclasses.dataclass(frozen=True)
class SlmRec(Backbone):
    """SLMRec over any number of modalities.

    Attributes:
      embed_dim: d, width of every channel. n_layers: L, of propagation. norm: of the graph, see
        `jmmrec.graph.edge_values`. fusion: `concat`, F a dense layer over the channels side by side, or `mean` of the
        channels.
      main: ranking loss, `infonce` within the batch, or `bpr` of cosines with the sampled negatives.
      tau: τ of `infonce`. ssl_weight: α, weight of the contrast. ssl_tau: τ_s, its temperature.
      ssl_task: `fac` (the chain above), or InfoNCE between two views of users and of items: `fd` drops entries after
        every layer, `fm` leaves out the items' table of one channel, another one in each view, `fd+fm` does both.
      drop: fraction of entries that `fd` drops.

    >>> SlmRec(ssl_weight=0.01).training
    {'weight_decay': 0.0001}
    """

    joined = "concat"
    card = Card(
        "Tao et al., SLMRec, TMM", 2022, "1 or more", "(U + I + Σ D_m) d + (4 M + 2) d²",
        "4 L (2 + M) E d + 4 I Σ D_m d + 6 (1 + M) B² d",
    )  # fmt: skip
    training: ClassVar[Mapping[str, Any]] = {"weight_decay": 1e-4}

    embed_dim: int = 64
    n_layers: int = 3
    norm: str = "sym_eps8"
    fusion: str = "concat"
    main: str = "infonce"
    tau: float = 0.2
    ssl_weight: float = 0.1
    ssl_tau: float = 0.2
    ssl_task: str = "fac"
    drop: float = 0.3

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_whole("n_layers", self.n_layers, 0, 32)
        check_choice("norm", self.norm, ("sym_eps8", "sym_eps7", "sym_exact", "mean"))
        check_choice("fusion", self.fusion, ("concat", "mean"))
        check_choice("main", self.main, ("infonce", "bpr"))
        check_range("tau", self.tau, 0, float("inf"), open_low=True)
        check_range("ssl_weight", self.ssl_weight, 0, float("inf"))
        check_range("ssl_tau", self.ssl_tau, 0, float("inf"), open_low=True)
        check_choice("ssl_task", self.ssl_task, ("fac", "fd", "fm", "fd+fm"))
        check_range("drop", self.drop, 0, 0.99)

    def prepare(self, data: TrainingData) -> dict:
        """The graph, and features with rows of unit length."""
        graph = bipartite(data.train, data.n_users, data.n_items, self.norm)
        features = {name: normalise_rows(x) for name, x in raw_features(data).items()}
        return {"graph": graph, "features": features, "present": presence(data.modalities)}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier tables and weights, default biases; every layer of a modality is drawn by its name."""
        keys, d, names = jax.random.split(key, 4), self.embed_dim, channels_of(static["features"])
        params: dict[str, Any] = id_tables(keys[0], static["graph"].user_item.shape, d)
        params["project"] = projections(keys[1], static["features"], d, xavier_uniform)
        if self.fusion == "concat":
            params["fusion"] = fusion_init(keys[2], names, d)
        if self.ssl_task == "fac":
            params["chain"] = chain_init(keys[3], names[1:], d)
        return params, ()

    def draws(self, key: jax.Array, shape: tuple[int, int], n_channels: int) -> tuple:
        """For each of the two views the channel left out, and for each its masks, see `layer_masks`."""
        first, *keys = jax.random.split(key, 3)
        width = n_channels * self.embed_dim
        masks = [layer_masks(k, 1 - self.drop, shape, width, self.n_layers) for k in keys]
        return jax.random.permutation(first, n_channels)[:2], masks

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """All channels in one product a layer, then fused; given `features` are taken as they are, not normalised."""
        names, given = channels_of(params["project"]), current_features(static, {}, features)
        items = jnp.concatenate([params["item"], *(dense(params["project"][m], given[m]) for m in names[1:])], axis=1)
        shared, own = channel_means(static["graph"], params["user"], items, self.n_layers)
        user = jnp.tile(params["user"], (1, len(names)))
        means = [(jnp.tile(a, (1, len(names))), b) for a, b in zip(shared, own, strict=True)]
        tables = [tuple(a + b for a, b in means)]
        if train and key is not None and self.ssl_task != "fac":
            draws = self.draws(key, static["graph"].user_item.shape, len(names))
            tables += [self._view(static, user, items, means, *drawn) for drawn in zip(*draws, strict=True)]
        extra = {"present": static["present"], "tables": tables}
        return Encoded(*self._fuse(params, *tables[0]), modal=split_channels(names, *tables[0]), extra=extra)

    def _fuse(self, params, user: jax.Array, item: jax.Array) -> tuple[jax.Array, jax.Array]:
        layers, names = params.get("fusion", {}), channels_of(params["project"])
        return fuse(layers.get("user"), names, user), fuse(layers.get("item"), names, item)

    def _view(self, static, user, items, means, left_out, keep) -> tuple[jax.Array, ...]:
        seen = (jnp.arange(items.shape[1]) // self.embed_dim != left_out) | ("fm" not in self.ssl_task)
        if "fd" in self.ssl_task:
            return dropped_mean(static["graph"], user, items * seen, keep)
        return tuple(a + seen * b for a, b in means)

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, and what the channels tell of each other; only rows of the batch are fused."""
        rows = [(user[batch.user], item[batch.positive]) for user, item in encoded.extra["tables"]]
        (user, item), *views = ([normalise_rows(side) for side in self._fuse(params, *pair)] for pair in rows)
        if self.main == "bpr":
            negative = self._fuse(params, rows[0][0], encoded.extra["tables"][0][1][batch.negative])[1]
            rank = bpr(pair_margin(user, item, normalise_rows(negative)), batch.mask)
        else:
            rank = info_nce(user, item, tau=self.tau, mask=batch.mask)
        terms = self._chain(params, encoded.extra["present"], rows[0][1], batch) if self.ssl_task == "fac" else {}
        for side, *pair in zip(("user", "item"), *views, strict=True) if views else ():
            terms[f"views_{side}"] = info_nce(*pair, tau=self.ssl_tau, mask=batch.mask)
        return rank + self.ssl_weight * sum(terms.values(), jnp.zeros(())), {"bpr": rank, **terms}

    def _chain(self, params, present, items: jax.Array, batch: Batch) -> dict:
        names, terms = channels_of(params["project"]), {}
        rows = dict(zip(names, jnp.split(items, len(names), axis=1), strict=True))
        for name, pair in foretell(params["chain"], names[1:], rows).items():
            mask = known_rows(batch.mask, present, name, batch.positive)
            terms[f"fac_{name}"] = info_nce(*pair, tau=self.ssl_tau, mask=mask)
        return terms
