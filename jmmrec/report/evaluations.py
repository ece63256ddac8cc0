"""What a comparison needs to know of evaluated models, and whether they can be compared at all."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from jmmrec.errors import ConfigError, JmmrecError


class EvaluationLike(Protocol):
    """What the comparison needs to know of an evaluated model; every number carries split, mask and seeds."""

    @property
    def split(self) -> str:
        """ "valid" or "test"."""
        ...

    @property
    def mask(self) -> str:
        """ "train" or "train+valid": the items left out of each user's ranking."""
        ...

    @property
    def seeds(self) -> tuple[int, ...]:
        """One for each trained model."""
        ...

    @property
    def users(self) -> np.ndarray:
        """Ids (n,) of the users averaged over."""
        ...

    @property
    def per_user(self) -> Mapping[str, np.ndarray]:
        """Metric name ("recall@20") -> (n_seeds, n)."""
        ...

    @property
    def per_seed(self) -> Mapping[str, np.ndarray]:
        """Metric name -> (n_seeds,), means over users."""
        ...


def seed_text(seeds: Sequence[int]) -> str:
    """Seeds as the command line takes them: `0:5` for a run of them, else `0,3,7`.

    >>> seed_text((0, 1, 2)), seed_text((0, 3, 7)), seed_text((999,))
    ('0:3', '0,3,7', '999')
    """
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}:{seeds[-1] + 1}"
    return ",".join(map(str, seeds))


def shared_facts(evaluations: Mapping[str, EvaluationLike]) -> dict[str, object]:
    """Split, mask and number of users of all of them, and their seeds where these are the same.

    Raises:
      JmmrecError: none, or another split, mask or set of users.
    """
    if not evaluations:
        raise JmmrecError("there is no evaluation to compare; give at least one.")
    first = next(iter(evaluations.values()))
    for name, evaluation in evaluations.items():
        for attribute in ("split", "mask"):
            here, there = getattr(evaluation, attribute), getattr(first, attribute)
            if here != there:
                raise JmmrecError(
                    f"{name} was evaluated with {attribute} {here!r} and {next(iter(evaluations))} with {there!r}; "
                    "evaluate both in the same way before comparing."
                )
        if not np.array_equal(np.sort(evaluation.users), np.sort(first.users)):
            raise JmmrecError(
                f"{name} was evaluated on {len(evaluation.users)} users and {next(iter(evaluations))} on other "
                f"{len(first.users)}; compare runs of the same data set and split."
            )
    facts: dict[str, object] = {"split": first.split, "masked": first.mask, "users": len(first.users)}
    if all(tuple(e.seeds) == tuple(first.seeds) for e in evaluations.values()):
        facts["seeds"] = seed_text(first.seeds)
    return facts


def check_metrics(evaluations: Mapping[str, EvaluationLike], metrics: Sequence[str]) -> None:
    """Raises `ConfigError` for a metric that one of them lacks."""
    for name, evaluation in evaluations.items():
        for metric in metrics:
            if metric not in evaluation.per_user or metric not in evaluation.per_seed:
                known = ", ".join(evaluation.per_user) or "none"
                raise ConfigError(f"{name} has no metric {metric!r}; it has {known}.")
