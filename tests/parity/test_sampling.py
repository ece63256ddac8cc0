"""Negatives and epochs mean what the toolbox's sampler means."""

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.data.sampling import draw_negatives, epoch_order, negative_table

ROUNDS = 60


def test_sampling_negatives(fixtures) -> None:
    stored, data = fixtures.read("sampling"), fixtures.dataset
    table = negative_table(data.train, data.n_users)
    np.testing.assert_array_equal(table.candidates, stored["candidate_items"])
    draw = jax.jit(jax.vmap(draw_negatives, in_axes=(0, None, None)))
    keys = jax.random.split(jax.random.key(0), ROUNDS)
    items = np.asarray(draw(keys, table, jnp.asarray(data.train[:, 0])))
    known = np.zeros((data.n_users, data.n_items), bool)
    known[tuple(data.train.T)] = True
    assert not known[data.train[:, 0][None], items].any()
    count = np.bincount(items.ravel(), minlength=data.n_items)
    cold = np.setdiff1d(np.arange(data.n_items), stored["candidate_items"])
    assert not count[cold].any()
    expected = stored["expected_count_per_item"].astype(np.float64) * items.size / len(stored["neg"])
    warm = expected > 0
    assert warm.sum() == len(stored["candidate_items"])
    freedom = warm.sum() - 1
    chi_square = ((count - expected)[warm] ** 2 / expected[warm]).sum()
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)


def test_sampling_can_return_held_out_items(fixtures) -> None:
    data = fixtures.dataset
    table = negative_table(data.train, data.n_users)
    held = np.concatenate([data.valid, data.test])
    held = held[np.isin(held[:, 1], table.candidates)]
    users = jnp.asarray(held[:, 0])
    draw = jax.jit(jax.vmap(draw_negatives, in_axes=(0, None, None)))
    items = np.asarray(draw(jax.random.split(jax.random.key(1), 50), table, users))
    assert (items == held[:, 1]).any()


def test_sampling_visits_every_pair_once_an_epoch(fixtures) -> None:
    stored, data = fixtures.read("sampling"), fixtures.dataset
    batch = int(stored["batch_sizes"].max())
    for epoch in range(3):
        order = epoch_order(data.train, batch, seed=1, epoch=epoch)
        np.testing.assert_array_equal((order >= 0).sum(axis=1), stored["batch_sizes"])
        np.testing.assert_array_equal(np.sort(order[order >= 0]), np.arange(len(data.train)))
        theirs = stored["epoch"] == epoch
        rows = np.stack([stored["users"][theirs], stored["pos"][theirs]], axis=1)
        np.testing.assert_array_equal(rows[np.lexsort(rows.T[::-1])], data.train)
