"""Rules on counts of people: none of 1 to 20, none exact, and no hidden one that follows from a total."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from proband.core.statistics.suppress import HIDDEN, WITHHELD, may_show
from proband.report.check.page import Page, PageTable, Text
from proband.report.check.violation import Violation

_PEOPLE = (
    "subjects|people|persons|patients|participants|individuals|cases|controls|onsets|deaths|men|women|"
    "females?|males?|events|censored|flagged|genotyped"
)
_COUNT_TITLE = re.compile(
    rf"\b(?:{_PEOPLE}|counts?|n|number at risk|with genome|futures compared|case|control)\b", re.I
)
_NO_COUNT_TITLE = re.compile(
    r"%|share|rate|mean|years (?:of|with)|(?:, |\(|in )years|person.years|median|incidence|(?<!at )risk\b"
    r"|auroc|per |replicates",
    re.I,
)
_PERCENT = re.compile(r",?\s*\(?%\)?")
_ROW_TITLE = re.compile(
    r"(?:number of |total )?"
    r"(?:subjects|people|patients|participants|individuals|cases|controls|onsets|deaths)"
    r"(?:,? \(?n\)?(?:,? \(?%\)?)?)?",
    re.I,
)
"""Of a row of counts, whatever its columns are."""
_WHOLE = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")
_BEGINS_WHOLE = re.compile(rf"({_WHOLE.pattern})\s*(?:/\s*({_WHOLE.pattern})|\([\d.]+\s*%\))?")
"""A count, alone, as a fraction, or with its percentage."""
_SMALL = r"(?<![\d.,–-])([1-9]|1\d|20)"
_NO_MORE = r"(?![\d%,]|\.\d|\s*[–-]\s*\d|\s+to\s+\d)"
_HAPPENED = "died|developed|dropped out|withdrew|relapsed"
_HAD = r"had\s+(?:an?|the|their)\s+(?:\w+\s+)?(?:onset|event|diagnosis|outcome|disease)"
_IN_PROSE = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"{_SMALL}\s+(?:{_PEOPLE})\b",
        rf"(?<![\d.,–-])\d+\s*/\s*([1-9]|1\d|20)\s+(?:{_PEOPLE})\b",
        rf"{_SMALL}\s+(?:\([\d.]+\s*%\)\s+)?(?:out )?of\s+(?:the\s+|all\s+)?[\d,]+\s+(?:\w+\s+)?"
        rf"(?:{_PEOPLE}|{_HAPPENED})\b",
        rf"(?<!type )(?<!stage ){_SMALL}\s+(?:{_HAD}|{_HAPPENED})\b",
        rf"\b(?:subjects|people|patients|participants|cases|controls|onsets|deaths)\s*[:=(]\s*"
        rf"([1-9]|1\d|20){_NO_MORE}",
        rf"\bn\s*=\s*([1-9]|1\d|20){_NO_MORE}(?!\s+(?!(?:{_PEOPLE})\b)[a-z])",
    )
)
"""Counts of 1 to 20 people as sentences and labels tell them."""
_TOTAL = re.compile(r"^(?:total|all|sum|overall)\b", re.I)
_PARTS = (
    ("Female", "Male"),
    ("Cases", "Controls"),
    ("Case", "Control", "Censored"),
    ("With genome", "Without genome"),
)


def small_or_exact(page: Page) -> Iterator[Violation]:
    """Whole numbers that are titled as counts and are 1 to 20, or larger and not rounded to tens.

    The title is that of the column, of a row that is titled as counts of people, or the term of a list.
    """
    for title, text, line in [*_of_columns(page), *_of_rows(page), *_of_terms(page)]:
        # "Cases (%)" counts where a percentage stands beside the number.
        named = _PERCENT.sub("", title) if "%" in text else title
        found = _BEGINS_WHOLE.fullmatch(text) if _is_count(named) else None
        for digits in filter(None, found.groups() if found else ()):
            number = int(digits.replace(",", ""))
            if not may_show(number):
                yield Violation("small count", line, f"{text} in column {title}")
            elif number % 10:
                yield Violation("count that is not rounded to tens", line, f"{text} in column {title}")


def _of_columns(page: Page) -> Iterator[tuple[str, str, int]]:
    """Title of the column, text and line of every cell below the first row."""
    for table in page.tables:
        titles = [title.strip() for title in (table.rows or [[]])[0]]
        for cells, line in zip(table.rows[1:], table.lines[1:], strict=True):
            for title, cell in zip(titles, cells, strict=False):
                yield title, cell.strip(), line


def _of_rows(page: Page) -> Iterator[tuple[str, str, int]]:
    """The same of the cells of rows whose first one is titled as counts."""
    for table in page.tables:
        for cells, line in zip(table.rows, table.lines, strict=True):
            title = cells[0].strip() if cells else ""
            if _ROW_TITLE.fullmatch(title):
                for cell in cells[1:]:
                    yield title, cell.strip(), line


def _of_terms(page: Page) -> Iterator[tuple[str, str, int]]:
    """Term, description and line of lists of terms."""
    for term, text in itertools.pairwise(page.texts):
        if "dt" in term.inside and "dd" in text.inside:
            yield term.text.strip(), text.text.strip(), text.line


def in_prose(page: Page) -> Iterator[Violation]:
    """Counts of 1 to 20 people in sentences, labels and tooltips."""
    labels = [
        Text(element.attributes[name], element.line, element.inside)
        for element in page.elements
        for name in ("aria-label", "title", "alt")
        if name in element.attributes
    ]
    for text in [*page.texts, *labels]:
        for pattern in _IN_PROSE:
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
