"""Clouds of two modalities with known structure, and a plain float64 Sinkhorn to hold ours against."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from benchmarks.accuracy import Pair, pair


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
