"""Logs of one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a log; what follows a line that a crash damaged is left out.

    Args:
        path: The file; without one there are no lines.
    """
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines():
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(values, dict):
            break
        lines.append(values)
    return lines
