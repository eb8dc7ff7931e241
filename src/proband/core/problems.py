"""What pydantic complains of, in the words of the files and options that it checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_LIST, _KEYS, _NUMBER = "a list", "keys and their values", "a number"
_EXPECTED = {
    "tuple_type": _LIST, "list_type": _LIST,
    "dict_type": _KEYS, "model_type": _KEYS, "model_attributes_type": _KEYS,
    "string_type": 'text, in quotes where it looks like a number: "250"',
    "float_type": _NUMBER, "float_parsing": _NUMBER,
    "int_type": "a whole number", "int_parsing": "a whole number", "int_from_float": "a whole number",
    "bool_type": "true or false", "bool_parsing": "true or false",
    "date_type": "a date such as 2015-12-31", "date_parsing": "a date such as 2015-12-31",
    "date_from_datetime_parsing": "a date such as 2015-12-31",
}  # fmt: skip
"""By pydantic's type of complaint; others are in pydantic's own words."""
_SAID_BEFORE = ("Value error, ", "Input should be ")
KEY = "[key]"
"""What pydantic calls the key of a mapping in the place of a complaint."""


def expected_of(problem: ErrorDetails) -> str:
    """What should have been there.

    >>> expected_of({"type": "tuple_type", "loc": ("codes",), "msg": "", "input": 5})
    'a list'
    """
    text = problem["msg"]
    for words in _SAID_BEFORE:
        text = text.removeprefix(words)
    return _EXPECTED.get(problem["type"], text)


def place_of(parts: Sequence[int | str]) -> str:
    """A place in a file as a reader would count: keys joined by dots, items of lists from 1.

    >>> place_of(["outcomes", "stroke", "codes", 0])
    'outcomes.stroke.codes item 1'
    """
    joined = "".join(f" item {part + 1}" if isinstance(part, int) else f".{part}" for part in parts)
    return joined.strip(". ")
