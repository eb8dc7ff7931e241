"""Rows of the inputs that could not be used: how many, why, and where the first one stands."""

from __future__ import annotations

from pathlib import Path

from proband.core.running.progress import say


class LeftOut:
    """Counts rows left out by file and reason, and says each reason once.

    Attributes:
        rows: One entry per file and reason, as the manifest keeps it: ``file``, ``reason``, ``num_rows`` and
            ``first``, where the first of them stands. People are told by their line, never by name.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, str | int]] = []

    def add(self, path: Path, reason: str, num_rows: int, first: str) -> None:
        """Note ``num_rows`` rows of a file; nothing where there are none.

        Args:
            path: The file.
            reason: Why, a short clause.
            num_rows: How many.
            first: Where the first stands, such as ``line 7``.
        """
        if num_rows:
            self.rows.append({"file": path.name, "reason": reason, "num_rows": num_rows, "first": first})
            say(f"genome: {num_rows} rows of {path.name} left out: {reason} (first: {first})")
