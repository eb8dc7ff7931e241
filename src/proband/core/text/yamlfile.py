"""Settings files in YAML: read into a mapping, and what is wrong with them said in one line."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from proband.core.errors import ConfigError, near_matches
from proband.core.problems import KEY, expected_of, place_of

_BRACKETS = re.compile(r"[\[\]{}]")
_DEEPEST = 200


class _OnceEach(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} stands twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_mapping(path: Path, kind: str, keys: Iterable[str]) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Args:
        path: The file, UTF-8.
        kind: What it describes, in a word, such as task.
        keys: Keys that it may have, for the message.

    Raises:
        ConfigError: The file is missing or unreadable, holds no mapping, a key stands twice in one, or a key
            of the file is no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _check_depth(text)
        content = yaml.load(text, _OnceEach)
        _check_text(content, set())
    except FileNotFoundError:
        raise ConfigError(f"missing {kind} file", where=path, remedy="check the path") from None
    except RecursionError:
        found = "lists or keys nested too deeply"
        raise ConfigError(f"unreadable {kind} file", where=path, found=found, expected="YAML") from None
    except (OSError, ValueError, yaml.YAMLError) as error:  # a date of month 13, a number of 5,000 digits
        raise ConfigError(f"unreadable {kind} file", where=path, found=error, expected="YAML") from None
    if not isinstance(content, dict):
        expected = f"keys {', '.join(keys)}"
        raise ConfigError(f"no {kind}", where=path, found=type(content).__name__, expected=expected)
    for key in content:
        if not isinstance(key, str):
            raise ConfigError(f"unknown key {key}", where=path, expected=f"keys {', '.join(keys)}")
    return content


def _check_depth(text: str) -> None:
    """Refuse brackets opened within each other without end, at which the scanner takes quadratic time.

    Raises:
        RecursionError: More than :data:`_DEEPEST` are open, those in quotes and comments counted too.
    """
    depth = 0
    for bracket in _BRACKETS.findall(text):
        depth += 1 if bracket in "[{" else -1
        if depth > _DEEPEST:
            raise RecursionError


def _check_text(value: Any, seen: set[int]) -> None:
    """Refuse what YAML can spell and no file or its name can hold: half a character ("\\ud800"), NUL ("\\0").

    Raises:
        ValueError: There is one in a text or a key.
    """
    if isinstance(value, str):
        if b"\0" in value.encode("utf-8"):
            raise ValueError(f"the character NUL in {value!r}")
    elif isinstance(value, (dict, list)) and id(value) not in seen:  # an alias is looked at once
        seen.add(id(value))
        for one in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_text(one, seen)


def first_problem(
    error: ValidationError,
    path: Path,
    kind: str,
    models: Iterable[type[BaseModel]],
    hidden: Collection[str] = (),
    within: str = "",
    unread: str = "remove it",
) -> ConfigError:
    """The first of pydantic's complaints about a file, naming the place; of an unknown key near matches.

    Args:
        error: The complaints.
        path: The file.
        kind: What it describes, in a word, for a complaint about the whole.
        models: Whose fields are keys.
        hidden: Parts of places that are no keys of the file, such as tags of unions.
        within: Place of what was checked, where that is a part of the file.
        unread: Remedy for an unknown key that is like no other.
    """
    problems = error.errors(include_url=False)
    # A key spelled wrongly is often one that then lacks: the first says more.
    first = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    parts = [*([within] if within else []), *(part for part in first["loc"] if part not in hidden)]
    if KEY in parts:
        where = place_of(parts[: parts.index(KEY) - 1])
        return ConfigError(
            f"unusable name in {where}", where=path, found=repr(first["input"]), expected=expected_of(first)
        )
    place = place_of(parts) or f"the {kind}"
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    last = str(parts[-1]) if parts else ""
    if first["type"] == "extra_forbidden":
        remedy = near_matches(last, sorted(fields.keys() - {last})) or unread
        return ConfigError(f"unknown key {place}", where=path, remedy=remedy)
    if first["type"] == "missing":
        meaning = fields[last].description if last in fields else ""
        return ConfigError(f"missing key {place}", where=path, expected=(meaning or "").rstrip("."))
    if first["type"] == "value_error":
        what = f"{place}: {expected_of(first)}"
        return ConfigError(what, where=path)
    return ConfigError(
        f"unusable {place}", where=path, found=repr(first["input"]), expected=expected_of(first)
    )
