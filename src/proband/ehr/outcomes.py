"""The task file: which outcomes, predicted when, over which horizons."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from proband.core.errors import ConfigError, near_matches
from proband.core.progress import say

Years = Annotated[float, Field(ge=0, le=150, allow_inf_nan=False)]


class CodeSet(BaseModel):
    """The codes that make one outcome: the union of three ways to name them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codes: tuple[str, ...] = Field(default=(), description="Exact codes, such as SNOMED//44054006.")
    prefixes: tuple[str, ...] = Field(default=(), description="Beginnings of codes, such as ICD10CM//E11.")
    regex: str | None = Field(
        default=None, description="Python regular expression, found anywhere in a code."
    )
    may_be_absent: bool = Field(
        default=False,
        description="A rare outcome that no event may have: then nobody has it, instead of an error.",
    )

    @field_validator("codes", "prefixes", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _usable(self) -> CodeSet:
        if not (self.codes or self.prefixes or self.regex):
            raise ValueError("names no code: give codes, prefixes or regex")
        if not all((*self.codes, *self.prefixes)):
            raise ValueError("holds an empty code or prefix")
        if self.regex:
            try:
                re.compile(self.regex)
            except re.error as error:
                raise ValueError(f"bad regex {self.regex!r}: {error}") from None
        return self

    def select(self, codes: Iterable[str]) -> list[str]:
        """Those of ``codes`` that belong to the outcome, in their order.

        >>> CodeSet(codes=["A//1"], prefixes=["B//2"], regex="C$").select(["A//1", "A//11", "B//23", "D//C"])
        ['A//1', 'B//23', 'D//C']
        """
        exact = set(self.codes)
        pattern = re.compile(self.regex) if self.regex else None
        return [
            code
            for code in codes
            if code in exact
            or code.startswith(self.prefixes)
            or (pattern is not None and pattern.search(code))
        ]


class PredictionTimes(BaseModel):
    """When to predict, in exactly one of three ways; a list gives several times per subject."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    years_after_entry: tuple[Years, ...] | None = Field(
        default=None, min_length=1, description="Years after entry."
    )
    age_years: tuple[Years, ...] | None = Field(
        default=None, min_length=1, description="Ages in years of 365.25 days."
    )
    date: tuple[datetime.date, ...] | None = Field(
        default=None, min_length=1, description="Calendar dates, at midnight."
    )

    @field_validator("years_after_entry", "age_years", "date", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return value if value is None or isinstance(value, (list, tuple)) else (value,)

    @model_validator(mode="after")
    def _exactly_one(self) -> PredictionTimes:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            kinds = ", ".join(type(self).model_fields)
            raise ValueError(f"needs exactly one of {kinds}, found {', '.join(given) or 'none'}")
        return self


class Task(BaseModel):
    """A prediction task, as in a task file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcomes: dict[str, CodeSet] = Field(min_length=1, description="Name of each outcome -> its codes.")
    prediction: PredictionTimes = Field(description="When to predict.")
    horizons_years: tuple[Annotated[float, Field(gt=0, le=150, allow_inf_nan=False)], ...] = Field(
        min_length=1, description="Horizons in years after the prediction time, above 0."
    )
    washout_years: Years = Field(
        default=0.0, description="Years of record needed before the prediction time."
    )
    gap_days: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="Blanking: who has the outcome within so many days after the prediction time leaves.",
    )

    @field_validator("horizons_years", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return value if isinstance(value, (list, tuple)) else (value,)

    @field_validator("horizons_years", mode="after")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(value)))


def load_task(path: Path) -> Task:
    """Read and check a task file (YAML).

    Raises:
        ConfigError: The file is missing, no YAML, or does not describe a task; names the first problem.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("missing task file", where=path) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError("unreadable task file", where=path, found=error, expected="YAML") from None
    if not isinstance(content, dict):
        expected = ", ".join(Task.model_fields)
        raise ConfigError("no task", where=path, found=type(content).__name__, expected=f"keys {expected}")
    if not content.get("outcomes"):
        raise ConfigError("no outcome", where=path, expected="outcomes: {name: {codes: [...]}}")
    try:
        return Task.model_validate(content)
    except ValidationError as error:
        raise _as_config_error(error, path) from None


def _as_config_error(error: ValidationError, path: Path) -> ConfigError:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the task"
    if first["type"] == "extra_forbidden":
        known = sorted({*Task.model_fields, *CodeSet.model_fields, *PredictionTimes.model_fields})
        remedy = near_matches(str(first["loc"][-1]), known) or "remove it"
        return ConfigError(f"unknown key {place}", where=path, remedy=remedy)
    message = first["msg"].removeprefix("Value error, ")
    found = "" if first["type"] in ("missing", "value_error") else repr(first["input"])
    return ConfigError(f"{place}: {message}", where=path, found=found)


def save_task(task: Task, path: Path) -> None:
    """Write ``task`` so that :func:`load_task` gives it back."""
    content = task.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def require_known(task: Task, codes: Iterable[str]) -> None:
    """Refuse an outcome none of whose codes the data hold, so that a typing error is no empty outcome.

    A code list may be wider than the data: what is absent beside codes that are present is only said.

    Raises:
        ConfigError: No code, prefix or regex of an outcome matches (unless it may be absent); with near
            matches.
    """
    known = list(codes)
    present = set(known)
    for name, outcome in task.outcomes.items():
        asked = [*outcome.codes, *outcome.prefixes, *([outcome.regex] if outcome.regex else [])]
        if not outcome.select(known) and outcome.may_be_absent:
            say(f"task: no event has a code of outcome {name}; nobody counts as having it")
            continue
        if not outcome.select(known):
            raise ConfigError(
                f"unknown codes of outcome {name}",
                where="the task",
                found=f"{len(asked)} that no event has, first {asked[0]}",
                remedy=near_matches(asked[0], known)
                or "look in metadata/codes.parquet for the codes there are",
            )
        absent = [code for code in outcome.codes if code not in present]
        if absent:
            say(f"task: outcome {name} lists {len(absent)} codes that no event has, first {absent[0]}")
