"""What a page is made of: its elements, texts, tables and scripts, each with its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from proband.core.errors import DataError

_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
_CODE = ("script", "style")


class Element(NamedTuple):
    """A start tag: its name, attributes (None as empty), line, and the tags around it."""

    tag: str
    attributes: dict[str, str]
    line: int
    inside: tuple[str, ...]


class Text(NamedTuple):
    """A piece of text, its line, and the tags around it, outermost first."""

    text: str
    line: int
    inside: tuple[str, ...]


@dataclass
class PageTable:
    """A table: rows of cells as text, the first row its header; the line of each row."""

    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


@dataclass
class Page:
    """A parsed page.

    Attributes:
        elements: Start tags in order.
        texts: Texts that are read, those of scripts and styles aside.
        code: Texts of scripts and styles; ``inside[-1]`` says which.
        comments: Comments of HTML.
        tables: Tables, nested ones apart.
    """

    elements: list[Element] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    code: list[Text] = field(default_factory=list)
    comments: list[Text] = field(default_factory=list)
    tables: list[PageTable] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._open: list[str] = []
        self._tables: list[PageTable] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line = self.getpos()[0]
        attributes = {name: value or "" for name, value in attrs}
        self.page.elements.append(Element(tag, attributes, line, tuple(self._open)))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "table":
            self._tables.append(PageTable())
            self.page.tables.append(self._tables[-1])
        elif tag == "tr" and self._tables:
            self._tables[-1].rows.append([])
            self._tables[-1].lines.append(line)
        elif tag in ("td", "th") and self._tables and self._tables[-1].rows:
            self._tables[-1].rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass
        if tag == "table" and self._tables:
            self._tables.pop()

    def handle_data(self, data: str) -> None:
        text = Text(data, self.getpos()[0], tuple(self._open))
        kind = self.page.code if self._open and self._open[-1] in _CODE else self.page.texts
        if data.strip():
            kind.append(text)
        if self._tables and self._tables[-1].rows and self._tables[-1].rows[-1]:
            self._tables[-1].rows[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        self.page.comments.append(Text(data, self.getpos()[0], tuple(self._open)))


def parse(text: str) -> Page:
    """Read HTML; what is not well formed is read as a browser would, as far as the rules need it."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.page


def read(file: Path) -> Page:
    """Read an HTML file.

    Raises:
        DataError: There is none, it is no UTF-8 text, or it holds no HTML.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        remedy = "give the page that proband report wrote"
        raise DataError("no page to check", where=file, expected="an HTML file", remedy=remedy) from error
    except UnicodeDecodeError as error:
        found = f"bytes that are no UTF-8, first at {error.start}"
        raise DataError("no page to check", where=file, found=found, expected="an HTML file") from None
    page = parse(text)
    if not any(element.tag in ("html", "body") for element in page.elements):
        raise DataError("no page to check", where=file, found="no HTML element", expected="an HTML file")
    return page
