"""Damaged and hostile files: random bytes, edits of a valid file, and edits that know its structure."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import polars as pl
import yaml
from hypothesis import strategies as st

ODD_CELLS = (
    *("", " ", "NA", "nan", "inf", "-inf", "1e999", "-1", "0", "1.5", "1e+05", "0x10", "1_000", "+7", "007"),
    *("9223372036854775808", "99999999999999999999999", "1" * 400, "2020-13-45", "9999-12-31", "0000-00-00"),
    *('"', '""', '"a', "'", "a\tb", "a,b", "a\nb", "\r", "\x00", "\x1b[31m", "\u202e", "\ufeff", "\u2028"),
    *(
        "#",
        "##",
        "#CHROM",
        "=cmd()",
        "../../x",
        "/etc/passwd",
        "<b>",
        ".",
        "A,C",
        "A|C",
        "rs1",
        "é",
        "😀",
        "١",
    ),
    *("true", "null", "None", "X", "MT", "chr1", "A" * 5000, "%s%n", "{0}", "$(x)", "\\", "*", "(", "[["),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 10**9, 2**31, 2**63, 2**64, -(2**63), 10**30, 1e-300, 1e308),
    *(
        float("nan"),
        float("inf"),
        "",
        "a",
        "nan",
        "\x00",
        "\x1b[2J",
        "\ud800",
        "A" * 3000,
        "../..",
        "é\u202e",
    ),
    *(
        [],
        {},
        [[]],
        [None],
        ["a"],
        [1, 2],
        {"": ""},
        {"a": None},
        {"codes": []},
        [{}],
        [[0, 1]],
        "2020-01-01",
    ),
)
ODD_NAMES = ("../x.csv", "/abs.csv", "person.csv", "a/person.csv", "PERSON.CSV", "\x1b.csv", "person.parquet")
ODD_COLUMNS: tuple[tuple[pl.DataType | type[pl.DataType], Sequence[Any]], ...] = (
    (pl.Int64, (1, 2, -(2**63))),
    (pl.UInt64, (0, 2**64 - 1, None)),
    (pl.Float64, (float("nan"), 1e308, None)),
    (pl.Float32, (float("inf"), 0.5, None)),
    (pl.String, ("", "\x00\x1b", "A" * 3000)),
    (pl.Binary, (b"", b"\xff", None)),
    (pl.Null, (None, None, None)),
    (pl.Boolean, (True, None, False)),
    (pl.Datetime("ns"), (datetime(2262, 1, 1), datetime(1700, 1, 1), None)),
    (pl.Datetime("ms", "Asia/Tokyo"), (datetime(9999, 1, 1), datetime(1, 1, 2), None)),
    (pl.Date, (datetime(1, 1, 1), datetime(9999, 12, 31), None)),
    (pl.Duration("us"), (1, None, 2**62)),
    (pl.List(pl.Int64), ([], None, [1, None])),
    (pl.Struct({"a": pl.Int64}), ({"a": 1}, None, {"a": None})),
    (pl.Decimal(38, 2), (1, None, 2)),
    (pl.Categorical, ("a", None, "b")),
    (pl.Array(pl.Int8, 2), ([1, 2], None, [3, 4])),
)
_SPOT = st.integers(0, 2**16 - 1)
_EXTREMES = (0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def _edit(content: bytes, kind: str, at: int, to: int, word: bytes) -> bytes:
    """One edit; ``at`` and ``to`` are places as shares of the length, in units of 2**-16."""
    low, high = sorted(place * (len(content) + 1) >> 16 for place in (at, to))
    if kind == "flip" and low < len(content):
        return content[:low] + bytes([content[low] ^ 1 << (to & 7)]) + content[low + 1 :]
    edits = {
        "insert": content[:low] + word + content[low:],
        "replace": content[:low] + word + content[low + len(word) :],
        "delete": content[:low] + content[min(high, low + 1 + to % 64) :],
        "duplicate": content[:high] + content[low:high] + content[high:],
        "truncate": content[:low],
    }
    return edits.get(kind, content)


_EDIT = st.tuples(
    st.sampled_from(["flip", "insert", "replace", "delete", "duplicate", "truncate"]),
    _SPOT,
    _SPOT,
    st.one_of(
        st.sampled_from([cell.encode("utf-8", "surrogatepass") for cell in ODD_CELLS]),
        st.binary(max_size=8),
        st.tuples(st.sampled_from(_EXTREMES), st.sampled_from([1, 2, 4, 8])).map(
            lambda pair: (pair[0] % 256 ** pair[1]).to_bytes(pair[1], "little")
        ),
    ),
)


def edited(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A valid file with one to five edits of its bytes."""

    def apply(seed: bytes, edits: list[tuple[str, int, int, bytes]]) -> bytes:
        for kind, at, to, word in edits:
            seed = _edit(seed, kind, at, to, word)[:200_000]
        return seed

    return st.builds(apply, st.sampled_from(seeds), st.lists(_EDIT, min_size=1, max_size=5))


def table(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A valid text table with odd cells, columns and rows dropped, repeated or swapped, other marks."""
    moves = st.tuples(
        st.sampled_from(["cell", "cell", "cell", "drop", "double", "column", "lines", "mark", "swap"]),
        _SPOT,
        _SPOT,
        st.sampled_from(ODD_CELLS),
    )

    def apply(seed: bytes, steps: list[tuple[str, int, int, str]]) -> bytes:
        text = seed.decode("utf-8", "replace")
        mark = next((mark for mark in "\t, " if mark in text.splitlines()[-1]), "\t")
        grid, end = [line.split(mark) for line in text.splitlines()], "\n"
        for kind, at, to, word in steps:
            grid, mark, end = _moved(grid, mark, end, kind, at, to, word)
        return end.join(mark.join(row) for row in grid).encode("utf-8", "surrogatepass")[:200_000]

    return st.builds(apply, st.sampled_from(seeds), st.lists(moves, min_size=1, max_size=4))


def _moved(
    grid: list[list[str]], mark: str, end: str, kind: str, at: int, to: int, word: str
) -> tuple[list[list[str]], str, str]:
    row, other = (place * len(grid) >> 16 for place in (at, to))
    if not grid:
        return [[word]], mark, end
    column = to * len(grid[row]) >> 16
    if kind == "cell":
        grid[row][column : column + 1] = [word]
    elif kind == "drop":
        del grid[row]
    elif kind == "double":
        grid.insert(other, list(grid[row]))
    elif kind == "column":
        grid = [cells[:column] + cells[column + at % 3 :] + cells[: at % 2] for cells in grid]
    elif kind == "lines":
        grid, end = [*grid, [""], [word]], ("\n", "\r\n", "\r")[to % 3]
    elif kind == "mark":
        mark = ("\t", ",", " ", ";", "|", ", ", "  ")[to % 7]
    else:
        grid[row], grid[other] = grid[other], grid[row]
    return grid, mark, end


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a tree with each of its keys."""
    keys = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    found = [(value, key) for key in keys]
    return found + [pair for key in keys for pair in _nodes(value[key])]


def tree(
    seeds: Sequence[bytes], load: Callable[[bytes], Any], dump: Callable[[Any], bytes]
) -> st.SearchStrategy[bytes]:
    """A valid JSON or YAML file with nodes replaced by odd values, removed, wrapped or renamed."""
    moves = st.tuples(
        st.sampled_from(["replace", "replace", "remove", "wrap", "rename"]),
        _SPOT,
        st.sampled_from(ODD_VALUES),
    )

    def apply(seed: bytes, steps: list[tuple[str, int, Any]]) -> bytes:
        content = load(seed)
        for kind, at, odd in steps:
            value = copy.deepcopy(odd)
            nodes = _nodes(content)
            if not nodes:
                content = value
                continue
            parent, key = nodes[at * len(nodes) >> 16]
            if kind == "replace":
                parent[key] = value
            elif kind == "wrap":
                parent[key] = [parent[key]]
            else:
                held = parent.pop(key)
                if kind == "rename" and isinstance(parent, dict):
                    parent[str(value)] = held
        return dump(content)

    return st.builds(apply, st.sampled_from(seeds), st.lists(moves, min_size=1, max_size=3))


def as_json(content: Any) -> bytes:
    return json.dumps(content).encode("utf-8", "surrogatepass")


def json_tree(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    deep = st.sampled_from([b"[" * 100_000, b'{"a":' * 50_000, b"1" * 6000, b'"\\ud800"', b"[NaN]"])
    return st.one_of(tree(seeds, json.loads, as_json), tree(seeds, json.loads, as_json), deep)


def yaml_tree(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    hostile = st.sampled_from(
        [
            b"!!python/object/apply:os.system [true]",
            b"a: &a [x]\nb: [*a, *a]",
            b"[" * 5000,
            b"outcomes: !!binary AA",
            b"a: &a [*a]",
            b"outcomes: {a: &b {codes: *b}}",
            b"? {a: b}\n: c",
            b"x: 2020-13-45",
            b"x: !!int " + b"9" * 6000,
            b"&a " + b"[x, " * 400 + b"]" * 400,
        ]
    )
    dumped = tree(
        seeds,
        lambda content: yaml.load(content, yaml.CSafeLoader),
        lambda content: yaml.safe_dump(content).encode("utf-8", "replace"),
    )
    return st.one_of(dumped, dumped, dumped, hostile)


def zipped(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Zip files of odd member names, repeated and damaged members."""
    member = st.tuples(st.sampled_from(ODD_NAMES), edited(seeds), st.sampled_from([0, 8, 14]))

    def apply(members: list[tuple[str, bytes, int]]) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content, method in members:
                with contextlib.suppress(ValueError):
                    archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)
        return packed.getvalue()

    return st.builds(apply, st.lists(member, min_size=0, max_size=3))


def parquet(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Parquet tables with columns dropped, repeated under other names, or of another type."""
    names = sorted({name for seed in seeds for name in pl.read_parquet(seed).columns})
    moves = st.tuples(
        st.sampled_from(["type", "type", "drop", "rename", "none", "double"]),
        st.sampled_from(names),
        st.sampled_from(ODD_COLUMNS),
        st.sampled_from(names) | st.sampled_from(ODD_CELLS),
    )

    def apply(seed: bytes, steps: list[tuple]) -> bytes:
        frame = pl.read_parquet(seed)
        for kind, name, (dtype, values), word in steps:
            with contextlib.suppress(pl.exceptions.PolarsError):
                frame = _retyped(frame, kind, name, dtype, values, word)
        packed = io.BytesIO()
        frame.write_parquet(packed)
        return packed.getvalue()

    return st.builds(apply, st.sampled_from(seeds), st.lists(moves, min_size=1, max_size=3))


def _retyped(
    frame: pl.DataFrame, kind: str, name: str, dtype: Any, values: Sequence[Any], word: str
) -> pl.DataFrame:
    if kind == "type":
        cells = [values[row % len(values)] for row in range(frame.height)]
        return frame.with_columns(pl.Series(name, cells, dtype=dtype, strict=False))
    if kind == "drop":
        return frame.drop(name)
    if kind == "rename":
        return frame.rename({name: word})
    return frame.clear() if kind == "none" else pl.concat([frame, frame])


def files(seeds: Sequence[bytes], shape: Callable | None) -> st.SearchStrategy[bytes]:
    """All kinds for one parser: random bytes, edits, and of a known shape edits that know it."""
    kinds = [st.binary(max_size=200), edited(seeds), edited(seeds)]
    return st.one_of(*kinds, *([shape(seeds)] * 3 if shape else []))
