"""The text of a scoring file: its header fields, and its columns under their names of format 2."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from proband.core.errors import DataError, first_line
from proband.core.text.texttable import TextTable, check_names, open_table

# Names of format 1 beside those of format 2.
_OLD_COLUMNS = {"reference_allele": "other_allele"}
_OLD_FIELDS = {
    "original_genome_build": "genome_build",
    "reported_trait": "trait_reported",
    "mapped_trait(s)_(efo_label)": "trait_mapped",
    "mapped_trait(s)_(efo_id)": "trait_efo",
    "number_of_variants": "variants_number",
}


def unreadable(path: Path, found: object) -> DataError:
    """The error of a file that cannot be read to its end."""
    text = first_line(found)
    remedy = "the file is truncated or no scoring file: download it again"
    return DataError("unreadable scoring file", where=path, found=text, remedy=remedy)


def empty(path: Path) -> DataError:
    """The error of a file that holds no row."""
    return DataError("scoring file without rows", where=path, remedy="download it again")


def open_score_text(path: Path) -> tuple[list[str], TextTable]:
    """The lines before the column names, and the table below them.

    Raises:
        DataError: The file is unreadable, holds header lines only, or has two columns of one name.
    """
    header, text = open_table(path, "#", lambda found: unreadable(path, found), lambda: empty(path))
    columns = [_OLD_COLUMNS.get(name, name) for name in text.columns]
    check_names(columns, path)
    return header, dataclasses.replace(text, columns=columns)


def header_field(line: str) -> tuple[str, str]:
    """A header field by its name of format 2; format 1 writes ``# PGS ID = PGS000001``."""
    name, _, text = line.lstrip("#").partition("=")
    name = name.strip()
    if " " in name or line.startswith("# "):
        name = name.lower().replace(" ", "_")
    return _OLD_FIELDS.get(name, name), text.strip()
