"""`jmmrec recommend RUN`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from jmmrec.cli import options
from jmmrec.errors import ConfigError

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
    skip_unknown: bool = False
    """Leave out users that the data does not have."""
    items: options.Words = ()
    """Original ids of the items that may be listed, or trained: those with a training interaction; default all."""
    items_file: Path | None = None
    """Text file with one original item id on each line, instead."""
    k: int = 20
    """Length of the lists; a user who has fewer items left gets a shorter one."""
    seed: int | None = None
    """Which of the run's seeds; default the first."""
    strategy: str | None = None
    """Of a warm-up search: static, dynamic, hybrid, none for the backbone alone, or best, the best of them on valid;
    default the last one tried."""
    again: bool = False
    """Also recommend what a user has in train or valid."""
    out: Path | None = None
    """File to write, .csv, .jsonl or .parquet; default: a table on the screen."""
    moved: tyro.conf.OmitArgPrefixes[options.Moved] = options.IN_PLACE


def run(argv: list[str]) -> int:
    """Prints or writes top-K lists in the original ids.

    Raises:
      JmmrecError: no finished run, an unknown user or item, k out of range, or a file ending that is not known.
    """
    given = options.parse(Recommend, argv, "jmmrec recommend", "Top-K lists of a finished run.")
    if given.out is not None and given.out.suffix not in ENDINGS:
        raise ConfigError(
            f"{given.out} ends in {given.out.suffix or 'nothing'!r}; lists are written as {', '.join(ENDINGS)}."
        )
    users = _ids("users", given.users, given.users_file)
    items = _ids("items", given.items, given.items_file)
    result = given.moved.open(given.run)
    strategy = result.best_strategy if given.strategy == "best" else given.strategy
    name = f"{result.name}{f', {strategy}' if strategy else ''}"
    everybody = users is None and given.out is None
    asked = result.dataset.user_ids[:SHOWN].tolist() if everybody else users
    found = result.recommend(
        asked,
        given.k,
        items="trained" if given.items == ("trained",) else items,
        seed=given.seed,
        strategy=strategy,
        again=given.again,
        skip_unknown=given.skip_unknown,
    )
    if given.out:
        path = found.save(given.out)
        options.show(f"Top {given.k} of {name} for {len(found.users):,} users written to {path}.", *found.remarks)
        return 0
    options.show(found.table(len(found.users), f"Top {given.k} of {name} on {result.dataset.name}"))
    if everybody and result.dataset.n_users > SHOWN:
        options.show(f"{result.dataset.n_users - SHOWN} more users: name them with --users, or write all with --out.")
    return 0


def _ids(kind: str, named: Sequence[str], path: Path | None) -> list[str] | None:
    from jmmrec.data.files import read_text

    if named and path:
        raise ConfigError(f"both --{kind} and --{kind}-file were given; choose one.")
    if path:
        return list(dict.fromkeys(line.strip() for line in read_text(path).splitlines() if line.strip()))
    return list(named) or None
