"""Rules on counts of people: none of 1 to 20, none exact, and no hidden one that follows from a total."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from proband.core.statistics.suppress import HIDDEN, LEAST, WITHHELD, may_show
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
_WHOLE = re.compile(r"\d{1,3}(?:[,'’\s]\d{3})+|\d+")
_MARK = r"\s*[*†‡§¶]*"
_BEGINS_WHOLE = re.compile(
    rf"({_WHOLE.pattern}){_MARK}(?:\s*(?:/|(?:out )?of)\s*({_WHOLE.pattern}))?(?:\s*\([\d.]+\s*%\))?{_MARK}"
)
"""A count, alone, as a fraction, or with its percentage, and with a mark that refers to a note."""
_BOUND = re.compile(rf"(<|fewer than|less than|≤|<=|at most|up to)\s*(\d+){_MARK}", re.I)
_STRICT = ("<", "fewer than", "less than")
_WORDS = (
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    "eighteen|nineteen|twenty"
)
_SMALL = rf"(?:(?<![\d.,–-])([1-9]|1\d|20)|(?<![\w–-])(?:{_WORDS}))"
_NO_MORE = r"(?![\d%,]|\.\d|\s*[–-]\s*\d|\s+to\s+\d)"
_HAPPENED = "died|developed|dropped out|withdrew|relapsed"
_ONE = "subject|person|patient|participant|individual|case|onset|death|man|woman"
_HAD = r"had\s+(?:an?|the|their)\s+(?:\w+\s+)?(?:onset|event|diagnosis|outcome|disease)"
_IN_PROSE = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"{_SMALL}\s+(?:{_PEOPLE})\b",
        rf"(?<![\d.,–-])(?<!per )(?<!at least )(1|\bone)\s+(?:{_ONE})\b(?!['’]s|[\s-]+years?\b)",
        rf"%,?\s*\(([1-9]|1\d|20)\)\s+of\s+(?:the\s+|all\s+)?(?:\w+\s+)?(?:{_PEOPLE})\b",
        rf"(?<![\d.,–-])\d+\s*/\s*([1-9]|1\d|20)\s+(?:{_PEOPLE})\b",
        rf"{_SMALL}\s+(?:\([\d.]+\s*%\)\s+)?(?:out )?of\s+(?:the\s+|all\s+)?[\d,]+\s+(?:\w+\s+)?"
        rf"(?:{_PEOPLE}|{_HAPPENED})\b",
        rf"{_SMALL}\s+(?:\([\d.]+\s*%\)\s+)?(?:out )?of\s+[\d,]+\s+{_HAD}\b",
        rf"(?<!type )(?<!stage ){_SMALL}\s+(?:{_HAD}|{_HAPPENED})\b",
        rf"\b(?:subjects|people|patients|participants|cases|controls|onsets|deaths)\s*[:=(]\s*"
        rf"([1-9]|1\d|20){_NO_MORE}",
        rf"\bn\s*=\s*([1-9]|1\d|20){_NO_MORE}(?!\s+(?!(?:{_PEOPLE})\b)[a-z])",
    )
)
"""Counts of 1 to 20 people as sentences and labels tell them, in digits or words."""
_READ = frozenset({"title", "alt", "placeholder", "value", "label", "content", "summary"})
"""Attributes that are read or shown, beside those that begin with aria- or data-."""
_IN_CODE = re.compile(
    rf"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))(?i:{_PEOPLE})[\"']?\s*[:=]\s*(?:\[(?:\s*[\d.]+\s*,)*\s*)?[\"']?"
    r"([1-9]|1\d|20)(?![\w%]|\.\d)"
)
"""A name of people in a script, and a number or a row with one that is 1 to 20."""
_TOTAL = re.compile(r"^(?:total|all|sum|overall)\b", re.I)
_PARTS = (
    ("Female", "Male"),
    ("Cases", "Controls"),
    ("Case", "Control", "Censored"),
    ("With genome", "Without genome"),
)


def small_or_exact(page: Page) -> Iterator[Violation]:
    """Whole numbers that are titled as counts and are 1 to 20, or larger and not rounded to tens.

    The title is that of the column, of a row that is titled as counts of people, the term of a list, or the
    name of a data attribute.
    """
    for title, text, line in [*_of_columns(page), *_of_rows(page), *_of_terms(page)]:
        # "Cases (%)" counts where a percentage stands beside the number.
        if _is_count(_PERCENT.sub("", title) if "%" in text else title):
            yield from (Violation(kind, line, f"{text} in column {title}") for kind in _kinds(text))
    for element in page.elements:
        for name, text in element.attributes.items():
            if name.startswith("data-") and _is_count(name.replace("_", "-")):
                yield from (Violation(kind, element.line, f"{name}={text}") for kind in _kinds(text.strip()))


def _kinds(text: str) -> Iterator[str]:
    """What is wrong with the counts that a cell holds."""
    bound = _BOUND.fullmatch(text)
    if bound and 0 < int(bound[2]) - (bound[1].lower() in _STRICT) < LEAST - 1:
        yield "small count"
    found = _BEGINS_WHOLE.fullmatch(text)
    for digits in filter(None, found.groups() if found else ()):
        number = int(re.sub(r"\D", "", digits))
        if not may_show(number):
            yield "small count"
        elif number % 10:
            yield "count that is not rounded to tens"


def _of_columns(page: Page) -> Iterator[tuple[str, str, int]]:
    """Title of the column, text and line of every cell below the header."""
    for table in page.tables:
        for row in range(table.num_header, len(table.rows)):
            for column in range(len(table.rows[row])):
                yield _title(table, column), table.cell(row, column), table.lines[row]


def _title(table: PageTable, column: int) -> str:
    """Of several rows of titles the lowest that tells whether the column counts; else the lowest."""
    titles = [table.cell(row, column) for row in reversed(range(table.num_header))]
    telling = (title for title in titles if _COUNT_TITLE.search(title) or _NO_COUNT_TITLE.search(title))
    return next(telling, titles[0])


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
        Text(text, element.line, element.inside)
        for element in page.elements
        for name, text in element.attributes.items()
        if name in _READ or name.startswith(("aria-", "data-"))
    ]
    for pieces in [*([text] for text in (*page.texts, *labels)), *page.blocks]:
        text = "".join(piece.text for piece in pieces)
        for pattern in _IN_PROSE:
            for match in pattern.finditer(text):
                yield Violation(
                    "small count in a sentence", _line(pieces, match.start()), match.group().strip()
                )


def _line(pieces: Sequence[Text], place: int) -> int:
    """The line of the piece of a text in which a place lies."""
    ends = itertools.accumulate(len(piece.text) for piece in pieces)
    return next(piece.line for piece, end in zip(pieces, ends, strict=True) if place < end)


def in_code(page: Page) -> Iterator[Violation]:
    """Counts of 1 to 20 people in scripts."""
    for code in page.code:
        if code.inside[-1] == "script":
            for match in _IN_CODE.finditer(code.text):
                line = code.line + code.text.count("\n", 0, match.start())
                yield Violation("small count in a script", line, match.group())


def recoverable(page: Page) -> Iterator[Violation]:
    """A single hidden count beside its total and all other parts, along a row or down a column."""
    for table in page.tables:
        yield from _along_rows(table)
        yield from _down_columns(table)


def _is_count(title: str) -> bool:
    return bool(_COUNT_TITLE.search(title)) and not _NO_COUNT_TITLE.search(title)


def _along_rows(table: PageTable) -> Iterator[Violation]:
    if not table.rows:
        return
    first = table.num_header
    titles = [title.strip().lower() for title in table.rows[first - 1]]
    for parts in _PARTS:
        places = [titles.index(part.lower()) for part in parts if part.lower() in titles]
        if len(places) < len(parts):
            continue
        for cells, line in zip(table.rows[first:], table.lines[first:], strict=True):
            shown = [cells[place].strip() for place in places if place < len(cells)]
            if shown.count(HIDDEN) == 1 and not _others_protect(shown):
                yield Violation("hidden count that follows from its total", line, ", ".join(shown))


def _others_protect(shown: list[str]) -> bool:
    """Whether another part is hidden too, or all others are 0: the total is then hidden itself."""
    others = [text for text in shown if text != HIDDEN]
    return WITHHELD in others or all(text in ("0", "–", "") for text in others)


def _down_columns(table: PageTable) -> Iterator[Violation]:
    rows, first = table.rows, table.num_header
    last = next((place for place, row in enumerate(rows) if row and _TOTAL.match(row[0].strip())), None)
    if last is None or last <= first:
        return
    for column, title in enumerate(rows[first - 1]):
        cells = [row[column].strip() for row in rows[first:last] if column < len(row)]
        total = rows[last][column].strip() if column < len(rows[last]) else ""
        if cells.count(HIDDEN) == 1 and WITHHELD not in cells and _WHOLE.fullmatch(total):
            found = f"{HIDDEN} above a total of {total} in column {title.strip()}"
            yield Violation("hidden count that follows from its total", table.lines[last], found)
