"""Settings of the stage ``genome``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from proband.core.options import Option
from proband.genome.ancestry.config import AncestryConfig

COHORTS = "Source cohorts"
"""Heading of the options on the cohorts that scores were developed in."""

LeaveOut = Literal["none", "own", "own-or-unknown"]
"""Scores to leave out: none, those developed in the own cohort, or also those of which it is not known."""


class GenomeConfig(BaseModel):
    """Settings of the stage ``genome``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_match_rate: Annotated[float, Option()] = Field(
        0.75,
        ge=0,
        le=1,
        description="Leave out scores of which less than this share of rows is matched and usable, 0 to 1.",
    )
    keep_ambiguous: Annotated[bool, Option()] = Field(
        False, description="Use A/T and C/G variants, trusting that both files name the same strand."
    )
    match_by: Annotated[Literal["position", "id"], Option()] = Field(
        "position",
        description="Find variants by position, or by id, for scoring files of rsIDs without positions.",
    )
    own_cohort: Annotated[tuple[str, ...], Option(COHORTS)] = Field(
        (),
        exclude_if=lambda given: not given,  # so that folders of before it was named stay finished
        description="Cohort whose people are scored, as --development names it, such as UKB; repeatable, "
        "for consortia that hold it too.",
    )
    ancestry: AncestryConfig | None = Field(
        None, description="Settings of components, populations and adjusted scores; None to leave them out."
    )
