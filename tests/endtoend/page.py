"""What can be wrong with a page that stands alone, found without a browser."""

import re
import xml.etree.ElementTree
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input", "col", "source", "wbr"}
LOADS = {"src", "href", "xlink:href", "srcset", "poster", "data", "action", "formaction", "background"}
ACTIVE = {"script", "iframe", "object", "embed", "base", "foreignobject"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wanted: set[str] = set()
        self.rows: list[list[int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._seen(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"line {self.getpos()[0]}: </{tag}> closes what is not open")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self._style(data)

    def _seen(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ACTIVE or any(name == "http-equiv" for name, _ in attrs):
            self.faults.append(f"<{tag}> acts or loads")
        if tag == "table":
            self.rows.append([])
        elif tag == "tr":
            self.rows[-1].append(0)
        elif tag in ("td", "th"):
            self.rows[-1][-1] += 1
        for name, value in attrs:
            self._attribute(name, value or "")

    def _attribute(self, name: str, value: str) -> None:
        if name == "id":
            self.ids.append(value)
        if name.startswith("on") or value.strip().lower().startswith("javascript:"):
            self.faults.append(f"{name}={value!r} is a script")
        if name in LOADS and value.startswith("#"):
            self.wanted.add(value[1:])
        elif name in LOADS and not value.startswith("data:"):
            self.faults.append(f"{name}={value!r} is beside the page")
        if not name.startswith("xmlns"):
            self._style(value)

    def _style(self, text: str) -> None:
        for target in re.findall(r"url\(\s*['\"]?([^'\")]*)", text):
            if target.startswith("#"):
                self.wanted.add(target[1:])
            elif not target.startswith("data:"):
                self.faults.append(f"url({target}) is beside the page")
        if "@import" in text:
            self.faults.append("a style is imported")


def faults(page: str) -> list[str]:
    """Sentences; none where every tag is closed, ids are unique, references resolve inside and nothing is loaded or
    run. A page without script, event handler and embedded object has no script that could fail."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    found = reader.faults + [f"<{tag}> is never closed" for tag in reader.open]
    found += [f"#{name} is nowhere" for name in sorted(reader.wanted - set(reader.ids))]
    found += [f"id {name} stands twice" for name in {n for n in reader.ids if reader.ids.count(n) > 1}]
    found += [f"a table has rows of {sorted(set(rows))} cells" for rows in reader.rows if len(set(rows)) > 1]
    if not page.startswith("<!doctype html>"):
        found.append("no doctype: browsers go into quirks mode")
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        try:
            xml.etree.ElementTree.fromstring(svg)
        except xml.etree.ElementTree.ParseError as error:
            found.append(f"a figure is no XML ({error})")
    return found
