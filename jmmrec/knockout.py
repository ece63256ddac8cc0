"""Whether a model uses a modality: it is trained anew with the modality knocked out, and compared user by user."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jmmrec.api import check_seeds, fit
from jmmrec.data import Dataset, as_dataset
from jmmrec.data.impute import impute as filled
from jmmrec.data.knockout import KNOCKOUTS, knock_out
from jmmrec.data.steps import label
from jmmrec.errors import ConfigError, DataError, as_tuple, check_choice
from jmmrec.models import Backbone, as_backbone
from jmmrec.report import Table
from jmmrec.retrieval import parse_metric
from jmmrec.runs import DataLike
from jmmrec.train import TrainConfig
from jmmrec.train.record import full_name
from jmmrec.train.wrapper import innermost

VERDICT = "permuted"
"""The knock-out that the verdict rests on: all it takes away is which row belongs to which item."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One modality, knocked out in one way.

    Attributes:
      modality, how: of the knock-out. mean: the metric with it. difference: real minus knocked out, over users and
        seeds, with its 95 % bounds `low` and `high`.
    """

    modality: str
    how: str
    mean: float
    difference: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class ModalityAudit:
    """What an audit found.

    Attributes:
      model, data, metric, split: what was asked; data with what is hidden and how it is filled. seeds: trained.
      real: the metric with all modalities as they are. findings: one for each knock-out. remarks: what was left out.
    """

    model: str
    data: str
    metric: str
    split: str
    seeds: tuple[int, ...]
    real: float
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...] = ()

    def uses(self, modality: str) -> bool | None:
        """True where permuted rows make the model worse, False where they make it better, None: cannot be told.

        Raises:
          DataError: a modality that was not audited.
        """
        found = self._permuted(modality)
        return True if found.low > 0 else False if found.high < 0 else None

    def _permuted(self, modality: str) -> Finding:
        by_name = {f.modality: f for f in self.findings if f.how == VERDICT}
        if modality not in by_name:
            raise DataError(f"the audit has no modality {modality!r}; it has {', '.join(by_name)}.")
        return by_name[modality]

    def verdict(self, modality: str) -> str:
        """The same in a sentence."""
        found = self._permuted(modality)
        gap = f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
        said = {
            True: f"{self.model} uses {modality}: {self.metric} is higher with the real rows than with permuted ones",
            False: f"{self.model} is misled by {modality}: permuted rows do better than the real ones",
            None: f"no use of {modality} can be seen in {self.model}: real and permuted rows are not told apart",
        }[self.uses(modality)]
        return f"{said} ({gap})."

    def table(self) -> Table:
        """Knock-outs down; the metric, and what the real rows bring, across."""
        rows = [("", "real", f"{self.real:.4f}", "")]
        rows += [
            (f.modality, f.how, f"{f.mean:.4f}", f"{f.difference:+.4f} [{f.low:+.4f}, {f.high:+.4f}]")
            for f in self.findings
        ]
        title = f"{self.model} on {self.data}: {self.split} {self.metric}, {len(self.seeds)} seeds"
        return Table(title, ("modality", "rows", self.metric, "real minus this, 95 %"), tuple(rows), self.remarks)

    def __str__(self) -> str:
        return str(self._told())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self._told().html()

    def _told(self) -> Table:
        """The table with the verdicts below it."""
        modalities = dict.fromkeys(f.modality for f in self.findings)
        return dataclasses.replace(self.table(), notes=(*self.remarks, *map(self.verdict, modalities)))


def audit_modalities(
    model: str | Backbone,
    dataset: DataLike,
    *,
    modalities: Sequence[str] = (),
    knockouts: Sequence[str] = KNOCKOUTS,
    metric: str = "recall@20",
    split: str = "valid",
    seeds: Sequence[int] = (0, 1, 2),
    impute: str | None = None,
    config: TrainConfig | None = None,
    quiet: bool = False,
    **options: Any,
) -> ModalityAudit:
    """Trains the model with every modality real, permuted, noise, constant and absent, and says whether it uses it.

    Everything is trained from scratch, since a model may use features in what it prepares (item graphs) as well as in
    what it learns. Every seed has a permutation and noise of its own. An interval adds what varies between users to
    what varies between seeds, so that neither a lucky run nor a few users make a verdict.

    Args:
      dataset: or what `jmmrec.load` takes. modalities: those to knock out; default all. knockouts:
        `permuted`, on which the verdict rests, is always among them; `absent` is left out where nothing else is left.
      split: `valid` keeps test rows for later. seeds: 2 or more. impute: how missing rows are filled, see
        `jmmrec.data.impute`: after each knock-out, so that filled rows bring back nothing of the real ones. config,
        options: of training, as in `jmmrec.fit`.

    Raises:
      ConfigError: one seed, an unknown knock-out, metric or fill, a model that reads no modality. DataError: an unknown
        modality, or none, or rows that were imputed before. All of them before anything is trained.

    >>> found = audit_modalities("vbpr", "synthetic", modalities=["text"], knockouts=[], seeds=(0, 1),
    ...                          epochs=1, quiet=True)
    >>> [(f.modality, f.how) for f in found.findings]
    [('text', 'permuted')]
    """
    check_choice("split", split, ("valid", "test"))
    measured, k = parse_metric(metric)
    backbone, dataset, seeds = as_backbone(model), as_dataset(dataset), check_seeds(seeds)
    modalities, knockouts = as_tuple(modalities), as_tuple(knockouts)

    def _filled(data: Dataset) -> Dataset:
        return data if impute is None else filled(data, impute)

    names = _checked(backbone, dataset, modalities, knockouts, seeds, split, _filled)
    kept = [how for how in KNOCKOUTS if how in {VERDICT, *knockouts}]
    remarks: tuple[str, ...] = ()
    if "absent" in kept and len(dataset.modalities) == 1:
        kept.remove("absent")
        remarks = (f"Absent is left out: without {names[0]} {dataset.name} has no modality to train on.",)

    def _per_user(data: Dataset, seed: int) -> np.ndarray:
        result = fit(backbone, data, seeds=(seed,), config=config, quiet=quiet, **options)
        found = result.evaluate(split=split, ks=(k,), metrics=(measured,))
        return found.per_user[f"{measured}@{k}"][0]

    whole = _filled(dataset)
    real = np.stack([_per_user(whole, seed) for seed in seeds])
    findings = []
    for name in names:
        for how in kept:
            other = np.stack([_per_user(_filled(knock_out(dataset, name, how, seed)), seed) for seed in seeds])
            findings.append(Finding(name, how, float(other.mean()), *difference(real - other)))
    about = (full_name(backbone), label(whole), metric, split, seeds)
    return ModalityAudit(*about, float(real.mean()), tuple(findings), remarks)


def _checked(
    backbone: Backbone,
    dataset: Dataset,
    modalities: Sequence[str],
    knockouts: Sequence[str],
    seeds: Sequence[int],
    split: str,
    fill: Callable[[Dataset], Dataset],
) -> list[str]:
    """The modalities to knock out; what cannot work is refused before anything is trained."""
    for how in knockouts:
        check_choice("knock-out", how, KNOCKOUTS)
    if len(seeds) < 2:
        raise ConfigError(f"seeds are {list(seeds)}; give 2 or more: one says nothing about chance.")
    card = innermost(backbone)[0].card
    if card and card.modalities == "none":
        raise ConfigError(f"{full_name(backbone)} reads no modality, so it uses none; audit a model that does.")
    for name, modality in dataset.modalities.items():
        if modality.imputed is not None:
            raise DataError(
                f"rows of {name} of {dataset.name} were imputed from rows that are knocked out; give the data set with "
                "these rows missing, and impute='mean' or another fill, which then follows every knock-out."
            )
    names = list(modalities or dataset.modalities)
    for name in names:
        if name not in dataset.modalities:
            have = ", ".join(dataset.modalities) or "none"
            raise DataError(f"{dataset.name} has no modality {name!r}; it has {have}.")
    if not names:
        raise DataError(f"{dataset.name} has no modality to knock out.")
    if len(np.unique(getattr(dataset, split)[:, 0])) < 2:
        raise DataError(f"{dataset.name} has fewer than 2 users with {split} items; an interval needs 2.")
    for name in names if "absent" in knockouts and len(dataset.modalities) > 1 else ():
        backbone.prepare(fill(knock_out(dataset, name, "absent")).for_training())  # a model may insist on this modality
    return names


def difference(gaps: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of gaps (seeds, users) and bounds that hold for other users and other seeds.

    The variance of the mean is that over users of the seeds' means, plus that over seeds of the users' means (which
    counts chance within users twice, so the bounds are rather wide); degrees of freedom by Welch and Satterthwaite.

    >>> tuple(round(v, 2) for v in difference(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])))
    (2.0, -0.48, 4.48)
    """
    from scipy import stats

    mean = float(gaps.mean())
    counts = gaps.shape[1], gaps.shape[0]
    parts = [float(gaps.mean(axis=axis).var(ddof=1)) / n for axis, n in zip((0, 1), counts, strict=True)]
    total = sum(parts)
    if total == 0:
        return mean, mean, mean
    freedom = total**2 / sum(part**2 / (n - 1) for part, n in zip(parts, counts, strict=True))
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * math.sqrt(total)
    return mean, mean - half, mean + half
