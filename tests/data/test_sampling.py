"""Epoch order and negatives: exact, reproducible, never a training item."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data.sampling import draw_negatives, epoch_order, negative_table
from jmmrec.errors import ConfigError

DRAWS = 4000


def drawn(train: np.ndarray, user: int, n_users: int) -> np.ndarray:
    users = jnp.full(DRAWS, user, jnp.int32)
    return np.asarray(jax.jit(draw_negatives)(jax.random.key(user), negative_table(train, n_users), users))


def test_uniform_over_what_is_left() -> None:
    """Items 3 and 7 are cold; user 2 has no row at all, user 1 all candidates but one, user 3 the ends."""
    items = np.array([0, 1, 2, 4, 5, 6, 8, 9])
    train = np.array([(0, 4)] + [(1, i) for i in items if i != 5] + [(3, 0), (3, 9), (3, 5)])
    for user in range(4):
        allowed = np.setdiff1d(items, train[train[:, 0] == user, 1])
        found, count = np.unique(drawn(train, user, 4), return_counts=True)
        np.testing.assert_array_equal(found, allowed)
        expected = DRAWS / len(allowed)
        freedom = len(allowed) - 1
        assert ((count - expected) ** 2 / expected).sum() <= freedom + 5 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("seed", range(5))
def test_never_a_training_item_on_random_graphs(seed) -> None:
    rng = np.random.default_rng(seed)
    train = np.argwhere(rng.random((20, 15)) < rng.uniform(0.05, 0.8, (20, 1)))
    train = train[train[:, 1] != 14]
    known = np.zeros((20, 15), bool)
    known[tuple(train.T)] = True
    users = np.flatnonzero(known.sum(axis=1) < len(np.unique(train[:, 1])))
    users = np.tile(users, 50)
    items = np.asarray(draw_negatives(jax.random.key(seed), negative_table(train, 20), jnp.asarray(users)))
    assert not known[users, items].any() and (items != 14).all()
    assert np.isin(items, train[:, 1]).all()


def test_the_table_does_not_depend_on_the_order_of_rows() -> None:
    train = np.array([[1, 3], [0, 2], [1, 0], [0, 3]])
    jax.tree.map(np.testing.assert_array_equal, negative_table(train, 2), negative_table(train[::-1], 2))


def test_every_row_once_in_a_new_order() -> None:
    train = np.zeros((23, 2), int)
    orders = [epoch_order(train, 10, seed=s, epoch=e) for s, e in ((0, 0), (0, 1), (1, 0))]
    for order in orders:
        assert order.shape == (3, 10) and order.dtype == np.int32
        np.testing.assert_array_equal(np.sort(order.ravel()), [-1] * 7 + list(range(23)))
        assert (order[:2] >= 0).all()
    assert not any(np.array_equal(orders[0], other) for other in orders[1:])
    np.testing.assert_array_equal(orders[0], epoch_order(train, 10, seed=0, epoch=0))


def test_users_sampler_is_uniform_over_users() -> None:
    """User 0 has nine rows, user 2 one; each is half of the draws, each row of user 0 an eighteenth."""
    train = np.array([(0, i) for i in range(9)] + [(2, 0)])
    rows = np.concatenate([epoch_order(train, 10, 0, e, "users").ravel() for e in range(600)])
    share = np.bincount(rows, minlength=10) / len(rows)
    np.testing.assert_allclose(share, [1 / 18] * 9 + [0.5], atol=0.03)


def test_unknown_sampler() -> None:
    with pytest.raises(ConfigError, match="sampler is 'items'; choose one of 'pairs', 'users'"):
        epoch_order(np.zeros((3, 2), int), 2, 0, 0, "items")
