"""What is hidden cannot be read: every model trains to the same bits whatever stood in hidden rows."""

import dataclasses

import jax
import numpy as np
import pytest

from jmmrec.data import Dataset, Modality, impute, with_missing
from jmmrec.models import MODELS, make
from jmmrec.train import TrainConfig, trainer

USERS, ITEMS, K = 13, 11, 3
SMALL = {"embed_dim": 4, "knn_k": K, "eval_gumbel": "off"}
LACKS_IMAGE = np.arange(ITEMS) % 4 == 1


def dataset(without: float, before: float, published: int) -> Dataset:
    """Items without an image, which held `without`; items whose text is hidden, which held `before`.

    Both modalities have published neighbours, drawn with `published` as if found with what is hidden.
    """
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(ITEMS, 5)), rng.normal(size=(ITEMS, 3))
    train = [(u, i) for u in range(USERS) for i in rng.permutation(ITEMS)[:4]]
    valid = [next((u, i) for i in range(ITEMS) if (u, i) not in set(train)) for u in range(USERS)]
    near = np.random.default_rng(published).integers(ITEMS, size=(2, ITEMS, K))
    image = Modality(np.where(LACKS_IMAGE[:, None], without, image), ~LACKS_IMAGE, near[0])
    whole = Dataset(USERS, ITEMS, np.array(train), np.array(valid), np.zeros((0, 2)))

    def hidden(rows: np.ndarray) -> Dataset:
        modalities = {"image": image, "text": Modality(rows, neighbours=near[1])}
        return with_missing(dataclasses.replace(whole, modalities=modalities), 0.5, "single:text", seed=1)

    lost = ~hidden(text).modalities["text"].present
    assert lost.sum() == 5
    return hidden(np.where(lost[:, None], before, text))


@pytest.mark.parametrize("name", MODELS)
def test_hidden_rows_are_unreadable(name) -> None:
    options = {k: v for k, v in SMALL.items() if k in {f.name for f in dataclasses.fields(MODELS[name])}}
    found = []
    for planted in (dataset(0.0, 0.0, 1), dataset(np.nan, 1e38, 2)):
        bound = trainer(
            make(name, **options), planted.for_training(), TrainConfig(epochs=2, eval_every=2, batch_size=32)
        )
        lane = bound.advance([bound.start(0)])[0]
        assert np.isfinite(lane.history[-1]["loss"])
        found.append((bound.static, lane.train, lane.history[-1]["loss"], lane.history[-1]["parts"]))
    jax.tree.map(np.testing.assert_array_equal, *found)


def test_hidden_data_sets_differ_in_nothing_but_unused_neighbours() -> None:
    first, second = dataset(0.0, 0.0, 1), dataset(np.nan, 1e38, 2)
    assert first.digest != second.digest
    assert first.modalities["text"].neighbours is second.modalities["text"].neighbours is None
    assert impute(first).digest == impute(second).digest
