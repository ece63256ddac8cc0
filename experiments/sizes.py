"""Sizes of the data sets beside those that a paper prints, for its Table 1; trains nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.shelf import DATA, RESULTS, called, load, options, places, provenance, write_page, write_rows

# Which interactions a paper's number may count.
COUNTED = {"train": ("train",), "train and valid": ("train", "valid"), "all": ("train", "valid", "test")}
NAMES = ("users", "items", *COUNTED, "sparsity", "widths")


def measured(folder: str, data: str, counted: str) -> tuple:
    """Users, items, interactions by what is counted, sparsity of what this paper counts, widths of modalities."""
    dataset = load(folder, data)
    sums = {name: sum(len(getattr(dataset, split)) for split in splits) for name, splits in COUNTED.items()}
    sparsity = round(100 * (1 - sums[counted] / (dataset.n_users * dataset.n_items)), 3)
    widths = ", ".join(f"{name} {one.features.shape[1]}" for name, one in dataset.modalities.items())
    return dataset.n_users, dataset.n_items, *sums.values(), sparsity, widths


def text(value: Any) -> str:
    """A number as the table shows it.

    >>> text(9308), text(99.9046), text("")
    ('9,308', '99.905 %', '')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f} %" if isinstance(value, float) else value


def tell(
    about: str,
    name: str,
    paper: Mapping[str, Mapping[str, Any]],
    folders: Sequence[str],
    counted: Callable[[str], str],
    arguments: Sequence[str] | None,
) -> None:
    """Writes and prints the table `name`.

    Args:
      about: the script's docstring. paper: data set -> column -> the printed number. folders: measured where none are
        named. counted: of a data set, the interactions that its sparsity is made of.
    """
    paper_name, _, table = name.partition("_")
    given = options(about, f"runs/{paper_name}").parse_args(arguments)
    root, sets = places(given.data, given.only, folders)
    every, lines = [], ["| data | whose | " + " | ".join(NAMES) + " |", "| --- | --- |" + " ---: |" * 6 + " --- |"]
    for folder in dict.fromkeys([*sets, *(paper if given.only is None else ())]):
        here = dict(zip(NAMES, measured(folder, root, counted(folder)), strict=True)) if folder in sets else {}
        for whose, values in (("ours", here), ("paper", paper.get(folder, {}))):
            if values:
                row = {column: values.get(column, "") for column in NAMES}
                every.append({"data": folder, "row": whose} | row)
                lines.append(f"| {folder} | {whose} | " + " | ".join(map(text, row.values())) + " |")
    source = provenance(called(f"{paper_name}/{table}.py", arguments), given.note)
    written = write_rows(RESULTS / f"{name}.csv", every)
    print("\n".join(lines))
    write_page(written, ["# The data sets", "", about.strip(), "", source, "", *lines])


SETS = tuple(folder for folder in DATA if folder not in ("amazon_scientific", "amazon_clothing"))
