"""What the machine gives, measured in the same run: bandwidth of large adds, rate of large products; and versions."""

import importlib.metadata
import os
import platform

import jax
import jax.numpy as jnp

from benchmarks.measure import alternate

LARGE, SIDE = 1 << 26, 2048
PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "optax")


def rates(rounds: int, large: int = LARGE, side: int = SIDE) -> tuple[float, float]:
    """Bytes per second of `a + b` into a's memory (two reads, one write), operations per second of a square product.

    >>> all(rate > 0 for rate in rates(1, 1000, 8))
    True
    """
    add = jax.jit(lambda a, b: a + b, donate_argnums=0)
    multiply = jax.jit(lambda m: jnp.matmul(m, m, precision="highest"))
    held, other = {"a": jnp.zeros(large)}, jnp.ones(large)
    matrix = jnp.ones((side, side))

    def stream() -> jax.Array:
        held["a"] = add(held["a"], other)
        return held["a"]

    seconds = alternate({"add": stream, "product": lambda: multiply(matrix)}, rounds)
    return 3 * 4 * large / min(seconds["add"]), 2 * side**3 / min(seconds["product"])


def description() -> str:
    """Processor count, Python and package versions."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} {platform.machine()} cores, {jax.default_backend()}; Python {platform.python_version()}, {versions}"
    )
