"""Settings of the stage ``genome``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from proband.core.options import Option
from proband.genome.ancestry.config import AncestryConfig


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
    ancestry: AncestryConfig | None = Field(
        None, description="Settings of components, populations and adjusted scores; None to leave them out."
    )
