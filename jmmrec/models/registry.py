"""Backbones by name. One of your own needs no entry here: pass the object itself, or call it `FILE.py:CLASS`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jmmrec.errors import ConfigError, check_choice, check_names, check_types
from jmmrec.models.base import Backbone
from jmmrec.models.bm3 import Bm3
from jmmrec.models.bpr import BprMf
from jmmrec.models.ci2mg import Ci2mg
from jmmrec.models.dragon import Dragon
from jmmrec.models.freedom import Freedom
from jmmrec.models.grcn import Grcn
from jmmrec.models.hccf import Hccf
from jmmrec.models.lattice import Lattice
from jmmrec.models.lgmrec import LgmRec
from jmmrec.models.lightgcn import LightGcn
from jmmrec.models.lightgcn_m import LightGcnM
from jmmrec.models.mgcn import Mgcn
from jmmrec.models.mmgcl import Mmgcl
from jmmrec.models.mmgcn import MmGcn
from jmmrec.models.mmssl import Mmssl
from jmmrec.models.ncl import Ncl
from jmmrec.models.ngcf import Ngcf
from jmmrec.models.own import own_class
from jmmrec.models.sgl import Sgl
from jmmrec.models.slmrec import SlmRec
from jmmrec.models.vbpr import Vbpr

MODELS: dict[str, type] = {
    "bpr": BprMf,
    "vbpr": Vbpr,
    "lightgcn": LightGcn,
    "ngcf": Ngcf,
    "sgl": Sgl,
    "ncl": Ncl,
    "hccf": Hccf,
    "freedom": Freedom,
    "dragon": Dragon,
    "lattice": Lattice,
    "mmgcn": MmGcn,
    "grcn": Grcn,
    "slmrec": SlmRec,
    "lightgcn_m": LightGcnM,
    "mmgcl": Mmgcl,
    "bm3": Bm3,
    "lgmrec": LgmRec,
    "mgcn": Mgcn,
    "mmssl": Mmssl,
    "ci2mg": Ci2mg,
}


def class_of(name: str) -> type:
    """The class of a name: a registered one, or `FILE.py:CLASS` or `PACKAGE.MODULE:CLASS` of one's own.

    Raises:
      ConfigError: an unknown name, or see `own_class`.

    >>> class_of("lightgcn").__name__
    'LightGcn'
    """
    if ":" in name:
        return own_class(name)
    check_choice("model", name, MODELS)
    return MODELS[name]


def make(name: str, **options: Any) -> Backbone:
    """The named backbone, see `class_of`, with these options.

    Raises:
      ConfigError: unknown name or option, or a value outside its range.

    >>> make("lightgcn", n_layers=2).n_layers
    2
    """
    cls = class_of(name)
    check_names(name, options, sorted(field.name for field in dataclasses.fields(cls)))
    check_types(cls, options)
    return cls(**options)


def check_backbone(model: object) -> None:
    """Raises `ConfigError` unless it is a backbone: not a class, not a name, nothing without the protocol's methods.

    >>> check_backbone(BprMf())
    """
    if isinstance(model, type):
        raise ConfigError(f"model is the class {model.__name__}; give one of its kind, {model.__name__}(), or a name.")
    if not all(callable(getattr(model, method, None)) for method in ("prepare", "init", "encode", "loss")):
        raise ConfigError(f"model is {model!r}; give a backbone, such as LightGcn(), or an instance of your own class.")
    try:
        hash(model)
    except TypeError as error:
        kind = type(model).__name__
        raise ConfigError(
            f"{kind} cannot be static under jit ({error}); make it a frozen dataclass of numbers, words and tuples."
        ) from error


def as_backbone(model: str | Backbone) -> Backbone:
    """A backbone, or the one of this name as its authors set it.

    Raises:
      ConfigError: an unknown name, or something else.

    >>> as_backbone("lightgcn") == LightGcn()
    True
    """
    if isinstance(model, str):
        return make(model)
    check_backbone(model)
    return model


def varied(model: str | Backbone, options: Mapping[str, Any]) -> Backbone:
    """A backbone with some options in place of its own; of a group (`{"ot": {"refresh": "step"}}`) only those named.

    Raises:
      ConfigError: unknown name or option, or a value outside its range.

    >>> varied(LightGcn(embed_dim=8), {"n_layers": 1})
    LightGcn(embed_dim=8, n_layers=1, ...)
    """
    if isinstance(model, str):
        return make(model, **options)
    check_backbone(model)
    check_names(name_of(model), options, getattr(model, "__dataclass_fields__", {}))
    check_types(type(model), options)
    whole = {}
    for name, one in options.items():
        own: Any = getattr(model, name)
        if isinstance(one, Mapping) and dataclasses.is_dataclass(own):
            check_names(f"{name_of(model)}'s {name}", one, type(own).__dataclass_fields__)
            one = dataclasses.replace(own, **one)  # pyright: ignore[reportArgumentType]
        whole[name] = one
    return dataclasses.replace(model, **whole) if whole else model  # pyright: ignore[reportArgumentType]


def name_of(model: Backbone) -> str:
    """Registered name of a backbone, or its class's name.

    >>> name_of(LightGcn())
    'lightgcn'
    """
    names = {cls: name for name, cls in MODELS.items()}
    return names.get(type(model), type(model).__name__)
