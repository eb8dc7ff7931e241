"""An ACES configuration: predicates, a trigger, and windows of fixed length around it.

The language is that of ACES 0.7 (Xu et al. 2024, arXiv 2406.19653;
https://eventstreamaces.readthedocs.io). Windows that begin or end at an event are refused: a task file asks
over horizons of time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from proband.core.errors import ConfigError, near_matches
from proband.core.text.yamlfile import first_problem, read_mapping
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.ehr.task.codesets import Codes

ANY_EVENT = "_ANY_EVENT"
"""ACES' predicate of every time stamp."""
TRIGGER = "trigger"
_OPEN = "???"
"""What a configuration leaves to the predicates of a dataset."""
_RUN_ACES = "make a label file with aces-cli, and give it in a task file as labels: FILE"
_KEEP_KEY = f"without it other rows may be chosen: {_RUN_ACES}"
_FURTHER_KEYS = ("static", "other_cols")
"""Keys of ACES' predicates that choose rows by what a task file does not read."""
_BOUNDARY = re.compile(r"(?P<at>\w+(?:\.(?:start|end))?)\s*(?:(?P<sign>[+-])\s*(?P<length>[^+-]+))?")
_LENGTH = re.compile(
    r"(\d+(?:\.\d+)?)\s*(weeks?|w|days?|d|hours?|hrs?|hr|h|minutes?|mins?|m|seconds?|secs?|s)"
)
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_RANGE = re.compile(r"\(?\s*(\d+|None)?\s*,\s*(\d+|None)?\s*\)?")
_MOST_MICROSECONDS = 1000 * MICROSECONDS_PER_YEAR
_TAKEN = ("subject_id", "time", "bound")
"""Names of columns."""
_COMBINED = re.compile(r"(and|or)\(([\w\s,]+)\)")


class Predicate(BaseModel):
    """Rows of the record (``code``), or time stamps at which all or any of others hold (``expr``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str | dict[Literal["any", "regex"], Any] | None = Field(None, description="A code, or several.")
    expr: str | None = Field(None, description="and(...) or or(...) of other predicates.")
    value_min: float | None = Field(None, description="Least value.")
    value_max: float | None = Field(None, description="Largest value.")
    value_min_inclusive: bool | None = Field(None, description="Whether the least value itself counts.")
    value_max_inclusive: bool | None = Field(None, description="Whether the largest value itself counts.")

    @property
    def codes(self) -> tuple[str, ...]:
        """Exact codes."""
        if isinstance(self.code, dict):
            return tuple(self.code.get("any", ()))
        return () if self.code is None else (self.code,)

    @property
    def regex(self) -> str | None:
        """Regular expression found anywhere in a code."""
        return self.code.get("regex") if isinstance(self.code, dict) else None

    @property
    def is_bounded(self) -> bool:
        """Whether only some values count."""
        return self.value_min is not None or self.value_max is not None

    @property
    def combined(self) -> tuple[str, tuple[str, ...]]:
        """``and`` or ``or``, and the predicates; empty for one of codes."""
        found = _COMBINED.fullmatch((self.expr or "").strip())
        return (found[1], tuple(part.strip() for part in found[2].split(","))) if found else ("", ())

    @field_validator("code", mode="after")
    @classmethod
    def _usable(cls, value: Any) -> Any:
        if isinstance(value, dict):
            (kind, named), *others = value.items() or [("", None)]
            is_list = isinstance(named, list) and named and all(isinstance(one, str) for one in named)
            if others or not (is_list if kind == "any" else isinstance(named, str) and named):
                raise ValueError("expected a code, {any: [code, ...]} or {regex: text}")
            Codes(**{"codes" if kind == "any" else "regex": named})  # which refuses a bad regex
        return value


class Window(BaseModel):
    """A window as written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: str | None = Field(description="Boundary; null is the beginning of the record.")
    end: str | None = Field(description="Boundary; null is the end of the record.")
    start_inclusive: bool = Field(description="Whether events at the start count.")
    end_inclusive: bool = Field(description="Whether events at the end count.")
    has: dict[str, str] = Field(default={}, description="Predicate -> least and largest count.")
    label: str | None = Field(default=None, description="Predicate that is the label.")
    index_timestamp: Literal["start", "end"] | None = Field(default=None, description="Prediction time.")


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    predicates: dict[str, Predicate]
    trigger: str
    windows: dict[str, Window] = Field(min_length=1)
    description: Any = None
    metadata: Any = None


@dataclass(frozen=True)
class Span:
    """A window of fixed length.

    Attributes:
        name: Of the window.
        start: Microseconds after the trigger; None for the beginning of the record.
        end: Microseconds after the trigger; None for the end of the record.
        start_inclusive: Whether events at the start count.
        end_inclusive: Whether events at the end count.
        has: Predicate to least and largest number in the window, None for no bound.
    """

    name: str
    start: int | None
    end: int | None
    start_inclusive: bool
    end_inclusive: bool
    has: dict[str, tuple[int | None, int | None]]


@dataclass(frozen=True)
class Aces:
    """A configuration that can be a task.

    Attributes:
        where: The file.
        predicates: Those that windows, label or trigger name, and what they are made of, in that order.
        trigger: The predicate of the trigger.
        spans: The windows.
        label: The predicate of the label.
        target: The window of the label.
        index: Microseconds from the trigger to the prediction time.
    """

    where: Path
    predicates: dict[str, Predicate]
    trigger: str
    spans: tuple[Span, ...]
    label: str
    target: Span
    index: int


def load_aces(path: Path, predicates: Path | None = None) -> Aces:
    """Read and check a configuration.

    Args:
        path: The configuration.
        predicates: A file with predicates of the dataset, which stand in the place of its own.

    Raises:
        ConfigError: A file is missing or unreadable, or the configuration is none, or of a form that a task
            file does not have; names the first problem and its place.
    """
    return aces_of(read_aces(path), path, predicates)


def read_aces(path: Path) -> dict[str, Any]:
    """What a configuration says, unchecked.

    Raises:
        ConfigError: The file is missing or unreadable, or holds no mapping.
    """
    return read_mapping(path, "ACES", _File.model_fields)


def aces_of(content: dict[str, Any], path: Path, predicates: Path | None = None) -> Aces:
    """Check what a configuration says.

    Args:
        content: Keys and values of the file.
        path: The file, for messages.
        predicates: As in :func:`load_aces`.

    Raises:
        ConfigError: As in :func:`load_aces`.
    """
    if content.get("patient_demographics"):
        raise _unsupported(path, "patient_demographics", "rows without a time", "predicates of dated events")
    own, ours = (_predicates(file, found) for file, found in _files(path, content, predicates))
    known = {name: one for name, one in (own | ours).items() if one != _OPEN}
    known = {name: _without_further_keys(name, one, path) for name, one in known.items()}
    try:
        file = _File.model_validate(content | {"predicates": known})
    except ValidationError as error:
        models = (_File, Window, Predicate)
        raise first_problem(error, path, "ACES", models, unread=_KEEP_KEY) from None
    spans = {name: _span(file, name, path) for name in file.windows}
    target, index = _only(file, "label", path), _only(file, "index_timestamp", path)
    at = getattr(spans[index], str(file.windows[index].index_timestamp))
    if at is None:
        raise _unsupported(path, f"windows.{index}.index_timestamp", "a boundary of null", "a time")
    label = str(file.windows[target].label)
    named = [file.trigger, label, *(name for span in spans.values() for name in span.has)]
    used: dict[str, Predicate] = {}
    for name in named:
        _use(name, file, path, used, ())
    return Aces(path, used, file.trigger, tuple(spans.values()), label, spans[target], at)


def _files(path: Path, content: dict, predicates: Path | None) -> Iterator[tuple[Path, dict]]:
    yield path, content
    yield (path, {}) if predicates is None else (predicates, read_mapping(predicates, "ACES", ["predicates"]))


def _predicates(path: Path, content: dict) -> dict[str, Any]:
    found = content.get("predicates") or {}
    if not isinstance(found, dict):
        expected = "a name and its code or expr each"
        raise ConfigError(
            "predicates are no mapping", where=path, found=type(found).__name__, expected=expected
        )
    return found


def _without_further_keys(name: str, predicate: Any, path: Path) -> Any:
    """A predicate as written, without :data:`_FURTHER_KEYS` that choose nothing; others are refused."""
    if not isinstance(predicate, dict):
        return predicate
    for key in _FURTHER_KEYS:
        if predicate.get(key):
            raise _unsupported(path, f"predicates.{name}.{key}", repr(predicate[key]), "codes and values")
    return {key: value for key, value in predicate.items() if key not in _FURTHER_KEYS}


def _only(file: _File, key: str, path: Path) -> str:
    """The one window that has a key."""
    having = [name for name, window in file.windows.items() if getattr(window, key) is not None]
    if len(having) != 1:
        found = f"{len(having)} windows with {key}"
        raise ConfigError(f"no task without {key}", where=path, found=found, expected="exactly one")
    return having[0]


def _use(name: str, file: _File, path: Path, used: dict[str, Predicate], above: tuple[str, ...]) -> None:
    """Note a predicate after those it is made of."""
    if name == ANY_EVENT or name in used:
        return
    if name in above:
        remedy = "name other predicates in its expr"
        raise ConfigError(f"predicate {name} is made of itself", where=path, remedy=remedy)
    if name not in file.predicates or file.predicates[name].code == _OPEN:
        remedy = near_matches(name, file.predicates) or "define it, or give the dataset's --predicates"
        raise ConfigError(f"undefined predicate {name}", where=path, remedy=remedy)
    predicate = file.predicates[name]
    combines, parts = predicate.combined
    if name in _TAKEN:
        raise ConfigError(
            f"predicate {name} has the name of a column", where=path, remedy="call it otherwise"
        )
    if bool(combines) == (predicate.code is not None):
        expected = "either code, or expr: and(A, B, ...) or or(A, B, ...)"
        raise ConfigError(f"unusable predicate {name}", where=path, expected=expected)
    for part in parts:
        _use(part, file, path, used, (*above, name))
    used[name] = predicate


def _span(file: _File, name: str, path: Path) -> Span:
    window = file.windows[name]
    start, end = (_offset(file, name, side, path, ()) for side in ("start", "end"))
    for side, offset, inclusive in (
        ("start", start, window.start_inclusive),
        ("end", end, window.end_inclusive),
    ):
        if offset is None and not inclusive:
            place = f"windows.{name}.{side}_inclusive"
            raise _unsupported(path, place, "false at the end of a record", "true")
    if start is not None and end is not None and end < start:
        raise ConfigError(
            f"windows.{name} ends before it starts", where=path, remedy="exchange or mend start and end"
        )
    has = {
        predicate: _counts(text, f"windows.{name}.has.{predicate}", path)
        for predicate, text in window.has.items()
    }
    return Span(name, start, end, window.start_inclusive, window.end_inclusive, has)


def _offset(file: _File, name: str, side: str, path: Path, above: tuple[str, ...]) -> int | None:
    """Microseconds from the trigger to a boundary; None for the beginning or end of the record."""
    place, text = f"{name}.{side}", getattr(file.windows[name], side)
    if text is None:
        return None
    found = _BOUNDARY.fullmatch(text.strip())
    length = _microseconds(found["length"]) if found and found["length"] else 0
    if not found or length is None:
        expected = "a fixed length, such as trigger + 24h or gap.end"
        raise _unsupported(path, f"windows.{place}", text, expected)
    at = found["at"] if found["at"] not in ("start", "end") else f"{name}.{found['at']}"
    moved = -length if found["sign"] == "-" else length
    if at == TRIGGER:
        return moved
    window, _, other = at.partition(".")
    if window not in file.windows or not other or at in (*above, place):
        expected = f"trigger, or start or end of another window among {', '.join(file.windows)}"
        raise ConfigError(f"unusable boundary windows.{place}", where=path, found=text, expected=expected)
    base = _offset(file, window, other, path, (*above, place))
    if base is None:
        raise _unsupported(path, f"windows.{place}", f"{text}, where {at} is null", "a time")
    return base + moved


def _microseconds(text: str) -> int | None:
    """A length such as ``24h`` or ``1 day, 12 hours``; None for another text, or over 1,000 years.

    >>> _microseconds("1 day, 12 hours") // 3_600_000_000, _microseconds("soon")
    (36, None)
    """
    parts = _LENGTH.findall(text.lower())
    if not parts or _LENGTH.sub("", text.lower()).strip(" ,"):
        return None
    length = sum(float(number) * _SECONDS[unit[0]] for number, unit in parts) * 1_000_000
    return round(length) if length <= _MOST_MICROSECONDS else None


def _counts(text: str, place: str, path: Path) -> tuple[int | None, int | None]:
    found = _RANGE.fullmatch(text.strip())
    if not found:
        raise ConfigError(f"unusable {place}", where=path, found=text, expected="(least, largest)")
    least, largest = (None if part in (None, "None") else int(part) for part in found.groups())
    return least, largest


def _unsupported(path: Path, place: str, found: str, expected: str) -> ConfigError:
    what = f"{place} is of no form that a task file has"
    return ConfigError(what, where=path, found=found, expected=expected, remedy=_RUN_ACES)
