"""Settings of ``proband tokens``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from proband.core.options import Option
from proband.core.sex import SEX_PREFIXES
from proband.core.statistics.least import LEAST


class TokensConfig(BaseModel):
    """Settings of the tokens stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_bins: Annotated[int, Option()] = Field(
        10, ge=2, le=100, description="Quantile bins per numeric code."
    )
    min_values: int = Field(100, ge=2, description="Train values a code needs to get bins.")
    min_subjects: Annotated[int, Option()] = Field(
        LEAST,
        ge=1,
        description="Train subjects that a code, a value bin and a static code need to be told apart.",
    )
    static_prefixes: tuple[str, ...] = Field(
        SEX_PREFIXES,
        description="Beginnings, in any case, of codes without a time that become statics; sex always does.",
    )
    vocabulary: str | None = Field(
        None, description="Hash of the frozen vocabulary in use, if one was given."
    )
