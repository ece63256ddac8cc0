"""Data sets with modalities of some items hidden, so that nothing can read them, and what is missing in a data set."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jmmrec.data.dataset import Dataset, Modality
from jmmrec.data.formats import as_dataset
from jmmrec.data.masks import mask_digest
from jmmrec.data.protocols import PROTOCOLS, draw_mask
from jmmrec.errors import DataError, check_choice

STRATA = ("none", "popularity")
GROUPS = ("complete", "partly missing", "all missing")


def popularity_strata(dataset: Dataset) -> np.ndarray:
    """int (n_items,): 0 without training interactions, 2 the most popular 30 % of the others, 1 the rest.

    >>> popularity_strata(Dataset(3, 4, [[0, 0], [1, 0], [2, 1], [2, 2]], [], [])).tolist()
    [2, 1, 1, 0]
    """
    degree = np.bincount(dataset.train[:, 1], minlength=dataset.n_items)
    order = np.lexsort((np.arange(dataset.n_items), -degree))
    strata = (degree > 0).astype(int)
    strata[order[: int(np.ceil(0.3 * strata.sum()))]] = 2
    return strata


def with_missing(
    dataset: Dataset | str | Path,
    rate: float,
    protocol: str = "item_subset",
    seed: int = 0,
    *,
    keep_one: bool = False,
    strata: str = "none",
) -> Dataset:
    """The data set with modalities of some items hidden, see `draw_mask` and `hide`.

    The rate counts what is drawn; rows that the data lack anyway stay missing. What was drawn is noted in `steps`, so
    that a run's record tells it and `jmmrec.open_run` draws it again.

    Args:
      dataset: or what `load` takes. rate, protocol, seed, keep_one: as `draw_mask`. strata: `none`, or `popularity`
        for `popularity_strata`.

    Raises:
      ConfigError: as `draw_mask`. DataError: no modality, or rows were imputed before.

    >>> data = with_missing("synthetic", 0.9)
    >>> float(np.mean([m.present.mean() for m in data.modalities.values()])), data.steps[0]["protocol"]
    (0.55, 'item_subset')
    """
    check_choice("strata", strata, STRATA)
    dataset = as_dataset(dataset)
    names = list(dataset.modalities)
    if not names:
        raise DataError(f"{dataset.name} has no modality to hide; read its features too.")
    labels = popularity_strata(dataset) if strata == "popularity" else None
    observed = draw_mask(dataset.n_items, names, rate, protocol, seed, keep_one=keep_one, strata=labels)
    settings = {"rate": float(rate), "protocol": protocol, "seed": int(seed), "keep_one": keep_one, "strata": strata}
    return hide(dataset, observed, {"do": "draw", **settings})


def hide(dataset: Dataset, observed: np.ndarray, step: Mapping[str, Any] | None = None) -> Dataset:
    """The data set with every entry hidden that is not `observed`; what is missing anyway stays missing.

    The features of hidden rows are gone: nothing can read them. A modality that loses a row also loses its published
    neighbours, which were found with the features of all items; models find them anew among the rows that are left.

    Args:
      observed: bool (n_items, M), columns in the order of `dataset.modalities`.
      step: how the mask came about, for `Dataset.steps`; the mask's digest is added.

    Raises:
      DataError: a mask of the wrong shape, or rows were imputed before (from rows that would be hidden now).

    >>> data = Dataset(2, 2, [[0, 0], [1, 1]], [], [], {"text": Modality(np.ones((2, 1)))})
    >>> hide(data, np.array([[True], [False]])).modalities["text"].features.tolist()
    [[1.0], [0.0]]
    """
    observed, names = np.asarray(observed), list(dataset.modalities)
    if observed.shape != (dataset.n_items, len(names)) or observed.dtype != bool:
        raise DataError(
            f"the mask has shape {observed.shape} and type {observed.dtype}; "
            f"give a bool for each of {dataset.n_items} items and {len(names)} modalities."
        )
    if any(m.imputed is not None for m in dataset.modalities.values()):
        raise DataError(f"rows of {dataset.name} were imputed from rows that would be hidden; hide first, then impute.")
    found = {}
    for column, (name, modality) in zip(observed.T, dataset.modalities.items(), strict=True):
        losing = (modality.present & ~column).any()
        found[name] = Modality(modality.features, modality.present & column) if losing else modality
    made = {**(step or {"do": "hide"}), "digest": mask_digest(observed, names)}
    return dataclasses.replace(dataset, modalities=found, steps=(*dataset.steps, made))


def mask_of(dataset: Dataset) -> np.ndarray:
    """The mask that a data set has now: bool (n_items, M), columns in the order of its modalities, False where
    a row is missing or imputed.

    >>> mask_of(Dataset(2, 2, [[0, 0], [1, 1]], [], [])).shape
    (2, 0)
    """
    columns = [m.observed for m in dataset.modalities.values()]
    return np.array(columns, bool).reshape(len(columns), dataset.n_items).T


def item_groups(dataset: Dataset) -> np.ndarray:
    """int8 (n_items,): 0 where an item has all modalities, 1 some, 2 none (places in `GROUPS`); imputed is missing.

    >>> item_groups(Dataset(2, 2, [[0, 0], [1, 1]], [], [])).tolist()
    [0, 0]
    """
    observed = mask_of(dataset)
    lost = observed.shape[1] - observed.sum(axis=1)
    return np.where(lost == 0, 0, np.where(lost == observed.shape[1], 2, 1)).astype(np.int8)


@dataclasses.dataclass(frozen=True)
class Shares:
    """How much of a data set is missing; shares lie in [0, 1].

    Attributes:
      modalities: name -> share of items without it. groups: `complete`, `partly missing`, `all missing` -> items.
      n_items: items. entries: share of all entries (item and modality).
    """

    modalities: Mapping[str, float]
    groups: Mapping[str, int]
    n_items: int
    entries: float

    def __str__(self) -> str:
        rows = [(f"{name}: missing", f"{100 * share:.1f} %") for name, share in self.modalities.items()]
        rows += [("entries missing", f"{100 * self.entries:.1f} %")]
        rows += [(f"items {group}", f"{n:,} ({100 * n / self.n_items:.1f} %)") for group, n in self.groups.items()]
        width = max(len(what) for what, _ in rows)
        return "\n".join(f"  {what:<{width}}  {value}" for what, value in rows)


def shares(dataset: Dataset) -> Shares:
    """Counts what is missing, or imputed, in a data set.

    >>> shares(Dataset(2, 2, [[0, 0], [1, 1]], [], [])).groups["complete"]
    2
    """
    observed = mask_of(dataset)
    counts = np.bincount(item_groups(dataset), minlength=3).tolist()
    return Shares(
        modalities={name: float(1 - m.observed.mean()) for name, m in dataset.modalities.items()},
        groups=dict(zip(GROUPS, counts, strict=True)),
        n_items=dataset.n_items,
        entries=float(1 - observed.mean()) if observed.size else 0.0,
    )


__all__ = [
    "GROUPS",
    "PROTOCOLS",
    "Shares",
    "draw_mask",
    "hide",
    "item_groups",
    "mask_of",
    "popularity_strata",
    "shares",
    "with_missing",
]
