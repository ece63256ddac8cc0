"""What is hidden cannot be read: every model trains to the same bits whatever stood in hidden rows."""

import dataclasses

import jax
import numpy as np

from jmmrec.data import Dataset, Modality, impute, with_missing
from jmmrec.train import trainer
from tests.models.test_properties import build, data, every_model, fast


def planted(value: float) -> Dataset:
    """The properties' data with `value` in every hidden row."""
    dataset = data()
    modalities = {
        n: Modality(np.where(m.present[:, None], m.features, value), m.present) for n, m in dataset.modalities.items()
    }
    return dataclasses.replace(dataset, modalities=modalities)


@every_model
def test_hidden_rows_are_unreadable(name) -> None:
    found = []
    for value in (0.0, np.nan, 1e38):
        bound = trainer(build(name), planted(value).for_training(), fast())
        lane = bound.advance([bound.start(0)])[0]
        assert np.isfinite(lane.history[-1]["loss"])
        found.append((bound.static, lane.train, lane.history[-1]["loss"], lane.history[-1]["parts"]))
    jax.tree.map(np.testing.assert_array_equal, *found[:2])
    jax.tree.map(np.testing.assert_array_equal, *found[1:])


def test_nothing_of_hidden_rows_is_left() -> None:
    """Nor in neighbours that were published for them, nor in what is imputed."""
    text = np.random.default_rng(0).normal(size=(11, 3))

    def hidden(value: float, near: int) -> Dataset:
        neighbours = np.random.default_rng(near).integers(11, size=(11, 3))
        whole = dataclasses.replace(data(), modalities={"text": Modality(text, neighbours=neighbours)})
        lost = ~with_missing(whole, 0.5, "single:text", seed=1).modalities["text"].present
        rows = Modality(np.where(lost[:, None], value, text), neighbours=neighbours)
        return with_missing(dataclasses.replace(whole, modalities={"text": rows}), 0.5, "single:text", seed=1)

    first, second = hidden(0.0, 1), hidden(1e38, 2)
    assert first.digest == second.digest and first.modalities["text"].neighbours is None
    assert impute(first).digest == impute(second).digest
