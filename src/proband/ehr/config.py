"""Settings of ``proband ehr``."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proband.core.options import Option

LATEST_YEAR = 2200
"""What is dated later is a mistake, and left out, unless the records' dates were shifted on purpose."""

THIRD_DEGREE = 0.0442
"""Least kinship of third-degree relatives: 2^(-9/2) (Manichaikul 2010, doi:10.1093/bioinformatics/btq559)."""

_ROWS_AT_A_TIME = 1_000_000


class EhrConfig(BaseModel):
    """Settings of ``proband ehr``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    splits: Annotated[tuple[float, float, float], Option()] = Field(
        (0.8, 0.1, 0.1),
        description="Shares of train, tuning and held_out, which add up to 1; a MEDS dataset's own are kept "
        "instead.",
    )
    seed: Annotated[int, Option()] = Field(0, ge=0, description="Seed of the split.")
    assume_birth: Annotated[bool, Option()] = Field(
        False, description="Without a birth, take the first dated event for it, else the subject is left out."
    )
    drop_before_birth: Annotated[bool, Option()] = Field(
        False, description="Leave out events before the day of birth, else they are an error."
    )
    sort: Annotated[bool, Option()] = Field(
        False, description="Sort unsorted MEDS shards (in memory), else they are an error."
    )
    kinship_threshold: Annotated[float | None, Option()] = Field(
        THIRD_DEGREE,
        gt=-1,
        le=0.5,
        description="Kinship from which two subjects are relatives and share a split; 0.0442 is third "
        "degree. None, by the stage, without a table.",
    )
    rows_per_shard: int = Field(
        _ROWS_AT_A_TIME, ge=1, description="Rows of a shard, unless one subject alone has more."
    )
    follow_up_end: Annotated[
        date | None, Option(default="ends more than a year after anybody's last record are cut")
    ] = Field(
        None,
        description="Last day of follow-up: later ends of observation periods are cut there, and subjects "
        "without one are followed to it.",
    )
    latest_year: Annotated[int, Option()] = Field(
        LATEST_YEAR, ge=1900, le=9999, description="What is dated in a later year is left out."
    )
    more_tables: Annotated[
        tuple[Literal["visit_detail", "drug_era", "condition_era"], ...], Option(default="none")
    ] = Field(
        (),
        description="OMOP table to read beside the others, repeatable: visit_detail, drug_era or "
        "condition_era.",
    )

    @model_validator(mode="after")
    def _shares(self) -> EhrConfig:
        if min(self.splits) < 0 or abs(sum(self.splits) - 1) > 1e-6:
            raise ValueError(f"splits must be three shares that add up to 1, found {self.splits}")
        return self
