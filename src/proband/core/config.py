"""From options to a validated configuration, with one clear line when they do not fit."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from proband.core.errors import ConfigError

Config = TypeVar("Config", bound=BaseModel)


def validated(kind: type[Config], **options: object) -> Config:
    """Build a stage's configuration from options.

    Raises:
        ConfigError: An option is out of its bounds; names the command-line flag and what it takes.
    """
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise ConfigError(what, where="the options") from None
        flag = "--" + str(first["loc"][0]).replace("_", "-")
        raise ConfigError(f"unusable {flag}", found=repr(first["input"]), expected=what) from None
