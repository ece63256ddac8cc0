"""Backbones by name. A backbone of your own needs no entry here: pass the object itself."""

import dataclasses
from typing import Any

from jmmrec.errors import ConfigError, check_choice
from jmmrec.models.base import Backbone
from jmmrec.models.bpr import BprMf
from jmmrec.models.freedom import Freedom
from jmmrec.models.lightgcn import LightGcn
from jmmrec.models.vbpr import Vbpr

MODELS: dict[str, type] = {"bpr": BprMf, "vbpr": Vbpr, "lightgcn": LightGcn, "freedom": Freedom}


def make(name: str, **options: Any) -> Backbone:
    """The named backbone with these options.

    Raises:
      ConfigError: unknown name or option, or a value outside its range.

    >>> make("lightgcn", n_layers=2).n_layers
    2
    """
    check_choice("model", name, MODELS)
    known = {field.name for field in dataclasses.fields(MODELS[name])}
    for option in options:
        if option not in known:
            raise ConfigError(f"{name} has no option {option!r}; it has {', '.join(sorted(known))}.")
    return MODELS[name](**options)


def name_of(model: Backbone) -> str:
    """Registered name of a backbone, or its class's name.

    >>> name_of(LightGcn())
    'lightgcn'
    """
    names = {cls: name for name, cls in MODELS.items()}
    return names.get(type(model), type(model).__name__)
