"""An ACES task as a question about futures: which of its windows lie after the prediction time.

What lies before the prediction time is not asked again: a label is there only where all of it holds. A
window may end at the next event of a predicate (``end: start -> discharge``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proband.core.errors import ConfigError, near_matches
from proband.core.units import MICROSECONDS_PER_DAY
from proband.ehr.aces.config import ANY_EVENT, TRIGGER, Aces, Span, aces_of, read_aces
from proband.ehr.task.codesets import Codes

Counts = dict[str, tuple[int | None, int | None]]
_NEXT = re.compile(r"\s*start\s*->\s*(\w+)\s*")


@dataclass(frozen=True)
class Window:
    """A window after the prediction time; times in microseconds after it.

    Attributes:
        start: Its start.
        end: Its end, or None where an event ends it.
        start_inclusive: Whether events at the start count.
        end_inclusive: Whether events at the end count.
        closing: Predicate whose next event after the start ends it; empty for a fixed end.
        has: Predicate to least and largest number in it, None for no bound.
    """

    start: int
    end: int | None
    start_inclusive: bool
    end_inclusive: bool
    closing: str
    has: Counts


@dataclass(frozen=True)
class Question:
    """What is asked of a future.

    Attributes:
        aces: The predicates, and which of them is the label.
        target: The window in which the label comes or does not.
        criteria: Windows that must hold what they ask, that of the label among them.
        alive_at: Time after the prediction, in microseconds, by which nobody may have died; None if never.
        horizon: How far futures must go, in microseconds.
    """

    aces: Aces
    target: Window
    criteria: tuple[Window, ...]
    alive_at: int | None
    horizon: int


def read_question(path: Path, predicates: Path | None, longest_days: float) -> Question:
    """Read a task.

    Args:
        path: ACES configuration.
        predicates: Predicates of the dataset, which stand in the place of the configuration's.
        longest_days: How long a window that an event ends is followed.

    Raises:
        ConfigError: It is no configuration, or asks what a future cannot answer.
    """
    if not path.name:
        remedy = "export PROBAND_TASK=.../MEDS_DEV/tasks/NAME.yaml, or give --task"
        raise ConfigError(
            "no task definition", where="PROBAND_TASK", expected="an ACES configuration", remedy=remedy
        )
    content, closing = _without_events(read_aces(path), path)
    aces = aces_of(content, path, predicates)
    windows: dict[str, Window] = {}
    alive_at = None
    for span in aces.spans:
        if span.end is not None and span.end <= aces.index and span is not aces.target:
            continue
        if span.end is None and span.name not in closing and span is not aces.target:
            if _asks_for_later_events(span, path):
                alive_at = max(alive_at or 0, (span.start or 0) - aces.index)
            continue
        windows[span.name] = _ahead(span, aces, closing.get(span.name, ""))
    longest = round(longest_days * MICROSECONDS_PER_DAY)
    ends = [one.start + longest if one.end is None else one.end for one in windows.values()]
    criteria = tuple(one for one in windows.values() if one.has or one.closing)
    return Question(aces, windows[aces.target.name], criteria, alive_at, max(*ends, alive_at or 0, 0))


def _without_events(content: dict[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The configuration with windows of open end for those that an event ends, and by window that event.

    Raises:
        ConfigError: Another boundary is an event, unless a window that only looks back has it.
    """
    windows, closing = content.get("windows"), {}
    if not isinstance(windows, dict):
        return content, {}
    kept = {}
    for name, window in windows.items():
        sides = [side for side in ("start", "end") if _is_event(window, side)]
        if not sides:
            kept[name] = window
            continue
        found = _NEXT.fullmatch(window["end"]) if sides == ["end"] else None
        if found:
            closing[name] = found[1]
            if window.get("end_inclusive") is not True:
                raise _unanswerable(path, f"windows.{name}.end_inclusive", "false", "true")
            has = (window.get("has") or {}) | {found[1]: _bounds(window, found[1])}
            kept[name] = window | {"end": None, "has": has}
        elif not _only_looks_back(window):
            expected = "a fixed length, or end: start -> PREDICATE"
            raise _unanswerable(path, f"windows.{name}.{sides[0]}", window[sides[0]], expected)
    return content | {"windows": kept}, closing


def _is_event(window: Any, side: str) -> bool:
    text = window.get(side) if isinstance(window, dict) else None
    return isinstance(text, str) and ("->" in text or "<-" in text)


def _bounds(window: dict[str, Any], predicate: str) -> str:
    """The numbers that a window asks of its closing predicate, which must be named there to be counted."""
    return (window.get("has") or {}).get(predicate, "(None, None)")


def _only_looks_back(window: dict[str, Any]) -> bool:
    """Whether a window asks no more than that there was an event before the trigger."""
    asks = any(window.get(key) for key in ("has", "label", "index_timestamp"))
    return not asks and "<-" in str(window.get("start")) and window.get("end") == TRIGGER


def _asks_for_later_events(span: Span, path: Path) -> bool:
    """Whether a window to the end of the record asks for any event, so that nobody is dead by its start.

    Raises:
        ConfigError: It asks for something else.
    """
    has = _asked(span)
    if not has:
        return False
    if has != {ANY_EVENT: (1, None)}:
        found = f"has {', '.join(has)} up to the end of the record"
        raise _unanswerable(path, f"windows.{span.name}", found, f"{ANY_EVENT}: (1, None), or a fixed end")
    return True


def _asked(span: Span) -> Counts:
    return {
        name: (least or None, most) for name, (least, most) in span.has.items() if least or most is not None
    }


def _ahead(span: Span, aces: Aces, closing: str) -> Window:
    """A window as seen from the prediction time.

    Raises:
        ConfigError: It counts events before the prediction time, or its label has no end.
    """
    where, place, has = aces.where, f"windows.{span.name}", _asked(span)
    start = None if span.start is None else span.start - aces.index
    begins_before = start is None or start < 0 or (start == 0 and span.start_inclusive)
    if span is aces.target and begins_before:
        raise _unanswerable(where, place, "a target from before the prediction time", "one that begins there")
    if span.end is None and not closing:
        raise _unanswerable(where, f"{place}.end", "a target without end", "a fixed length, or an event")
    counts = [name for name, bounds in has.items() if bounds != (None, 0)]
    if begins_before and (counts or closing):
        found = f"{', '.join(counts) or closing} counted from before the prediction time on"
        raise _unanswerable(
            where, place, found, "has: (None, 0), or a window that begins at the prediction time"
        )
    end = None if span.end is None else span.end - aces.index
    inclusive = span.start_inclusive and not begins_before
    return Window(0 if begins_before else start or 0, end, inclusive, span.end_inclusive, closing, has)


def _unanswerable(path: Path, place: str, found: str, expected: str) -> ConfigError:
    remedy = "train a head on the labels instead: model=proband"
    what = f"{place} asks what a simulated future cannot answer"
    return ConfigError(what, where=path, found=found, expected=expected, remedy=remedy)


def codes_of(aces: Aces, name: str, known: Sequence[str]) -> list[str]:
    """Codes that a predicate, or what it is made of, selects among those of the model.

    Raises:
        ConfigError: None of an ``or``, or of one part of an ``and``: the model can never draw the predicate.
    """
    if name == ANY_EVENT:
        return list(known)
    predicate = aces.predicates[name]
    combines, parts = predicate.combined
    if not combines:
        found = Codes(codes=predicate.codes, regex=predicate.regex).select(known)
        if not found:
            asked = predicate.regex or predicate.codes[0]
            remedy = near_matches(asked, known) or "look at its code, and give the dataset's --predicates"
            raise ConfigError(
                f"the model knows no code of predicate {name}", where=aces.where, found=asked, remedy=remedy
            )
        return list(dict.fromkeys(found))
    selected: list[str] = []
    failed = []
    for part in parts:
        try:
            selected += codes_of(aces, part, known)
        except ConfigError as error:
            failed.append(error)
    if failed and (combines == "and" or not selected):
        raise failed[0]
    return list(dict.fromkeys(selected))
