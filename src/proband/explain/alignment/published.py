"""Published effects of scores, from a table that the user gives."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from proband.core.errors import DataError, first_line, near_matches
from proband.core.files.tables import is_parquet, read_parquet
from proband.core.running.progress import say
from proband.core.text.texttable import READ_ERRORS, check_names, read_people
from proband.core.text.textvalues import NO_VALUE

_NEEDED = ("outcome", "log_hazard_ratio")
_NUMBERS = ("log_hazard_ratio", "standard_error")


@dataclass(frozen=True)
class PublishedEffect:
    """One published effect.

    Attributes:
        outcome: Name of the outcome.
        score: The score; empty for the outcome's own scores.
        log_hazard_ratio: Per standard deviation.
        standard_error: Its error; None where not given.
        source: Where it stands; None where not given.
    """

    outcome: str
    score: str
    log_hazard_ratio: float
    standard_error: float | None
    source: str | None


def read_published(
    path: Path, outcomes: Collection[str], scores: Collection[str] = ()
) -> list[PublishedEffect]:
    """Effects of a table: outcome and log_hazard_ratio, and score, standard_error and source if known.

    Args:
        path: Text with a line of column names, or Parquet.
        outcomes: Those explained; rows of others are passed over.
        scores: Those of the model; rows of others are passed over. Without any, all are taken.

    Raises:
        DataError: The file is unreadable or lacks a column, a value is no number, or no row is of an outcome
            explained and a score of the model (names near matches).
    """
    header, rows = _read(path)
    for name in _NEEDED:
        if name not in header:
            found, expected = f"columns {', '.join(header[:12])}", ", ".join(_NEEDED)
            raise DataError(f"no column {name}", where=path, found=found, expected=expected)
    effects = [_effect(dict(zip(header, row, strict=False)), path) for row in rows]
    kept = [effect for effect in effects if effect.outcome in outcomes]
    if not kept:
        found = effects[0].outcome if effects else "no row"
        remedy = near_matches(found, outcomes) or "name outcomes as in the task file"
        raise DataError("no published effect of an outcome explained", where=path, found=found, remedy=remedy)
    if len(kept) < len(effects):
        say(f"explain: {len(effects) - len(kept)} published effects are of other outcomes and passed over")
    return _of_scores(kept, scores, path) if scores else kept


def _of_scores(effects: list[PublishedEffect], scores: Collection[str], path: Path) -> list[PublishedEffect]:
    """Effects of scores that the model has, or of no score named; others are counted.

    Raises:
        DataError: None is left.
    """
    strange = [effect.score for effect in effects if effect.score and effect.score not in scores]
    kept = [effect for effect in effects if not effect.score or effect.score in scores]
    if not kept:
        remedy = (
            near_matches(strange[0], scores) or "name scores as the genome folder does, or leave them out"
        )
        raise DataError(
            "no published effect of a score of the model", where=path, found=strange[0], remedy=remedy
        )
    if strange:
        near = near_matches(strange[0], scores)
        say(
            f"explain: {len(strange)} published effects are of scores that the model does not read and "
            f"passed over, first {strange[0]}" + (f" ({near})" if near else "")
        )
    return kept


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    if is_parquet(path):
        frame = read_parquet(path)
        rows = [["" if value is None else str(value) for value in row] for row in frame.iter_rows()]
        return frame.columns, rows
    try:
        header, _, rows = read_people(path)
    except READ_ERRORS as error:
        expected = "a table with a line of column names"
        raise DataError(
            "unreadable table of published effects", where=path, found=first_line(error), expected=expected
        ) from None
    check_names(header, path)
    return header, rows


def _effect(row: dict[str, str], path: Path) -> PublishedEffect:
    numbers = {name: _number(row.get(name, ""), name, row, path) for name in _NUMBERS}
    ratio = numbers["log_hazard_ratio"]
    if ratio is None:
        found = f"nothing, in the row of {row.get('outcome') or 'no outcome'}"
        raise DataError("no log_hazard_ratio", where=path, found=found, expected="a number in every row")
    texts = {name: _text(row.get(name, "")) for name in ("score", "source")}
    return PublishedEffect(
        row.get("outcome", ""), texts["score"], ratio, numbers["standard_error"], texts["source"] or None
    )


def _text(value: str) -> str:
    return "" if value in NO_VALUE else value


def _number(value: str, name: str, row: dict[str, str], path: Path) -> float | None:
    if not _text(value):
        return None
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        found = f"{value!r} in the row of {row.get('outcome')}"
        raise DataError(
            f"{name} is no number", where=path, found=found, expected="a number, natural logarithm"
        )
    return number


def published_frame(effects: list[PublishedEffect], own: pl.DataFrame) -> pl.DataFrame:
    """Effects by outcome and score.

    Args:
        effects: As :func:`read_published` returns; the first of an outcome and score counts.
        own: Columns outcome and score: each outcome's own scores, to which an effect without score belongs.
    """
    schema = {
        "outcome": pl.String,
        "score": pl.String,
        "published": pl.Float64,
        "published_standard_error": pl.Float64,
        "source": pl.String,
    }
    rows = []
    for one in effects:
        scores = [one.score] if one.score else own.filter(outcome=one.outcome)["score"].to_list()
        rows += [
            (one.outcome, score, one.log_hazard_ratio, one.standard_error, one.source) for score in scores
        ]
    return pl.DataFrame(rows, schema=schema, orient="row").unique(
        ["outcome", "score"], keep="first", maintain_order=True
    )
