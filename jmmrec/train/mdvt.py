"""MDVT (KDD'25) as a combinator: virtual triplets beside the loss of any backbone.

    inactive:  L = L_model                              (the backbone's own program; so it is with λ = 0)
    active:    L = (1 - λ) L_model + λ L_v              (Eq. 9; `scale_target="bpr"` scales L_bpr alone)

L_v is in `jmmrec.train.virtual`, made of `jmmrec.losses` (Eqs. 5-8 and the variants of the paper's studies).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import ConfigError, check_choice, check_names, check_range, check_whole
from jmmrec.losses import LOG_BASES, REDUCTIONS, Selection, Variant
from jmmrec.models.base import Backbone, Batch, Encoded
from jmmrec.retrieval.topk import MEMORY, exclusion
from jmmrec.train.virtual import choose, space, virtual_loss
from jmmrec.train.wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class Mdvt(Wrapper):
    """Any backbone with virtual triplets.

    Attributes:
      backbone: what is trained. n: items averaged on either side; 0: all over variant.tau. lam: λ.
      users: whose triplets count, `all` or those of the `batch`.
      item_pool: where items are looked for, `all`, or the positives and negatives of the `batch`
        (with users=batch: what the public code does for MMGCN).
      reduction: `mean` or `sum` over users. log_base: `e`, or `2` as in the public code.
      scale_target: what (1 - λ) scales, the `total` loss or `bpr` alone.
      refresh: when items are mined anew: every `batch`, at the start of an `epoch`, or there and after every k steps
        within it (an integer; from the number of its steps on that is once an epoch).
      exclude_train: whether training items may be chosen: `none` (they may), `neg` (not as negatives), `both`.
      active: whether the virtual loss is on; the warm-up decides this, epoch by epoch.
      memory: bytes for similarity blocks.
      variant: what the paper's studies change, see `jmmrec.losses.Variant`.
      taken: how many of the n items count; None: all. Settings with several n share one program by it.

    >>> from jmmrec.models import LightGcn
    >>> with_mdvt(LightGcn(), n=4).lam
    0.2
    """

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
    variant: Variant = Variant()
    taken: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.variant, Mapping):  # as a run record holds it
            check_names("MDVT's variant", self.variant, Variant.__dataclass_fields__)
            object.__setattr__(self, "variant", Variant(**self.variant))
        if not isinstance(self.variant, Variant):
            raise ConfigError(f"variant is {self.variant!r}; give a Variant or its options, such as variant.tau.")
        check_whole("n", self.n, 0, 64)
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
            check_whole("refresh", self.refresh, 1, 1_000_000)
        if self.taken is not None:
            check_range("taken", self.taken, 1, self.n)
        self._check_combinations()

    def _check_combinations(self) -> None:
        variant, plain = self.variant, self.refresh == "batch" and self.exclude_train == "none"
        if self.item_pool == "batch":
            changed = variant.choose != "similar" or variant.tau is not None
            if self.users != "batch" or not plain or changed or not self.n:
                raise ConfigError(
                    "item_pool='batch' looks inside one batch, so it needs users='batch', refresh='batch', "
                    "exclude_train='none' and the n most similar items."
                )
        if self.n == 0 and variant.tau is None:
            raise ConfigError("n is 0, which stands for all items over a threshold; give n from 1, or variant.tau.")
        if self.n == 0 and (not plain or variant.aggregate == "none" or variant.negatives == "top_n"):
            raise ConfigError(
                "n is 0, and items without number cannot be stored, paired or left out: it needs refresh='batch', "
                "exclude_train='none', aggregate='mean', and negatives that mirror the positives."
            )
        if variant.scale == "add" and self.scale_target != "total":
            raise ConfigError(
                f"scale is 'add', which leaves the model's loss as it is, and scale_target {self.scale_target!r} says "
                "what of it to scale; leave one of them out."
            )
        if variant.choose == "frequent" and self.exclude_train != "none":
            raise ConfigError("choose='frequent' takes the same items for all users; it needs exclude_train='none'.")
        if variant.n_min > self.n or (self.n == 0 and variant.choose != "similar"):
            raise ConfigError(f"n is {self.n} but n_min is {variant.n_min}, choose {variant.choose!r}; raise n.")

    @property
    def counts(self) -> bool:
        """Whether the virtual loss is in the program at all: active, and λ is not 0."""
        return self.active and (isinstance(self.lam, jax.Array) or self.lam > 0)

    @property
    def stored(self) -> bool:
        """Whether mined items outlive the step that found them."""
        return self.refresh != "batch"

    def prepare(self, data: TrainingData) -> dict:
        """The backbone's static part, training pairs that may not be chosen, and how often items occur.

        Raises:
          ConfigError: more virtual items than items, or a channel that the backbone does not have.
        """
        if self.n > data.n_items:
            raise ConfigError(f"n is {self.n} but {data.name} has only {data.n_items} items; lower n.")
        pairs, degree = None, None
        if self.exclude_train != "none":
            pairs = exclusion(data.train[:, 0], data.train[:, 1], data.n_users, data.n_items, self.memory)
        if self.variant.choose != "similar":
            degree = jnp.asarray(np.bincount(data.train[:, 1], minlength=data.n_items), jnp.int32)
        inner = self.backbone.prepare(data)
        if self.variant.similarity:  # refused now rather than in the first step
            params, state = jax.eval_shape(self.backbone.init, jax.random.key(0), inner)
            jax.eval_shape(self._near, params, state, inner)
        return {"backbone": inner, "exclude": pairs, "degree": degree, "n_users": jnp.zeros((data.n_users, 0))}

    def _near(self, params, state, static) -> tuple[jax.Array, jax.Array]:
        return space(self, self.backbone.encode(params, state, static, None, train=False))

    def init(self, key: jax.Array, static: dict) -> tuple[Any, dict]:
        """The backbone's parameters; room for mined items where they are stored."""
        params, state = self.backbone.init(key, static["backbone"])
        return params, {"backbone": state, "mined": self.room(static)}

    def room(self, static: dict) -> Selection | tuple:
        """Room for mined items, if they outlive a step."""
        mined = jnp.zeros((len(static["n_users"]), self.n), jnp.int32)
        whole = self.variant.tau is None and self.exclude_train == "none"
        keep = None if whole else jnp.zeros(mined.shape, bool)
        return Selection(mined, mined, keep, keep) if self.stored else ()

    def epoch(self, params, state: dict, static: dict, key: jax.Array) -> tuple[dict, Any]:
        """The backbone's hook; with stored mining, from the tables as they stand."""
        state, aux = super().epoch(params, state, static, key)
        if self.counts and self.stored:
            encoded = super().encode(params, state, static, aux, key=key, train=True)
            state = state | {"mined": choose(self, space(self, encoded), static["exclude"], static["degree"])}
        return state, aux

    def encode(self, params, state: dict, static: dict, aux, *, features=None, key=None, train) -> Encoded:
        """The backbone's tables; in training with what the virtual loss reads."""
        encoded = super().encode(params, state, static, aux, features=features, key=key, train=train)
        if not (self.counts and train):
            return encoded
        extra = {"exclude": static["exclude"], "degree": static["degree"], "mined": state["mined"]}
        return encoded.replace(extra=encoded.extra | extra)

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """The backbone's loss, aligned with the virtual one while active (Eq. 9)."""
        total, parts = self.backbone.loss(params, encoded, batch, key)
        if not self.counts:
            return total, parts
        virtual = virtual_loss(self, encoded, batch)
        parts = parts | {"model": total, "virtual": virtual}
        if self.variant.scale == "add":
            return total + self.lam * virtual, parts
        scaled = total if self.scale_target == "total" else parts["bpr"]
        return total - self.lam * scaled + self.lam * virtual, parts

    def after_batch(self, state: dict, encoded: Encoded, batch: Batch) -> dict:
        """The backbone's hook; mines anew every k steps, from the tables of this step."""
        state = super().after_batch(state, encoded, batch)
        if self.counts and not isinstance(self.refresh, str):
            extra, due = encoded.extra, (batch.step + 1) % self.refresh == 0

            def _mined() -> Selection:
                return choose(self, space(self, encoded), extra["exclude"], extra["degree"])

            mined = jax.lax.cond(due, _mined, lambda: state["mined"])
            state = state | {"mined": mined}
        return state


def with_mdvt(backbone: Backbone, **options: Any) -> Mdvt:
    """`Mdvt(backbone, **options)`: see there for the options.

    >>> from jmmrec.models import BprMf
    >>> with_mdvt(BprMf(), lam=0.1, log_base="2").users
    'all'
    """
    check_names("MDVT", options, [name for name in Mdvt.__dataclass_fields__ if name != "backbone"])
    return Mdvt(backbone, **options)


def activated(model: Backbone) -> Backbone:
    """The same model with its virtual loss switched on; models without one are returned as they are.

    >>> from jmmrec.models import BprMf
    >>> activated(with_mdvt(BprMf())).active
    True
    """
    return dataclasses.replace(model, active=True) if isinstance(model, Mdvt) else model
