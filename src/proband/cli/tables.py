"""Tables of options in the docs, made of the commands themselves: ``python -m proband.cli.tables docs``.

A page holds the table of a sub-command between ``<!-- options: NAME -->`` and ``<!-- end of options -->``.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer.models import OptionInfo

from proband.cli.main import app
from proband.cli.options import fields_of, is_model
from proband.core.errors import ConfigError

_MARKED = re.compile(r"(?P<mark><!-- options: (?P<name>\w+) -->\n).*?(?P<end><!-- end of options -->)", re.S)
_HEAD = "| option | default | range | meaning |\n|---|---|---|---|"
_WITHOUT_HEADING = "Options"


@dataclass(frozen=True)
class Row:
    """One option: heading of its group, flags, default, bounds of its value ("" for none) and meaning."""

    group: str
    flags: str
    default: str
    bounds: str
    meaning: str

    def __str__(self) -> str:
        cells = (f"`{self.flags}`", self.default, self.bounds, self.meaning)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def commands() -> dict[str, Callable[..., None]]:
    """The sub-commands by name, as :func:`proband.cli.options.expanded` makes them."""
    return {str(one.name): one.callback for one in app.registered_commands if one.callback}


def configured(command: Callable[..., None]) -> bool:
    """Whether options of the sub-command come from a configuration."""
    return any(map(is_model, _hints(command)))


def rows(command: Callable[..., None]) -> Iterator[Row]:
    """The options of a sub-command, as its help has them."""
    bounds = {
        field.name: bounds_of(field.field.metadata)
        for hint in _hints(command)
        if is_model(hint)
        for field in fields_of(hint)
    }
    for name, parameter in inspect.signature(command).parameters.items():
        note = next((one for one in get_args(parameter.annotation) if isinstance(one, OptionInfo)), None)
        if note:
            given = [text for text in (note.default, *(note.param_decls or ())) if isinstance(text, str)]
            flags = " ".join(given) or f"--{name.replace('_', '-')}"
            yield Row(
                str(note.rich_help_panel or _WITHOUT_HEADING),
                flags.strip(" /").replace("/", " / "),
                _default(note, parameter.default),
                bounds.get(name) or _between(note.min, note.max),
                note.help or "",
            )


def bounds_of(notes: list[Any]) -> str:
    """Bounds of a field's value as its declaration has them.

    >>> from annotated_types import Ge, Lt
    >>> bounds_of([Ge(0), Lt(1)])
    '≥ 0, < 1'
    """
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = {name: getattr(note, name, None) for note in notes for name in signs if hasattr(note, name)}
    if list(found) == ["ge", "le"]:
        return _between(found["ge"], found["le"])
    return ", ".join(f"{signs[name]} {value}" for name, value in found.items())


def table(name: str) -> str:
    """Markdown of a sub-command's options, a table for each group.

    Raises:
        ConfigError: There is no such sub-command.
    """
    known = commands()
    if name not in known:
        raise ConfigError("no such sub-command", found=name, expected=", ".join(known))
    groups: dict[str, list[Row]] = {}
    for row in rows(known[name]):
        groups.setdefault(row.group, []).append(row)
    parts: list[str] = []
    for group, found in groups.items():
        parts += [f"**{group}**"] if parts or group != _WITHOUT_HEADING else []
        parts.append("\n".join([_HEAD, *map(str, found)]))
    return "\n\n".join(parts)


def filled(text: str) -> str:
    """The text of a page with its tables made anew; text outside the marks stays."""
    return _MARKED.sub(lambda found: f"{found['mark']}\n{table(found['name'])}\n\n{found['end']}", text)


def marked(text: str) -> list[str]:
    """Names of the sub-commands that have a table on a page."""
    return [found["name"] for found in _MARKED.finditer(text)]


def _hints(command: Callable[..., None]) -> list[Any]:
    return list(get_type_hints(inspect.unwrap(command), include_extras=True).values())


def _default(note: OptionInfo, value: Any) -> str:
    if isinstance(note.show_default, str):
        return note.show_default
    if value is inspect.Parameter.empty:
        return "required"
    return str(value)


def _between(low: int | float | None, high: int | float | None) -> str:
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"≥ {low}" if low is not None else f"≤ {high}" if high is not None else ""


def main(folder: Path) -> None:
    """Write the tables of every page of a folder of docs."""
    for page in sorted(folder.glob("*.md")):
        text = page.read_text()
        if filled(text) != text:
            page.write_text(filled(text))
            print(page)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
