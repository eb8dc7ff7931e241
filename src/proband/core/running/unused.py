"""Options that were given and that a run does not use."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from proband.core.options import flag_of
from proband.core.running.progress import say


def say_unused(stage: str, config: BaseModel, names: Iterable[str], why: str) -> None:
    """Say which options were given that this run does not use.

    Args:
        stage: The stage's name.
        config: Its settings.
        names: Fields that are not used.
        why: Such as "closed_form samples no paths".
    """
    fields = type(config).model_fields
    given = [name for name in names if getattr(config, name) != fields[name].get_default()]
    if given:
        flags = ", ".join(flag_of(type(config), (name,)) for name in given)
        say(f"{stage}: not used: {flags}, since {why}")
