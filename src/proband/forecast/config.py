"""Settings of forecasting."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from proband.core.config import Split
from proband.core.errors import ConfigError
from proband.core.options import Option
from proband.core.running.device import Device
from proband.forecast.choices import CLOSED_FORM, ESTIMATORS

QUESTION, ERROR, MACHINE = "What is asked", "Sampling and its error", "Machine and memory"
Estimator = Annotated[str, AfterValidator(ESTIMATORS.check)]
"""A name in :data:`proband.forecast.choices.ESTIMATORS`."""
_PRECISION = re.compile(r"(?P<number>[0-9.eE+-]+)\s*(?P<percent>%?)")


class ForecastConfig(BaseModel):
    """How risks are estimated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Annotated[Split, Option(QUESTION)] = Field(
        "held_out", description="train, tuning or held_out; --subjects takes whom it names instead."
    )
    name: Annotated[str, Option(QUESTION, default="the model folder's")] = Field(
        "", description="Name of the model in the RiskTable."
    )
    net: Annotated[bool, Option(QUESTION)] = Field(
        False, description="Net risks, of a world in which nobody dies, instead of death competing."
    )
    curve_points: Annotated[int, Option(QUESTION)] = Field(
        0, ge=0, le=1200, description="Write risk curves at so many times up to the last horizon; 0 for none."
    )
    with_history: Annotated[bool, Option(QUESTION)] = Field(
        False, description="Let simulated futures begin with what was known before."
    )
    raw: Annotated[bool, Option(QUESTION)] = Field(
        False, description="Closed form without the calibration found on the tuning split."
    )
    least_plausible: Annotated[float, Option(QUESTION)] = Field(
        0.05,
        ge=0,
        le=1,
        description="Warn where a smaller share of train histories lies as far out as half of those that a "
        "scenario changes.",
    )
    estimator: Annotated[Estimator, Option(ERROR)] = Field(
        CLOSED_FORM,
        description=f"{', '.join(ESTIMATORS)}: closed_form reads onset hazards and samples nothing; of those "
        "by sampled paths scope has one pool for all outcomes, reach the least error.",
    )
    onsets: Annotated[Literal["hazards", "events"], Option(ERROR)] = Field(
        "hazards",
        description="On sampled paths, outcomes that are onset tasks and death happen at their onset hazards "
        "(hazards), or as any other event that the model draws (events).",
    )
    paths: Annotated[int, Option(ERROR)] = Field(64, ge=2, description="Sampled futures per prediction.")
    precision: Annotated[str, Option(ERROR)] = Field(
        "", description="Draw paths until each standard error is below this: 0.002, or 5% of the risk."
    )
    max_paths: Annotated[int, Option(ERROR)] = Field(
        1024, ge=2, description="Most futures per prediction, with --precision."
    )
    max_events: Annotated[int, Option(ERROR)] = Field(
        512, ge=1, description="Events on a path before it is cut as unresolved."
    )
    seed: Annotated[int, Option(ERROR)] = Field(0, ge=0, description="Seed of the paths.")
    memory: Annotated[float, Option(MACHINE)] = Field(
        2.0, gt=0, description="GiB for the caches of all processes together; more paths run at once."
    )
    device: Annotated[Device, Option(MACHINE)] = Field(
        "cpu", description="cpu, cuda, or auto: a GPU where there is one."
    )
    trajectories: bool = Field(False, description="Whether simulated futures are written; set by the stage.")
    modalities: tuple[str, ...] = Field((), description="Names of the modalities given; set by the stage.")
    task: str = Field("", description="Hash of the task file; set by the stage.")
    subjects: str = Field("", description="Hash of the list of subjects; set by the stage.")
    scenario: str = Field("", description="Hash of the scenario file; set by the stage.")

    @field_validator("precision")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value:
            precision_of(value)
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
