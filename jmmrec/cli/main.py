"""Entry point: finds the command, and turns whatever a person can mend into one sentence and exit code 2."""

import importlib
import os
import sys
from collections.abc import Sequence

from jmmrec.errors import JmmrecError

# Command -> module with `run(argv)` and what it does. Modules are imported when asked for: jax takes seconds.
COMMANDS = {
    "demo": ("jmmrec.cli.demo", "FREEDOM with and without virtual triplets on generated data: a table and curves"),
    "train": ("jmmrec.cli.train", "train a model; --resume RUN continues a run"),
    "search": ("jmmrec.cli.search", "train with many settings, or MDVT's whole grid; choose on valid"),
    "evaluate": ("jmmrec.cli.evaluate", "metrics of a finished run on a split"),
    "compare": ("jmmrec.cli.compare", "a table of several runs with paired tests"),
    "report": ("jmmrec.cli.report", "tables, figures and one HTML page of finished runs"),
    "recommend": ("jmmrec.cli.recommend", "top-K lists of a finished run in the original ids"),
    "data": ("jmmrec.cli.data", "describe, convert, split data sets, hide modalities, or generate one"),
    "models": ("jmmrec.cli.models", "what can be trained"),
    "doctor": ("jmmrec.cli.doctor", "device, versions, memory: what may be wrong here"),
}
STOPPED = 130
BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit code: 0, 2 for bad input, 130 when interrupted.

    Args:
      argv: without the program's name; default the process's own.

    >>> main(["--version"])
    0.1.0.dev0
    0
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        import jmmrec

        print(jmmrec.__version__)
        return 0
    return _guarded(argv[0], argv[1:])


def usage() -> str:
    """What `jmmrec --help` prints.

    >>> usage().splitlines()[0]
    'usage: jmmrec COMMAND ...'
    """
    lines = [f"  {name:<10} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: jmmrec COMMAND ...", "", *lines, "", "jmmrec COMMAND --help says more."])


def _guarded(name: str, argv: list[str]) -> int:
    try:
        if name not in COMMANDS:
            raise JmmrecError(f"there is no command {name!r}; there are {', '.join(COMMANDS)}.")
        return importlib.import_module(COMMANDS[name][0]).run(argv)
    except JmmrecError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # The reader has gone (`| head`): nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        reason = (error.strerror or str(error)).lower()
        return _complain(f"cannot read or write{where}: {reason}; mend that or use another path.")


def _complain(sentence: str) -> int:
    from jmmrec.cli.options import spelled  # with the parser, which `--version` does without

    sentence = spelled(" ".join(sentence.split()))
    print(f"jmmrec: {sentence.rstrip('.')}.", file=sys.stderr)
    return 2
