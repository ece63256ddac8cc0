"""Two layers of propagation, forward and backward: ours, plain BCOO with automatic gradients, SciPy on one thread."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax.experimental.sparse import BCOO

from benchmarks.measure import Line, alternate, lines_of, temporary_bytes
from benchmarks.setting import Setting
from jmmrec.graph import Bipartite, bipartite
from jmmrec.models.common import layer_mean

LAYERS, WIDTH = 2, 64
PART = f"propagation, {LAYERS} layers, width {WIDTH}, forward and backward"


def square(graph: Bipartite) -> scipy.sparse.csr_matrix:
    """The symmetric matrix over users and items together, as public code builds it."""
    down = graph.user_item
    blocks = (np.asarray(down.values), np.asarray(down.indices), np.asarray(down.indptr))
    matrix = scipy.sparse.csr_matrix(blocks, shape=down.shape)
    return scipy.sparse.csr_matrix(scipy.sparse.bmat([[None, matrix], [matrix.T, None]]), dtype=np.float32)


def ours(graph: Bipartite, user: jax.Array, item: jax.Array, pull: tuple[jax.Array, jax.Array]):
    """Value and gradients of the layer mean against a fixed cotangent, users and items apart."""

    def value(user: jax.Array, item: jax.Array) -> jax.Array:
        means = layer_mean(graph, user, item, LAYERS)
        return sum((jnp.vdot(m, p) for m, p in zip(means, pull, strict=True)), jnp.zeros(()))

    return jax.value_and_grad(value, argnums=(0, 1))(user, item)


def plain(matrix: BCOO, nodes: jax.Array, pull: jax.Array):
    """The same on the square matrix, differentiated automatically."""

    def value(nodes: jax.Array) -> jax.Array:
        total, layer = nodes, nodes
        for _ in range(LAYERS):
            layer = matrix @ layer
            total = total + layer
        return jnp.vdot(total / (LAYERS + 1), pull)

    return jax.value_and_grad(value)(nodes)


def by_hand(
    matrix: scipy.sparse.csr_matrix, back: scipy.sparse.csr_matrix, nodes: np.ndarray, pull: np.ndarray
) -> tuple[float, np.ndarray]:
    """The same in SciPy: products forward, products with the transpose backward."""
    total, layer = nodes, nodes
    for _ in range(LAYERS):
        layer = matrix @ layer
        total = total + layer
    share = pull / (LAYERS + 1)
    gradient = share
    for _ in range(LAYERS):
        gradient = share + back @ gradient
    return float(np.vdot(total, share)), gradient


def programs(setting: Setting) -> tuple[dict[str, Callable], dict[str, int]]:
    """The three variants ready to run, and the temporary memory of the compiled ones."""
    data = setting.data
    graph = bipartite(data.train, data.n_users, data.n_items)
    matrix = square(graph)
    back = scipy.sparse.csr_matrix(matrix.T)
    rng = np.random.default_rng(0)
    nodes, pull = rng.standard_normal((2, data.n_users + data.n_items, WIDTH), dtype=np.float32)
    parts = [tuple(jnp.asarray(side) for side in np.split(table, [data.n_users])) for table in (nodes, pull)]
    entries = BCOO.from_scipy_sparse(matrix)
    fast = jax.jit(ours).lower(graph, *parts[0], parts[1]).compile()
    slow = jax.jit(plain).lower(entries, jnp.asarray(nodes), jnp.asarray(pull)).compile()
    arrays = jnp.asarray(nodes), jnp.asarray(pull)
    variants: dict[str, Callable] = {
        "ours": lambda: fast(graph, *parts[0], parts[1]),
        "BCOO, automatic gradient": lambda: slow(entries, *arrays),
        "SciPy CSR, one thread": lambda: by_hand(matrix, back, nodes, pull),
    }
    return variants, {"ours": temporary_bytes(fast), "BCOO, automatic gradient": temporary_bytes(slow)}


def propagation(setting: Setting) -> list[Line]:
    """Lines of the report."""
    variants, memory = programs(setting)
    seconds = alternate(variants, setting.rounds[0])
    return lines_of(PART, seconds, memory, {"BCOO, automatic gradient": "target ≥ 4"})
