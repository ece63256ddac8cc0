"""Approximate transport: mini-batches, prototypes, low-rank couplings. None is the full plan; docs/ot.md says how far.

Prototypes and low-rank couplings are a product L M Rᵀ with few columns: n×m never exists and both directions are
three thin products. Mini-batches are full plans between shuffled parts.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jmmrec.ot.blocks import averages
from jmmrec.ot.cloud import Clouds
from jmmrec.ot.config import SinkhornConfig
from jmmrec.ot.steps import Potentials, exact, zero_potentials

ROUNDING = 1e-4  # of distances whose mean is about 1; a width below it would only sharpen rounding errors
SHARPNESS = 0.1  # share of the mean distance to the nearest prototype: softness of the assignment
ROUNDS = 10  # of k-means
TINY = 1e-37


class Factors(NamedTuple):
    """The coupling diag(a) · left · middle · rightᵀ · diag(b): (n, k), (k, k), (m, k), (n,), (m,)."""

    left: jax.Array
    middle: jax.Array
    right: jax.Array
    a: jax.Array
    b: jax.Array

    def images(self, values_x: jax.Array, values_y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Row-normalised coupling times values_y (n, ·), and of its transpose times values_x (m, ·).

        >>> half = Factors(jnp.ones((2, 1)), jnp.ones((1, 1)) / 4, jnp.ones((2, 1)), jnp.ones(2), jnp.ones(2))
        >>> half.images(jnp.ones((2, 1)), jnp.array([[1.0], [3.0]]))[0].tolist()
        [[2.0], [2.0]]
        """
        left, middle, right, a, b = self
        to_x = _image(left @ middle, right * b[:, None], values_y)
        return to_x, _image(right @ middle.T, left * a[:, None], values_x)


def _image(rows: jax.Array, columns: jax.Array, values: jax.Array) -> jax.Array:
    counted = jnp.concatenate([values, jnp.ones_like(values, shape=(len(values), 1))], axis=1)
    sums = rows @ (columns.T @ counted)
    return sums[:, :-1] / jnp.maximum(sums[:, -1:], TINY)


class Parts(NamedTuple):
    """Row numbers of the mini-batches, (batches, b) on each side; a number past the end is padding."""

    rows: jax.Array
    columns: jax.Array

    def images(
        self, clouds: tuple[jax.Array, jax.Array], potentials: Potentials, config: SinkhornConfig, values: tuple
    ) -> tuple[jax.Array, jax.Array]:
        """Barycentres within the batches, put back in order: (n, ·) of values[1] and (m, ·) of values[0]."""
        x, y = (_part(c, rows, 0.0) for c, rows in zip(clouds, self, strict=True))
        f, g = (_part(p, rows, -jnp.inf) for p, rows in zip(potentials, self, strict=True))
        of_x, of_y = (_part(v, rows, 0.0) for v, rows in zip(values, self, strict=True))

        def _batch(x, y, f, g, of_x, of_y):
            return averages(x, y, g, config.epsilon, of_y, None), averages(y, x, f, config.epsilon, of_x, None)

        found = jax.vmap(_batch)(x, y, f, g, of_x, of_y)
        return _whole(found[0], self.rows, len(clouds[0])), _whole(found[1], self.columns, len(clouds[1]))


def _part(table: jax.Array, rows: jax.Array, fill: float) -> jax.Array:
    return table.at[rows].get(mode="fill", fill_value=fill)


def _whole(parts: jax.Array, rows: jax.Array, n: int) -> jax.Array:
    empty = jnp.zeros((n, *parts.shape[2:]), parts.dtype)
    return empty.at[rows].set(parts, mode="drop")


def approximate(
    clouds: Clouds, init: Potentials | None, config: SinkhornConfig, key: jax.Array
) -> tuple[Potentials, jax.Array, Parts | Factors]:
    """Potentials, column error and parts of the mode that the config names.

    Only mini-batches have potentials of rows; the other two return zeros and always begin cold.

    >>> x = jax.random.normal(jax.random.key(0), (8, 2))
    >>> clouds = Clouds(x, x, jnp.ones(8) / 8, jnp.ones(8) / 8)
    >>> approximate(clouds, None, SinkhornConfig(mode="minibatch:4"), jax.random.key(1))[2].rows.shape
    (2, 4)
    """
    name, size = config.plan_mode
    if name == "minibatch":
        return _minibatch(clouds, init, config, key, size)
    factors, error = (_prototype if name == "prototype" else _lowrank)(clouds, config, key, size)
    return zero_potentials(len(clouds.a), len(clouds.b)), error, factors


def _minibatch(clouds: Clouds, init: Potentials | None, config: SinkhornConfig, key: jax.Array, size: int):
    """Both clouds shuffled on their own and cut into as many parts; each pair of parts is solved exactly."""
    n, m = len(clouds.a), len(clouds.b)
    count = min(-(-max(n, m) // size), n, m)  # no part without a row on either side
    cut = [_shuffled(k, rows, count) for k, rows in zip(jax.random.split(key), (n, m), strict=True)]
    parts = Parts(*cut)
    x, y = (_part(c, rows, 0.0) for c, rows in zip(clouds[:2], parts, strict=True))
    a, b = (_part(c, rows, 0.0) for c, rows in zip(clouds[2:], parts, strict=True))
    a, b = (_balanced(weights, rows < total) for weights, rows, total in ((a, cut[0], n), (b, cut[1], m)))
    start = None if init is None else Potentials(*(_part(p, r, 0.0) for p, r in zip(init, parts, strict=True)))
    found, error = jax.vmap(lambda c, s: exact(c, s, config))(Clouds(x, y, a, b), start)
    potentials = Potentials(*(_whole(p, r, s) for p, r, s in zip(found, parts, (n, m), strict=True)))
    return potentials, jnp.mean(error), parts


def _shuffled(key: jax.Array, n: int, count: int) -> jax.Array:
    """(count, ⌈n / count⌉) row numbers in random order, none of the parts empty where n ≥ count."""
    width = -(-n // count)
    order = jnp.pad(jax.random.permutation(key, n), (0, count * width - n), constant_values=n)
    return order.reshape(width, count).T


def _balanced(weights: jax.Array, real: jax.Array) -> jax.Array:
    """Mass of every part brought to 1, spread evenly where a part has none."""
    total = jnp.sum(weights, axis=1, keepdims=True)
    even = real / jnp.maximum(jnp.sum(real, axis=1, keepdims=True), 1)
    return jnp.where(total > 0, weights / jnp.where(total > 0, total, 1.0), even)


def _prototype(clouds: Clouds, config: SinkhornConfig, key: jax.Array, k: int):
    """Transport between the soft clusters of both clouds: rows reach rows through their clusters."""
    a, b = clouds.a / jnp.sum(clouds.a), clouds.b / jnp.sum(clouds.b)
    keys = jax.random.split(key)
    left, right = _assignment(clouds.x, a, keys[0], k), _assignment(clouds.y, b, keys[1], k)
    p, q = a @ left, b @ right
    small = Clouds(_centres(clouds.x, left, a), _centres(clouds.y, right, b), p, q)
    potentials, error = exact(small, None, config)
    plan = jnp.exp((potentials.f[:, None] + potentials.g - _distances(small.x, small.y)) / config.epsilon)
    share = plan / jnp.maximum(p, TINY)[:, None] / jnp.maximum(q, TINY)
    return Factors(left, share, right, a, b), error


def _centres(table: jax.Array, share: jax.Array, weights: jax.Array) -> jax.Array:
    member = share * weights[:, None]
    return member.T @ table / jnp.maximum(jnp.sum(member, axis=0), TINY)[:, None]


def _assignment(x: jax.Array, weights: jax.Array, key: jax.Array, k: int) -> jax.Array:
    """Soft assignment (n, k) to the centres that a few rounds of k-means find from rows drawn by their mass."""
    fixed = jax.lax.stop_gradient(x)
    first = fixed[jax.random.choice(key, len(x), (k,), replace=len(x) < k, p=weights)]

    def _round(centres: jax.Array, _: None) -> tuple[jax.Array, None]:
        member = jax.nn.one_hot(jnp.argmin(_distances(fixed, centres), axis=1), k, dtype=x.dtype) * weights[:, None]
        size = jnp.sum(member, axis=0)[:, None]
        return jnp.where(size > 0, member.T @ fixed / jnp.where(size > 0, size, 1.0), centres), None

    centres = jax.lax.scan(_round, first, None, length=ROUNDS)[0]
    distance = jnp.maximum(_distances(x, centres), 0.0)
    width = jax.lax.stop_gradient(SHARPNESS * (weights @ jnp.min(distance, axis=1)) + ROUNDING)
    return jax.nn.softmax(-distance / width, axis=1)


def _distances(x: jax.Array, centres: jax.Array) -> jax.Array:
    product = jnp.matmul(x, centres.T, precision="highest")
    return jnp.sum(x * x, axis=1)[:, None] + jnp.sum(centres * centres, axis=1) - 2 * product


def _lowrank(clouds: Clouds, config: SinkhornConfig, key: jax.Array, rank: int):
    """ott's LRSinkhorn: the cheapest coupling of that rank, of the problem without ε."""
    from ott.geometry.pointcloud import PointCloud
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn_lr import LRSinkhorn

    a, b = clouds.a / jnp.sum(clouds.a), clouds.b / jnp.sum(clouds.b)
    problem = LinearProblem(PointCloud(clouds.x, clouds.y, epsilon=config.epsilon), a, b)
    found = LRSinkhorn(rank=rank, max_iterations=config.cold_iterations)(problem, rng=key)
    ones = jnp.ones_like(a), jnp.ones_like(b)  # its factors hold the masses
    factors = jax.lax.stop_gradient(Factors(found.q, jnp.diag(1 / found.g), found.r, *ones))
    columns = factors.right @ (factors.middle.T @ jnp.sum(factors.left, axis=0))
    return factors, jnp.sum(jnp.abs(columns - b))


def images(
    x: jax.Array, y: jax.Array, potentials: Potentials, config: SinkhornConfig, parts: Any, values: tuple
) -> Any:
    """Both directions of an approximate plan, by the kind of its parts."""
    if isinstance(parts, Factors):
        return parts.images(*values)
    return Parts.images(parts, (x, y), potentials, config, values)
