"""BPR-MF (Rendle et al., UAI'09): matrix factorisation with pairwise ranking.

    ŷ_ui = ⟨p_u, q_i⟩ (+ b_i)
    L = mean_b -ln σ(ŷ_ui - ŷ_uj) + reg · R(p_u, q_i, q_j)

R is half the squares over the batch rows / b (`l2sq`) or the sum of Frobenius norms / b (`norm`, PyTorch toolbox).
"""

import dataclasses

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import check_choice, check_range, check_whole
from jmmrec.losses.regularise import FORMS
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.common import batch_bpr, batch_rows
from jmmrec.models.layers import xavier_normal


@dataclasses.dataclass(frozen=True)
class BprMf(Backbone):
    """BPR-MF.

    Attributes:
      embed_dim: width of both tables.
      reg: weight of the regulariser; from .01 (Last.fm-2K) to .1 (sparse data) it decides how good this model is.
      reg_form: `l2sq` or `norm`.
      item_bias: adds b_i to every score (as a last column against a constant 1).

    >>> BprMf(embed_dim=8).reg_form
    'l2sq'
    """

    card = Card("Rendle et al., BPR, UAI", 2009, "none", "(U + I) d", "9 B d")

    embed_dim: int = 64
    reg: float = 0.07
    reg_form: str = "l2sq"
    item_bias: bool = False

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_range("reg", self.reg, 0, float("inf"))
        check_choice("reg_form", self.reg_form, FORMS)

    def prepare(self, data: TrainingData) -> dict:
        """Sizes only, carried by empty arrays."""
        return {"user": jnp.zeros((data.n_users, 0)), "item": jnp.zeros((data.n_items, 0))}

    def init(self, key: jax.Array, static: dict) -> tuple[dict, tuple]:
        """Xavier-normal tables, zero biases."""
        first, second = jax.random.split(key)
        params = {
            "user": xavier_normal(first, (len(static["user"]), self.embed_dim)),
            "item": xavier_normal(second, (len(static["item"]), self.embed_dim)),
        }
        if self.item_bias:
            params["bias"] = jnp.zeros((len(static["item"]), 1))
        return params, ()

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """The tables themselves."""
        user, item = params["user"], params["item"]
        if self.item_bias:
            user = jnp.concatenate([user, jnp.ones((len(user), 1))], axis=1)
            item = jnp.concatenate([item, params["bias"]], axis=1)
        return Encoded(user, item, {"id": (user, item)})

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """BPR and the regulariser on the batch rows."""
        rank = batch_bpr(encoded.user, encoded.item, batch)
        rows = batch_rows(params, batch)
        reg = FORMS[self.reg_form](rows, batch.mask)
        return rank + self.reg * reg, {"bpr": rank, "reg": reg}
