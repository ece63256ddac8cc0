"""What the experiment scripts share: processes, provenance, and rows written as CSV."""

import concurrent.futures
import csv
import multiprocessing
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def carry_out(function: Callable[..., str], jobs: Sequence[tuple], processes: int) -> None:
    """Calls `function(*job)` for every job, in so many fresh processes (0: in this one); says what is done."""
    if not processes:
        for job in jobs:
            print("finished", function(*job), flush=True)
        return
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        for future in [pool.submit(function, *job) for job in jobs]:
            print("finished", future.result(), flush=True)


def provenance(command: str, note: str = "") -> str:
    """Command, commit, versions and machine of the numbers on a page."""
    from jmmrec.train.record import environment

    here = environment()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    versions = ", ".join(f"{name} {version}" for name, version in here["versions"].items())
    return (
        f"Command: `{command}`; tables written at commit {commit or 'unknown'}; {versions}; {here['machine']}, "
        f"{here['device']}. {note}"
    ).rstrip()


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Rows with the same keys as CSV."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
