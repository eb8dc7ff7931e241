"""Settings of explanations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from proband.core.config import Split
from proband.core.options import Option

QUESTION, DRAWN = "What is asked", "What is drawn at random"


class ExplainConfig(BaseModel):
    """How risks are explained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Annotated[Split, Option(QUESTION)] = Field(
        "held_out", description="train, tuning or held_out; --subjects takes whom it names instead."
    )
    outcomes: Annotated[tuple[str, ...], Option(QUESTION, flag="--outcome", default="all")] = Field(
        (), description="Outcome of the task, repeatable."
    )
    top: Annotated[int, Option(QUESTION)] = Field(
        10, ge=1, le=1000, description="Codes, and scores, that are listed of each risk."
    )
    threshold: Annotated[float, Option(QUESTION)] = Field(
        0.1, gt=0, lt=1, description="Risk from which on one would act; whom the genome moves over it."
    )
    alignment: Annotated[Literal["train", "all", "none"], Option(QUESTION)] = Field(
        "train",
        description="train, all or none: splits of the Cox models beside the genome's effects.",
    )
    reread: Annotated[int, Option(DRAWN)] = Field(
        20, ge=0, description="Predictions whose records are read again without each of their codes."
    )
    gradients: Annotated[int, Option(DRAWN)] = Field(
        0,
        ge=0,
        description="Predictions whose trunk is taken apart by code and score, with integrated gradients.",
    )
    donors: Annotated[int, Option(DRAWN)] = Field(
        50, ge=1, le=10_000, description="Train subjects whose genomes are put in place of a subject's own."
    )
    permutations: Annotated[int, Option(DRAWN)] = Field(
        2000, ge=100, le=1_000_000, description="Permutations of scores among diseases."
    )
    seed: Annotated[int, Option(DRAWN)] = Field(0, ge=0, description="Seed of what is drawn.")
    modalities: tuple[str, ...] = Field((), description="Names of the modalities given; set by the stage.")
    task: str = Field("", description="Hash of the task file; set by the stage.")
    subjects: str = Field("", description="Hash of the list of subjects; set by the stage.")
