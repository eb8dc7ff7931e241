"""Rules on counts of people: none of 1 to 20, none exact, and no hidden one that follows from a total."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proband.core.statistics.suppress import HIDDEN, WITHHELD, may_show
from proband.report.check.page import Page, PageTable, Text
from proband.report.check.violation import Violation

_PEOPLE = (
    "subjects|people|persons|patients|participants|individuals|cases|controls|onsets|deaths|men|women|"
    "females?|males?|events|censored|flagged|genotyped"
)
_COUNT_TITLE = re.compile(rf"\b(?:{_PEOPLE}|counts?|n|with genome|futures compared|case|control)\b", re.I)
_NO_COUNT_TITLE = re.compile(r"%|share|rate|mean|years|median|incidence|risk\b|auroc|per ", re.I)
_WHOLE = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")
_IN_PROSE = re.compile(rf"(?<![\d.,–-])([1-9]|1\d|20)\s+(?:{_PEOPLE})\b", re.I)
_OF_SMALL = re.compile(rf"(?<![\d.,–-])\d+\s*/\s*([1-9]|1\d|20)\s+(?:{_PEOPLE})\b", re.I)
_TOTAL = re.compile(r"^(?:total|all|sum|overall)\b", re.I)
_PARTS = (
    ("Female", "Male"),
    ("Cases", "Controls"),
    ("Case", "Control", "Censored"),
    ("With genome", "Without genome"),
)


def small_or_exact(page: Page) -> Iterator[Violation]:
    """Whole numbers in columns of counts that are 1 to 20, or larger and not rounded to tens."""
    for table in page.tables:
        titles = [title.strip() for title in (table.rows or [[]])[0]]
        for cells, line in zip(table.rows[1:], table.lines[1:], strict=True):
            for title, cell in zip(titles, cells, strict=False):
                text = cell.strip()
                if not _is_count(title) or not _WHOLE.fullmatch(text):
                    continue
                number = int(text.replace(",", ""))
                if not may_show(number):
                    yield Violation("small count", line, f"{text} in column {title}")
                elif number % 10:
                    yield Violation("count that is not rounded to tens", line, f"{text} in column {title}")


def in_prose(page: Page) -> Iterator[Violation]:
    """Counts of 1 to 20 people in sentences, labels and tooltips."""
    labels = [
        Text(element.attributes[name], element.line, element.inside)
        for element in page.elements
        for name in ("aria-label", "title", "alt")
        if name in element.attributes
    ]
    for text in [*page.texts, *labels]:
        for pattern in (_IN_PROSE, _OF_SMALL):
            for match in pattern.finditer(text.text):
                yield Violation("small count in a sentence", text.line, match.group().strip())


def recoverable(page: Page) -> Iterator[Violation]:
    """A single hidden count beside its total and all other parts, along a row or down a column."""
    for table in page.tables:
        yield from _along_rows(table)
        yield from _down_columns(table)


def _is_count(title: str) -> bool:
    return bool(_COUNT_TITLE.search(title)) and not _NO_COUNT_TITLE.search(title)


def _along_rows(table: PageTable) -> Iterator[Violation]:
    titles = [title.strip().lower() for title in (table.rows or [[]])[0]]
    for parts in _PARTS:
        places = [titles.index(part.lower()) for part in parts if part.lower() in titles]
        if len(places) < len(parts):
            continue
        for cells, line in zip(table.rows[1:], table.lines[1:], strict=True):
            shown = [cells[place].strip() for place in places if place < len(cells)]
            if shown.count(HIDDEN) == 1 and not _others_protect(shown):
                yield Violation("hidden count that follows from its total", line, ", ".join(shown))


def _others_protect(shown: list[str]) -> bool:
    """Whether another part is hidden too, or all others are 0: the total is then hidden itself."""
    others = [text for text in shown if text != HIDDEN]
    return WITHHELD in others or all(text in ("0", "–", "") for text in others)


def _down_columns(table: PageTable) -> Iterator[Violation]:
    rows = table.rows
    last = next((place for place, row in enumerate(rows) if row and _TOTAL.match(row[0].strip())), None)
    if last is None or last < 2:
        return
    for column, title in enumerate(rows[0]):
        cells = [row[column].strip() for row in rows[1:last] if column < len(row)]
        total = rows[last][column].strip() if column < len(rows[last]) else ""
        if cells.count(HIDDEN) == 1 and WITHHELD not in cells and _WHOLE.fullmatch(total):
            found = f"{HIDDEN} above a total of {total} in column {title.strip()}"
            yield Violation("hidden count that follows from its total", table.lines[last], found)
