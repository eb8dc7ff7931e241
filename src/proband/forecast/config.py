"""Settings of forecasting."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from proband.core.device import Device
from proband.core.errors import ConfigError
from proband.forecast.choices import CLOSED_FORM, ESTIMATORS

Estimator = Annotated[str, AfterValidator(ESTIMATORS.check)]
"""A name in :data:`proband.forecast.choices.ESTIMATORS`."""
_PRECISION = re.compile(r"(?P<number>[0-9.eE+-]+)\s*(?P<percent>%?)")


class ForecastConfig(BaseModel):
    """How risks are estimated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: Estimator = Field(
        CLOSED_FORM, description="closed_form, from onset hazards; or mc, scope, reach, from sampled paths."
    )
    raw: bool = Field(False, description="Leave out the calibration found on the tuning split.")
    paths: int = Field(64, ge=2, description="Sampled futures per prediction; with precision, the first.")
    precision: str = Field("", description="Largest standard error: 0.002, or 5% of the risk; '' for any.")
    max_paths: int = Field(1024, ge=2, description="Most futures per prediction, with precision.")
    net: bool = Field(False, description="Risks in a world without death, instead of death competing.")
    max_events: int = Field(512, ge=1, description="Events on a path before it counts as unresolved.")
    curve_points: int = Field(
        0, ge=0, le=1200, description="Times of the risk curves up to the last horizon."
    )
    memory: float = Field(2.0, gt=0, description="GiB for the caches of all processes together.")
    device: Device = Field(
        "cpu", description="Where to compute: cpu, cuda, or auto for a GPU if there is one."
    )
    temperature: float = Field(1.0, description="1 and nothing else; named so that a refusal can say why.")
    top_k: int = Field(0, description="0, for all codes, and nothing else; likewise.")
    split: str = Field("held_out", description="Which subjects: train, tuning or held_out.")
    name: str = Field("model", min_length=1, description="Name of the model in the RiskTable.")
    trajectories: bool = Field(False, description="Whether simulated futures are written; set by the stage.")
    with_history: bool = Field(False, description="Whether these begin with what was known before.")
    modalities: tuple[str, ...] = Field((), description="Names of the modalities given; set by the stage.")
    task: str = Field("", description="Hash of the task file.")
    seed: int = Field(0, ge=0, description="Seed of the paths.")

    @field_validator("temperature")
    @classmethod
    def _temperature_is_one(cls, value: float) -> int | float:
        return _as_trained("--temperature", value, 1)

    @field_validator("top_k")
    @classmethod
    def _top_k_is_off(cls, value: int) -> int:
        return int(_as_trained("--top-k", value, 0))

    @field_validator("precision")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value:
            precision_of(value)
        return value


def _as_trained(flag: str, value: int | float, wanted: int) -> int | float:
    if value != wanted:
        raise ConfigError(
            "that would change the risks",
            where=flag,
            found=f"{value:g}",
            expected=f"{wanted:g}, since a risk is the model's own probability",
            remedy="if risks are badly calibrated, recalibrate them",
        )
    return value


def precision_of(text: str) -> tuple[float, float]:
    """(largest standard error, the same as a share of the risk) that ``text`` asks for.

    Raises:
        ConfigError: It is no number or percentage between 0 and 1.

    >>> precision_of("0.002"), precision_of("5%")
    ((0.002, 0.0), (0.0, 0.05))
    """
    found = _PRECISION.fullmatch(text.strip())
    try:
        number = float(found["number"]) if found else 0.0
    except ValueError:
        number = 0.0
    percent = bool(found and found["percent"])
    number = number / 100 if percent else number
    if not 0 < number < 1:
        expected = "a standard error such as 0.002, or a share of the risk such as 5%"
        raise ConfigError("bad precision", where="--precision", found=text, expected=expected)
    return (0.0, number) if percent else (number, 0.0)
