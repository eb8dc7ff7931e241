"""From command-line options to a stage's configuration."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from proband.core.errors import ConfigError

Config = TypeVar("Config", bound=BaseModel)


def validated(kind: type[Config], **options: object) -> Config:
    """Build ``kind`` from options.

    Raises:
        ConfigError: An option is out of its bounds; names the flag and what it takes.
    """
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--" + str(first["loc"][0]).replace("_", "-") if first["loc"] else "the options"
        raise ConfigError(f"unusable {flag}", found=repr(first["input"]), expected=first["msg"]) from None
