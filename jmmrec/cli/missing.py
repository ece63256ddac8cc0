"""`jmmrec data missing`, and the options of `jmmrec train` that hide modalities and fill them."""

import dataclasses
from pathlib import Path
from typing import Any

import tyro

from jmmrec.cli import options
from jmmrec.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Hiding:
    """What of the features is hidden before training, and how it is filled."""

    missing_rate: float | None = None
    """Hide modalities of this share of the items, or what the protocol counts."""
    missing_protocol: str = "item_subset"
    """item_subset, item_one, item_pattern, entry_protected, entry_bernoulli, per_modality, same_items, single:NAME."""
    missing_seed: int = 0
    """Of the mask, independent of the seeds of training."""
    missing_keep_one: bool = False
    """With entry_bernoulli and per_modality: no item loses everything."""
    missing_mask: Path | None = None
    """A mask file instead: .npz of jmmrec data missing, or a published missing_items_*.tsv."""
    impute: str | None = None
    """Fill what is missing: mean, zero, random, nn, neigh_mean:K, multihop:K,L, ppr:ALPHA."""

    def apply(self, data: Any) -> Any:
        """The data set with that done to it.

        Raises:
          ConfigError: options that do not go together. JmmrecError: what hiding and imputing raise.
        """
        from jmmrec.data import impute

        data = hidden(data, self, self.missing_mask, "missing_")
        return data if self.impute is None else impute(data, self.impute)


NOTHING_HIDDEN = Hiding()


@dataclasses.dataclass(frozen=True)
class Missing:
    """What to hide of which data set."""

    path: tyro.conf.Positional[str]
    """Folder, interaction file, or synthetic."""
    rate: float | None = None
    """Share of the items, or of what the protocol counts; default: hide nothing, tell what is missing."""
    protocol: str = "item_subset"
    """item_subset, item_one, item_pattern, entry_protected, entry_bernoulli, per_modality, same_items, single:NAME."""
    seed: int = 0
    """Of the mask."""
    keep_one: bool = False
    """With entry_bernoulli and per_modality: no item loses everything."""
    mask: Path | None = None
    """A mask file instead: .npz, or a published missing_items_*.tsv."""
    out: Path | None = None
    """File to write the mask to, .npz."""
    overwrite: bool = False
    """Replace that file."""
    reading: tyro.conf.OmitArgPrefixes[options.DataOptions] = options.DEFAULT


def hidden(data: Any, given: Hiding | Missing, mask: Path | None, prefix: str = "") -> Any:
    """The data set with modalities hidden.

    Args:
      given: whose fields `prefix` + rate, protocol, seed and keep_one say what is drawn. mask: a file instead.

    Raises:
      ConfigError: options that do not go together. JmmrecError: what drawing and reading masks raise.

    >>> from jmmrec.data import load
    >>> hidden(load("synthetic"), Missing("synthetic", rate=0.5), None).steps[0]["rate"]
    0.5
    """
    from jmmrec.data import with_mask, with_missing

    changed = {name.removeprefix(prefix): value for name, value in options.changed(given).items()}
    drawn = {name: value for name, value in changed.items() if name in ("rate", "protocol", "seed", "keep_one")}
    if drawn and ("rate" not in drawn or mask is not None):
        option, rate = (f"--{prefix}{name}".replace("_", "-") for name in (next(iter(drawn)), "rate"))
        instead = f"nothing is hidden; add {rate}" if mask is None else "a mask file leaves nothing to draw"
        raise ConfigError(f"{option} was given but {instead}.")
    if mask is not None:
        return with_mask(data, mask)
    return with_missing(data, **drawn) if drawn else data


def run(argv: list[str], prog: str, about: str) -> None:
    """Prints what is missing and writes the mask.

    Raises:
      JmmrecError: bad options or data.
    """
    from jmmrec.data import mask_of, save_mask, shares
    from jmmrec.data.masks import mask_digest
    from jmmrec.data.steps import label

    given = options.parse(Missing, argv, prog, about)
    if given.out is not None and given.out.suffix != ".npz":
        raise ConfigError(f"{given.out} ends in {given.out.suffix or 'nothing'!r}; a mask is written as .npz.")
    if given.out is not None and given.out.exists() and not given.overwrite:
        raise ConfigError(f"{given.out} exists, and runs may have been trained with it; name another, or --overwrite.")
    data = hidden(given.reading.load(given.path), given, given.mask)
    print(f"{label(data)}\n{shares(data)}")
    for step in data.steps:
        print(f"  mask {step['digest']}")
    if given.out is not None:
        mask = mask_of(data)
        print(f"Written to {save_mask(given.out, mask, data)}: mask {mask_digest(mask, list(data.modalities))}.")
