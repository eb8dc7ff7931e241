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
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd",
     "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tspan", "u", "var", "wbr"}
)  # fmt: skip
"""Tags within a sentence or a label."""
_MOST_SPANNED = 200
"""Columns or rows of one cell; a browser takes 1,000 columns."""


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
    """A table.

    Attributes:
        rows: Cells as text. One that spans columns or rows has its text at its first place, and is empty at
            the others.
        lines: The line of each row.
        titles_alone: Whether a row holds titles alone: it has cells of th only, or is in thead.
        first_of: Row and column -> first column of the cell that spans it.
        until: Column -> last row of a cell that spans rows there.
    """

    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    titles_alone: list[bool] = field(default_factory=list)
    first_of: dict[tuple[int, int], int] = field(default_factory=dict)
    until: dict[int, int] = field(default_factory=dict)

    @property
    def num_header(self) -> int:
        """Rows of titles at the top; the first row counts as one, whatever its cells are."""
        leading = self.titles_alone.index(False) if False in self.titles_alone else 0
        return max(1, leading)

    def cell(self, row: int, column: int) -> str:
        """The text of the cell at a place, which may span others; empty beyond the row."""
        place = self.first_of.get((row, column), column)
        return self.rows[row][place].strip() if place < len(self.rows[row]) else ""

    def add_row(self, line: int) -> None:
        """Begin a row."""
        self.rows.append([])
        self.lines.append(line)
        self.titles_alone.append(True)

    def add_cell(self, num_columns: int, num_rows: int, is_title: bool) -> None:
        """Begin a cell of the last row, beside those that reach into it from above."""
        place, row = len(self.rows) - 1, self.rows[-1]
        while self.until.get(len(row), -1) >= place:
            row.append("")
        first = len(row)
        for column in range(first, first + num_columns):
            row.append("")
            self.first_of[place, column] = first
            self.until[column] = place + num_rows - 1
        self.titles_alone[-1] &= is_title

    def add_text(self, text: str) -> None:
        """Text of the last cell."""
        row = self.rows[-1]
        row[self.first_of[len(self.rows) - 1, len(row) - 1]] += text


@dataclass
class Page:
    """A parsed page.

    Attributes:
        elements: Start tags in order.
        texts: Texts that are read, those of scripts and styles aside.
        blocks: The same with white space, those of one sentence or label together, whatever is bold in it.
        code: Texts of scripts and styles; ``inside[-1]`` says which.
        comments: Comments of HTML.
        tables: Tables, nested ones apart.
    """

    elements: list[Element] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    blocks: list[list[Text]] = field(default_factory=list)
    code: list[Text] = field(default_factory=list)
    comments: list[Text] = field(default_factory=list)
    tables: list[PageTable] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._open: list[str] = []
        self._tables: list[PageTable] = []
        self._block: list[Text] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line = self.getpos()[0]
        attributes = {name: value or "" for name, value in attrs}
        self.page.elements.append(Element(tag, attributes, line, tuple(self._open)))
        self._end_block(tag)
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "table":
            self._tables.append(PageTable())
            self.page.tables.append(self._tables[-1])
        elif tag == "tr" and self._tables:
            self._tables[-1].add_row(line)
        elif tag in ("td", "th") and self._tables and self._tables[-1].rows:
            columns, rows = (_span(attributes.get(name, "")) for name in ("colspan", "rowspan"))
            self._tables[-1].add_cell(columns, rows, tag == "th" or "thead" in self._open)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        self._end_block(tag)
        if tag in self._open:
            while self._open.pop() != tag:
                pass
        if tag == "table" and self._tables:
            self._tables.pop()

    def handle_data(self, data: str) -> None:
        text = Text(data, self.getpos()[0], tuple(self._open))
        is_code = bool(self._open) and self._open[-1] in _CODE
        if data.strip():
            (self.page.code if is_code else self.page.texts).append(text)
        if not is_code:
            self._block.append(text)
        if self._tables and self._tables[-1].rows and self._tables[-1].rows[-1]:
            self._tables[-1].add_text(data)

    def _end_block(self, tag: str = "") -> None:
        if tag not in _INLINE and self._block:
            self.page.blocks.append(self._block)
            self._block = []

    def close(self) -> None:
        super().close()
        self._end_block()

    def handle_comment(self, data: str) -> None:
        self.page.comments.append(Text(data, self.getpos()[0], tuple(self._open)))


def _span(text: str) -> int:
    """Columns or rows that a cell spans, as its attribute says; 1 where it says nothing that can be."""
    return min(max(1, int(text)), _MOST_SPANNED) if text.strip().isdecimal() else 1


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
