"""Settings of fine-tuning."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from proband.core.options import RUNNING, Option
from proband.core.running.device import Device
from proband.train.finetune.choices import MODES, ROW

LABELS, TRUNK = "Labels", "Learning of the trunk (all modes but row)"
Mode = Annotated[str, AfterValidator(MODES.check)]
"""A name in :data:`proband.train.finetune.choices.MODES`."""
FREE_SETTINGS = {"epochs", "patience", "device"}
"""Settings that may differ when an interrupted fine-tuning goes on."""


class FinetuneConfig(BaseModel):
    """How a model is adapted to new outcomes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Annotated[Mode, Option(LABELS)] = Field(
        ROW,
        description=f"{', '.join(MODES)}: row fits new rows on the frozen model; the others change the trunk "
        "first, adapters by a factor per output, lora by low-rank terms, full all of it.",
    )
    label_fraction: Annotated[float, Option(LABELS)] = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the subjects of train and tuning whose labels are read, 0 to 1; drawn by seed, "
        "a smaller share within a larger.",
    )
    queries: Annotated[int, Option(LABELS)] = Field(
        24, ge=1, description="Dates per subject, in the mean, uniform over person-time."
    )
    seed: Annotated[int, Option(LABELS)] = Field(
        0, ge=0, description="Seed of subjects, dates, order and dropout."
    )
    epochs: Annotated[float, Option(TRUNK)] = Field(
        3.0, gt=0, description="Passes over the labelled train subjects, at most."
    )
    patience: Annotated[int, Option(TRUNK)] = Field(
        2, ge=1, description="Tuning evaluations without gain before stopping early."
    )
    evaluations: int = Field(4, ge=1, description="Tuning evaluations in a pass.")
    learning_rate: Annotated[float | None, Option(TRUNK, default="the mode's")] = Field(
        None, gt=0, description="Peak learning rate per step."
    )
    rank: Annotated[int, Option(TRUNK)] = Field(8, ge=1, le=1024, description="Rank of the terms of lora.")
    batch_subjects: Annotated[int, Option(TRUNK)] = Field(32, ge=1, description="Subjects of a step.")
    device: Annotated[Device, Option(RUNNING)] = Field(
        "auto", description="cpu, cuda, or auto: a GPU where there is one."
    )
    modalities: tuple[str, ...] = Field((), description="Names of the modalities given; set by the stage.")
    tasks: tuple[str, ...] = Field((), description="Hashes of the task files; set by the stage.")
