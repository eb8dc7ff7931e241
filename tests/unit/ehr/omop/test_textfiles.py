from __future__ import annotations

import contextlib
import csv
import gzip
import io
from pathlib import Path

import ibis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proband.core.errors import DataError
from proband.ehr.omop.textfiles import Dialect, dialect_of, read_text

NAMES = ("person_id", "source_value")
VALUES = st.text(st.sampled_from('aé1 ,;|"\n./-'), max_size=6).map(str.strip)


@pytest.fixture(scope="module")
def connection() -> ibis.BaseBackend:
    return ibis.duckdb.connect()


def rows_of(connection: ibis.BaseBackend, *paths: Path) -> list[tuple]:
    table = read_text(connection, "t", paths)
    return [tuple(row.values()) for row in table.to_pyarrow().to_pylist()]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(VALUES, VALUES), max_size=5), st.sampled_from(",;|"), st.booleans())
def test_what_rfc_4180_writes_comes_back(
    connection: ibis.BaseBackend, tmp_path: Path, rows: list[tuple], delimiter: str, quote_all: bool
) -> None:
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    writer.writerows([NAMES, *rows])
    path = tmp_path / "t.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    expected = [tuple(value or None for value in row) for row in rows]
    assert rows_of(connection, path) == expected


@pytest.mark.parametrize("early", [True, False])
def test_lone_quotes_are_text_in_a_file_of_tabs(
    connection: ibis.BaseBackend, tmp_path: Path, early: bool
) -> None:
    plain = [(str(number), "plain") for number in range(30_000)]
    odd = [("1", '5" needle'), ("2", '"'), ("3", '"Pre-made" kit'), ("4", 'a, "b; c')]
    rows = [*odd, *plain] if early else [*plain, *odd]
    path = tmp_path / "concept.csv"
    path.write_text("\n".join("\t".join(row) for row in [NAMES, *rows]))
    assert sorted(rows_of(connection, path)) == sorted(rows)


def test_parts_meet_by_name(connection: ibis.BaseBackend, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("0.csv", "1.csv.gz", "2.csv")]
    paths[0].write_text("\ufeffA, B \r\n1,2\r\n", encoding="utf-8")
    paths[1].write_bytes(gzip.compress(b'"b"\t"c"\n"3"\t4'))
    paths[2].write_text("a,b\n5,6\n\n\n")
    assert sorted(rows_of(connection, *paths), key=str) == [
        ("1", "2", None),
        ("5", "6", None),
        (None, "3", "4"),
    ]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("second", ["7,1,2001-01-01\n", "measurement_id,unit\n1,2\n"])
def test_a_part_without_the_header_of_the_others_is_refused(
    connection: ibis.BaseBackend, tmp_path: Path, order: tuple[int, int], second: str
) -> None:
    for number, text in zip(order, ("measurement_id,person_id,day\n1,2,2000-01-01\n", second), strict=True):
        (tmp_path / f"{number}.csv").write_text(text)
    said = rf"part with other columns .*; in .*{order[1]}.csv; found .*as of {order[0]}.csv: measurement_id"
    with pytest.raises(DataError, match=said):
        rows_of(connection, tmp_path / "0.csv", tmp_path / "1.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no header"),
        (b" \n1,2\n", "no header"),
        (b"a,b,A\n", "column a is there twice"),
        ("p\u00e9,b\n".encode("latin-1"), "no text in UTF-8"),
        (b"a" * 200_000 + b",b\n", "unreadable header"),
        ("a,b\n1,2\n".encode("utf-16"), "no text in UTF-8"),
    ],
)
def test_headers_that_are_none(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "person.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{message}; in .*person.csv"):
        dialect_of(path)


def test_a_damaged_gzip_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "person.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" * 1000)[:-20])
    header = gzip.compress(b"a,b\n")[:10]
    for content in (header + b"\xff" * 20, b"\x1f\x8ba,b\n", header):
        path.with_name("other.csv").write_bytes(content)
        with pytest.raises(DataError, match="unreadable file"):
            dialect_of(path.with_name("other.csv"))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_any_bytes_are_a_header_or_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        found = dialect_of(path)
        assert isinstance(found, Dialect)
        assert len(set(found.columns)) == len(found.columns) > 0


def test_packed_and_plain_parts_are_told_by_their_first_bytes(
    connection: ibis.BaseBackend, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in ("0.csv", "1.csv", "2.csv.gz", "3.csv.gz")]
    for number, path in enumerate(paths):
        content = f"person_id,source_value\n{number},x\n".encode()
        path.write_bytes(gzip.compress(content) if number % 2 else content)
    wanted = [(str(number), "x") for number in range(4)]
    assert sorted(rows_of(connection, *paths)) == wanted
    assert [rows_of(connection, path) for path in paths] == [[row] for row in wanted]


def test_a_long_text_is_no_damaged_file(connection: ibis.BaseBackend, tmp_path: Path) -> None:
    path = tmp_path / "observation.csv"
    path.write_text("person_id,source_value\n1,a\n2," + "x" * 3_000_000 + "\n3,b\n")
    table = read_text(connection, "t", [path])
    assert sorted(table.select("person_id").to_pyarrow()["person_id"].to_pylist()) == ["1", "2", "3"]
    assert table.source_value.length().max().to_pyarrow().as_py() == 3_000_000
