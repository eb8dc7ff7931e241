"""From options to a validated configuration, with one clear line when they do not fit."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from proband.core.errors import ConfigError
from proband.core.options import flag_of
from proband.core.problems import expected_of

Config = TypeVar("Config", bound=BaseModel)
Split = Literal["train", "tuning", "held_out"]
"""The splits of MEDS."""


def validated(kind: type[Config], /, **options: object) -> Config:
    """Build a stage's configuration from options.

    Raises:
        ConfigError: An option is out of its bounds; names the command-line flag and what it takes.
    """
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = expected_of(first)
        if not first["loc"]:
            raise ConfigError(what, where="the options") from None
        flag = flag_of(kind, first["loc"])
        choices = what.partition("; there are ")[2]  # of a registry
        expected = f"one of {choices}" if choices else what
        raise ConfigError(f"unusable {flag}", found=repr(first["input"]), expected=expected) from None
