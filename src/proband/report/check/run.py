"""All rules, one page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from proband.core.errors import printable
from proband.report.check import counts, digits, identity, remote
from proband.report.check.page import Page, read
from proband.report.check.violation import Violation

Rule = Callable[[Page], Iterator[Violation]]
RULES: tuple[Rule, ...] = (
    remote.loaded,
    remote.scripts_and_styles,
    remote.embedded,
    identity.identities,
    identity.dates,
    digits.coordinates,
    digits.numbers,
    digits.marks,
)
"""For every page."""
RULES_OF_PEOPLE: tuple[Rule, ...] = (
    counts.small_or_exact,
    counts.in_prose,
    counts.in_code,
    counts.recoverable,
)
"""For pages of people; a synthetic biobank has none."""
_LONGEST = 80


def check(file: Path, synthetic: bool = False) -> list[str]:
    """Scan a finished page.

    Args:
        file: An HTML file of ours.
        synthetic: The data are synthetic, so that counts are not judged. What the page itself says of that
            does not count.

    Returns:
        One line per violation, in the order of the file; empty where nothing was found.

    Raises:
        DataError: There is no such page.
    """
    page = read(file)
    rules = RULES if synthetic else (*RULES, *RULES_OF_PEOPLE)
    found = {violation for rule in rules for violation in rule(page)}
    return [_line(violation, file) for violation in sorted(found, key=lambda one: (one.line, *one))]


def _line(violation: Violation, file: Path) -> str:
    found = printable(" ".join(violation.found.split()))
    shown = found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…"
    return f"{violation.kind}; in {file.name}, line {violation.line}; found {shown}"
