"""`jmmrec demo`."""

import dataclasses
import os
import time
from pathlib import Path

from jmmrec.cli import options


@dataclasses.dataclass(frozen=True)
class DemoOptions:
    """Where and how often."""

    out: Path = Path("demo-output")
    """Folder for the table and the curves."""
    seeds: options.Seeds = (0, 1, 2)
    """One run of each strategy for each."""
    quiet: bool = False
    """No progress display."""


def run(argv: list[str]) -> int:
    """Runs the demo and prints its table, the verdict under it.

    Raises:
      JmmrecError: bad options, or the folder cannot be written.
    """
    given = options.parse(DemoOptions, argv, "jmmrec demo", "FREEDOM with and without virtual triplets.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    started = time.monotonic()
    from jmmrec.demo import demo

    if not given.quiet:
        options.show("FREEDOM alone and with static, dynamic and hybrid warm-up of MDVT, on generated data.")
    found = demo(given.out, seeds=given.seeds, quiet=given.quiet)
    took = time.monotonic() - started
    options.show(found.table, f"{took:.0f} s. Written: {', '.join(map(str, found.files))}.")
    return 0
