"""The ledger: what the papers claim, what we find, made from the CSVs in results/ and nothing else.

    make ledger        # or: python experiments/ledger.py
It writes experiments/README.md. Claims are in claims.py, the rules of their verdicts in verdicts.py. A claim whose file
is not there is open.
"""

import ast
import collections
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiments.claims import CLAIMS, HERE, OWN, Claim
from experiments.verdicts import Rows

RESULTS = HERE / "results"
HEAD = """# Experiments

One file for each thing that is reproduced; its docstring says what, with which command and settings, in what
time, and what to expect. Results are committed as CSV and Markdown in `results/`, with command, commit,
versions, seeds and machine kind. Data sets are not part of the project: `--data` (or `JMMREC_DATA`) names
a folder with one for each, in any layout that `jmmrec.load` reads, or one of them, also of your own.
`--models FILE.py:CLASS` trains a backbone of your own ([how](../docs/architecture.md)). Pages with figures need
`pip install 'jmmrec[plot]'`. This page is written by `make ledger` from those CSVs. No result here is from a GPU.

## What the papers claim, and what we find

"Holds": every difference that the claim is about goes its way at p < .01; "partly": some do; "does not": none does,
and one or more go the other way at p < .05, or both rows are the same runs; else "cannot be told". For other users and
other seeds (`jmmrec.report.crossed_test`), Holm's correction within a claim; one seed tells nothing. That something is
as good, or adds nothing, holds where the whole 95 % interval of the difference stays within 2 %; claims about epochs
go by intervals over seeds. Numbers in brackets are 95 % intervals, with signs of a difference, without of a mean. One
metric stands for all that the papers report: the one named.
"""


NEVER = "cannot be tested here"
COUNTED = {
    "holds": "hold", "partly": "hold in part", "does not": "do not hold",
    "cannot be told": "cannot be told from our runs", "no claim": "only shown", "open": "not run yet",
    NEVER: "cannot be tested here",
}  # fmt: skip


class Entry(NamedTuple):
    """A claim beside what we find."""

    where: str
    says: str
    paper: str
    ours: str
    differs: str
    verdict: str


def read(name: str) -> Rows:
    """Rows of a result, none if it is not there."""
    path = RESULTS / name
    if not path.is_file():
        return []
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def entry(claim: Claim) -> Entry:
    """A claim with what we find, and its verdict."""
    rows = read(claim.file)
    told, found = claim.ours(rows) if rows or not claim.file else ("", "open")
    mined = {row["refresh"] for row in rows if row.get("refresh")}
    once = "; mined once an epoch" if told and mined == {"epoch"} else ""
    return Entry(claim.where, claim.says, claim.paper, told, claim.differs + once, found)


def table(heads: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; `heads` are words between bars.

    >>> table("claim|verdict", [("MDVT, Table 2", "open")])
    ['| claim | verdict |', '| --- | --- |', '| MDVT, Table 2 | open |']
    """
    names = heads.split("|")
    return [f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *rows)]


def judged(entries: Sequence[Entry]) -> list[str]:
    """The claims: those that our runs speak of, those not run yet, those that nothing here can decide."""
    theirs = [one for one in entries if one.where != OWN]
    run = [one for one in theirs if one.verdict not in ("open", NEVER)]
    own = [one[1:2] + one[3:] for one in entries if one.where == OWN]
    return [
        f"{len(theirs)} claims of the two papers: {tally(theirs)}.", "", "### What our runs say", "",
        *table("claim|says|paper|ours|what differs|verdict", run),
        "", "### Not run yet", "",
        *table("claim|says|paper|what differs", [one[:3] + one[4:5] for one in theirs if one.verdict == "open"]),
        "", "### Cannot be tested here", "",
        *table("claim|says|why", [(one.where, one.says, one.differs) for one in theirs if one.verdict == NEVER]),
        "", "### What we asked beside", "", *table("says|ours|what differs|verdict", own),
    ]  # fmt: skip


def tally(entries: Sequence[Entry]) -> str:
    """How many claims have each verdict."""
    counts = collections.Counter(one.verdict for one in entries)
    return ", ".join(f"{counts[verdict]} {name}" for verdict, name in COUNTED.items() if counts[verdict])


def scripts() -> list[tuple[str, str, str]]:
    """A row for each script: what its docstring says first, and its results if there are any."""
    lines = []
    for path in [*sorted(HERE.glob("*.py")), *sorted(HERE.glob("*/*.py"))]:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if "python experiments/" not in text or path.name == "ledger.py":
            continue
        alone = path.parent == HERE or path.stem == "warmup_strategies"
        stem = path.stem if alone else f"{path.parent.name}_{path.stem}"
        page = RESULTS / f"{stem}.md"
        result = f"[{page.name}](results/{page.name})" if page.exists() else "not run yet"
        lines.append((f"`{path.relative_to(HERE)}`", " ".join(text.split("\n\n")[0].split()), result))
    return lines


def ledger() -> str:
    """The whole page."""
    lines = [
        *judged([entry(claim) for claim in CLAIMS]),
        "",
        "## Scripts",
        "",
        *table("script|what|results", scripts()),
    ]
    return HEAD + "\n" + "\n".join(lines) + "\n"


def main() -> None:
    """Writes the page."""
    (HERE / "README.md").write_text(ledger(), encoding="utf-8")
    print(f"wrote {HERE / 'README.md'}")


if __name__ == "__main__":
    main()
