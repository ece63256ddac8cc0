"""Mining and full ranking in blocks against the whole score matrix sorted at once, in time and in bytes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Line, alternate, lines_of, temporary_bytes
from benchmarks.setting import Setting
from jmmrec.losses import mine
from jmmrec.retrieval import block_size, exclusion, extremes, normalise_rows

WIDTH = 64


def tables(setting: Setting) -> tuple[jax.Array, jax.Array]:
    """Random user and item vectors; what the search costs does not depend on them."""
    rng = np.random.default_rng(0)
    sizes = (min(setting.users, setting.data.n_users), setting.data.n_items)
    user, item = (jnp.asarray(rng.standard_normal((n, WIDTH), dtype=np.float32)) for n in sizes)
    return user, item


def mine_whole(user: jax.Array, item: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """Both ends of the whole similarity matrix by two sorts."""
    similarity = jnp.matmul(normalise_rows(user), normalise_rows(item).T, precision="highest")
    return jax.lax.top_k(similarity, n)[1], jax.lax.top_k(-similarity, n)[1]


def rank_whole(user: jax.Array, item: jax.Array, pairs: jax.Array, k: int) -> jax.Array:
    """The k best of the whole score matrix without the pairs."""
    scores = jnp.matmul(user, item.T, precision="highest")
    return jax.lax.top_k(scores.at[pairs[:, 0], pairs[:, 1]].set(-jnp.inf), k)[1]


def product(user: jax.Array, item: jax.Array) -> jax.Array:
    """The product alone, in our blocks: what no exact search can do without."""
    block = block_size(len(user), len(item))
    blocks = jnp.pad(user, ((0, -len(user) % block), (0, 0))).reshape(-1, block, user.shape[1])

    def one(rows: jax.Array) -> jax.Array:
        return jax.lax.optimization_barrier(jnp.matmul(item, rows.T, precision="highest"))[0]

    return jax.lax.map(one, blocks)


def race(part: str, setting: Setting, variants: dict[str, tuple[Callable, tuple[Any, ...]]]) -> list[Line]:
    """Compiles (function, arguments) pairs and compares them."""
    compiled = {name: jax.jit(function).lower(*given).compile() for name, (function, given) in variants.items()}
    memory = {name: temporary_bytes(program) for name, program in compiled.items()}
    runs = {name: lambda n=name: compiled[n](*variants[n][1]) for name in variants}
    return lines_of(part, alternate(runs, setting.rounds[1]), memory)


def mining(setting: Setting) -> list[Line]:
    """The n most and least similar items of all users."""
    both = tables(setting)
    size = f"{len(both[0]):,} users × {len(both[1]):,} items"
    lines = []
    for n in (2, 8):
        lines += race(
            f"mining {n} + {n} items, {size}",
            setting,
            {
                "ours": (lambda user, item, n=n: mine(user, item, n), both),
                "whole matrix, top_k twice": (lambda user, item, n=n: mine_whole(user, item, n), both),
                "the product alone": (product, both),
            },
        )
    return lines


def ranking(setting: Setting, k: int = 50) -> list[Line]:
    """The k best items of all users, training items masked."""
    user, item = tables(setting)
    k = min(k, len(item))
    pairs = setting.data.train[setting.data.train[:, 0] < len(user)]
    exclude = exclusion(pairs[:, 0], pairs[:, 1], len(user), len(item))
    variants = {
        "ours": (lambda u, i, e: extremes(u, i, k, exclude=e).top, (user, item, exclude)),
        "whole matrix, masked top_k": (lambda u, i, p: rank_whole(u, i, p, k), (user, item, jnp.asarray(pairs))),
        "the product alone": (product, (user, item)),
    }
    return race(f"ranking, top {k}, {len(user):,} users, training items masked", setting, variants)
