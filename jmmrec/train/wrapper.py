"""What every combinator passes on to the backbone inside it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from jmmrec.errors import ConfigError
from jmmrec.models.base import Backbone, Batch, Encoded
from jmmrec.models.own import check_backbone


@dataclasses.dataclass(frozen=True)
class Wrapper(Backbone):
    """A backbone around a backbone: subclasses say what they change.

    Parameters are the inner ones; state and the static part hold the inner ones under `backbone`.

    >>> from jmmrec.models import SlmRec
    >>> Wrapper(SlmRec()).training["weight_decay"]
    0.0001
    """

    backbone: Backbone

    def __post_init__(self) -> None:
        check_backbone(self.backbone)
        if isinstance(self.backbone, type(self)):
            name = type(self).__name__
            raise ConfigError(f"the backbone is inside {name} already; give all options of {name} at once.")

    @property
    def training(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The backbone's."""
        return self.backbone.training

    @property
    def joined(self) -> str:  # type: ignore[override]
        """The backbone's."""
        return self.backbone.joined

    @property
    def ranks_by_ids(self) -> bool:  # type: ignore[override]
        """The backbone's."""
        return self.backbone.ranks_by_ids

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

    def epoch(self, params, state: dict, static: dict, key: jax.Array) -> tuple[dict, Any]:
        """The backbone's hook."""
        inner, aux = self.backbone.epoch(params, state["backbone"], static["backbone"], key)
        return state | {"backbone": inner}, aux

    def before_batch(self, params, state: dict, static: dict, aux, batch: Batch, key) -> tuple[dict, dict]:
        """The backbone's hook."""
        inner, log = self.backbone.before_batch(params, state["backbone"], static["backbone"], aux, batch, key)
        return state | {"backbone": inner}, log

    def after_batch(self, state: dict, encoded: Encoded, batch: Batch) -> dict:
        """The backbone's hook."""
        return state | {"backbone": self.backbone.after_batch(state["backbone"], encoded, batch)}

    def kept(self, state: dict) -> dict:
        """The backbone's."""
        return {"backbone": self.backbone.kept(state["backbone"])}

    def encode(self, params, state: dict, static: dict, aux, *, features=None, key=None, train) -> Encoded:
        """The backbone's tables."""
        return self.backbone.encode(
            params, state["backbone"], static["backbone"], aux, features=features, key=key, train=train
        )

    def remarks(self, parts: Mapping[str, float]) -> tuple[str, ...]:
        """The backbone's."""
        return self.backbone.remarks(parts)


def innermost(model: Backbone, static: Any = None) -> tuple[Backbone, Any]:
    """The backbone without its combinators, and its static part.

    >>> from jmmrec.models import BprMf
    >>> model, static = innermost(Wrapper(BprMf()), {"backbone": 3})
    >>> type(model).__name__, static
    ('BprMf', 3)
    """
    while isinstance(model, Wrapper):
        model, static = model.backbone, static and static["backbone"]
    return model, static
