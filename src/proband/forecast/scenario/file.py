"""The scenario file: named lists of changes to subjects."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from proband.core.errors import ConfigError
from proband.core.text.yamlfile import first_problem, read_mapping

Days = Annotated[float, Field(ge=0, le=55_000, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def _needs_one(self, *names: str) -> None:
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of {', '.join(names)}, found {', '.join(given) or 'none'}")


class _Dated(_Part):
    """Something at or from a date, or a number of days before the prediction time."""

    date: datetime.date | None = Field(default=None, description="Calendar date, at midnight.")
    days_before: Days | None = Field(default=None, description="Days before the prediction time.")

    @model_validator(mode="after")
    def _one_time(self) -> _Dated:
        if self.date is not None and self.days_before is not None:
            raise ValueError("needs one of date and days_before, found both")
        return self


class Remove(_Dated):
    """Events left out, from a time on; without a time from the whole record."""

    codes: tuple[str, ...] = Field(default=(), description="Exact codes, as recorded.")
    prefixes: tuple[str, ...] = Field(default=(), description="Beginnings of codes.")

    @field_validator("codes", "prefixes", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _names_some(self) -> Remove:
        if not (self.codes or self.prefixes) or not all((*self.codes, *self.prefixes)):
            raise ValueError("names no code: give codes or prefixes")
        return self


class Add(_Dated):
    """One event more, at a time."""

    code: str = Field(min_length=1, description="Code, as recorded.")
    value: Number | None = Field(default=None, description="Its value, for a code with value bins.")
    unit: str | None = Field(
        default=None, min_length=1, description="Unit of value, where values come in several."
    )

    @model_validator(mode="after")
    def _has_a_time(self) -> Add:
        self._needs_one("date", "days_before")
        if self.unit is not None and self.value is None:
            raise ValueError("unit without a value")
        return self


class Shift(_Dated):
    """Other values of the measurements there are of a code, from a time on; without one, of all."""

    code: str = Field(min_length=1, description="Code with value bins, as recorded.")
    by: Number | None = Field(default=None, description="What is added to each value.")
    to: Number | None = Field(default=None, description="What each value becomes.")
    unit: str | None = Field(
        default=None, min_length=1, description="Unit of by or to, where values come in several."
    )

    @model_validator(mode="after")
    def _one_aim(self) -> Shift:
        self._needs_one("by", "to")
        return self


class Genome(_Part):
    """Another genome: a score at a percentile, the scores of another subject, or none."""

    score: str | None = Field(default=None, min_length=1, description="Name of a score; others stay.")
    percentile: float | None = Field(
        default=None, ge=0, le=100, description="Percentile of it among genotyped train subjects."
    )
    subject: int | None = Field(default=None, description="subject_id of whose genome it is.")
    absent: bool | None = Field(default=None, description="true: as if not genotyped.")

    @model_validator(mode="after")
    def _one_kind(self) -> Genome:
        self._needs_one("score", "subject", "absent")
        if (self.score is None) != (self.percentile is None):
            raise ValueError("score and percentile go together")
        if self.absent is False:
            raise ValueError("absent: true is a change, false is none")
        return self


class Change(_Part):
    """One change, of one kind."""

    remove: Remove | None = Field(default=None, description="Leave events out.")
    add: Add | None = Field(default=None, description="Add an event.")
    shift: Shift | None = Field(default=None, description="Change measured values.")
    genome: Genome | None = Field(default=None, description="Exchange the genome.")

    @model_validator(mode="after")
    def _one_kind(self) -> Change:
        self._needs_one(*type(self).model_fields)
        return self


class Scenario(_Part):
    """Changes made one after another."""

    changes: tuple[Change, ...] = Field(min_length=1, description="What is changed, in this order.")
    subjects: tuple[int, ...] | None = Field(
        default=None, min_length=1, description="subject_ids of whom it is changed; default everybody."
    )


class Scenarios(_Part):
    """A scenario file."""

    scenarios: dict[Annotated[str, Field(min_length=1)], Scenario] = Field(
        min_length=1, description="Name of each scenario -> its changes."
    )


MODELS = (Scenarios, Scenario, Change, Remove, Add, Shift, Genome)


def load_scenarios(path: Path) -> Scenarios:
    """Read and check a scenario file (YAML).

    Raises:
        ConfigError: The file is missing or unreadable, or describes no scenarios; names the first problem.
    """
    content = read_mapping(path, "scenario", Scenarios.model_fields)
    if not content.get("scenarios"):
        raise ConfigError("no scenario", where=path, expected="scenarios: {name: {changes: [...]}}")
    try:
        return Scenarios.model_validate(content)
    except ValidationError as error:
        raise first_problem(error, path, "scenario file", MODELS) from None
