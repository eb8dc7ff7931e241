"""Settings of forecasting."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Estimator = Literal["mc", "scope", "reach"]


class ForecastConfig(BaseModel):
    """How risks are estimated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: Estimator = Field("scope", description="mc, scope (one pool, all outcomes) or reach.")
    paths: int = Field(64, ge=2, description="Sampled futures per prediction.")
    max_events: int = Field(512, ge=1, description="Events on a path before it counts as unresolved.")
    memory: float = Field(2.0, gt=0, description="GiB for the caches of all processes together.")
    split: str = Field("held_out", description="Which subjects: train, tuning or held_out.")
    name: str = Field("model", min_length=1, description="Name of the model in the RiskTable.")
    modalities: tuple[str, ...] = Field((), description="Names of the modalities given; set by the stage.")
    task: str = Field("", description="Hash of the task file.")
    seed: int = Field(0, ge=0, description="Seed of the paths.")
