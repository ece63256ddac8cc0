"""Clouds of two modalities with known structure, and a plain float64 Sinkhorn to hold ours against."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

Pair = tuple[jax.Array, jax.Array]


def pair(n: int = 256, kind: str = "plain", dim: int = 16, seed: int = 0) -> Pair:
    """Two random maps of one latent plus noise; imputed: 9 rows in 10 are the mean; smooth: then a two-hop average."""
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


def sinkhorn(x: jax.Array, y: jax.Array, epsilon: float, iterations: int) -> jax.Array:
    """The row-normalised plan by definition: centred clouds, ε times their mean cost, all costs at once."""
    x, y = x - x.mean(0), y - y.mean(0)
    cost = ((x[:, None] - y[None]) ** 2).sum(-1)
    cost = cost / jax.lax.stop_gradient(cost.mean()) / epsilon

    def _step(f: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        g = -jnp.log(len(y)) - jax.nn.logsumexp(f[:, None] - cost, axis=0)
        return -jnp.log(len(x)) - jax.nn.logsumexp(g - cost, axis=1), g

    g = jax.lax.scan(_step, jnp.zeros(len(x), x.dtype), None, length=iterations)[1][-1]
    return jax.nn.softmax(g - cost, axis=1)


@pytest.fixture(scope="session")
def clouds() -> Callable[..., Pair]:
    """`clouds(n, kind, dim, seed)` is a pair of tables."""
    return pair


@pytest.fixture(scope="session")
def reference() -> Callable[..., jax.Array]:
    """`reference(x, y, epsilon, iterations)` is a plan computed the obvious way."""
    return sinkhorn


@pytest.fixture(scope="session")
def values() -> Callable[..., jax.Array]:
    """`values(n, seed)` are rows to be carried."""
    return lambda n, seed=0: jax.random.normal(jax.random.key(seed), (n, 5))
