"""`jmmrec recommend RUN`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from jmmrec.cli import options
from jmmrec.errors import ConfigError

if TYPE_CHECKING:
    from jmmrec.report import Table
    from jmmrec.result import Recommendations

ENDINGS = (".csv", ".jsonl", ".parquet")
SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Recommend:
    """What to recommend to whom."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    users: options.Words = ()
    """Original user ids, e.g. 17,42; default everybody."""
    users_file: Path | None = None
    """Text file with one original user id on each line, instead."""
    k: int = 20
    """Length of the lists."""
    seed: int | None = None
    """Which of the run's seeds; default the first."""
    strategy: str | None = None
    """Of a warm-up search: static, dynamic, hybrid, or none for the backbone alone; default the last one tried."""
    again: bool = False
    """Also recommend what a user has in train or valid."""
    out: Path | None = None
    """File to write, .csv, .jsonl or .parquet; default: a table on the screen."""
    data: str | None = None
    """The data set, if it is no longer where the run found it."""


def run(argv: list[str]) -> int:
    """Prints or writes top-K lists in the original ids.

    Raises:
      JmmrecError: no finished run, an unknown user, k out of range, or a file ending that is not known.
    """
    given = options.parse(Recommend, argv, "jmmrec recommend", "Top-K lists of a finished run.")
    if given.out is not None and given.out.suffix not in ENDINGS:
        raise ConfigError(
            f"{given.out} ends in {given.out.suffix or 'nothing'!r}; lists are written as {', '.join(ENDINGS)}."
        )
    users = _users(given)
    from jmmrec import api

    result = api.open_run(given.run, given.data)
    everybody = users is None and given.out is None
    asked = result.dataset.user_ids[:SHOWN].tolist() if everybody else users
    found = result.recommend(asked, given.k, seed=given.seed, again=given.again, strategy=given.strategy)
    if given.out:
        options.show(f"Top {given.k} of {len(found.users)} users written to {found.save(given.out)}.", *found.remarks)
        return 0
    options.show(_table(found, f"Top {given.k} of {result.name} on {result.dataset.name}"))
    if everybody and result.dataset.n_users > SHOWN:
        options.show(f"{result.dataset.n_users - SHOWN} more users: name them with --users, or write all with --out.")
    return 0


def _users(given: Recommend) -> list[str] | None:
    from jmmrec.data.files import read_text

    if given.users and given.users_file:
        raise ConfigError("both --users and --users-file were given; choose one.")
    if given.users_file:
        return [line.strip() for line in read_text(given.users_file).splitlines() if line.strip()]
    return list(given.users) or None


def _table(found: "Recommendations", title: str) -> "Table":
    from jmmrec.report import Table

    rows = [(str(user), " ".join(map(str, items))) for user, items in zip(found.users, found.items, strict=True)]
    return Table(title, ("user", "items, best first"), tuple(rows), found.remarks)
