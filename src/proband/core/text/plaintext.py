"""Files that are no plain text, told by their first bytes; readers of text find them damaged or empty."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path

from proband.core.errors import DataError
from proband.core.files.tables import PARQUET

_HEAD_BYTES = 2**16
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def check_text(path: Path) -> None:
    """Refuse UTF-16, line ends of carriage returns only, Parquet and zip; perhaps below gzip.

    Args:
        path: The file.

    Raises:
        DataError: It is one of these.
        OSError, EOFError, zlib.error: It cannot be read.
    """
    head = _head(path)
    for is_such, found, remedy in (
        (head.startswith(_UTF_16), "text in UTF-16", "convert it to UTF-8: iconv -f UTF-16 -t UTF-8"),
        (head.startswith(PARQUET), "a Parquet file", "write it as text, separated by tabs or commas"),
        (head.startswith(_ZIP), "a zip archive", "unpack it"),
        (
            head.count(b"\r") - head.count(b"\r\n") > head.count(b"\n") and _is_utf_8(head),
            "lines that end in a carriage return only",
            r"convert the line ends: tr '\r' '\n'",
        ),
    ):
        if is_such:
            raise DataError(
                "not plain text", where=path, found=found, expected="text in UTF-8", remedy=remedy
            )


def _head(path: Path) -> bytes:
    with open(path, "rb") as raw:
        head = raw.read(_HEAD_BYTES)
    if not head.startswith(_GZIP):
        return head
    with gzip.open(path) as file:
        return file.read(_HEAD_BYTES)


def _is_utf_8(head: bytes) -> bool:
    """Whether the beginning of a file is text; a character may be cut at its end."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
