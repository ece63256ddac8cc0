"""The measurements as a table for the terminal and as Markdown."""

from collections.abc import Sequence
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Line

MARKS = ("<!-- measured: begin -->", "<!-- measured: end -->")
COLUMNS = ("", "ms", "times ours", "temporary MB", "")


def cells(line: Line) -> tuple[str, ...]:
    """One line as text.

    >>> cells(Line("p", "w", (0.001,), bytes=1 << 20))
    ('w', '1 (1–1)', '', '1.0', '')
    """
    memory = "" if line.bytes is None else f"{line.bytes / 2**20:.1f}"
    return line.what, str(line.milliseconds), "" if line.ratio is None else str(line.ratio), memory, line.note


def show(lines: Sequence[Line], head: Sequence[str], console: Console) -> None:
    """Prints one table, a section for each part."""
    for sentence in head:
        console.print(sentence, highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, title in enumerate(COLUMNS):
        table.add_column(title, justify="left" if number in (0, 4) else "right")
    for part, inside in groupby(lines, key=lambda line: line.part):
        table.add_row(f"[bold]{part}[/]")
        for line in inside:
            table.add_row(*cells(line))
        table.add_section()
    console.print(table)


def markdown(lines: Sequence[Line], head: Sequence[str]) -> str:
    """The same as Markdown, a heading and a table for each part.

    >>> markdown([Line("p", "w", (0.001,))], ["Head."]).splitlines()[2]
    '### p'
    """
    text = [" ".join(head), ""]
    for part, inside in groupby(lines, key=lambda line: line.part):
        text += [
            f"### {part}",
            "",
            f"| variant | {' | '.join(COLUMNS[1:4])} | note |",
            "| --- | --: | --: | --: | --- |",
        ]
        text += [f"| {' | '.join(cells(line))} |" for line in inside] + [""]
    return "\n".join(text)


def inside(page: str) -> str:
    """What stands between the two marks of a page.

    >>> inside("a <!-- measured: begin --> tables <!-- measured: end --> b")
    'tables'
    """
    return page.partition(MARKS[0])[2].partition(MARKS[1])[0].strip()


def renewed(text: str, lines: Sequence[Line], head: Sequence[str]) -> str:
    """Tables with some parts measured anew, in the place of those with their headings or at the end.

    >>> old = markdown([Line("p", "w", (0.001,)), Line("q", "w", (0.001,))], ["Head."])
    >>> found = renewed(old, [Line("q", "w", (0.002,))], ["Later."])
    >>> "Head." in found, found.count("### q"), "Later." in found, "| w | 2 (2–2) |" in found
    (True, 1, True, True)
    """
    first, *parts = text.split("\n### ")
    tables = {part.partition("\n")[0]: part.strip() for part in parts}
    for part, some in groupby(lines, key=lambda line: line.part):
        table = markdown(list(some), []).strip().removeprefix(f"### {part}")
        tables[part] = f"{part}\n\nMeasured anew: {' '.join(head)}{table}"
    return "\n\n### ".join([first.strip(), *tables.values()]) + "\n"


def placed(page: str, text: str) -> str:
    """The page with the text between its two marks, or the text alone where it has none.

    >>> placed("a <!-- measured: begin --> old <!-- measured: end --> b", "new").split()
    ['a', '<!--', 'measured:', 'begin', '-->', 'new', '<!--', 'measured:', 'end', '-->', 'b']
    """
    before, begin, rest = page.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    return f"{before}{begin}\n\n{text}\n{end}{after}" if begin and end else f"{text}\n"
