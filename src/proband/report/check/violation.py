"""What a rule found."""

from __future__ import annotations

from typing import NamedTuple


class Violation(NamedTuple):
    """A rule broken: which, in what line of the file, and what was found."""

    kind: str
    line: int
    found: str
