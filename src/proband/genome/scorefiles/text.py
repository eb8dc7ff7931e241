"""The text of a scoring file: its header fields, and its columns under their names of format 2."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from proband.core.errors import DataError, first_line
from proband.core.text.texttable import (
    OF_TABLES,
    READ_ERRORS,
    TextTable,
    check_names,
    open_table,
    separator_of,
    split_line,
)

# Names of format 1 beside those of format 2.
_OLD_COLUMNS = {"reference_allele": "other_allele"}
_FIELDS = (
    "pgs_id", "pgs_name", "trait_reported", "trait_mapped", "trait_efo", "genome_build", "variants_number",
    "weight_type", "pgp_id", "citation", "license", "format_version", "HmPOS_build", "HmPOS_date",
)  # fmt: skip
_OLD_FIELDS = {
    "original_genome_build": "genome_build",
    "reported_trait": "trait_reported",
    "mapped_trait(s)_(efo_label)": "trait_mapped",
    "mapped_trait(s)_(efo_id)": "trait_efo",
    "number_of_variants": "variants_number",
}
_KNOWN_FIELDS = {name.lower(): name for name in _FIELDS} | _OLD_FIELDS
_FIELD = re.compile(r"(#+)\s*([^=:]*?)\s*([=:])(.*)", re.DOTALL)
_COLUMNS = {"effect_allele", "chr_name", "chr_position", "rsID", "effect_weight", "hm_chr", "hm_pos"}
_FEWEST_COLUMNS = 3
"""Names of columns that make a line that begins with ``#`` the line of column names."""


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
        DataError: The file is unreadable or no plain text, holds header lines only, or has two columns of one
            name.
    """
    header, text = open_table(path, "#", lambda found: unreadable(path, found), lambda: empty(path))
    try:
        header, text = _with_commented_names(header, text)
    except READ_ERRORS as error:
        raise unreadable(path, error) from None
    columns = [_OLD_COLUMNS.get(name, name) for name in text.columns]
    check_names(columns, path)
    return header, dataclasses.replace(text, columns=columns)


def _with_commented_names(header: list[str], text: TextTable) -> tuple[list[str], TextTable]:
    """The same, where the line of column names begins with ``#``, as of a VCF."""
    line = header[-1].lstrip("#").lstrip(" ") if header else ""
    separator = separator_of(line, OF_TABLES)
    columns = split_line(line, separator)
    if "effect_allele" in text.columns or len(_COLUMNS & set(columns)) < _FEWEST_COLUMNS:
        return header, text
    is_wider = len(text.columns) == len(columns) + 1  # those of the first row, here
    told = dataclasses.replace(
        text,
        num_header=len(header),
        separator=separator,
        columns=columns,
        num_row_names=int(is_wider and bool(text.columns[-1])),
        num_last_empty=int(is_wider and not text.columns[-1]),
    )
    return header[:-1], told


def header_fields(header: list[str]) -> dict[str, str]:
    """Header fields by their names of format 2, ``#name=text``; format 1 writes ``# PGS ID = PGS000001``.

    Known names are also read in another case, with ``:`` for ``=``, or behind several ``#``.

    >>> header_fields(["#pgs_id=P", "# Weight_Type: OR", "# Note: sum them", "##a=b", "# PGS Name = x"])
    {'pgs_id': 'P', 'weight_type': 'OR', 'pgs_name': 'x'}
    """
    fields = {}
    for line in header:
        if parts := _FIELD.match(line):
            marks, given, sign, text = parts.groups()
            plain = given.lower().replace(" ", "_")
            known = _KNOWN_FIELDS.get(plain)
            if known or (marks == "#" and sign == "="):
                fields[known or (plain if " " in given else given)] = text.strip()
    return fields
