"""What an evaluation is made from, and settings of the comparison of simulated futures."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from proband.core.config import Split
from proband.core.options import Option
from proband.evaluate.choices import BASELINES, HIGHEST_THRESHOLD

ALL, NONE = "all", "none"
"""Instead of names of baselines."""


class EvaluateConfig(BaseModel):
    """Inputs and settings of the stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    risks: tuple[str, ...] = Field(
        (),
        min_length=1,
        description="Forecast folders or RiskTable files, in order shown; set by the stage, as all inputs.",
    )
    meds: str = Field("", description="MEDS folder.")
    genome: str | None = Field(None, description="Genome folder.")
    tokens: str | None = Field(None, description="Tokens folder.")
    kinship: str | None = Field(None, description="Table of related pairs.")
    truth: str | None = Field(None, description="Truth folder.")
    task: str | None = Field(None, description="Task file.")
    fusion_risks: str | None = Field(None, description="Forecast of the tuning split.")
    subgroups: str | None = Field(None, description="Table of subgroups.")
    refits: tuple[str, ...] = Field(
        (),
        exclude_if=lambda refits: not refits,  # so that results of before it was named stay finished
        description="Forecasts of the models fitted again.",
    )
    margin: Annotated[float, Option()] = Field(
        0.01, ge=0, lt=0.5, description="Difference in AUROC that does not matter, for equivalence."
    )
    thresholds: Annotated[tuple[float, ...], Option(by_commas=True)] = Field(
        (),
        exclude_if=lambda given: not given,  # so that results of before it was named stay finished
        description="Risks at which acting is judged for every outcome, beside 0.5, 1, 2 and 4 times its "
        "incidence: above 0, at most 0.9, by commas (--thresholds 0.05,0.1).",
    )
    baselines: Annotated[tuple[str, ...], Option()] = Field(
        (ALL,),
        min_length=1,
        description=f"Baselines fitted on train and judged beside: {ALL}, {NONE}, or among "
        f"{', '.join(BASELINES)}; several with commas between (--baselines age_sex,lightgbm), or repeated.",
    )
    bootstrap: Annotated[int, Option()] = Field(
        500, ge=0, le=100_000, description="Bootstrap replicates; 0 for no intervals."
    )
    split: Annotated[Split, Option()] = Field(
        "held_out", description="Split that is judged: train, tuning or held_out."
    )
    seed: Annotated[int, Option()] = Field(0, ge=0, description="Seed of resamples and folds.")
    meds_evaluation: Annotated[bool, Option()] = Field(
        False,
        exclude_if=lambda wanted: not wanted,  # so that results of before it was named stay finished
        description="Write the predictions judged also as meds-evaluation reads them.",
    )

    @field_validator("thresholds")
    @classmethod
    def _risks_to_act_at(cls, given: tuple[float, ...]) -> tuple[float, ...]:
        """Each once, rising."""
        if not all(0 < one <= HIGHEST_THRESHOLD for one in given):
            raise ValueError(f"risks above 0 and at most {HIGHEST_THRESHOLD}")
        return tuple(sorted(set(given)))

    @field_validator("baselines")
    @classmethod
    def _by_commas(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        """Each name once, in the registry's order; several may stand in one text with commas between."""
        names = {name.strip() for text in given for name in text.split(",")} - {""}
        if not names:
            raise ValueError(f"{ALL}, {NONE} or names with commas between")
        known = [name for name in BASELINES if name in names]
        return (*known, *sorted(names - set(known)))
