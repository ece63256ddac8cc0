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
from jmmrec.models.own import check_backbone, own_class
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
MODEL_NAMES = {cls: name for name, cls in MODELS.items()}


def class_of(name: str) -> type:
    """The class of a name: a registered one, or `FILE.py:CLASS` or `PACKAGE.MODULE:CLASS` of one's own.

    Raises:
      ConfigError: an unknown name, or see `own_class`.

    >>> class_of("lightgcn").__name__
    'LightGcn'
    """
    if name.endswith(".py"):
        raise ConfigError(f"{name} is a file; name the class in it as well, {name}:CLASS.")
    if ":" not in name:
        check_choice("model", name, MODELS)
        return MODELS[name]
    found = own_class(name)
    if found.__name__ in MODELS and found not in MODELS.values():
        raise ConfigError(f"{name}: a backbone of the library is called {found.__name__}; give the class another name.")
    return found


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
    if cls in MODELS.values():
        return cls(**options)
    model = cls(**_grouped(cls, options))
    check_backbone(model)
    return model


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
    whole = _grouped(model, options)
    return dataclasses.replace(model, **whole) if whole else model  # pyright: ignore[reportArgumentType]


def _grouped(before: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options in which what is given of a group is put into the group that `before`, a dataclass or one of it, has."""
    whole = {}
    for name, one in options.items():
        own: Any = getattr(before, name, None)
        if isinstance(one, Mapping) and dataclasses.is_dataclass(own):
            kind = before if isinstance(before, type) else type(before)
            check_names(f"{MODEL_NAMES.get(kind, kind.__name__)}'s {name}", one, type(own).__dataclass_fields__)
            one = dataclasses.replace(own, **_grouped(own, one))  # pyright: ignore[reportArgumentType]
        whole[name] = one
    return whole


def name_of(model: Backbone) -> str:
    """Registered name of a backbone, or its class's name.

    >>> name_of(LightGcn())
    'lightgcn'
    """
    return MODEL_NAMES.get(type(model), type(model).__name__)
