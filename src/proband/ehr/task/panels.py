"""A panel: many outcomes as a table, one row per code."""

from __future__ import annotations

import csv
from pathlib import Path

from proband.core.errors import ConfigError, near_matches

_COLUMNS = ("outcome", "code", "prefix", "may_be_absent")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_FLAGS = {"": False, "false": False, "true": True}


def read_panel(path: Path) -> dict[str, dict]:
    """The outcomes of a CSV or TSV table.

    Columns are outcome and one or both of code and prefix; each row names one code or prefix. A column
    may_be_absent (true or false) is optional; one true is enough for the outcome.

    Args:
        path: A ``.csv`` or ``.tsv`` file with a header line, UTF-8.

    Returns:
        Name of each outcome -> ``codes``, ``prefixes`` and ``may_be_absent``, in order of appearance.

    Raises:
        ConfigError: The file is missing, of another kind, without the columns or rows, or a line is
            unusable; names the line.
    """
    if path.suffix.lower() not in _SEPARATORS:
        raise ConfigError("unknown kind of panel", where=path, found=path.suffix, expected=".csv or .tsv")
    outcomes: dict[str, dict] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            separator = _SEPARATORS[path.suffix.lower()]
            rows = csv.DictReader(file, delimiter=separator, strict=True, skipinitialspace=True)
            rows.fieldnames = [name.strip() for name in rows.fieldnames or []]
            _check_columns(rows.fieldnames, path)
            for row in rows:
                if any(value and (not isinstance(value, str) or value.strip()) for value in row.values()):
                    _add(outcomes, row, f"{path} line {rows.line_num}")
    except FileNotFoundError:
        remedy = "name it relative to the task file"
        raise ConfigError("missing panel of outcomes", where=path, remedy=remedy) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        expected = "text in UTF-8, a line per code"
        raise ConfigError(
            "unreadable panel of outcomes", where=path, found=error, expected=expected
        ) from None
    if not outcomes:
        raise ConfigError("no outcome", where=path, expected="a line per code below the header")
    return outcomes


def _check_columns(found: object, path: Path) -> None:
    names = list(found) if isinstance(found, (list, tuple)) else []
    expected = f"columns outcome and code or prefix, and if wanted {_COLUMNS[-1]}"
    for name in names:
        if name not in _COLUMNS:
            remedy = near_matches(name, _COLUMNS)
            raise ConfigError(
                f"unknown column {name!r}", where=f"{path} line 1", expected=expected, remedy=remedy
            )
    if "outcome" not in names or not {"code", "prefix"} & set(names):
        shown = ", ".join(names) or "no header"
        raise ConfigError("missing columns", where=f"{path} line 1", found=shown, expected=expected)


def _add(outcomes: dict[str, dict], row: dict, where: str) -> None:
    """Add one line to its outcome."""
    if None in row or None in row.values():
        raise ConfigError("wrong number of columns", where=where, expected="as many as in line 1")
    name, *given = (row.get(column, "").strip() for column in _COLUMNS)
    code, prefix, absent = given
    if not name:
        raise ConfigError("empty outcome", where=where, expected="its name")
    if bool(code) == bool(prefix):
        found = "both" if code else "neither"
        raise ConfigError("not one code", where=where, found=found, expected="either a code or a prefix")
    if absent.lower() not in _FLAGS:
        raise ConfigError("bad may_be_absent", where=where, found=absent, expected="true or false")
    outcome = outcomes.setdefault(name, {"codes": [], "prefixes": [], "may_be_absent": False})
    key, value = ("codes", code) if code else ("prefixes", prefix)
    if value not in outcome[key]:
        outcome[key].append(value)
    outcome["may_be_absent"] |= _FLAGS[absent.lower()]
