"""Features handed over in the place of the stored ones: the stored ones themselves change nothing, filled rows stay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.models import make
from jmmrec.models.common import raw_features
from jmmrec.train import with_amr
from tests.models.test_properties import batch_of, data, prepared

KEY = jax.random.key(1)
CI2MG = {"embed_dim": 4, "hyper": {"n_prototypes": 3}}
CASES = [
    *(("ci2mg", CI2MG | {"inputs": {"impute": how}}) for how in ("mean", "zero", "item_other_mean", "neigh_mean")),
    *(("ci2mg", CI2MG | {"inputs": {"impute": "neigh_mean", "norm": norm}}) for norm in ("none", "zscore")),
    *((name, {"embed_dim": 4, "impute": how}) for name in ("lightgcn_m", "mmgcl")
      for how in ("mean", "zero", "neigh_mean")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_stored_features_change_nothing_where_they_are_given(name, options) -> None:
    dataset = data(awkward=True)
    assert not dataset.modalities["text"].present.all()
    model, features = make(name, **options), raw_features(dataset.for_training())
    static, params, state = prepared(model, dataset)
    own, given = (
        model.encode(params, state, static, None, features=features, train=False) for features in (None, features)
    )
    np.testing.assert_allclose(given.item, own.item, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(given.user, own.user, rtol=1e-6, atol=1e-6)
    moved = {name: 2.0 * x + 1.0 for name, x in features.items()}
    other = model.encode(params, state, static, None, features=moved, train=False)
    assert not np.allclose(other.item, own.item)


@pytest.mark.parametrize("name", ["ci2mg", "lightgcn_m", "mmgcl"])
def test_amr_that_moves_nothing_ranks_filled_rows_as_the_model_does(name) -> None:
    options = {"inputs": {"impute": "neigh_mean"}, "hyper": {"n_prototypes": 3}} if name == "ci2mg" else {}
    options = options or {"impute": "neigh_mean"}
    model, dataset = with_amr(make(name, embed_dim=4, **options), eps=0.0), data(awkward=True)
    static, params, state = prepared(model, dataset)
    state, aux = model.epoch(params, state, static, KEY)
    encoded = model.encode(params, state, static, aux, key=KEY, train=True)
    _, parts = model.loss(params, encoded, batch_of(dataset), KEY)
    assert jnp.isfinite(parts["bpr"])
    np.testing.assert_allclose(parts["amr"], parts["bpr"], rtol=1e-6)
