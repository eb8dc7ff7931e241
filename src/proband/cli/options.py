"""Options that several sub-commands share, from text to values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

MODALITY_HELP = (
    "NAME=FILE, repeatable: Parquet of subject_id, numbers and, if measured at an age, "
    "time, age_days or age_years."
)


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


def modality_paths(given: Sequence[str] | None) -> dict[str, Path]:
    """Files by name of ``--modality NAME=FILE``.

    Raises:
        ConfigError: No name or no file, or a name twice.

    >>> modality_paths(["pcs=genome/pcs.parquet"])["pcs"].as_posix()
    'genome/pcs.parquet'
    """
    return {name: Path(file) for name, file in _pairs("--modality", "NAME=FILE", given).items()}


def encoder_options(given: Sequence[str] | None) -> dict[str, dict[str, str]]:
    """Settings by name of ``--encoder NAME=KIND[,SETTING=VALUE...]``.

    Raises:
        ConfigError: No name or no kind, or a name twice.

    >>> encoder_options(["panel=set,hidden=32"])
    {'panel': {'encoder': 'set', 'hidden': '32'}}
    """
    expected = "NAME=mlp or NAME=set, then ,hidden=N ,drop_modality=P ,drop_values=P"
    found = {}
    for name, text in _pairs("--encoder", expected, given).items():
        kind, *settings = text.split(",")
        found[name] = {"encoder": kind} | _pairs("--encoder", expected, settings)
    return found


def _pairs(flag: str, expected: str, given: Sequence[str] | None) -> dict[str, str]:
    from proband.core.errors import ConfigError

    found: dict[str, str] = {}
    for text in given or []:
        name, _, value = text.partition("=")
        if not (name and value):
            raise ConfigError(f"unusable {flag}", found=text, expected=expected)
        if name in found:
            raise ConfigError(f"{flag} names {name} twice", found=text, expected="each once")
        found[name] = value
    return found
