"""A data set with one modality's features replaced by something that says nothing about its items."""

import dataclasses
from collections.abc import Callable

import numpy as np

from jmmrec.data.dataset import Dataset, Modality
from jmmrec.errors import DataError, check_choice

Rng = np.random.Generator


def _permuted(rows: np.ndarray, rng: Rng) -> np.ndarray:
    return rows[rng.permutation(len(rows))]


def _noise(rows: np.ndarray, rng: Rng) -> np.ndarray:
    return rng.normal(rows.mean(axis=0), rows.std(axis=0) + 1e-12, rows.shape)


def _constant(rows: np.ndarray, rng: Rng) -> np.ndarray:
    return np.broadcast_to(rows.mean(axis=0), rows.shape)


REPLACED: dict[str, Callable[[np.ndarray, Rng], np.ndarray]] = {
    "permuted": _permuted,
    "noise": _noise,
    "constant": _constant,
}
KNOCKOUTS = (*REPLACED, "absent")


def knock_out(dataset: Dataset, name: str, how: str, seed: int = 0) -> Dataset:
    """The data set with one modality knocked out.

    `permuted`: the same rows, each at another item's place. `noise`: normal, with mean and deviation of every column.
    `constant`: every row the mean. `absent`: the modality is not there. Missing rows stay missing, and neighbours
    published for the real features go.

    Args:
      name: of the modality. how: as above. seed: of what is drawn.

    Raises:
      DataError: no such modality, `absent` where it is the only one, or rows that were imputed, of any modality (from
        rows that are knocked out, or chosen by them): knock out first, then `impute`.

    >>> text = Modality(np.array([[1.0], [2.0], [3.0]]))
    >>> d = Dataset(2, 3, [[0, 0], [1, 1]], [], [], {"text": text})
    >>> knock_out(d, "text", "constant").modalities["text"].features.ravel().tolist()
    [2.0, 2.0, 2.0]
    """
    check_choice("how", how, KNOCKOUTS)
    if name not in dataset.modalities:
        raise DataError(f"{dataset.name} has no modality {name!r}; it has {', '.join(dataset.modalities) or 'none'}.")
    for other, modality in dataset.modalities.items():
        if modality.imputed is not None:
            raise DataError(
                f"rows of {other} were imputed from rows that are knocked out; knock out first, then impute."
            )
    others = {n: m for n, m in dataset.modalities.items() if n != name}
    if how == "absent":
        if not others:
            raise DataError(f"{name} is the only modality of {dataset.name}; what is left is no data for this model.")
        found = others
    else:
        old = dataset.modalities[name]
        features, here = np.array(old.features), np.flatnonzero(old.present)
        features[here] = REPLACED[how](features[here], np.random.default_rng([seed, len(here)]))
        found = {n: Modality(features, old.present) if n == name else m for n, m in dataset.modalities.items()}
    step = {"do": "knock out", "name": name, "how": how, "seed": seed}
    return dataclasses.replace(dataset, modalities=found, steps=(*dataset.steps, step))
