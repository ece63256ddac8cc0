"""Losses of a batch against NumPy, with and without padding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.losses import batch_norms, bpr, info_nce, l2_squares, two_view_nce
from jmmrec.losses.contrastive import log_partition


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, ...]:
    return tuple(np.random.default_rng(0).normal(size=(3, 6, 4)).astype(np.float32))


def padded(array: np.ndarray) -> jnp.ndarray:
    """Two more rows of rubbish."""
    return jnp.asarray(np.concatenate([array, np.full((2, *array.shape[1:]), 7.0)]), jnp.float32)


def test_values_and_padding(rows) -> None:
    mask = jnp.arange(8) < 6
    margin = rows[0][:, 0]
    expected = {
        "bpr": -np.log(1e-10 + 1 / (1 + np.exp(-margin.astype(np.float64)))).mean(),
        "norm": sum(np.linalg.norm(r) for r in rows) / 6,
        "l2sq": sum((r**2).sum() for r in rows) / 12,
    }
    whole = {"bpr": bpr(jnp.asarray(margin)), "norm": batch_norms(rows, jnp.ones(6, bool)),
             "l2sq": l2_squares(rows, jnp.ones(6, bool))}  # fmt: skip
    more = {"bpr": bpr(padded(margin), mask), "norm": batch_norms(tuple(map(padded, rows)), mask),
            "l2sq": l2_squares(tuple(map(padded, rows)), mask)}  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(whole[name], value, rtol=1e-6)
        np.testing.assert_allclose(more[name], value, rtol=1e-6)


def test_nan_in_padding_does_not_spread(rows) -> None:
    mask = jnp.arange(8) < 6
    dirty = padded(rows[0]).at[6:].set(jnp.nan)
    assert np.isfinite(bpr(dirty[:, 0], mask))
    assert np.isfinite(batch_norms((dirty,), mask)) and np.isfinite(l2_squares((dirty,), mask))


def test_a_temperature_is_learned_or_one_of_several() -> None:
    rng = np.random.default_rng(0)
    query, keys = (jnp.asarray(rng.normal(size=(n, 4)), jnp.float32) for n in (6, 9))
    place = jnp.arange(6)

    def _loss(tau):
        return info_nce(query, keys, place, tau=tau)

    taus = jnp.array([0.4, 0.7])
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(_loss)))(taus)
    np.testing.assert_allclose(value, [_loss(0.4), _loss(0.7)], rtol=1e-5)
    for tau, found in zip((0.4, 0.7), slope, strict=True):
        logits = np.float64(query @ keys.T)
        share = np.exp(logits / tau) / np.exp(logits / tau).sum(axis=1, keepdims=True)
        by_hand = (logits[np.arange(6), np.arange(6)] - (share * logits).sum(axis=1)) / tau**2
        np.testing.assert_allclose(found, by_hand.mean(), rtol=1e-4)
    for loss in (_loss, lambda tau: log_partition(query, keys, tau=tau)):
        with pytest.raises(ConfigError, match=r"tau has shape \(2,\); give one number"):
            loss(taus)


@pytest.mark.parametrize("memory", [1 << 20, 64])
@pytest.mark.parametrize("tau", [0.5, 0.04])
def test_two_views_have_the_gradient_of_their_formula(tau, memory) -> None:
    """At the lower temperature most shares lie below the 1e-8 that is added to each."""
    rng = np.random.default_rng(0)
    query, keys = (jnp.asarray(v / np.linalg.norm(v, axis=1, keepdims=True)) for v in rng.normal(size=(2, 9, 3)))
    mask = jnp.asarray(rng.random(9) < 0.8)

    def _written(query, keys):
        across, within = (jnp.exp((query @ t.T) / tau) for t in (keys, query))
        others = across * mask + within * mask * (1 - jnp.eye(9))
        share = jnp.diag(across) / others.sum(axis=1)
        return jnp.sum(-jnp.log(share + 1e-8) * mask) / jnp.sum(mask), share

    (value, share), expected = jax.value_and_grad(_written, (0, 1), has_aux=True)(query, keys)
    assert (np.asarray(share)[np.asarray(mask)] < 1e-8).sum() >= (3 if tau < 0.1 else 0)
    for limit in (None, 1.0):
        loss = functools.partial(two_view_nce, tau=tau, mask=mask, limit=limit, memory=memory)
        found, slopes = jax.jit(jax.value_and_grad(loss, (0, 1)))(query, keys)
        np.testing.assert_allclose(found, value, rtol=1e-5)
        for a, b in zip(slopes, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_queries_and_keys_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"query has shape \(3, 4\) and keys \(1, 4\), but without a target"):
        info_nce(jnp.ones((3, 4)), jnp.ones((1, 4)))
    none = jnp.zeros((0, 4))
    assert info_nce(none, none) == info_nce(none, jnp.ones((2, 4)), jnp.zeros(0, int)) == two_view_nce(none, none) == 0
