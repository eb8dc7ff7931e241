"""Settings of the stage."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from proband.core.options import Option


class RealismConfig(BaseModel):
    """Settings of the comparison of simulated and real futures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[int, Option()] = Field(
        0, ge=0, description="Seed of the draws of points and of leaving times."
    )
