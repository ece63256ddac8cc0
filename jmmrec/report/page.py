"""One HTML page that needs nothing beside itself: style, tables and figures are all inside it."""

import html
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem; text-align: left; border-bottom: 1px solid #eee; } th { border-bottom-color: #999; }
.number { text-align: right; white-space: nowrap; } .note { color: #555; font-size: .9em; margin: .25rem 0; }
figure { margin: 1rem 0; overflow-x: auto; } figure svg { max-width: 100%; height: auto; }
""".strip()


def page(title: str, sections: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A page of sections, each a heading with fragments of HTML.

    >>> page("Runs", [("Test", ["<p>x</p>"])]).count("<h2>")
    1
    """
    body = [f"<h1>{html.escape(title)}</h1>"]
    for heading, fragments in sections:
        body += [f"<section><h2>{html.escape(heading)}</h2>", *fragments, "</section>"]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    icon = '<link rel="icon" href="data:,">'  # or the browser asks for one that is not there
    start = f'<html lang="en"><head>{head}{icon}</head><body>'
    return "\n".join(["<!doctype html>", start, *body, "</body></html>", ""])


def figure_html(figure: "Figure", caption: str, number: int) -> str:
    """A figure as SVG inside the page.

    Args:
      number: of the figure on its page; names inside it are made different from other figures'.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    for name in set(re.findall(r'id="([^"]+)"', svg)):
        svg = re.sub(rf'(id="|url\(#|href="#){re.escape(name)}(?=["\)])', rf"\g<1>f{number}-{name}", svg)
    caption = html.escape(caption)
    note = f'<figcaption class="note">{caption}</figcaption>'
    return f'<figure role="img" aria-label="{caption}">{svg}{note}</figure>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Pairs of name and value as a table.

    >>> facts([("seeds", "0:3")])
    '<table><tbody><tr><th>seeds</th><td>0:3</td></tr></tbody></table>'
    """
    lines = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return f"<table><tbody>{lines}</tbody></table>"
