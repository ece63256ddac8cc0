"""What was done to a data set since it was loaded, as plain values in a run's record, and done again from there."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jmmrec.data.dataset import Dataset
from jmmrec.data.impute import impute
from jmmrec.data.knockout import knock_out
from jmmrec.data.masks import read_mask
from jmmrec.data.missing import hide, with_missing
from jmmrec.errors import DataError


def with_mask(dataset: Dataset, path: str | Path) -> Dataset:
    """The data set with the mask of a file, see `jmmrec.data.read_mask`; `steps` names the file.

    Raises:
      DataError: as `read_mask`, or rows were imputed before.
    """
    return hide(dataset, read_mask(path, dataset), {"do": "mask", "path": str(Path(path).absolute())})


def replay(dataset: Dataset, steps: Iterable[Mapping[str, Any]]) -> Dataset:
    """Does again what `Dataset.steps` of another data set tells.

    Raises:
      DataError: a mask that came from memory, or is no longer the one that is recorded.

    >>> from jmmrec.data import load
    >>> data = load("synthetic")
    >>> hidden = impute(with_missing(data, 0.5), "zero")
    >>> replay(data, hidden.steps).digest == hidden.digest
    True
    """
    for step in steps:
        about = {key: value for key, value in step.items() if key not in ("do", "digest")}
        if step["do"] == "draw":
            dataset = with_missing(dataset, **about)
        elif step["do"] == "mask":
            dataset = with_mask(dataset, about["path"])
        elif step["do"] == "impute":
            dataset = impute(dataset, **about)
        elif step["do"] == "knock out":
            dataset = knock_out(dataset, **about)
        elif step["do"] == "join":
            dataset = dataset.all_in_train()
        elif step["do"] == "select":
            dataset = dataset.select(*about["names"])
        else:
            raise DataError(f"rows of {dataset.name} were hidden by a mask made in memory; pass the data set.")
        if "digest" in step and dataset.steps[-1]["digest"] != step["digest"]:
            where = about.get("path", f"drawn anew for {dataset.name}")
            raise DataError(f"the mask {where} is not the one that is recorded; pass the data set that was used.")
    return dataset


def label(dataset: Dataset) -> str:
    """The name of a data set for tables, with what is hidden and how it was filled.

    >>> from jmmrec.data import load
    >>> label(impute(with_missing(load("synthetic"), 0.9)))
    'demo, 90 % missing (item_subset, seed 0), imputed by mean'
    """
    said = [dataset.name]
    for step in dataset.steps:
        if step["do"] == "draw":
            kept = ", one kept" if step["keep_one"] else ""
            said.append(f"{100 * step['rate']:g} % missing ({step['protocol']}{kept}, seed {step['seed']})")
        elif step["do"] == "mask":
            said.append(f"masked by {Path(step['path']).name}")
        elif step["do"] == "join":
            said.append("all rows in train")
        elif step["do"] == "hide":
            said.append("masked")
        elif step["do"] == "impute":
            said.append(f"imputed by {step['how']}")
        elif step["do"] == "knock out":
            said.append(f"{step['name']} {step['how']}")
    return ", ".join(said)
