"""The three errors a user can meet, each one clear line.

A message says what is wrong, where, what was found, what was expected and what to do. The command line
prints it and exits with status 2; library users catch :class:`ProbandError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ProbandError(Exception):
    """Base of the errors that are the input's fault, not the program's.

    Args:
        what: What is wrong, a short clause.
        where: File, folder, column or option it concerns.
        found: What was there.
        expected: What should have been there.
        remedy: What the user can do about it.

    >>> print(DataError("missing column", where="person.csv", expected="person_id", remedy="export it again"))
    missing column; in person.csv; expected person_id; remedy: export it again
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = "",
        found: object = "",
        expected: object = "",
        remedy: str = "",
    ) -> None:
        parts = [what]
        parts += [f"in {where}"] if str(where) else []
        parts += [f"found {found}"] if str(found) else []
        parts += [f"expected {expected}"] if str(expected) else []
        parts += [f"remedy: {remedy}"] if remedy else []
        super().__init__("; ".join(" ".join(str(part).split()) for part in parts))


class DataError(ProbandError):
    """A file or table is not what it should be."""


class ConfigError(ProbandError):
    """An option or a configuration value is not usable."""


class CheckpointError(ProbandError):
    """A model folder cannot be loaded or does not fit what it is used with."""


def near_matches(word: str, known: Iterable[str], most: int = 3) -> str:
    """Names close to ``word`` for a "did you mean" remedy; empty when nothing is near.

    >>> near_matches("presto", ["prefix", "pesto", "none"])
    'did you mean pesto?'
    """
    close = difflib.get_close_matches(word, list(known), n=most, cutoff=0.6)
    return f"did you mean {', '.join(close)}?" if close else ""
