"""MMGCN (Wei et al., ACM MM'19): one graph network for each modality, from its raw features, with shared ids.

    X_0 = rn([P_m; F_m]),   F_m = X_m W_mᵀ + b_m for the visual modality, X_m for the others
    H = φ(Ā X_l C_l),   Y = φ(X_l L_lᵀ + b_l) + E,   X_{l+1} = φ([H | Y] G_lᵀ + g_l)      Ā the mean over neighbours
    [user; item] = (1/M) Σ_m X_L^m
    L = bpr(user, item) + reg · (mean(e_u² + e_i²) over the batch's pairs + Σ_m mean(P_m²))      φ leaky ReLU

The public code, the authors' as well as the toolbox's, never gives the ids E and preferences P_m to the optimiser:
they stay as drawn, and the regulariser, which there takes P_m of the visual modality alone, is a constant. So they do
here, unless `train_free` says otherwise, and Ā rn(P_m) is computed once an epoch. A row that an item lacks is zero.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.graph import bipartite, propagate
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, current_features, pair_squares, presence, raw_features
from jmmrec.models.layers import dense, dense_init, named_key, node_tables, xavier_normal
from jmmrec.models.weights import VISUAL
from jmmrec.retrieval.vectors import normalise_rows

REG_TABLES = {"all": lambda name: True, "visual": lambda name: name in VISUAL}


@dataclasses.dataclass(frozen=True)
class MmGcn(Backbone):
    """MMGCN over any number of modalities.

    Attributes:
      embed_dim: d, width of ids and of every layer but the first. n_layers: L, of propagation.
      latent: width to which the modality called image, visual or v is projected; the others keep theirs.
      project_all: all are projected to `latent`, as in the paper; saves much where features are wide.
      concat: H and Y side by side; False adds them up, X_{l+1} = φ(H G_lᵀ + g_l + Y).
      train_free: ids and preferences are trained, as in the paper.
      reg: weight of the regulariser. reg_tables: whose preferences it takes, `all`, or `visual` as in the public code.

    >>> MmGcn(latent=128).train_free
    False
    """

    card = Card(
        "Wei et al., MMGCN, ACM MM", 2019, "1 or more", "D_v w_v + Σ w_m (w_m + 2 d), w_v = latent, else w_m = D_m",
        "4 I D_v w_v + Σ w_m (8 I w_m + 10 (U + I) d + 4 E)",
    )  # fmt: skip

    embed_dim: int = 64
    n_layers: int = 3
    latent: int = 256
    project_all: bool = False
    concat: bool = True
    train_free: bool = False
    reg: float = 1e-4
    reg_tables: str = "all"

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_whole("n_layers", self.n_layers, 1, 32)
        check_whole("latent", self.latent, 1, 1 << 16)
        check_range("reg", self.reg, 0, float("inf"))
        check_choice("reg_tables", self.reg_tables, REG_TABLES)

    def prepare(self, data: TrainingData) -> dict:
        """The averaging graph and raw features."""
        graph = bipartite(data.train, data.n_users, data.n_items, "mean")
        return {"graph": graph, "features": raw_features(data), "present": presence(data.modalities)}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, Any]:
        """Every modality's layers are parameters; ids and preferences are state, or parameters with `train_free`."""
        first, second, third = jax.random.split(key, 3)
        shape, features = static["graph"].user_item.shape, static["features"]
        width = {name: self.latent if self._projected(name) else x.shape[1] for name, x in features.items()}
        preference = {name: xavier_normal(named_key(second, name), (shape[0], w)) for name, w in width.items()}
        free = node_tables(first, shape, self.embed_dim) | {"preference": preference}
        branch = {}
        for name, x in features.items():
            top, *keys = jax.random.split(named_key(third, name), self.n_layers + 1)
            branch[name] = {str(n): self._layer_init(k, width[name], n == 1) for n, k in enumerate(keys, 1)}
            if self._projected(name):
                branch[name]["project"] = dense_init(top, x.shape[1], width[name])
        return ({"branch": branch, "free": free}, ()) if self.train_free else ({"branch": branch}, free)

    def _projected(self, name: str) -> bool:
        return self.project_all or name in VISUAL

    def _layer_init(self, key: jax.Array, width: int, first: bool) -> dict:
        keys, d = jax.random.split(key, 3), self.embed_dim
        width = width if first else d
        mixed = width + d if self.concat else width
        return {
            "conv": xavier_normal(keys[0], (width, width)),
            "own": dense_init(keys[1], width, d, xavier_normal),
            "mix": dense_init(keys[2], mixed, d, xavier_normal if first else None),
        }

    def epoch(self, params, state, static, key) -> tuple[Any, Any]:
        """What frozen preferences contribute to the first layer."""
        return state, () if self.train_free else self._first(state, static)

    def _first(self, free: dict, static: dict) -> dict:
        found = {}
        for name, table in free["preference"].items():
            unit = normalise_rows(table)
            found[name] = {"user": unit, "mean": propagate(static["graph"].item_user, unit), "reg": jnp.mean(table**2)}
        return found

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """The mean of all modalities' last layers."""
        free = params["free"] if self.train_free else state
        first = aux if train and not self.train_free else self._first(free, static)
        features, modal = current_features(static, {}, features), {}
        for name, branch in params["branch"].items():
            item = dense(branch["project"], features[name]) if "project" in branch else features[name]
            if name in static["present"]:
                item = jnp.where(static["present"][name][:, None], item, 0.0)
            user, item, mean = first[name]["user"], normalise_rows(item), first[name]["mean"]
            for n in range(1, self.n_layers + 1):
                mean = propagate(static["graph"].item_user, user) if n > 1 else mean
                user, item = self._layer(branch[str(n)], static["graph"].user_item, user, item, mean, free)
            modal[name] = user, item
        user, item = (sum(tables, jnp.zeros(())) / len(modal) for tables in zip(*modal.values(), strict=True))
        reg = {name: first[name]["reg"] for name in first if REG_TABLES[self.reg_tables](name)}
        return Encoded(user, item, {"id": (free["user"], free["item"]), **modal}, {"reg": reg})

    def _layer(self, layer, user_item, user, item, mean, free) -> tuple[jax.Array, jax.Array]:
        # On either side C multiplies as many rows as there are items, mostly fewer than users.
        to_user, to_item = propagate(user_item, item @ layer["conv"].T), mean @ layer["conv"].T
        return self._mix(layer, to_user, user, free["user"]), self._mix(layer, to_item, item, free["item"])

    def _mix(self, layer, received, x, ids) -> jax.Array:
        received, own = jax.nn.leaky_relu(received), jax.nn.leaky_relu(dense(layer["own"], x)) + ids
        weight, cut = layer["mix"]["weight"], received.shape[1]
        own = own @ weight[:, cut:].T if self.concat else own
        return jax.nn.leaky_relu(received @ weight[:, :cut].T + own + layer["mix"]["bias"])

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, and the regulariser of ids and preferences, trained or not."""
        parts = {"bpr": batch_bpr(encoded.user, encoded.item, batch)}
        reg = {"reg_id": pair_squares(*encoded.modal["id"], batch)}
        reg |= {f"reg_preference_{name}": value for name, value in encoded.extra["reg"].items()}
        return parts["bpr"] + self.reg * sum(reg.values(), jnp.zeros(())), parts | reg
