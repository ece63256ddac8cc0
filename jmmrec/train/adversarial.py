"""AMR (Tang et al., TKDE'20) as a combinator: features are moved to where ranking suffers most, and ranked again.

    G_m = ∂L_bpr/∂X_m;  δ_m = ε max|X_m| G_m / ‖G_m‖ (row by row, constant);  L = L_model + λ_adv L_bpr(X + δ)

Both rankings are of the same batch with the same random draws. In a model that propagates features every item is moved.
How MDVT's authors attach AMR to their backbones is not said; this is our reading, with the perturbation relative to
AMR's features, which are divided by their largest entry. Around it comes MDVT, on the tables of unmoved features.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import ConfigError, DataError, as_tuple, check_choice, check_names, check_range
from jmmrec.models.base import Backbone, Batch, Encoded
from jmmrec.models.common import presence, raw_features
from jmmrec.train.mdvt import Mdvt
from jmmrec.train.wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class Amr(Wrapper):
    """Any backbone that reads features, with adversarial ones. About three times the cost of a step.

    Attributes:
      backbone: what is trained. eps: ε, relative to a modality's largest entry. weight: λ_adv; 0 is the backbone alone.
      modalities: which are moved; default all. target: the loss that they make worse and that is taken again, `bpr`,
        or the `total`, for models that rank by ids alone (FREEDOM, BM3), which `bpr` refuses.

    >>> from jmmrec.models import Vbpr
    >>> with_amr(Vbpr(), weight=0.5).eps
    0.1
    """

    eps: float = 0.1
    weight: float = 1.0
    modalities: tuple[str, ...] = ()
    target: str = "bpr"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "modalities", as_tuple(self.modalities))
        check_choice("target", self.target, ("bpr", "total"))
        check_range("eps", self.eps, 0, float("inf"))
        check_range("weight", self.weight, 0, float("inf"))
        if isinstance(self.backbone, Mdvt):
            raise ConfigError("MDVT stands around AMR, not inside it; call with_amr on it, which puts them in order.")

    def prepare(self, data: TrainingData) -> dict:
        """The backbone's static part, the features that are moved, and how far at most.

        Raises:
          ConfigError: `bpr` of a model that ranks by ids. DataError: a modality that the data set lacks, or a model
            without features.
        """
        static, card = self.backbone.prepare(data), self.backbone.card
        if card.modalities == "none" if card else not _reads(self.backbone, static, raw_features(data)):
            raise DataError(f"{type(self.backbone).__name__} reads no features, so none can be moved; leave AMR out.")
        for name in self.modalities:
            if name not in data.modalities:
                raise DataError(f"{data.name} has no modality {name!r} to move; it has {', '.join(data.modalities)}.")
        if self.target == "bpr" and self.weight and self.backbone.ranks_by_ids:
            name = type(self.backbone).__name__
            raise ConfigError(f"{name} ranks by ids, so no feature moves its bpr loss; set AMR's target to 'total'.")
        inner = static.get("features") if isinstance(static, Mapping) else None
        features = inner or raw_features(data)
        moved = {name: features[name] for name in self.modalities or features}
        radius = {name: self.eps * jnp.max(jnp.abs(x)) for name, x in moved.items()}
        present = {name: here for name, here in presence(data.modalities).items() if name in moved}
        return {"backbone": static, "features": moved, "radius": radius, "present": present}

    def init(self, key: jax.Array, static: dict) -> tuple[Any, dict]:
        """The backbone's."""
        params, state = self.backbone.init(key, static["backbone"])
        return params, {"backbone": state}

    def encode(self, params, state: dict, static: dict, aux, *, features=None, key=None, train) -> Encoded:
        """The backbone's tables; in training with what a second pass needs."""
        encoded = super().encode(params, state, static, aux, features=features, key=key, train=train)
        if not train or not self.weight:
            return encoded
        again = {"state": state, "static": static, "aux": aux, "key": key, "features": features or {}}
        return encoded.replace(extra=encoded.extra | {"again": again})

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """The backbone's loss, and in training that of moved features, `amr` among the parts."""
        total, parts = self.backbone.loss(params, encoded, batch, key)
        if "again" not in encoded.extra:
            return total, parts
        again = encoded.extra["again"]
        trained = params.get("features", {}) if isinstance(params, Mapping) else {}
        stored = {name: x for name, x in trained.items() if name in again["static"]["features"]}
        clean = {**again["static"]["features"], **stored, **again["features"]}

        def _again(features: dict[str, jax.Array], params) -> jax.Array:
            other = super(Amr, self).encode(
                params, again["state"], again["static"], again["aux"], features=features, key=again["key"], train=True
            )
            total, parts = self.backbone.loss(params, other, batch, key)
            return total if self.target == "total" else parts["bpr"]

        # Of the sum over the batch, as AMR has it: the mean's rows would fall below the floor of their length.
        steep = jax.grad(lambda *args: _again(*args) * batch.mask.sum())(*jax.lax.stop_gradient((clean, params)))
        static = again["static"]
        moved = {
            name: x + perturbation(steep[name], static["radius"].get(name, 0.0), static["present"].get(name))
            for name, x in clean.items()
        }
        hard = _again(moved, params)
        return total + self.weight * hard, parts | {"amr": hard}


def _reads(model: Backbone, static: Any, features: dict[str, jax.Array]) -> bool:
    """Whether the features given to a backbone of one's own enter what it encodes."""

    def _encoded(given: dict[str, jax.Array], key: jax.Array) -> list:
        params, state = model.init(key, static)
        state, aux = model.epoch(params, state, static, key)
        return jax.tree.leaves(model.encode(params, state, static, aux, features=given, key=key, train=True))

    program = jax.make_jaxpr(_encoded)(features, jax.random.key(0)).jaxpr
    read = {id(v) for v in (*program.outvars, *(v for line in program.eqns for v in line.invars))}
    return any(id(v) in read for v in program.invars[: len(features)])


def perturbation(gradient: jax.Array, radius: jax.Array | float, present: jax.Array | None = None) -> jax.Array:
    """Rows of length `radius` in the direction of the gradient's rows; 0 where there is none, or no feature.

    Args:
      gradient: (n_items, D). present: bool (n_items,), None if all are. Returns: (n_items, D), constant.

    >>> perturbation(jnp.array([[3.0, 4.0], [0.0, 0.0]]), 10.0).tolist()
    [[6.0, 8.0], [0.0, 0.0]]
    """
    squares = jnp.sum(gradient**2, axis=1, keepdims=True)
    found = radius * gradient * jax.lax.rsqrt(jnp.maximum(squares, 1e-12))
    return jax.lax.stop_gradient(found if present is None else jnp.where(present[:, None], found, 0.0))


def with_amr(backbone: Backbone, **options: Any) -> Backbone:
    """`Amr(backbone, **options)`; where the backbone has virtual triplets already, they stay outside.

    >>> from jmmrec.models import Vbpr
    >>> from jmmrec.train import with_mdvt
    >>> with_amr(with_mdvt(Vbpr())) == with_mdvt(with_amr(Vbpr()))
    True
    """
    if isinstance(backbone, Mdvt):
        return dataclasses.replace(backbone, backbone=with_amr(backbone.backbone, **options))
    check_names("AMR", options, [name for name in Amr.__dataclass_fields__ if name != "backbone"])
    return Amr(backbone, **options)
