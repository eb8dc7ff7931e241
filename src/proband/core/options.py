"""How a setting of a stage's configuration appears on the command line and in the docs.

A setting is declared once, as a field of a pydantic model: type, bounds, default, description. An
:class:`Option` among the field's annotations makes it an option of the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from proband.core.errors import ConfigError

INPUTS, RUNNING = "Inputs", "Running"
"""Headings of the help that several stages share."""


@dataclass(frozen=True)
class Option:
    """A field that the command line takes: ``Annotated[int, Option("Learning")]``.

    Attributes:
        panel: Heading of the help under which it stands.
        default: What the help says of a default that is decided elsewhere, such as "the preset's"; the
            field is then passed on only if it is given.
        flag: Its flag, if not the field's name; ``--no-x`` alone for a switch that is on by default.
        by_commas: Several values are one text with commas between, instead of one option each.
    """

    panel: str = "Options"
    default: str = ""
    flag: str = ""
    by_commas: bool = False


def option_of(field: FieldInfo) -> Option | None:
    """The option of a field; None if it is no option of the command line."""
    return next((note for note in field.metadata if isinstance(note, Option)), None)


def model_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a model itself, or may be; its options have the field's name before."""
    kinds = [field.annotation, *get_args(field.annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def flag_of(kind: type[BaseModel], path: Sequence[int | str]) -> str:
    """Flag of the field of ``kind`` at ``path``, as pydantic's errors name places; of nested models too."""
    words: list[str] = []
    model: type[BaseModel] | None = kind
    for name in path:
        field = model.model_fields.get(str(name)) if model else None
        if field is None:
            break
        option = option_of(field)
        if option and option.flag:
            return option.flag
        words.append(str(name))
        model = model_of(field)
    return "--" + "-".join(words or [str(name) for name in path[:1]]).replace("_", "-")


def pairs(flag: str, expected: str, texts: Sequence[str]) -> dict[str, str]:
    """Values by name of texts ``NAME=VALUE``.

    Raises:
        ConfigError: No name or no value, or a name twice.

    >>> pairs("--modality", "NAME=FILE", ["pcs=genome/pcs.parquet"])
    {'pcs': 'genome/pcs.parquet'}
    """
    found: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not (name and value):
            raise ConfigError(f"unusable {flag}", found=text, expected=expected)
        if name in found:
            raise ConfigError(f"{flag} names {name} twice", found=text, expected="each once")
        found[name] = value
    return found
