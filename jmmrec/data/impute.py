"""Features for items that have none: fills made of nothing but observed rows and training interactions.

Filled rows become present, for models that need a value everywhere, and are marked as `imputed`, so that what was
observed stays known. A modality with filled rows loses its published neighbours: models find them in what is there.
"""

import dataclasses
from pathlib import Path

import numpy as np

from jmmrec.data import fills
from jmmrec.data.dataset import Dataset, Modality
from jmmrec.data.formats import as_dataset
from jmmrec.errors import ConfigError, check_choice, check_range, check_whole

FILLS = {
    "mean": fills.mean,
    "zero": fills.zero,
    "random": fills.uniform,
    "nn": fills.nearest_item,
    "neigh_mean": fills.neighbour_mean,
    "multihop": fills.multihop,
    "ppr": fills.pagerank,
}
# What follows the colon: name, least, largest; names in lower case may be left out.
NUMBERS = {
    "neigh_mean": (("K", 1, 10_000),),
    "multihop": (("K", 1, 10_000), ("L", 1, 1000)),
    "ppr": (("ALPHA", 0.01, 1.0), ("k", 1, 10_000)),
}


def impute(dataset: Dataset | str | Path, how: str = "mean", seed: int = 0) -> Dataset:
    """The data set with every missing row filled; where a fill has nothing to go on, it takes the mean.

    With X the features of a modality, O the items where it is observed, and S_ij how many training users items i and j
    have in common, kept where one is among the K items with most users in common with the other; D its row sums:

    * `mean`: of the rows of O. `zero`. `random`: uniform between the least and the largest value of each column.
    * `nn`: the row of the item of O with the largest mean cosine to i over the other modalities that both have.
    * `neigh_mean:K`: the mean over the K items of O with most users in common with i (NeighMean of Malitesta et al.,
      CIKM'24, taken over observed items).
    * `multihop:K,L`: L times X = D^-1/2 S D^-1/2 X with the observed rows put back; missing rows start at zero.
    * `ppr:ALPHA` or `ppr:ALPHA,K` (K = 20): sum_j pi_ij X_j / sum_j pi_ij over j in O, with pi_i the places of a walk
      D^-1 S from i that returns to i with chance ALPHA before each step.

    Valid and test interactions and the features of hidden rows are never read. A modality without any observed row is
    filled with zeros.

    Args:
      dataset: or what `load` takes. seed: of `random`.

    Returns:
      a data set without missing rows; `Modality.imputed` tells which were.

    Raises:
      ConfigError: an unknown fill or a number outside its range.

    >>> text = Modality(np.array([[2.0], [4.0], [9.0]]), np.array([True, True, False]))
    >>> filled = impute(Dataset(2, 3, [[0, 0], [1, 1]], [], [], {"text": text})).modalities["text"]
    >>> filled.features.ravel().tolist(), filled.imputed.tolist()
    ([2.0, 4.0, 3.0], [False, False, True])
    """
    kind, numbers = _read(how)
    check_whole("seed", seed, 0, 2**63 - 1)
    dataset = as_dataset(dataset)
    found = {}
    for name, modality in dataset.modalities.items():
        empty = np.flatnonzero(~modality.present)
        found[name] = modality
        if len(empty):
            features = modality.features.copy()
            if modality.observed.any():
                features[empty] = FILLS[kind](dataset, name, empty, seed, *numbers)
            found[name] = Modality(features, np.ones(len(features), bool), imputed=~modality.observed)
    step = {"do": "impute", "how": how, "seed": int(seed)}
    return dataclasses.replace(dataset, modalities=found, steps=(*dataset.steps, step))


def _read(how: str) -> tuple[str, tuple[float, ...]]:
    """Name and numbers of a fill."""
    kind, colon, text = str(how).partition(":")
    check_choice("impute", kind, FILLS)
    wanted = NUMBERS.get(kind, ())
    words = text.split(",") if colon else []
    try:
        numbers = tuple(
            int(w) if isinstance(low, int) else float(w) for w, (_, low, _) in zip(words, wanted, strict=False)
        )
        if not sum(name.isupper() for name, *_ in wanted) <= len(words) <= len(wanted):
            raise ValueError
    except ValueError:
        usage = ",".join(name.upper() for name, *_ in wanted if name.isupper())
        raise ConfigError(f"impute is {how!r}; write {kind}{':' if usage else ''}{usage}.") from None
    for number, (name, low, high) in zip(numbers, wanted, strict=False):
        check_range(f"{name.upper()} of impute {kind}", number, low, high)
    return kind, numbers
