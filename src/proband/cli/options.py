"""From a stage's configuration to options of the command line, and options that several stages share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence, Sized
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime
from inspect import Parameter
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperCommand
from typer.models import OptionInfo

from proband.core.config import validated
from proband.core.options import INPUTS, RUNNING, Option, flag_of, model_of, option_of, pairs

Out = Annotated[Path, typer.Argument(help="Output folder.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Make the output anew.", rich_help_panel=RUNNING),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes, a number.", show_default="one per core", rich_help_panel=RUNNING),
]
Spark = Annotated[
    str | None,
    typer.Option(
        help="Spark master URL, such as yarn or local[8].",
        rich_help_panel=RUNNING,
    ),
]
Genome = Annotated[
    Path | None,
    typer.Option(help="Genome folder of polygenic scores.", rich_help_panel=INPUTS),
]
Modality = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=FILE, repeatable: Parquet of subject_id, numbers and, if measured at an age, time, "
        "age_days or age_years.",
        rich_help_panel=INPUTS,
    ),
]


class GroupedCommand(TyperCommand):
    """A sub-command whose help shows its options under the headings of their ``rich_help_panel``."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then the groups of options in the order in which they first appear."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for parameter in self.get_params(ctx):
            is_option = parameter.param_type_name == "option"
            panel = getattr(parameter, "rich_help_panel", None) or "Options"
            if record := parameter.get_help_record(ctx):
                groups.setdefault(panel if is_option else "Arguments", []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """The command that typer sees: in place of each configuration, an option per field.

    Args:
        command: Function with typer's annotations; a parameter annotated with a pydantic model is built
            from options made of the model's fields that bear an :class:`Option`.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[Parameter] = []
    models: dict[str, type[BaseModel]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if is_model(hints[name]):
            models[name] = hints[name]
            parameters += [_parameter(field) for field in fields_of(hints[name])]
        else:
            annotation = _with_default(hints[name], parameter.default)
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=annotation))

    def run(**given: Any) -> None:
        for name, kind in models.items():
            given[name] = validated(kind, **_take(kind, given))
        command(**given)

    functools.update_wrapper(run, command)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def is_model(hint: Any) -> bool:
    """Whether a parameter of a command is a configuration, which is made from options."""
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def _with_default(hint: Any, default: Any) -> Any:
    """A command's annotation whose option, if it has no text for its default, shows it as others do."""
    note = next((note for note in get_args(hint) if isinstance(note, OptionInfo)), None)
    if note is None or note.show_default is not True or default is Parameter.empty:
        return hint
    note = copy(note)
    note.show_default = _shown(default)
    return Annotated[get_args(hint)[0], note]


def _shown(default: Any) -> bool | str:
    """What the help says of a default that no text describes; True to write it as it is."""
    if isinstance(default, bool):
        return "on" if default else "off"
    if default is None or (isinstance(default, Sized) and not default):
        return "none"
    return ", ".join(map(str, default)) if isinstance(default, tuple) else True


@dataclass(frozen=True)
class OptionField:
    """A field of a model, or of a model within it, that is an option.

    Attributes:
        path: Names of fields from the model down.
        flag: Such as ``--learning-rate``.
        option: Its note.
        field: Its declaration.
    """

    path: tuple[str, ...]
    flag: str
    option: Option
    field: FieldInfo

    @property
    def name(self) -> str:
        """Name of the parameter that typer passes."""
        return "_".join(self.path)


def fields_of(kind: type[BaseModel]) -> list[OptionField]:
    """The fields that are options, those of models within it included, in their order."""
    return list(_fields(kind, kind, ()))


def _fields(root: type[BaseModel], kind: type[BaseModel], above: tuple[str, ...]) -> Iterator[OptionField]:
    for name, field in kind.model_fields.items():
        path, option, inner = (*above, name), option_of(field), model_of(field)
        if option:
            yield OptionField(path, flag_of(root, path), option, field)
        elif inner:
            yield from _fields(root, inner, path)


def _take(kind: type[BaseModel], given: dict[str, Any]) -> dict[str, Any]:
    """Remove the values of the model's options from those given; returns them, nested as the model is."""
    found: dict[str, Any] = {}
    for field in fields_of(kind):
        value = given.pop(field.name)
        if value is None or value == []:
            continue  # the field's own default
        if field.option.by_commas:
            value = [part for part in value.split(",") if part.strip()]
        inner = found
        for name in field.path[:-1]:
            inner = inner.setdefault(name, {})
        inner[field.path[-1]] = value
    return found


def _parameter(field: OptionField) -> Parameter:
    """What typer reads: type, flag, help and default of an option."""
    kind = str if field.option.by_commas else _typer_type(field.field.annotation)
    default = _default(field, kind)
    value = field.field.get_default(call_default_factory=True) if default is None else default
    flags = field.flag
    if kind is bool:
        if flags.startswith("--no-"):
            flags = f" /{flags}"
        elif default:
            flags = f"{flags}/--no-{flags[2:]}"
    note = typer.Option(
        flags,
        help=field.field.description,
        show_default=field.option.default or _shown(value),
        rich_help_panel=field.option.panel,
        formats=["%Y-%m-%d"] if kind is datetime else None,
    )
    annotation = Annotated[kind if default is not None else kind | None, note]  # type: ignore[valid-type]
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _default(field: OptionField, kind: Any) -> Any:
    """What typer passes where the option is not given; None where the model decides."""
    value = field.field.default
    if kind is bool:
        return value
    if field.option.default or field.field.default_factory is not None or get_origin(kind) is list:
        return None
    return ",".join(f"{part:g}" for part in value) or None if field.option.by_commas else value


def _typer_type(annotation: Any) -> Any:
    """The type that typer parses; choices stay text, so that one line of ours refuses what is none."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    if NoneType in get_args(annotation) and len(kinds) == 1:
        return _typer_type(kinds[0])
    if get_origin(annotation) is Annotated:
        return _typer_type(kinds[0])
    if get_origin(annotation) is Literal:
        return str
    if get_origin(annotation) is dict or annotation in (list[str],):
        return list[str]
    if get_origin(annotation) is tuple and kinds[-1] is Ellipsis:
        return list[_typer_type(kinds[0])]  # type: ignore[misc]
    return datetime if annotation is date else annotation


def modality_paths(given: Sequence[str] | None) -> dict[str, Path]:
    """Files by name of ``--modality NAME=FILE``.

    Raises:
        ConfigError: No name or no file, or a name twice.

    >>> modality_paths(["pcs=genome/pcs.parquet"])["pcs"].as_posix()
    'genome/pcs.parquet'
    """
    return {name: Path(file) for name, file in pairs("--modality", "NAME=FILE", given or ()).items()}
