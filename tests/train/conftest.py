"""A data set that fits on a page."""

import numpy as np
import pytest

from jmmrec.data import Dataset, Modality


def random_dataset(seed: int = 0, n_users: int = 13, n_items: int = 11) -> Dataset:
    """The last item is cold in training; every user has at least two training items."""
    rng = np.random.default_rng(seed)
    rows = {"train": [], "valid": [], "test": []}
    for user in range(n_users):
        items = rng.permutation(n_items - 1)[: rng.integers(4, 7)]
        for split, chosen in (("valid", items[:1]), ("test", items[1:2]), ("train", items[2:])):
            rows[split] += [(user, item) for item in chosen]
    modalities = {n: Modality(rng.normal(size=(n_items, d)).astype(np.float32)) for n, d in (("image", 5), ("text", 3))}
    return Dataset(n_users, n_items, *(np.array(r) for r in rows.values()), modalities, name="small")


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return random_dataset()
