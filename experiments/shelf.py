"""What the experiment scripts share: processes, provenance, and rows written as CSV."""

import csv
import math
import multiprocessing
import multiprocessing.connection
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def carry_out(function: Callable[..., str], jobs: Sequence[tuple], processes: int, minutes: float = 0.0) -> None:
    """Calls `function(*job)` for every job, each in a fresh process, so many at a time (0: in this one).

    Args:
      minutes: the budget; when it is used up what runs is ended, to be continued from its checkpoint next time.
    """
    if not processes:
        for job in jobs:
            print("finished", function(*job), flush=True)
        return
    spawn, waiting, running, failed = multiprocessing.get_context("spawn"), list(jobs), [], []
    end = time.monotonic() + 60 * minutes if minutes else math.inf
    while waiting or running:
        while waiting and len(running) < processes:
            running.append(process := spawn.Process(target=_say, args=(function, waiting.pop(0))))
            process.start()
        multiprocessing.connection.wait([p.sentinel for p in running], timeout=min(end - time.monotonic(), 60.0))
        failed += [p for p in running if p.exitcode]
        running = [p for p in running if p.exitcode is None]
        if time.monotonic() >= end:
            for process in running:
                process.terminate()
            left = len(waiting) + len(running)
            print(f"the budget of {minutes:g} minutes is used up; {left} runs are left", flush=True)
            return
    if failed:
        raise SystemExit(f"{len(failed)} of {len(jobs)} runs failed; what they said stands above.")


def _say(function: Callable[..., str], job: tuple) -> None:
    print("finished", function(*job), flush=True)


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
