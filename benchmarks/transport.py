"""Blocked Sinkhorn against ott's dense and online modes: ten steps between two clouds, in time and in bytes."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.measure import Line, alternate, lines_of, temporary_bytes
from benchmarks.setting import Setting

WIDTH = 64
STEPS = 10
BLOCK = 512
SIZES = (1024, 2048, 4096, 8192)
SMALL = (256, 512)
EPSILON = 0.05


def clouds(n: int) -> tuple[jax.Array, jax.Array]:
    """Two centred clouds of n rows whose mean cost is 1."""
    tables = (jax.random.normal(jax.random.key(number), (n, WIDTH)) for number in range(2))
    x, y = (t - t.mean(0) for t in tables)
    root = jnp.sqrt(jnp.sum(x * x) / n + jnp.sum(y * y) / n)
    return x / root, y / root


def geometry(name: str, x: jax.Array, y: jax.Array) -> Any:
    """Ours, or ott's with all costs held (dense) or `BLOCK` rows of them at a time (online)."""
    from ott.geometry.pointcloud import PointCloud

    from jmmrec.ot import BlockedPointCloud

    if name == "ours":
        return BlockedPointCloud(x, y, epsilon=EPSILON, batch_size=BLOCK)
    return PointCloud(x, y, epsilon=EPSILON, batch_size=BLOCK if name == "ott online" else None)


def steps(name: str, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Potentials after `STEPS` steps of ott's solver, which is the same for all."""
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

    solver = Sinkhorn(min_iterations=STEPS, max_iterations=STEPS, inner_iterations=STEPS)
    found = solver(LinearProblem(geometry(name, x, y)))
    return found.f, found.g


def compiled(n: int) -> tuple[dict[str, Any], str]:
    """Compiled programs of n rows by name, and why ott's online mode is missing, if it is."""
    found, fault = {}, ""
    for name in ("ours", "ott dense", "ott online"):
        try:
            found[name] = jax.jit(functools.partial(steps, name)).lower(*clouds(n)).compile()
        except AttributeError as error:  # ott 0.6 needs what jax dropped in 0.9
            if name != "ott online":
                raise
            fault = f"ott online does not run on jax {jax.__version__}: {error}".split("\n")[0]
    return found, fault


def transport(setting: Setting) -> list[Line]:
    """A part for every size; where ott's online mode fails, the note of its dense mode says so."""
    lines = []
    for n in SMALL if setting.users < 10_000 else SIZES:
        programs, fault = compiled(n)
        runs = {name: functools.partial(program, *clouds(n)) for name, program in programs.items()}
        memory = {name: temporary_bytes(program) for name, program in programs.items()}
        part = f"{STEPS} Sinkhorn steps, {n:,} × {n:,} rows, {WIDTH} wide, blocks of {BLOCK}"
        lines += lines_of(part, alternate(runs, setting.rounds[1]), memory, {"ott dense": fault})
    return lines
