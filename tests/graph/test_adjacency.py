"""Every normalisation against the dense matrix written out."""

import numpy as np
import pytest

from jmmrec.errors import ConfigError, DataError
from jmmrec.graph import NORMS, adjacency, bipartite

USERS, ITEMS = 9, 7


@pytest.fixture(scope="module")
def pairs() -> np.ndarray:
    """User 8 and item 6 have no interaction."""
    return np.argwhere(np.random.default_rng(0).random((USERS - 1, ITEMS - 1)) < 0.4)[::-1]


def written_out(pairs: np.ndarray, norm: str) -> np.ndarray:
    """The square normalised matrix, users first, from protocol formulas."""
    matrix = np.zeros((USERS + ITEMS, USERS + ITEMS))
    matrix[pairs[:, 0], USERS + pairs[:, 1]] = matrix[USERS + pairs[:, 1], pairs[:, 0]] = 1.0
    degree = matrix.sum(axis=1)
    if norm == "row_selfloop":
        return (matrix + np.eye(len(matrix))) / (degree + 1.0)[:, None]
    if norm == "mean":
        return matrix / np.maximum(degree, 1.0)[:, None]
    eps = {"sym_eps7": 1e-7, "sym_eps8": 1e-8, "rowhalf_eps8": 1e-8, "sym_exact": 0.0}[norm]
    half = np.where(degree > 0, np.maximum(degree + eps, 1e-300) ** -0.5, 0.0)
    return half[:, None] * matrix * (1.0 if norm == "rowhalf_eps8" else half[None])


@pytest.mark.parametrize("norm", NORMS)
def test_normalisations(pairs, norm) -> None:
    graph = bipartite(pairs, USERS, ITEMS, norm)
    dense = written_out(pairs, norm)
    np.testing.assert_allclose(graph.user_item.bcoo.todense(), dense[:USERS, USERS:], rtol=1e-6)
    np.testing.assert_allclose(graph.item_user.bcoo.todense(), dense[USERS:, :USERS], rtol=1e-6)
    loops = [np.zeros(n) if loop is None else loop for n, loop in zip((USERS, ITEMS), graph[2:], strict=True)]
    np.testing.assert_allclose(np.concatenate(loops), np.diag(dense), rtol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_transposes_are_transposes(pairs, norm) -> None:
    for matrix in bipartite(pairs, USERS, ITEMS, norm)[:2]:
        np.testing.assert_array_equal(matrix.T.bcoo.todense(), matrix.bcoo.todense().T)
        assert matrix.T.shape == matrix.shape[::-1]


def test_order_of_rows_does_not_matter(pairs) -> None:
    first, second = bipartite(pairs, USERS, ITEMS), bipartite(pairs[::-1], USERS, ITEMS)
    np.testing.assert_array_equal(first.user_item.indices, second.user_item.indices)
    np.testing.assert_array_equal(first.user_item.t_values, second.user_item.t_values)


def test_repeated_entries_add_up() -> None:
    matrix = adjacency(np.array([0, 0]), np.array([1, 1]), np.array([2.0, 3.0]), (2, 2))
    assert matrix.bcoo.todense().tolist() == [[0.0, 5.0], [0.0, 0.0]]


def test_unknown_normalisation() -> None:
    with pytest.raises(ConfigError, match="norm is 'half'; choose one of 'sym_eps7'"):
        bipartite(np.array([[0, 0]]), 1, 1, "half")


@pytest.mark.parametrize(
    ("interactions", "words"),
    [
        ([[0, 0], [1, 2]], "item 2 is outside 0 to 1"),
        ([[2, 0]], "user 2 is outside 0 to 1"),
        ([[0, -1]], "item -1 is outside"),
        ([[0.5, 1.0]], "interactions are float64"),
        ([[0, 1, 1]], r"of shape \(1, 3\)"),
    ],
)
def test_ids_outside_are_refused(interactions, words) -> None:
    """Propagation would read memory that is not the tables'."""
    with pytest.raises(DataError, match=words):
        bipartite(np.array(interactions), 2, 2)


def test_entries_outside_are_refused() -> None:
    for rows, cols in (([0], [3]), ([2], [0]), ([-1], [0])):
        with pytest.raises(DataError, match="is outside 0 to"):
            adjacency(np.array(rows), np.array(cols), np.ones(1), (2, 3))
