"""Settings of embedding."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from proband.core.config import Split
from proband.core.options import RUNNING, Option
from proband.core.running.device import Device

WHO = "Who and when"
Subjects = Literal["all", "train", "tuning", "held_out"]
assert set(get_args(Split)) < set(get_args(Subjects))


class EmbedConfig(BaseModel):
    """Of whom vectors are made, and what else is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Annotated[Subjects, Option(WHO)] = Field("all", description="all, train, tuning or held_out.")
    gwas: Annotated[bool, Option(WHO)] = Field(
        False, description="Also write phenotypes.txt and covariates.txt, as REGENIE and PLINK read them."
    )
    map: Annotated[bool, Option(WHO)] = Field(
        False, description="Also write map.parquet and map.png: components, and what they go with."
    )
    device: Annotated[Device, Option(RUNNING)] = Field(
        "cpu", description="cpu, cuda, or auto: a GPU where there is one."
    )
    task: str = Field("", description="Hash of the file of dates; set by the stage.")
