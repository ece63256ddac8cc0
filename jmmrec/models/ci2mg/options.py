"""What all groups of CI²MG's options share."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.errors import ConfigError, check_types

ACTIVATIONS = ("lrelu", "tanh", "none")
INFINITY = float("inf")


def activate(kind: str, x: jax.Array) -> jax.Array:
    """Leaky ReLU of slope 0.2 (`lrelu`), `tanh`, or nothing (`none`).

    >>> activate("lrelu", jnp.array([-1.0, 1.0])).round(1).tolist()
    [-0.20000000298023224, 1.0]
    """
    return {"lrelu": lambda x: jax.nn.leaky_relu(x, 0.2), "tanh": jnp.tanh, "none": jnp.asarray}[kind](x)


def group(cls: type, option: str, value: Any) -> Any:
    """`value` as an instance of the group; plain values, as a run record holds them, are taken too.

    Raises:
      ConfigError: neither, or an option that the group lacks.

    >>> from jmmrec.models.ci2mg import Ids
    >>> group(Ids, "ids", {"n_layers": 3}).n_layers
    3
    """
    if isinstance(value, cls):
        return value
    names = [field.name for field in dataclasses.fields(cls)]
    if not isinstance(value, dict) or not set(value) <= set(names):
        raise ConfigError(f"{option} is {value!r}; give {cls.__name__}(...) with options among {', '.join(names)}.")
    check_types(cls, value)
    return cls(**value)
