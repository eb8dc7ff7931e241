"""Settings of ``proband ehr``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

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

    @model_validator(mode="after")
    def _shares(self) -> EhrConfig:
        if min(self.splits) < 0 or abs(sum(self.splits) - 1) > 1e-6:
            raise ValueError(f"splits must be three shares that add up to 1, found {self.splits}")
        return self
