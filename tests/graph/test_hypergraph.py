"""Hypergraph convolution against its definition with all matrices written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.graph.hypergraph import MEMBERSHIPS, directions, hypergraph_smooth, membership


def setting(n=9, k=4, d=3):
    keys = jax.random.split(jax.random.key(0), 3)
    members = jax.nn.softmax(jax.random.normal(keys[0], (n, k)), axis=1)
    return members, jax.random.normal(keys[1], (n, d)), jax.random.uniform(keys[2], (k,)) + 0.5


@pytest.mark.parametrize("norm", ["rw", "sym"])
@pytest.mark.parametrize("kind", ["none", "diag", "full"])
def test_smoothing_is_the_product_of_all_matrices(norm, kind) -> None:
    members, x, weight = setting()
    given = {"none": None, "diag": weight, "full": weight[:, None] * weight + 0.1}[kind]
    h = np.asarray(members, np.float64)
    w = np.eye(4) if given is None else np.diag(given) if given.ndim == 1 else np.asarray(given, np.float64)
    degree, size = (h @ w).sum(axis=1), h.sum(axis=0)
    if norm == "rw":
        expected = np.diag(1 / degree) @ h @ w @ np.diag(1 / size) @ h.T @ x
    else:
        root = np.diag(degree**-0.5)
        expected = root @ h @ w @ np.diag(1 / size) @ h.T @ root @ x
    np.testing.assert_allclose(hypergraph_smooth(members, x, given, norm), expected, rtol=2e-5, atol=1e-6)


def test_rows_are_means_of_cluster_means() -> None:
    members, x, weight = setting()
    made = hypergraph_smooth(members, x, weight)
    assert np.linalg.matrix_rank(np.asarray(hypergraph_smooth(members[:, :2], x, weight[:2])), tol=1e-4) == 2
    assert (made.min(axis=0) >= x.min(axis=0)).all() and (made.max(axis=0) <= x.max(axis=0)).all()
    np.testing.assert_allclose(hypergraph_smooth(members, jnp.ones((9, 1)), weight), 1.0, rtol=1e-6)


@pytest.mark.parametrize("kind", MEMBERSHIPS)
def test_membership(kind) -> None:
    _, x, _ = setting()
    x, prototypes = x.at[0].set(0.0), x[:4]
    made = membership(x, prototypes, kind=kind, tau=0.5)
    cosine = np.asarray(x) @ np.asarray(prototypes).T
    cosine /= np.maximum(np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(prototypes, axis=1)), 1e-9)
    raised = np.exp(cosine / 0.5)
    expected = {
        "softmax": raised / raised.sum(axis=1, keepdims=True), "relu": np.maximum(cosine, 0), "abs": np.abs(cosine),
        "raw": cosine,
    }[kind]  # fmt: skip
    np.testing.assert_allclose(made, np.where(np.arange(9)[:, None] == 0, made[0], expected), atol=1e-5)
    kept = membership(x, prototypes, kind=kind, tau=0.5, topk=2)
    assert ((kept != 0).sum(axis=1)[1:] <= 2).all()
    gradient = jax.grad(lambda x: (membership(x, prototypes, kind=kind) ** 2).sum())(x)
    assert jnp.isfinite(gradient).all() and (gradient[0] == 0).all()


def test_empty_hyperedges_and_lonely_nodes_stay_finite() -> None:
    members = jnp.array([[1.0, 0.0], [0.0, 0.0]])
    for norm in ("rw", "sym"):
        assert hypergraph_smooth(members, jnp.ones((2, 3)), None, norm).tolist() == [[1.0] * 3, [0.0] * 3]


def test_directions() -> None:
    assert directions(jnp.zeros((1, 2))).tolist() == [[0.0, 0.0]]
    assert jnp.isfinite(jax.grad(lambda x: directions(x).sum())(jnp.zeros((1, 2)))).all()


def test_no_array_of_nodes_by_nodes() -> None:
    n = 20_000
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((n, 64), (n, 64), (64,))]
    program = jax.jit(jax.value_and_grad(lambda h, x, w: hypergraph_smooth(h, x, w).sum(), (0, 1, 2)))
    assert program.lower(*shapes).compile().memory_analysis().temp_size_in_bytes < 12 * 4 * n * 64
