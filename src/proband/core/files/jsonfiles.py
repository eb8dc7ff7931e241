"""JSON files: written whole, read with errors that name the file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from proband.core.errors import DataError
from proband.core.files.atomic import whole_file

_MOST_JSON_BYTES = 2**30


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, whole or not at all."""
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, default=str)
        file.write("\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: The file is missing, truncated, too large, nested too deeply or no JSON.
    """
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            expected = f"at most {_MOST_JSON_BYTES:,} bytes"
            raise DataError("JSON too large", where=path, found=path.stat().st_size, expected=expected)
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("missing file", where=path, remedy="name the output folder of its stage") from None
    except RecursionError:
        found, remedy = "lists or objects nested too deeply", "run its stage again"
        raise DataError("unreadable JSON", where=path, found=found, remedy=remedy) from None
    except (ValueError, OSError) as error:
        raise DataError("unreadable JSON", where=path, found=error, remedy="run its stage again") from None


def read_object(path: Path, needed: Iterable[str] = ()) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Args:
        path: The file.
        needed: Keys that it must have.

    Raises:
        DataError: As of :func:`read_json`, or it holds something else, or lacks a key.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        found, remedy = type(content).__name__, "run its stage again"
        raise DataError("no JSON object", where=path, found=found, expected="an object", remedy=remedy)
    for key in needed:
        if key not in content:
            raise DataError(f"no {key}", where=path, expected=f"a key {key}", remedy="run its stage again")
    return content


def read_objects(path: Path) -> dict[str, dict[str, Any]]:
    """Read a JSON file of objects by name.

    Raises:
        DataError: As of :func:`read_object`, or what stands under a name is no object.
    """
    content = read_object(path)
    for name, entry in content.items():
        if not isinstance(entry, dict):
            found, remedy = f"{type(entry).__name__} under {name}", "run its stage again"
            raise DataError("no JSON object", where=path, found=found, expected="an object", remedy=remedy)
    return content
