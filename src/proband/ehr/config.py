"""Settings of ``proband ehr``."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proband.ehr.meds import LATEST_YEAR

_ROWS_AT_A_TIME = 1_000_000


class EhrConfig(BaseModel):
    """Settings of ``proband ehr``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    splits: tuple[float, float, float] = Field(
        default=(0.8, 0.1, 0.1), description="Shares of train, tuning and held_out; they add up to 1."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the split.")
    assume_birth: bool = Field(
        default=False, description="Without a birth, take the first dated event for it."
    )
    drop_before_birth: bool = Field(default=False, description="Leave out events before the day of birth.")
    sort: bool = Field(default=False, description="Sort unsorted MEDS shards instead of refusing them.")
    kinship_threshold: float | None = Field(
        default=None,
        gt=-1,
        le=0.5,
        description="Kinship from which two subjects are relatives and share a split; none without a table.",
    )
    rows_per_shard: int = Field(
        default=_ROWS_AT_A_TIME, ge=1, description="Rows of a shard, unless one subject alone has more."
    )

    follow_up_end: date | None = Field(
        default=None,
        description="Last day of follow-up; by default an end of an observation period is cut only if it is "
        "more than a year after the last record of anybody.",
    )
    latest_year: int = Field(
        default=LATEST_YEAR, ge=1900, le=9999, description="What is dated in a later year is left out."
    )
    more_tables: tuple[Literal["visit_detail", "drug_era", "condition_era"], ...] = Field(
        default=(), description="OMOP tables that are read only where they are asked for."
    )

    @model_validator(mode="after")
    def _shares(self) -> EhrConfig:
        if min(self.splits) < 0 or abs(sum(self.splits) - 1) > 1e-6:
            raise ValueError(f"splits must be three shares that add up to 1, found {self.splits}")
        return self
