"""The sparse product in every transformation, and both of its kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import DataError
from jmmrec.graph import adjacency, propagate
from jmmrec.graph.propagate import _product_rows, _product_segments
from tests.conftest import AS_USERS

ROWS, COLS, WIDTH, NNZ = 6, 4, 3, 9


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def matrix_of(rng):
    """With an empty row, a repeated entry and an explicit zero."""
    rows, cols = rng.integers(0, ROWS - 1, NNZ), rng.integers(0, COLS, NNZ)
    values = rng.normal(size=NNZ)
    values[0] = 0.0
    return adjacency(rows, cols, values, (ROWS, COLS))


def tables(rng, *shape) -> jax.Array:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def close(a, b) -> None:
    np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)


def test_forward_and_backward(rng) -> None:
    matrix, x, g = matrix_of(rng), tables(rng, COLS, WIDTH), tables(rng, ROWS, WIDTH)
    dense = np.asarray(matrix.bcoo.todense())
    value, pull = jax.vjp(lambda t: propagate(matrix, t), x)
    close(value, dense @ x)
    close(pull(g)[0], dense.T @ g)


@pytest.mark.parametrize("kernel", [_product_rows, _product_segments])
def test_both_kernels(rng, kernel) -> None:
    matrix, x = matrix_of(rng), tables(rng, COLS, WIDTH)
    close(kernel(matrix.indptr, matrix.indices, matrix.values, x), matrix.bcoo.todense() @ x)


def test_vmap_over_tables(rng) -> None:
    matrix, x = matrix_of(rng), tables(rng, 5, COLS, WIDTH)
    close(jax.vmap(propagate, (None, 0))(matrix, x), matrix.bcoo.todense() @ x)


@pytest.mark.parametrize("tables_too", [False, True])
def test_vmap_over_matrices(rng, tables_too) -> None:
    matrices = [matrix_of(rng) for _ in range(3)]
    x = tables(rng, 3, COLS, WIDTH) if tables_too else tables(rng, COLS, WIDTH)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *matrices)
    found = jax.vmap(propagate, (0, 0 if tables_too else None))(stacked, x)
    close(found, jnp.stack([m.bcoo.todense() for m in matrices]) @ x)


def test_gradient_of_vmap_and_vmap_of_gradient(rng) -> None:
    matrices = [matrix_of(rng) for _ in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *matrices)
    x = tables(rng, 3, COLS, WIDTH)
    inside = jax.vmap(jax.grad(lambda t, m: jnp.sum(propagate(m, t) ** 2)), (0, 0))(x, stacked)
    outside = jax.grad(lambda t: jnp.sum(jax.vmap(propagate, (0, 0))(stacked, t) ** 2))(x)
    dense = jnp.stack([m.bcoo.todense() for m in matrices])
    close(inside, 2 * jnp.swapaxes(dense, 1, 2) @ (dense @ x))
    close(outside, inside)


def test_nested_vmap(rng) -> None:
    matrices = [matrix_of(rng) for _ in range(2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *matrices)
    x = tables(rng, 5, COLS, WIDTH)
    found = jax.vmap(lambda m: jax.vmap(propagate, (None, 0))(m, x))(stacked)
    close(found, jnp.stack([m.bcoo.todense() for m in matrices])[:, None] @ x)


def test_scan_through_a_square_matrix(rng) -> None:
    square = adjacency(rng.integers(0, 5, 8), rng.integers(0, 5, 8), 0.5 * rng.normal(size=8), (5, 5))
    x, dense = tables(rng, 5, WIDTH), np.asarray(square.bcoo.todense(), np.float64)

    def walk(table):
        return jax.lax.scan(lambda t, _: (propagate(square, t), None), table, length=3)[0]

    close(jax.jit(walk)(x), np.linalg.matrix_power(dense, 3) @ x)
    close(jax.jit(jax.grad(lambda t: walk(t).sum()))(x), np.linalg.matrix_power(dense.T, 3) @ np.ones((5, WIDTH)))


def test_value_gradient(rng) -> None:
    matrix, x, g = matrix_of(rng), tables(rng, COLS, WIDTH), tables(rng, ROWS, WIDTH)

    def total(values, table):
        return jnp.sum(propagate(matrix.replace(values=values), table, True) * g)

    of_values, of_table = jax.jit(jax.grad(total, (0, 1)))(matrix.values, x)
    close(of_values, np.einsum("ed,ed->e", np.asarray(g)[matrix.rows], np.asarray(x)[matrix.indices]))
    close(of_table, matrix.bcoo.todense().T @ g)


def test_without_asking_no_gradient_reaches_the_values(rng) -> None:
    matrix, x = matrix_of(rng), tables(rng, COLS, WIDTH)
    gradient = jax.grad(lambda v: propagate(matrix.replace(values=v), x).sum())(matrix.values)
    assert not np.any(gradient)


def test_a_matrix_without_entries() -> None:
    empty = adjacency(np.zeros(0, int), np.zeros(0, int), np.zeros(0), (3, 2))
    value, pull = jax.vjp(lambda t: propagate(empty, t), jnp.ones((2, 4)))
    assert not np.any(value) and not np.any(pull(value)[0])


def test_the_backward_pass_has_no_scatter(rng) -> None:
    """Read from the compiled program, where differentiating a gather would leave one."""
    matrix, x = matrix_of(rng), tables(rng, COLS, WIDTH)
    compiled = [
        jax.jit(jax.grad(lambda t, f=f: jnp.sum(f(t) ** 2))).lower(x).compile(AS_USERS).as_text()
        for f in (lambda t: propagate(matrix, t), lambda t: matrix.bcoo @ t)
    ]
    assert " scatter(" not in compiled[0] and " scatter(" in compiled[1]


def test_tables_of_another_size_are_refused(rng) -> None:
    """The CPU's kernel would read what lies behind a shorter one."""
    matrix = matrix_of(rng)
    for x in (tables(rng, COLS - 1, WIDTH), tables(rng, COLS + 1, WIDTH), jnp.ones(COLS)):
        with pytest.raises(DataError, match=f"a {ROWS} × {COLS} matrix .* give a table of {COLS} rows"):
            jax.jit(propagate)(matrix, x)


@pytest.mark.parametrize("value_gradient", [False, True])
def test_half_precision(rng, value_gradient) -> None:
    matrix, x = matrix_of(rng), tables(rng, COLS, WIDTH)
    half = matrix.replace(values=matrix.values.astype(jnp.bfloat16), t_values=matrix.t_values.astype(jnp.bfloat16))
    found = jax.jit(propagate, static_argnums=2)(half, x.astype(jnp.bfloat16), value_gradient)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), propagate(matrix, x), rtol=0.05, atol=0.05)
