"""Rules on precision: a coordinate or a number with many digits tells the counts that it was made of."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proband.report.check.page import Page
from proband.report.check.violation import Violation

MOST_COORDINATE_DIGITS = 2
"""After the point, of a coordinate in pixels or percent."""
MOST_DIGITS = 4
"""After the point, of a number that is read."""
MOST_MARKS = 600
"""Marks in one figure: more would be one for each person."""
_COORDINATES = frozenset(
    [
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "cx",
        "cy",
        "r",
        "rx",
        "ry",
        "width",
        "height",
        "d",
        "points",
        "transform",
        "offset",
        "style",
        "viewbox",
    ]
)
_LONG_COORDINATE = re.compile(rf"-?\d*\.\d{{{MOST_COORDINATE_DIGITS + 1},}}")
_LONG_NUMBER = re.compile(rf"(?<![\w.])-?\d+\.\d{{{MOST_DIGITS + 1},}}(?![\w.])")
_MARKS = frozenset({"circle", "rect", "ellipse", "use"})
_SVG = frozenset({"svg", "g", "path", "line", "polyline", "polygon", "text", "tspan", "clippath"} | _MARKS)


def coordinates(page: Page) -> Iterator[Violation]:
    """Coordinates of figures with too many digits."""
    for element in page.elements:
        if element.tag not in _SVG and "style" not in element.attributes:
            continue
        for name, value in element.attributes.items():
            found = _LONG_COORDINATE.search(value) if name in _COORDINATES else None
            if found:
                yield Violation("coordinate with too many digits", element.line, found.group())


def numbers(page: Page) -> Iterator[Violation]:
    """Numbers in texts, scripts and data attributes with too many digits."""
    values = [
        (value, element.line)
        for element in page.elements
        for name, value in element.attributes.items()
        if name.startswith(("data-", "aria-")) or name in ("title", "alt", "value")
    ]
    code = [(code.text, code.line) for code in page.code if code.inside[-1] == "script"]
    for text, line in [*((text.text, text.line) for text in page.texts), *values, *code]:
        for match in _LONG_NUMBER.finditer(text):
            yield Violation("number with too many digits", line, match.group())


def marks(page: Page) -> Iterator[Violation]:
    """Figures with so many marks that each could be a person."""
    count, line = 0, 0
    for element in page.elements:
        if element.tag == "svg":
            count, line = 0, element.line
        count += element.tag in _MARKS
        if count == MOST_MARKS + 1:
            yield Violation("figure with a mark for each person", line, f"more than {MOST_MARKS} marks")
