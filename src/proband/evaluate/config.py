"""What an evaluation is made from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from proband.core.schema import SPLITS
from proband.evaluate.baselines.registry import ALL, BASELINES, NONE


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
    subgroups: str | None = Field(
        None, description="Table of subgroups of your own: subject_id and columns of names."
    )
    margin: float = Field(
        0.01, ge=0, lt=0.5, description="Difference in AUROC that does not matter, for equivalence."
    )
    baselines: tuple[str, ...] = Field(
        (ALL,),
        min_length=1,
        description=f"Baselines fitted on train and judged beside: {ALL}, {NONE}, or names of "
        f"{', '.join(BASELINES)}.",
    )
    bootstrap: int = Field(500, ge=0, le=100_000, description="Bootstrap replicates; 0 for no intervals.")
    split: str = Field("held_out", description=f"Split that is judged: {', '.join(SPLITS)}.")
    seed: int = Field(0, ge=0, description="Seed of resamples and folds.")
