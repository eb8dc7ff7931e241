"""The three errors a user can meet, each one clear line.

A message says what is wrong, where, what was found, what was expected and what to do. The command line
prints it and exits with status 2; library users catch :class:`ProbandError`.
"""

from __future__ import annotations

import difflib
import re
import tokenize
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Sequence

NUMPY_ERRORS = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
)
"""What reading a damaged .npy or .npz raises: its header is an expression, its members lie in a zip."""

_FULL_DISK = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|os error (?:27|28|122)\b|"
    r"\d+ requested and \d+ written"
)
_MOST_CHARACTERS = 600
_KEPT = "\n\t"
_TURNS = range(0x2066, 0x206A)
"""Characters that turn the direction of text, beside those from U+202A to U+202E."""


def printable(text: str) -> str:
    """Text as it may go to a terminal, a log or a page: control characters are written as escapes.

    Line breaks and tabs stay. Escaped are the others of Unicode's class Cc (ESC and NUL among them), those
    that turn the direction of text, and lone surrogates.

    >>> print(printable("\\x1b[31mred\\x00"))
    \\x1b[31mred\\x00
    """
    if text.isprintable():
        return text
    return "".join(character if _is_safe(character) else _escaped(character) for character in text)


def _is_safe(character: str) -> bool:
    if character in _KEPT:
        return True
    turns = 0x202A <= ord(character) <= 0x202E or ord(character) in _TURNS
    return not turns and unicodedata.category(character) not in ("Cc", "Cs")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _shortened(text: str) -> str:
    """Both ends of a long text."""
    half = _MOST_CHARACTERS // 2
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:half]} … {text[-half:]}"


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
        super().__init__("; ".join(printable(_shortened(" ".join(str(part).split()))) for part in parts))


class DataError(ProbandError):
    """A file or table is not what it should be."""


class ConfigError(ProbandError):
    """An option or a configuration value is not usable."""


class CheckpointError(ProbandError):
    """A model folder cannot be loaded or does not fit what it is used with."""


def first_line(error: object) -> str:
    """What an error of a library says, in one line; its kind where it says nothing.

    >>> first_line(ValueError("no digits; row 3")), first_line(EOFError())
    ('no digits; row 3', 'EOFError')
    """
    text = str(error)
    return text.splitlines()[0] if text else type(error).__name__


def first_names(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list for a message, and how many more there are.

    >>> first_names(["a", "b", "c"]), first_names(["a", "b", "c"], most=1)
    ('a, b, c', 'a and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def near_matches(word: str, known: Iterable[str], most: int = 3) -> str:
    """Names close to ``word`` for a "did you mean" remedy; empty when nothing is near.

    >>> near_matches("presto", ["prefix", "pesto", "none"])
    'did you mean pesto?'
    """
    close = difflib.get_close_matches(word, list(known), n=most, cutoff=0.6)
    return f"did you mean {', '.join(close)}?" if close else ""


def tells_of_full_disk(error: Exception) -> bool:
    """Whether a library (polars, DuckDB, Arrow, NumPy) says in words of its own that the disk is full."""
    return bool(_FULL_DISK.search(str(error)))
