"""VBPR (He and McAuley, AAAI'16) in the form the field compares against: one user vector for ids and features.

    user_u = p_u (2d),    item_i = [q_i ; Σ_m W_m x_mi + b]
    L = mean_b -ln σ(⟨user_u, item_i⟩ - ⟨user_u, item_j⟩) + reg · R(user_u, item_i, item_j)

The paper has a separate visual user factor, biases and images alone; the PyTorch toolbox, whose numbers are quoted,
has what stands above, one matrix over the concatenated modalities, here kept as one block for each modality.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.losses.regularise import FORMS
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, raw_features
from jmmrec.models.layers import named_key, xavier_uniform


@dataclasses.dataclass(frozen=True)
class Vbpr(Backbone):
    """VBPR over any number of modalities.

    Attributes:
      embed_dim: d; users have 2d columns, items d of ids and d of projected features.
      reg: weight of the regulariser. reg_form: `l2sq` or `norm` (PyTorch toolbox, with 0.1).

    >>> Vbpr(embed_dim=32).reg_form
    'l2sq'
    """

    joined = "concat"
    card = Card("He and McAuley, VBPR, AAAI", 2016, "1 or more", "(2 U + I + Σ D_m) d", "4 I Σ D_m d")

    embed_dim: int = 64
    reg: float = 0.07
    reg_form: str = "l2sq"

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_range("reg", self.reg, 0, float("inf"))
        check_choice("reg_form", self.reg_form, FORMS)

    def prepare(self, data: TrainingData) -> dict:
        """Raw features; nothing is normalised."""
        return {"features": raw_features(data), "user": jnp.zeros((data.n_users, 0))}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier tables; the projection's scale is that of one matrix over all modalities."""
        first, second, third = jax.random.split(key, 3)
        features = static["features"]
        n_items, width = len(next(iter(features.values()))), sum(f.shape[1] for f in features.values())
        std = (2.0 / (width + self.embed_dim)) ** 0.5
        params = {
            "user": xavier_uniform(first, (len(static["user"]), 2 * self.embed_dim)),
            "item": xavier_uniform(second, (n_items, self.embed_dim)),
            "weight": {
                name: std * jax.random.normal(named_key(third, name), (self.embed_dim, f.shape[1]))
                for name, f in features.items()
            },
            "bias": jnp.zeros(self.embed_dim),
        }
        return params, ()

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Item vectors are ids beside projected features."""
        features = static["features"] | (features or {})
        user, ids = params["user"], params["item"]
        modal = {name: x @ params["weight"][name].T for name, x in features.items()}
        item = jnp.concatenate([ids, sum(modal.values()) + params["bias"]], axis=1)
        taste = {name: (user[:, self.embed_dim :], table) for name, table in modal.items()}
        return Encoded(user, item, {"id": (user[:, : self.embed_dim], ids), **taste})

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """BPR and the regulariser, both on full vectors."""
        rank = batch_bpr(encoded.user, encoded.item, batch)
        rows = (encoded.user[batch.user], encoded.item[batch.positive], encoded.item[batch.negative])
        reg = FORMS[self.reg_form](rows, batch.mask)
        return rank + self.reg * reg, {"bpr": rank, "reg": reg}
