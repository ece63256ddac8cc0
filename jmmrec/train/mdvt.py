"""MDVT (KDD'25) as a combinator: virtual triplets beside the loss of any backbone.

    inactive:  L = L_model                              (the backbone's own program; so it is with λ = 0)
    active:    L = (1 - λ) L_model + λ L_v              (Eq. 9; `scale_target="bpr"` scales L_bpr alone)

L_v and the mining are in `jmmrec.losses.virtual` (Eqs. 5-8).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import ConfigError, check_choice, check_range
from jmmrec.losses import LOG_BASES, REDUCTIONS, mine, mine_rows, virtual_triplets
from jmmrec.models.base import Backbone, Batch, Encoded
from jmmrec.retrieval.topk import MEMORY, exclusion


@dataclasses.dataclass(frozen=True)
class Mdvt(Backbone):
    """Any backbone with virtual triplets.

    Attributes:
      backbone: what is trained. n: items averaged on either side. lam: λ.
      users: whose triplets count, `all` or those of the `batch`.
      item_pool: where items are looked for, `all`, or the positives and negatives of the `batch`
        (with users=batch: what the public code does for MMGCN).
      reduction: `mean` or `sum` over users. log_base: `e`, or `2` as in the public code.
      scale_target: what (1 - λ) scales, the `total` loss or `bpr` alone.
      refresh: when items are mined anew: every `batch`, once an `epoch`, or every k steps (an integer).
      exclude_train: whether training items may be chosen: `none` (they may), `neg` (not as negatives), `both`.
      active: whether the virtual loss is on; the warm-up decides this, epoch by epoch.
      memory: bytes for similarity blocks.

    >>> from jmmrec.models import LightGcn
    >>> with_mdvt(LightGcn(), n=4).lam
    0.2
    """

    backbone: Backbone
    n: int = 2
    lam: float = 0.2
    users: str = "all"
    item_pool: str = "all"
    reduction: str = "mean"
    log_base: str = "e"
    scale_target: str = "total"
    refresh: str | int = "batch"
    exclude_train: str = "none"
    active: bool = False
    memory: int = MEMORY

    def __post_init__(self) -> None:
        check_range("n", self.n, 1, 64)
        check_range("lam", self.lam, 0, 1)
        check_choice("users", self.users, ("all", "batch"))
        check_choice("item_pool", self.item_pool, ("all", "batch"))
        check_choice("reduction", self.reduction, REDUCTIONS)
        check_choice("log_base", self.log_base, LOG_BASES)
        check_choice("scale_target", self.scale_target, ("total", "bpr"))
        check_choice("exclude_train", self.exclude_train, ("none", "neg", "both"))
        if isinstance(self.refresh, str):
            check_choice("refresh", self.refresh, ("batch", "epoch"))
        else:
            check_range("refresh", self.refresh, 1, 1_000_000)
        if self.item_pool == "batch" and (self.users, self.refresh, self.exclude_train) != ("batch", "batch", "none"):
            raise ConfigError(
                "item_pool='batch' looks inside one batch, so it needs users='batch', refresh='batch' and "
                "exclude_train='none'."
            )

    @property
    def training(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The backbone's."""
        return self.backbone.training

    @property
    def rare(self) -> tuple[str, ...]:
        """The backbone's."""
        return self.backbone.rare

    @property
    def paces(self) -> Mapping[str, float]:
        """The backbone's."""
        return self.backbone.paces

    def due(self, state: dict) -> jax.Array | bool:
        """The backbone's."""
        return self.backbone.due(state["backbone"])

    @property
    def counts(self) -> bool:
        """Whether the virtual loss is in the program at all: active, and λ is not 0."""
        return self.active and self.lam > 0

    @property
    def stored(self) -> bool:
        """Whether mined items outlive the step that found them."""
        return self.refresh != "batch"

    def prepare(self, data: TrainingData) -> dict:
        """The backbone's static part, and training pairs that may not be chosen."""
        if self.n > data.n_items:
            raise ConfigError(f"n is {self.n} but {data.name} has only {data.n_items} items; lower n.")
        pairs = None
        if self.exclude_train != "none":
            pairs = exclusion(data.train[:, 0], data.train[:, 1], data.n_users, data.n_items, self.memory)
        return {"backbone": self.backbone.prepare(data), "exclude": pairs, "n_users": jnp.zeros((data.n_users, 0))}

    def init(self, key: jax.Array, static: dict) -> tuple[Any, dict]:
        """The backbone's parameters; room for mined items where they are stored."""
        params, state = self.backbone.init(key, static["backbone"])
        mined = jnp.zeros((len(static["n_users"]), self.n), jnp.int32)
        return params, {"backbone": state, "mined": (mined, mined) if self.stored else ()}

    def epoch(self, params, state: dict, static: dict, key: jax.Array) -> tuple[dict, Any]:
        """The backbone's hook; with stored mining, from the tables as they stand."""
        inner, aux = self.backbone.epoch(params, state["backbone"], static["backbone"], key)
        state = state | {"backbone": inner}
        if self.counts and self.stored:
            encoded = self.backbone.encode(params, inner, static["backbone"], aux, key=key, train=True)
            state = state | {"mined": self._mine(encoded, static["exclude"])}
        return state, aux

    def before_batch(self, params, state: dict, static: dict, aux, batch: Batch, key) -> tuple[dict, dict]:
        """The backbone's hook."""
        inner, log = self.backbone.before_batch(params, state["backbone"], static["backbone"], aux, batch, key)
        return state | {"backbone": inner}, log

    def encode(self, params, state: dict, static: dict, aux, *, features=None, key=None, train) -> Encoded:
        """The backbone's tables; in training with what the virtual loss reads."""
        encoded = self.backbone.encode(
            params, state["backbone"], static["backbone"], aux, features=features, key=key, train=train
        )
        if not (self.counts and train):
            return encoded
        extra = encoded.extra | {"exclude": static["exclude"], "mined": state["mined"]}
        return encoded.replace(extra=extra)

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """The backbone's loss, aligned with the virtual one while active (Eq. 9)."""
        total, parts = self.backbone.loss(params, encoded, batch, key)
        if not self.counts:
            return total, parts
        virtual = self._virtual(encoded, batch)
        scaled = total if self.scale_target == "total" else parts["bpr"]
        return total - self.lam * scaled + self.lam * virtual, parts | {"model": total, "virtual": virtual}

    def after_batch(self, state: dict, encoded: Encoded, batch: Batch) -> dict:
        """The backbone's hook; mines anew every k steps, from the tables of this step."""
        state = state | {"backbone": self.backbone.after_batch(state["backbone"], encoded, batch)}
        if self.counts and not isinstance(self.refresh, str):
            exclude = encoded.extra["exclude"]
            due = (batch.step + 1) % self.refresh == 0
            mined = jax.lax.cond(due, lambda: self._mine(encoded, exclude), lambda: state["mined"])
            state = state | {"mined": mined}
        return state

    def remarks(self, parts: Mapping[str, float]) -> tuple[str, ...]:
        """The backbone's."""
        return self.backbone.remarks(parts)

    def _mine(self, encoded: Encoded, pairs) -> tuple[jax.Array, jax.Array]:
        top = pairs if self.exclude_train == "both" else None
        return mine(
            encoded.user, encoded.item, self.n, exclude_top=top, exclude_bottom=pairs, memory=self.memory
        )  # fmt: skip

    def _virtual(self, encoded: Encoded, batch: Batch) -> jax.Array:
        user, item, mask = encoded.user, encoded.item, None
        if self.item_pool == "batch":
            user, mask = user[batch.user], batch.mask
            columns = jnp.stack([batch.positive, batch.negative], axis=1).ravel()
            item, allowed = item[columns], jnp.repeat(mask, 2)[None]
            top, bottom = mine_rows(user, item, self.n, allowed_top=allowed, allowed_bottom=allowed)
        elif self.users == "batch" and not self.stored and self.exclude_train == "none":
            user, mask = user[batch.user], batch.mask
            top, bottom = mine(user, item, self.n, memory=self.memory)
        else:
            top, bottom = encoded.extra["mined"] or self._mine(encoded, encoded.extra["exclude"])
            if self.users == "batch":
                user, mask, top, bottom = user[batch.user], batch.mask, top[batch.user], bottom[batch.user]
        return virtual_triplets(
            user, item, top, bottom, mask=mask, reduction=self.reduction, log_base=self.log_base
        )  # fmt: skip


def with_mdvt(backbone: Backbone, **options: Any) -> Mdvt:
    """`Mdvt(backbone, **options)`: see there for the options.

    >>> from jmmrec.models import BprMf
    >>> with_mdvt(BprMf(), lam=0.1, log_base="2").users
    'all'
    """
    return Mdvt(backbone, **options)


def activated(model: Backbone) -> Backbone:
    """The same model with its virtual loss switched on; models without one are returned as they are.

    >>> from jmmrec.models import BprMf
    >>> activated(with_mdvt(BprMf())).active
    True
    """
    return dataclasses.replace(model, active=True) if isinstance(model, Mdvt) else model
