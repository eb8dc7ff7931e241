"""Files on which a parser once failed: with a traceback, a line break in its message, or without an end."""

from __future__ import annotations

FOUND: dict[str, tuple[bytes, ...]] = {}
"""Name of the parser to the files."""
