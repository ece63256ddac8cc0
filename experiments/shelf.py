"""What the experiment scripts share: data sets, options, processes, provenance, and rows written as CSV."""

import argparse
import csv
import hashlib
import importlib.util
import itertools
import math
import multiprocessing
import multiprocessing.connection
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

EPOCHS = 1000  # at most, where early stopping ends a run sooner
RESULTS = Path(__file__).parent / "results"
DATA = {
    "lfm2k": ("audio", "text", "whisper"),
    "amazon_scientific": ("image", "text"),
    "tiktok": ("image", "audio"),
    "amazon_baby": ("image", "text"),
    "amazon_sports": ("image", "text"),
    "amazon_clothing": (),  # its features cannot be had
}


def load(folder: str, data: str) -> Any:
    """A data set with all its modalities; one of your own is read as `jmmrec.load` finds it.

    Raises:
      SystemExit: it is not there, or cannot be read.
    """
    import jmmrec
    from jmmrec.errors import JmmrecError

    name = folder.removeprefix("amazon_")
    several = (Path(data) / folder / f"{name}_random_split.inter").exists()  # a second split, of other papers
    try:
        return jmmrec.load(Path(data) / folder, inter=name if several else None, modalities=DATA.get(folder))
    except JmmrecError as error:
        raise SystemExit(f"{error} --data names a folder with {', '.join(DATA)}, or one data set.") from error


def modalities(folder: str) -> str:
    """Those of a data set, in words.

    >>> modalities("tiktok")
    'image, audio'
    """
    return ", ".join(DATA.get(folder, ("all its modalities",)))


def short(model: str) -> str:
    """What tables and folders call a model: `Mine` for `my/backbone.py:Mine`.

    >>> short("freedom"), short("my/backbone.py:Mine")
    ('freedom', 'Mine')
    """
    return model.rpartition(":")[2]


def filed(model: str) -> str:
    """What run folders call a model: one of your own by its code as well, so that another version is another run.

    >>> filed("freedom")
    'freedom'
    """
    from jmmrec.models import class_of
    from jmmrec.models.own import source_digest

    return f"{short(model)}-{source_digest(class_of(model))[:8]}" if ":" in model else model


def _one_of(known: Sequence[str], own: bool) -> Callable[[str], str]:
    """What `--models` is read by: a known name, or a class of one's own, which has to be there."""

    def _model(text: str) -> str:
        from jmmrec.errors import ConfigError
        from jmmrec.models import class_of

        if text in known:
            return text
        if not own or ":" not in text:
            raise argparse.ArgumentTypeError(f"there is no {text!r} here; there are {', '.join(known)}.")
        try:
            class_of(text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return text

    return _model


def seeds_of(text: str) -> tuple[int, ...]:
    """Seeds as the command line of jmmrec reads them."""
    from jmmrec.cli.options import seeds_of
    from jmmrec.errors import ConfigError

    try:
        return seeds_of(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def options(
    about: str, runs: str, *, seeds: str = "0:3", jobs: int = 1, names: Sequence[str] = (), own: bool = True
) -> argparse.ArgumentParser:
    """The options that all of them have; `only` and `models` are None where nothing is asked for.

    Args:
      names: what --models may be; default: the registered backbones. own: whether it may be FILE.py:CLASS.
    """
    from jmmrec.models import MODELS

    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        default=os.environ.get("JMMREC_DATA", "../shared/data"),
        help="folder of data sets" + ", or one of them, also of your own" * own,
    )
    parser.add_argument("--runs", default=runs, help=f"folder of what is trained; default {runs}")
    parser.add_argument("--only", nargs="*", choices=list(DATA), help="data sets; default: the experiment's")
    known = list(names) if names else list(MODELS)
    said = f"of {', '.join(known)}" + "; FILE.py:CLASS is one of your own" * own
    parser.add_argument("--models", nargs="*", type=_one_of(known, own), metavar="MODEL", help=said)
    parser.add_argument("--seeds", default=seeds, type=seeds_of, help="0:5 for five from 0; 0,3,7; or one")
    parser.add_argument("--jobs", type=int, default=jobs, help="processes at a time")
    parser.add_argument("--budget", type=float, default=0.0, metavar="MINUTES", help="stop then; go on another time")
    parser.add_argument("--report", action="store_true", help="train nothing, write the tables of what is there")
    parser.add_argument("--note", default="", help="a sentence for the page, e.g. what has not been run")
    return parser


def shortened(epochs: int) -> str:
    """Part of a folder's name that keeps runs of fewer epochs than the others' apart."""
    return "" if epochs == EPOCHS else f"-{epochs}epochs"


def places(data: str, only: Sequence[str] | None, folders: Sequence[str]) -> tuple[str, list[str]]:
    """The folder of data sets and which of them; `data` may be one of them, or one of your own.

    Raises:
      SystemExit: one data set, and others asked for.
    """
    whole = Path(data).resolve()
    if not whole.exists() or any((whole / folder).is_dir() for folder in DATA):
        return data, list(only or folders)
    if only and list(only) != [whole.name]:
        raise SystemExit(f"--data {data} is one data set, of which --only {' '.join(only)} is none; leave --only out.")
    return str(whole.parent), [whole.name]


def runs_of(runs: str, data: str, folders: Sequence[str]) -> str:
    """Where runs lie: those of data of your own by themselves, and anew when a file there has changed."""
    own = [Path(data) / folder for folder in folders if folder not in DATA]
    if not own:
        return runs
    files = [file for path in own for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    told = repr([(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()])
    return str(Path(runs) / f"{own[0].name}-{hashlib.sha256(told.encode()).hexdigest()[:8]}")


def check_figures() -> None:
    """Before anything is trained: that the page's figures can be drawn.

    Raises:
      SystemExit: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise SystemExit("this page has figures, and matplotlib is not installed: pip install 'jmmrec[plot]'.")


def carry_out(function: Callable[..., str], jobs: Sequence[tuple], processes: int, minutes: float = 0.0) -> None:
    """Calls `function(*job)` for every job, each in a fresh process, so many at a time (0: in this one).

    Processes share the cores out between them: two that both use all of them take a fifth longer.

    Args:
      minutes: the budget; when it is used up what runs is ended, to be continued from its checkpoint next time.
    """
    if not processes:
        for job in jobs:
            print("finished", function(*job), flush=True)
        return
    processes = min(processes, len(jobs))
    spawn, waiting, failed = multiprocessing.get_context("spawn"), list(jobs), []
    free, running = cores(processes), []
    end = time.monotonic() + 60 * minutes if minutes else math.inf
    while waiting or running:
        while waiting and free:
            share = free.pop(0)
            process = spawn.Process(target=_say, args=(function, waiting.pop(0), share))
            process.start()
            running.append((process, share))
        multiprocessing.connection.wait([p.sentinel for p, _ in running], timeout=min(end - time.monotonic(), 60.0))
        codes = [p.exitcode for p, _ in running]  # once: one may end between two looks
        failed += [code for code in codes if code]
        free += [share for (_, share), code in zip(running, codes, strict=True) if code is not None]
        running = [one for one, code in zip(running, codes, strict=True) if code is None]
        if time.monotonic() >= end:
            for process, _ in running:
                process.terminate()
                process.join()
            left = len(waiting) + len(running)
            print(f"the budget of {minutes:g} minutes is used up; {left} runs are left", flush=True)
            break
    if failed:
        raise SystemExit(
            f"{len(failed)} of {len(jobs)} runs failed, see above; --report writes the tables of the others."
        )


def cores(processes: int) -> list[frozenset[int]]:
    """Each process's share of the cores: all of them where there are too few, none where the system has no say in it.

    >>> len(cores(2))
    2
    """
    mine = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    alone = len(mine) >= processes
    return [frozenset(mine[n::processes] if alone else mine) for n in range(processes)]


def _say(function: Callable[..., str], job: tuple, share: frozenset[int]) -> None:
    if share:
        os.sched_setaffinity(0, share)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    print("finished", function(*job), flush=True)


def _end_with_parent() -> None:
    """A run ends with its script, however that ended: started again, two would train in one folder."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def called(script: str, arguments: Sequence[str] | None) -> str:
    """The command as it was given, with the folders of this machine left out."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--data", "--runs", "--note"):
        parser.add_argument(option, default="")
    parser.add_argument("--report", action="store_true")
    given, kept = parser.parse_known_args(arguments)
    name = Path(given.data).name
    return shlex.join(["python", f"experiments/{script}", "--data", f"DATA/{name}" if name in DATA else "DATA", *kept])


def provenance(command: str, note: str = "", runs: Iterable[Path] = ()) -> str:
    """Command, commit, versions and machine of the numbers on a page, and the commits that its runs began at."""
    from jmmrec.train.record import RunFolder, environment

    here = environment()
    versions = ", ".join(f"{name} {version}" for name, version in here["versions"].items())
    begun = {RunFolder(path).read().get("commit") for path in runs if RunFolder(path).exists}
    told = f"Runs begun at {', '.join(sorted(begun))}. " if begun and all(begun) else ""
    return (
        f"Command: `{command}`; tables written at commit {here['commit'] or 'unknown'}; {versions}; {here['machine']}, "
        f"{here['device']}. {told}{note}"
    ).rstrip()


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows with the same keys as CSV; returns where: beside `path` if some of what stands there would be lost.

    Raises:
      SystemExit: no rows.
    """
    if not rows:
        raise SystemExit("nothing is finished yet; run it without --report, or with a larger budget.")
    new = {_subject(row): int(row.get("seeds", 0)) for row in rows}
    if lost := _lost(path, new):
        what = ", ".join(filter(None, _subject(lost[0])))
        kept, path = path, path.with_stem(f"{path.stem}-selection{_free(path, new)}")
        print(f"{kept.name} has {what}, of which fewer seeds or none are here, and is kept; this goes to {path.name}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    with open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    aside.replace(path)
    return path


def _lost(path: Path, new: Mapping[tuple[str, ...], int]) -> list[dict[str, str]]:
    """Rows of a file that have fewer seeds, or none, among the new ones."""
    return [row for row in _standing(path) if new.get(_subject(row), -1) < int(row.get("seeds", 0))]


def _free(path: Path, new: Mapping[tuple[str, ...], int]) -> str:
    """What to add to a name so that no other selection is lost either: nothing, 2, 3, ..."""
    numbers = itertools.chain([""], map(str, itertools.count(2)))
    return next(number for number in numbers if not _lost(path.with_stem(f"{path.stem}-selection{number}"), new))


def write_page(rows: Path, lines: Sequence[str]) -> None:
    """The page beside a CSV."""
    page = rows.with_suffix(".md")
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    print(f"wrote {page}")


def _subject(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What a row is about, and how it was trained."""
    names = ("data", "rate", "model", "refresh", "epochs", "warmup", "row", "mask")
    return tuple(str(row.get(name, "")) for name in names)


def _standing(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))
