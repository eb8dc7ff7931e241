"""What makes an outcome: a set of codes, or a pattern of several events in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SEPARATOR, OTHER_SEPARATOR = "//", "/"
"""Between vocabulary and code: ours, and that of femr and meds_etl."""

Bound = Annotated[float | None, Field(allow_inf_nan=False)]


def one_slash(code: str) -> str:
    """A code with one slash between vocabulary and code.

    >>> one_slash("SNOMED//44054006"), one_slash("SNOMED/44054006"), one_slash("DRUG//A//1")
    ('SNOMED/44054006', 'SNOMED/44054006', 'DRUG/A//1')
    """
    return code.replace(SEPARATOR, OTHER_SEPARATOR, 1)


def with_one_slash(codes: Iterable[str]) -> list[str]:
    """Codes made of vocabulary and code, and after them the same as those spell them who write one slash.

    >>> with_one_slash(["SNOMED//1", "ICD10CM//E11.9"])
    ['SNOMED//1', 'ICD10CM//E11.9', 'SNOMED/1', 'ICD10CM/E11.9']
    """
    listed = list(codes)
    return list(dict.fromkeys([*listed, *map(one_slash, listed)]))


def one_spelling(codes: Iterable[str]) -> list[str]:
    """Codes without those that are there with two slashes, too.

    >>> one_spelling(["B/2", "SNOMED/1", "SNOMED//1"])
    ['B/2', 'SNOMED//1']
    """
    listed = list(codes)
    with_two = {one_slash(code) for code in listed if SEPARATOR in code}
    return [code for code in listed if SEPARATOR in code or code not in with_two]


class Codes(BaseModel):
    """Codes, as the union of three ways to name them, and if asked the values that count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codes: tuple[str, ...] = Field(default=(), description="Exact codes, such as SNOMED//44054006.")
    prefixes: tuple[str, ...] = Field(default=(), description="Beginnings of codes, such as ICD10CM//E11.")
    regex: str | None = Field(
        default=None,
        max_length=1000,
        description="Regular expression, found anywhere in a code; in Rust's syntax, without look-around and "
        "backreferences, so that it takes linear time.",
    )
    above: Bound = Field(default=None, description="Only measurements of a value greater than this.")
    below: Bound = Field(default=None, description="Only measurements of a value less than this.")
    unit: str | None = Field(
        default=None,
        min_length=1,
        description="Unit of above and below, such as mg/dL: values in other units are converted, or do not "
        "count. Needed where values come in several units.",
    )

    @field_validator("codes", "prefixes", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _usable(self) -> Codes:
        if not (self.codes or self.prefixes or self.regex):
            raise ValueError("names no code: give codes, prefixes or regex")
        if not all((*self.codes, *self.prefixes)):
            raise ValueError("holds an empty code or prefix")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError(f"no value is above {self.above:g} and below {self.below:g}")
        if self.unit is not None and not self.bounded:
            raise ValueError(f"unit {self.unit} without a bound: give above or below, or no unit")
        if self.regex:
            try:
                _matches([], self.regex)
            except pl.exceptions.PolarsError as error:
                raise ValueError(f"bad regex {self.regex!r}: {_complaint(error)}") from None
        return self

    @property
    def lines(self) -> dict[str, Codes]:
        """What each line selects: the codes as one, each prefix, and the regex; by what messages call it."""
        one = {f"codes ({len(self.codes)} listed)": Codes(codes=self.codes)} if self.codes else {}
        one |= {f"prefix {prefix}": Codes(prefixes=(prefix,)) for prefix in self.prefixes}
        return one | ({f"regex {self.regex}": Codes(regex=self.regex)} if self.regex else {})

    @property
    def asked(self) -> list[str]:
        """Codes, prefixes and regex as written, for messages."""
        return [*self.codes, *self.prefixes, *([self.regex] if self.regex else [])]

    @property
    def bounded(self) -> bool:
        """Whether only some values count."""
        return self.above is not None or self.below is not None

    def select(self, codes: Iterable[str]) -> list[str]:
        """Those of ``codes`` that are named, in their order.

        >>> CodeSet(codes=["A//1"], prefixes=["B//2"], regex="C$").select(["A//1", "A//11", "B//23", "D//C"])
        ['A//1', 'B//23', 'D//C']
        """
        listed = list(codes)
        exact = set(self.codes)
        found = _matches(listed, self.regex) if self.regex else [False] * len(listed)
        return [
            code
            for code, is_found in zip(listed, found, strict=True)
            if code in exact or code.startswith(self.prefixes) or is_found
        ]


def _matches(codes: list[str], regex: str) -> list[bool]:
    """Whether each code holds a match, in time linear in its length: no pattern of a user can hang a run."""
    return pl.Series(codes, dtype=pl.String).str.contains(regex).to_list()


def _complaint(error: Exception) -> str:
    """What is wrong with a regular expression, of several lines the one that says it."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    return said[0] if said else lines[0].removeprefix("regex error:").strip()


class CodeSet(Codes):
    """An outcome that any one of its codes makes."""

    may_be_absent: bool = Field(
        default=False,
        description="A rare outcome that no event may have: then nobody has it, instead of an error.",
    )

    @property
    def steps(self) -> tuple[Codes, ...]:
        """The set as the only step of a pattern."""
        return (self,)


class Step(Codes):
    """One event of a pattern. It comes later than the event of the step before; never at the same time."""

    after_days: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Days after the event of the step before, at least.",
    )
    within_days: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Days after the event of the step before, at most.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Step:
        if (
            self.after_days is not None
            and self.within_days is not None
            and self.after_days > self.within_days
        ):
            raise ValueError(f"after_days {self.after_days:g} is more than within_days {self.within_days:g}")
        return self


class Pattern(BaseModel):
    """An outcome of several events in order; it happens at the event that completes the last step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Step, ...] = Field(min_length=2, description="The events, in order.")
    may_be_absent: bool = Field(
        default=False,
        description="A rare outcome for a step of which no event may have a code: then nobody has it.",
    )

    @model_validator(mode="after")
    def _first_follows_nothing(self) -> Pattern:
        if self.steps[0].after_days is not None or self.steps[0].within_days is not None:
            raise ValueError("the first step follows none: after_days and within_days go to later steps")
        return self
