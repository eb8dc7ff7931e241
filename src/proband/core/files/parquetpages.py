"""Page headers of a Parquet file, checked before polars reserves what they ask for.

A header says how large its page is when unpacked and how many values it holds. polars takes both at their
word: one damaged bit asks for gigabytes, or for a negative number of values, which ends the process. Format:
https://parquet.apache.org/docs/file-format/ (headers in Thrift's compact protocol).
"""

from __future__ import annotations

import mmap
from collections.abc import Collection
from pathlib import Path
from typing import Any

MOST_TIMES_PACKED = 2**15
"""zstd packs 128 KiB of one byte into 4 bytes; snappy, gzip and LZ4 reach 21, 1,032 and 255 times at most."""
_SMALL = 2**24
"""Bytes and values that a page may have whatever the footer says: writers differ in what they count there."""
_UNPACKED, _PACKED = 2, 3
"""Fields of a page header: its bytes unpacked, and as they lie in the file."""
_INTEGER, _BINARY, _STRUCT = (4, 5, 6), 8, 12
_FIXED = {1: 0, 2: 0, 3: 1, 7: 8}
"""Kinds of fields; of those of a fixed size (true, false, a byte, a double) the bytes that follow."""
_HEADER_BYTES = 128
"""Most headers are shorter; those with long text as least and greatest value are read again, whole."""
_MOST_HEADER_BYTES = 2**24


class PageError(ValueError):
    """A page header that no good file has."""


def check_pages(path: Path, columns: Collection[str] | None = None) -> None:
    """Check the page headers of columns of a Parquet file.

    Args:
        path: The file.
        columns: Names of the columns that will be read; None for all.

    Raises:
        PageError: A page asks for more bytes than its packed bytes can hold, for more bytes or values than
            the footer says of its column, or for a negative number of either; or a header is none.
        ValueError, pyarrow.ArrowException: The footer cannot be read.
        OSError: The file cannot be opened.
    """
    import pyarrow.parquet as pq

    with open(path, "rb") as file:
        footer = pq.read_metadata(file)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for group in map(footer.row_group, range(footer.num_row_groups)):
                for chunk in map(group.column, range(group.num_columns)):
                    if columns is None or chunk.path_in_schema.split(".")[0] in columns:
                        _check_chunk(content, chunk)


def _check_chunk(content: mmap.mmap, chunk: Any) -> None:
    """``chunk`` is what the footer says of a column in a row group."""
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    end, most_bytes = start + chunk.total_compressed_size, max(chunk.total_uncompressed_size, _SMALL)
    most_values = max(chunk.num_values, _SMALL)
    try:
        while start < end:
            try:
                unpacked, packed, counts, length = _header(content[start : start + _HEADER_BYTES])
            except IndexError:
                unpacked, packed, counts, length = _header(content[start : start + _MOST_HEADER_BYTES])
            if min(counts) < 0 or max(counts) > most_values:
                raise PageError(f"{min(counts) if min(counts) < 0 else max(counts):,} values")
            if min(unpacked, packed) < 0 or unpacked > min(most_bytes, MOST_TIMES_PACKED * max(packed, 1)):
                raise PageError(f"{unpacked:,} bytes packed into {packed:,}")
            start += length + packed
    except (IndexError, KeyError, ValueError) as error:
        name = chunk.path_in_schema
        found = error if isinstance(error, PageError) else "a damaged header"
        raise PageError(f"a page of {name} with {found}") from error


def _header(page: bytes) -> tuple[int, int, list[int], int]:
    """Bytes unpacked and packed, the integers of its record of values, and the length of the header itself.

    Raises:
        IndexError: It ends beyond these bytes.
        PageError: A field of a kind that page headers do not have (they have no lists).
    """
    sizes: dict[int, int] = {}
    counts: list[int] = []
    within: list[int] = []
    field = at = 0
    while (head := page[at]) or within:
        at += 1
        kind = head & 15
        field += head >> 4
        if not head:
            field = within.pop()
        elif kind in _INTEGER or kind == _BINARY:
            value = page[at]
            at += 1
            if value > 127:
                value, at = _varint(page, at - 1)
            if kind == _BINARY:
                at += value
            elif not within:
                sizes[field] = (value >> 1) ^ -(value & 1)
            elif len(within) == 1:
                counts.append((value >> 1) ^ -(value & 1))
        elif kind == _STRUCT:
            within.append(field)
            field = 0
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise PageError("a damaged header")
    return sizes[_UNPACKED], sizes[_PACKED], counts, at + 1


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first, up to the first byte without the eighth."""
    value = content[at] & 127
    shift = 0
    while content[at] > 127:
        at, shift = at + 1, shift + 7
        value |= (content[at] & 127) << shift
    return value, at + 1
