"""What the machine gives, measured in the same run: rates of large adds, products and exponentials; and versions."""

import dataclasses
import importlib.metadata
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

LARGE, SIDE = 1 << 26, 2048
PROBES = ("add", "multiply", "exp")
PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "optax")


class Rates(NamedTuple):
    """What the machine gave: bytes, operations of products, and values of exp per second."""

    bytes: float
    operations: float
    functions: float


@dataclasses.dataclass(frozen=True)
class Probe:
    """`a + b` into a's memory (two reads, one write) of large arrays, a large square product, exp of its size.

    Attributes:
      large: values in either array of the add. side: of the square matrix.
    """

    large: int = LARGE
    side: int = SIDE

    def runs(self) -> dict[str, Callable[[], Any]]:
        """To be timed in turn with what the rates are held against: a shared machine changes by the minute."""
        add = jax.jit(lambda a, b: a + b, donate_argnums=0)
        multiply = jax.jit(lambda m: jnp.matmul(m, m, precision="highest"))
        exponential = jax.jit(jnp.exp)
        held, other = {"a": jnp.zeros(self.large)}, jnp.ones(self.large)
        matrix = jnp.ones((self.side, self.side))

        def stream() -> jax.Array:
            held["a"] = add(held["a"], other)
            return held["a"]

        return {"add": stream, "multiply": lambda: multiply(matrix), "exp": lambda: exponential(matrix)}

    def rates(self, seconds: Mapping[str, Sequence[float]]) -> Rates:
        """From the seconds of `runs`, by their medians.

        >>> Probe(large=2, side=10).rates({"add": [2.0], "multiply": [1.0], "exp": [1.0]})
        Rates(bytes=12.0, operations=2000.0, functions=100.0)
        """
        add, multiply, exp = (statistics.median(seconds[name]) for name in PROBES)
        return Rates(3 * 4 * self.large / add, 2 * self.side**3 / multiply, self.side**2 / exp)


def description() -> str:
    """Processor count, Python and package versions."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} {platform.machine()} cores, {jax.default_backend()}; Python {platform.python_version()}, {versions}"
    )
