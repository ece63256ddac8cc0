"""Every registered backbone under the combinator switched off, with other numbers of modalities, killed and resumed."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from jmmrec.data import Dataset, Modality
from jmmrec.train import Checkpoints, with_mdvt
from tests.models.test_properties import batch_of, build, counted, data, every_model, prepared, training_loss


def identical(first, second) -> None:
    jax.tree.map(np.testing.assert_array_equal, first, second)


def wrapped(model, dataset, static, state, **options):
    """The training loss of the model inside the combinator."""
    both = {"backbone": static, "exclude": None, "degree": None, "n_users": np.zeros((dataset.n_users, 0))}
    return training_loss(with_mdvt(model, n=2, **options), both, {"backbone": state, "mined": ()})


@every_model
def test_virtual_triplets_switched_off_are_bitwise_the_backbone(name) -> None:
    """Inactive, or with λ = 0, it is the same program."""
    model, dataset = build(name), data()
    static, params, state = prepared(model, dataset)
    batch = batch_of(dataset)
    losses = [training_loss(model, static, state)]
    for options in ({}, {"lam": 0.0, "active": True}, {"lam": 0.0, "active": True, "refresh": 3}, {"active": True}):
        losses.append(wrapped(model, dataset, static, state, **options))
    alone, *off, on = (re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(loss)(params, batch))) for loss in losses)
    assert all(program == alone for program in off)
    assert len(on) > len(alone)


def with_modalities(dataset: Dataset, *names: str) -> Dataset:
    rng = np.random.default_rng(8)
    features = {name: Modality(rng.normal(size=(dataset.n_items, 3 + n))) for n, name in enumerate(names)}
    return dataclasses.replace(dataset, modalities=features)


@every_model
@pytest.mark.parametrize("names", [("smell",), ("text", "audio", "image")], ids=["one", "three"])
def test_any_number_of_modalities_of_any_names(name, names) -> None:
    model, dataset = build(name), with_modalities(data(), *names)
    static, params, state = prepared(model, dataset)
    loss, _ = jax.jit(training_loss(model, static, state))(params, batch_of(dataset))
    assert np.isfinite(loss)
    encoded = jax.eval_shape(lambda params: model.encode(params, state, static, None, train=False), params)
    assert encoded.user.shape[1] == encoded.item.shape[1]
    expected = set(names) if "features" in static else set()
    assert expected <= set(encoded.modal) <= {"id", *names}
    for user, item in encoded.modal.values():
        assert (user.shape[0], item.shape[0]) == (dataset.n_users, dataset.n_items) and user.shape[1] == item.shape[1]


@every_model
def test_a_run_continues_exactly_from_its_checkpoint(name, tmp_path) -> None:
    t = counted(name)[0]
    whole = t.advance(t.advance([t.start(3)]))
    Checkpoints(tmp_path).save(t.advance([t.start(3)]))
    resumed = t.advance(Checkpoints(tmp_path).load(t))
    identical(whole[0].train, resumed[0].train)
    assert whole[0].history == resumed[0].history
