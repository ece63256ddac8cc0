"""How far images by approximate modes and by few iterations lie from the exact plan's: the tables of docs/ot.md."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Line, alternate, lines_of, temporary_bytes
from benchmarks.setting import Setting
from jmmrec.ot import SinkhornConfig, both_directions, solve

Pair = tuple[jax.Array, jax.Array]
KINDS = ("plain", "smooth", "imputed")
MODES = ("blocked", "dense", "minibatch:256", "minibatch:128", "prototype:64", "lowrank:16", "lowrank:64")
COLD = (5, 20, 50, 200)
ROWS, SMALL, WIDTH, LONG, SHUFFLES = 512, 96, 64, 1000, 4


def pair(n: int = 256, kind: str = "plain", dim: int = 16, seed: int = 0) -> Pair:
    """Two random maps of one latent plus noise; imputed: 9 rows in 10 are the mean; smooth: then a two-hop average.

    >>> [table.shape for table in pair(8, "smooth", 3)]
    [(8, 3), (8, 3)]
    """
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n, 8))
    graph = rng.random((n, n)) < 12 / n
    graph = (graph | np.eye(n, dtype=bool)).astype(float)
    graph /= graph.sum(1, keepdims=True)
    clouds = []
    for _ in range(2):
        table = latent @ rng.standard_normal((8, dim)) + 0.3 * rng.standard_normal((n, dim)) + rng.standard_normal(dim)
        if kind != "plain":
            absent = rng.random(n) < 0.9
            table[absent] = table[~absent].mean(0)
        clouds.append(graph @ (graph @ table) if kind == "smooth" else table)
    return jnp.asarray(clouds[0], jnp.float32), jnp.asarray(clouds[1], jnp.float32)


def error(images: jax.Array, exact: jax.Array) -> float:
    """‖T̂V - T̂*V‖ / ‖T̂*V - mean‖, both centred: 1 is as far off as the mean of all rows.

    >>> error(jnp.zeros((2, 1)), jnp.array([[1.0], [3.0]]))
    1.0
    """
    images, exact = (table - table.mean(0) for table in (images, exact))
    return float(jnp.linalg.norm(images - exact) / jnp.linalg.norm(exact))


def program(config: SinkhornConfig, n: int) -> Any:
    """Compiled: (x, y, key) -> the rows of y brought to those of x, by a cold solve."""

    def _images(x: jax.Array, y: jax.Array, key: jax.Array) -> jax.Array:
        return both_directions(solve(x, y, None, config, key=key), x, y)[0]

    return jax.jit(_images).lower(*pair(n, dim=WIDTH), jax.random.key(0)).compile()


def accuracy(setting: Setting) -> list[Line]:
    """Lines of both tables; times are of the plain clouds."""
    n = SMALL if setting.users < 10_000 else ROWS
    size = f"{n} × {n} rows, {WIDTH} wide, ε = .05"
    given = {kind: pair(n, kind, WIDTH) for kind in KINDS}
    long = program(SinkhornConfig(cold_iterations=LONG), n)
    exact = {kind: long(*clouds, jax.random.key(0)) for kind, clouds in given.items()}
    modes = {mode: SinkhornConfig(mode=mode) for mode in MODES}
    cold = {f"{count} cold iterations": SinkhornConfig(cold_iterations=count) for count in COLD}
    return [
        *_lines(f"error of images by mode, {size}", modes, n, given, exact, setting.rounds[1]),
        *_lines(f"error of images by iterations, {size}", cold, n, given, exact, setting.rounds[1]),
    ]


def _lines(
    part: str,
    configs: Mapping[str, SinkhornConfig],
    n: int,
    given: Mapping[str, Pair],
    exact: Mapping[str, jax.Array],
    rounds: int,
) -> list[Line]:
    programs = {name: program(config, n) for name, config in configs.items()}
    notes = {}
    for name, made in programs.items():
        count = SHUFFLES if name.startswith("minibatch") else 1
        found = {kind: _errors(made, given[kind], exact[kind], count) for kind in given}
        notes[name] = ", ".join(f"{kind} {' / '.join(f'{e:.3f}' for e in errors)}" for kind, errors in found.items())
    runs = {name: functools.partial(made, *given["plain"], jax.random.key(0)) for name, made in programs.items()}
    memory = {name: temporary_bytes(made) for name, made in programs.items()}
    return lines_of(part, alternate(runs, rounds), memory, notes)


def _errors(made: Any, clouds: Pair, exact: jax.Array, count: int) -> Sequence[float]:
    """The mean error of several draws and that of their mean image; of one draw, its error."""
    images = [made(*clouds, jax.random.key(number)) for number in range(count)]
    each = sum(error(one, exact) for one in images) / count
    return (each,) if count == 1 else (each, error(jnp.mean(jnp.stack(images), axis=0), exact))
