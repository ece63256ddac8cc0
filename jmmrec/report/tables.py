"""Tables for people (console, Markdown, LaTeX, HTML) and for programs (CSV)."""

import csv
import dataclasses
import html
import io
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jmmrec.errors import ConfigError, JmmrecError
from jmmrec.report.stats import Comparison, Interval

if TYPE_CHECKING:
    import rich.table

LEVELS = ((0.01, "**"), (0.05, "*"))
WIDE = ("low", "high", "p", "diff", "diff_low", "diff_high", "d")
SIGNS = {"±": r"\pm", "≥": r"\geq", "≤": r"\leq", "<": "<", ">": ">", "×": r"\times", "→": r"\to", "²": "^2"}
GREEK = {"α": "alpha", "β": "beta", "ε": "epsilon", "λ": "lambda", "σ": "sigma", "τ": "tau", "Δ": "Delta"}
LATEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    | {sign: f"${command}$" for sign, command in SIGNS.items()}
    | {letter: rf"$\{name}$" for letter, name in GREEK.items()}
)


@dataclass(frozen=True)
class Estimate:
    """A table cell: a mean with its interval and, where it was compared with a baseline, what that test found.

    Attributes:
      p: after correction for all tests of the table; None where nothing was tested.
      test: difference to the baseline with its interval and effect size.
      levels: p below which a mark is shown, and the mark; the lowest first.
    """

    interval: Interval
    p: float | None = None
    test: Comparison | None = None
    levels: tuple[tuple[float, str], ...] = LEVELS

    @property
    def mark(self) -> str:
        """`**` for p < 0.01, `*` for p < 0.05, else nothing; other `levels` give other marks."""
        return next((mark for level, mark in self.levels if self.p is not None and self.p < level), "")

    def text(self, digits: int = 4) -> str:
        """For people: `0.0589 ± 0.0012 **`, without the ± where there is one value only.

        >>> Estimate(Interval(0.0589, 0.0577, 0.0601, 5, 0.001), p=0.003).text()
        '0.0589 ± 0.0012 **'
        """
        mean, half = self.interval.mean, self.interval.half
        spread = "" if half != half else f"± {half:.{digits}f}"  # NaN differs from itself
        return " ".join(filter(None, [f"{mean:.{digits}f}", spread, self.mark]))


Cell = str | int | float | Estimate


@dataclass(frozen=True)
class Table:
    """Rows of cells under named columns.

    Attributes:
      title: one line above the table.
      columns: names, as many as every row has cells.
      rows: of text, numbers, or `Estimate` cells.
      notes: sentences below it.
      facts: what holds for every number in it (split, mask, seeds, ...): a note for people, columns in CSV.
      digits: decimals of estimates and floats.
      details: a table that Markdown and HTML show below this one.

    Raises:
      JmmrecError: a row whose length differs from the columns'.

    >>> print(Table("Sizes", ("name", "items"), (("toy", 3), ("a|b", 4))).markdown())
    **Sizes**
    <BLANKLINE>
    | name | items |
    | --- | ---: |
    | toy | 3 |
    | a\\|b | 4 |
    <BLANKLINE>
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    digits: int = 4
    details: "Table | None" = None

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise JmmrecError(
                    f"row {number} of table {self.title!r} has {len(row)} cells for {len(self.columns)} columns."
                )

    def markdown(self) -> str:
        """The table in GitHub's Markdown, with title, facts and notes around it."""
        rule = ["---:" if self._numeric(k) else "---" for k in range(len(self.columns))]
        lines = [self.columns, rule, *([self._text(cell) for cell in row] for row in self.rows)]
        # An empty line after each note keeps them paragraphs of their own.
        body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        notes = (note.replace("*", "\\*") for note in self.remarks)  # or a note on marks becomes a list's item
        parts = [self.title and f"**{self.title}**", body, *notes]
        parts += [self.details.markdown().rstrip()] if self.details else []
        return "\n\n".join(filter(None, parts)) + "\n"

    def csv(self) -> str:
        """The table as CSV in full precision; facts become columns of one value each.

        A column of estimates becomes four: `recall@20`, `recall@20_low`, `recall@20_high`, `recall@20_p` (after
        correction; empty: not tested). Where a cell was tested, four more tell of the difference to the baseline:
        `recall@20_diff`, its interval `recall@20_diff_low` and `recall@20_diff_high`, the effect size `recall@20_d`.

        >>> cell = Estimate(Interval(0.5, 0.4, 0.6, 3, 0.04))
        >>> print(Table("", ("model", "ndcg@10"), (("VBPR", cell),), facts={"split": "test"}).csv())
        model,ndcg@10,ndcg@10_low,ndcg@10_high,ndcg@10_p,split
        VBPR,0.5,0.4,0.6,,test
        <BLANKLINE>
        """
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        parts = [_parts([row[k] for row in self.rows]) for k in range(len(self.columns))]
        names = [[name, *(f"{name}_{p}" for p in more)] for name, more in zip(self.columns, parts, strict=True)]
        writer.writerow([*itertools.chain(*names), *self.facts])
        for row in self.rows:
            cells = [_wide_cells(cell)[: 1 + len(more)] for cell, more in zip(row, parts, strict=True)]
            writer.writerow([*itertools.chain(*cells), *self.facts.values()])
        return file.getvalue()

    def latex(self) -> str:
        """The table for LaTeX (package booktabs), marks as superscripts, facts and notes below it.

        >>> cell = Estimate(Interval(0.5, 0.4, 0.6, 3, 0.04), p=0.001)
        >>> print(Table("", ("model", "ndcg@10"), (("A_B", cell),)).latex())
        \\begin{tabular}{lr}
        \\toprule
        model & ndcg@10 \\\\
        \\midrule
        A\\_B & $0.5000 \\pm 0.1000^{**}$ \\\\
        \\bottomrule
        \\end{tabular}
        <BLANKLINE>
        """
        sides = "".join("r" if self._numeric(k) else "l" for k in range(len(self.columns)))
        rows = [" & ".join(map(self._latex_cell, row)) + r" \\" for row in self.rows]
        head = " & ".join(_escaped(name) for name in self.columns) + r" \\"
        begin, end = rf"\begin{{tabular}}{{{sides}}}", r"\end{tabular}"
        lines = [begin, r"\toprule", head, r"\midrule", *rows, r"\bottomrule", end]
        title = [_escaped(self.title) + r"\\[1ex]"] if self.title else []
        return "\n".join([*title, *lines, *(r"\par\smallskip " + _escaped(note) for note in self.remarks)]) + "\n"

    def _latex_cell(self, cell: Cell) -> str:
        if not isinstance(cell, Estimate):
            return _escaped(self._text(cell))
        number = self._text(Estimate(cell.interval)).replace("±", r"\pm")
        return f"${number}^{{{cell.mark}}}$" if cell.mark else f"${number}$"

    def html(self) -> str:
        """The table as an HTML fragment, with title, facts and notes around it.

        >>> Table("", ("a",), ((1,),)).html().splitlines()[1]
        '<table><thead><tr><th class="number">a</th></tr></thead><tbody>'
        """
        sides = ["" if not self._numeric(k) else ' class="number"' for k in range(len(self.columns))]
        head = "".join(f"<th{side}>{html.escape(name)}</th>" for name, side in zip(self.columns, sides, strict=True))
        texts = [[html.escape(self._text(cell)) for cell in row] for row in self.rows]
        cells = [[f"<td{s}>{text}</td>" for text, s in zip(row, sides, strict=True)] for row in texts]
        rows = [f"<tr>{''.join(row)}</tr>" for row in cells]
        title = f"<h3>{html.escape(self.title)}</h3>" if self.title else ""
        notes = [f'<p class="note">{html.escape(note)}</p>' for note in self.remarks]
        lines = [title, f"<table><thead><tr>{head}</tr></thead><tbody>", *rows, "</tbody></table>", *notes]
        if self.details:
            inside = dataclasses.replace(self.details, title="").html()
            lines.append(f"<details><summary>{html.escape(self.details.title)}</summary>{inside}</details>")
        return "\n".join(lines)

    def __str__(self) -> str:
        """As Markdown, for `print`."""
        return self.markdown()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.html()

    def save(self, path: str | pathlib.Path) -> pathlib.Path:
        """Writes Markdown, CSV or LaTeX, as the ending `.md`, `.csv` or `.tex` says, and returns the path.

        Raises:
          ConfigError: another ending.
        """
        path = pathlib.Path(path)
        writers = {".md": self.markdown, ".csv": self.csv, ".tex": self.latex}
        if path.suffix not in writers:
            raise ConfigError(f"{path.name} ends in {path.suffix!r}; a table is written as .md, .csv or .tex.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(writers[path.suffix](), encoding="utf-8")
        return path

    def __rich__(self) -> "rich.table.Table":
        """What `rich.print(table)` shows."""
        import rich.box
        import rich.table
        from rich.markup import escape

        shown = rich.table.Table(
            title=escape(self.title) or None,
            caption=escape("\n".join(self.remarks)) or None,
            box=rich.box.SIMPLE_HEAD,
            title_justify="left",
            caption_justify="left",
        )
        for k, name in enumerate(self.columns):
            shown.add_column(escape(name), justify="right" if self._numeric(k) else "left")
        for row in self.rows:
            shown.add_row(*(escape(self._text(cell)) for cell in row))
        return shown

    @property
    def remarks(self) -> tuple[str, ...]:
        """The facts as one sentence, then the notes."""
        facts = "; ".join(f"{name}: {value}" for name, value in self.facts.items())
        return tuple(filter(None, [facts and facts + ".", *self.notes]))

    def _numeric(self, column: int) -> bool:
        return bool(self.rows) and not any(isinstance(row[column], str) for row in self.rows)

    def _text(self, cell: Cell) -> str:
        if isinstance(cell, Estimate):
            return cell.text(self.digits)
        return f"{cell:.{self.digits}f}" if isinstance(cell, float) else str(cell)


def _escaped(text: str) -> str:
    """Text for LaTeX, signs and Greek letters as in mathematics."""
    return text.translate(LATEX)


def _parts(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Names of the columns that a column of these cells has beside itself in CSV."""
    estimates = [cell for cell in cells if isinstance(cell, Estimate)]
    tested = any(cell.test is not None for cell in estimates)
    return WIDE if tested else WIDE[:3] if estimates else ()


def _wide_cells(cell: Cell) -> list[object]:
    if not isinstance(cell, Estimate):
        return [cell, *[""] * len(WIDE)]
    one, test = cell.interval.n == 1, cell.test
    bounds = ["", ""] if one else [cell.interval.low, cell.interval.high]
    found = [""] * 4 if test is None else [test.difference, test.low, test.high, test.d]
    return [cell.interval.mean, *bounds, "" if cell.p is None else cell.p, *found]
