"""What an evaluation is made from, and settings of the comparison of simulated futures."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from proband.core.config import Split
from proband.core.options import Option

ALL, NONE = "all", "none"
"""Instead of names of baselines."""


class EvaluateConfig(BaseModel):
    """Inputs and settings of the stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    risks: tuple[str, ...] = Field(
        min_length=1, description="Forecast folders or RiskTable files, in order shown."
    )
    meds: str = Field(description="MEDS folder of the same subjects.")
    genome: str | None = Field(None, description="Genome folder, for the PGS baselines and deciles.")
    tokens: str | None = Field(
        None, description="Tokens folder of the same subjects, for the baselines on records."
    )
    kinship: str | None = Field(
        None, description="Table of related pairs, as proband ehr takes it: relatives are resampled together."
    )
    truth: str | None = Field(None, description="Truth folder of a synthetic biobank.")
    task: str | None = Field(None, description="Task file; default that of the forecast folders.")
    fusion_risks: str | None = Field(
        None, description="Forecast of the tuning split by one of the models, for the baseline late_fusion."
    )
    baselines: tuple[str, ...] = Field(
        (ALL,),
        min_length=1,
        description=f"Baselines fitted on train and judged beside: {ALL}, {NONE}, or names in "
        "proband.evaluate.baselines.registry.BASELINES.",
    )
    bootstrap: int = Field(500, ge=0, le=100_000, description="Bootstrap replicates; 0 for no intervals.")
    split: Split = Field("held_out", description="Split that is judged: train, tuning or held_out.")
    seed: int = Field(0, ge=0, description="Seed of resamples and folds.")


class RealismConfig(BaseModel):
    """Settings of the comparison of simulated and real futures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[int, Option()] = Field(
        0, ge=0, description="Seed of the draws of points and of leaving times."
    )
