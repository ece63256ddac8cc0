"""The virtual-triplet loss by hand, in every option."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.losses import Variant, mine, mine_rows, select, single_triplets, virtual_triplets
from jmmrec.retrieval import exclusion

# The worked example: margins 2 and 8.
USER, ITEM = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -3.0]])


def softplus(x):
    return np.logaddexp(0.0, x)


def test_worked_example() -> None:
    top, bottom = mine(USER, ITEM, 1)
    assert top.tolist() == [[0], [1]] and bottom.tolist() == [[2], [3]]
    np.testing.assert_allclose(virtual_triplets(USER, ITEM, top, bottom), 0.063632, atol=5e-7)
    np.testing.assert_allclose(virtual_triplets(USER, ITEM, top, bottom, log_base="2"), 0.091801, atol=5e-7)
    np.testing.assert_allclose(virtual_triplets(USER, ITEM, top, bottom, reduction="sum"), 0.127264, atol=1e-6)
    only_second = virtual_triplets(USER, ITEM, top, bottom, mask=jnp.array([False, True]), reduction="sum")
    np.testing.assert_allclose(only_second, softplus(-8.0), rtol=1e-6)


def test_gradient_flows_through_the_tables_and_not_the_choice() -> None:
    chosen = mine(USER, ITEM, 1)
    free = jax.grad(lambda u, i: virtual_triplets(u, i, *mine(u, i, 1)), (0, 1))(USER, ITEM)
    fixed = jax.grad(lambda u, i: virtual_triplets(u, i, *chosen), (0, 1))(USER, ITEM)
    jax.tree.map(np.testing.assert_array_equal, free, fixed)
    pull = 1.0 / (1.0 + np.exp([2.0, 8.0])) / 2.0
    np.testing.assert_allclose(free[0], [[-2.0 * pull[0], 0.0], [0.0, -4.0 * pull[1]]], rtol=1e-5)
    np.testing.assert_allclose(free[1][0], [-pull[0], 0.0], rtol=1e-5)
    np.testing.assert_allclose(free[1][3], [0.0, 2 * pull[1]], rtol=1e-5)


@pytest.mark.parametrize("n", [1, 3, 64])
def test_mining_is_sorting_by_cosine(n) -> None:
    rng = np.random.default_rng(0)
    user, item = rng.normal(size=(20, 6)), rng.normal(size=(90, 6)) * rng.uniform(0.1, 9, (90, 1))
    cosine = (user @ item.T) / np.linalg.norm(item, axis=1)
    tables = jnp.asarray(user, jnp.float32), jnp.asarray(item, jnp.float32)
    order = np.argsort(cosine, axis=1)
    for top, bottom in (mine(*tables, n, memory=12 * 90 * 4), mine_rows(*tables, n)):
        np.testing.assert_array_equal(top, order[:, ::-1][:, :n])
        np.testing.assert_array_equal(bottom, order[:, :n])


def test_excluded_items_are_not_chosen() -> None:
    pairs = exclusion(np.array([0, 1, 1]), np.array([0, 1, 3]), 2, 4)
    top, bottom = mine(USER, ITEM, 1, exclude_top=pairs, exclude_bottom=pairs)
    assert 0 not in top[0] and top[1, 0] not in (1, 3) and bottom[1, 0] not in (1, 3)
    rows = mine_rows(USER, ITEM, 1, allowed_top=jnp.array([[False, True, True, True]]))
    assert rows[0].ravel().tolist() == [1, 1] and rows[1].ravel().tolist() == [2, 3]


def test_places_that_exclusions_empty_do_not_count() -> None:
    """User 0 may have item 1 alone: its loss is that of one positive, not of two."""
    pairs = exclusion(np.array([0, 0, 0]), np.array([0, 2, 3]), 2, 4)
    found = select(USER, ITEM, 2, Variant(), exclude_top=pairs)
    assert found.keep_top is not None and found.keep_top.tolist() == [[True, False], [True, True]]
    keep = {"keep_top": found.keep_top, "keep_bottom": found.keep_bottom}
    only = virtual_triplets(USER, ITEM, found.top, found.bottom, mask=jnp.array([True, False]), **keep)
    worst = float(USER[0] @ ITEM[found.bottom[0]].mean(axis=0))
    np.testing.assert_allclose(only, softplus(worst - float(USER[0] @ ITEM[1])), rtol=1e-6)
    assert select(USER, ITEM, 2, Variant()).keep_top is None


@pytest.mark.parametrize("kind", [jnp.float16, jnp.bfloat16, jnp.float8_e4m3fn, jnp.int32])
def test_narrow_numbers_are_compared_in_float32(kind) -> None:
    """300² is beyond float16, and 1e-12, which rows of zero are divided by, below it."""
    user = jnp.array([[300.0, 0.0], [100.0, 200.0], [0.0, 0.0]]).astype(kind)
    item = jnp.array([[200.0, 20.0], [-300.0, 0.0], [0.0, 8.0], [30.0, 60.0]]).astype(kind)
    wide = (table.astype(jnp.float32) for table in (user, item))
    for found, same in zip(mine(user, item, 2), mine(*wide, 2), strict=True):
        np.testing.assert_array_equal(found, same)


def test_users_and_items_of_zero() -> None:
    value, gradient = jax.value_and_grad(lambda u: virtual_triplets(u, ITEM, *mine(u, ITEM, 2)))(jnp.zeros((3, 2)))
    np.testing.assert_allclose(value, np.log(2.0), rtol=1e-6)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("wrong", [{"reduction": "max"}, {"log_base": "10"}])
def test_unknown_options(wrong) -> None:
    with pytest.raises(ConfigError, match="choose one of"):
        virtual_triplets(USER, ITEM, *mine(USER, ITEM, 1), **wrong)


def test_numpy_tables_inside_a_program() -> None:
    item = np.asarray(ITEM)
    for loss in (virtual_triplets, single_triplets):
        found = jax.jit(lambda user, loss=loss: loss(user, item, *mine(user, item, 2)))(USER)
        np.testing.assert_allclose(found, loss(USER, ITEM, *mine(USER, ITEM, 2)), rtol=1e-6)
