from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.core.errors import DataError
from proband.ehr.meds.dataset import (
    BIRTH,
    DEATH,
    EVENTS,
    NUM_BARE,
    check_sorted,
    conform,
    in_pieces,
    list_shards,
    read_codes,
    read_shard,
    whole_subjects,
)

BORN = datetime(1950, 1, 1)
T = [datetime(2000, 1, day) for day in range(1, 10)]


def test_shards_by_split_and_number(events: Callable, meds: Callable) -> None:
    frame = events((1, BORN, BIRTH))
    folder = meds({"train/10": frame, "train/2": frame, "held_out/0": frame, "loose": frame})
    found = [(shard.split, shard.path.stem) for shard in list_shards(folder)]
    assert found == [("held_out", "0"), (None, "loose"), ("train", "2"), ("train", "10")]


def test_a_shard_is_read_in_declared_types(tmp_path: Path) -> None:
    path = tmp_path / "0.parquet"
    frame = pl.DataFrame(
        {
            "code": pl.Series(["A", "B"], dtype=pl.Categorical),
            "time": pl.Series([None, T[0]], dtype=pl.Datetime("ns")),
            "subject_id": pl.Series([1, 1], dtype=pl.Int32),
            "numeric_value": pl.Series([None, Decimal("1.500")], dtype=pl.Decimal(18, 3)),
            "text_value": ["x", "y"],
        }
    )
    frame.write_parquet(path)
    found = read_shard(path)
    assert found.schema == EVENTS
    assert found.rows() == [(1, None, "A", None, None), (1, T[0], "B", 1.5, None)]


def test_a_shard_of_an_older_version_is_read_whole_and_in_pieces(tmp_path: Path, events: Callable) -> None:
    path = tmp_path / "0.parquet"
    newer = events((1, T[0], "A"), (2, T[0], "B"))
    newer.rename({"subject_id": "patient_id"}).write_parquet(path)
    assert read_shard(path).equals(newer)
    assert pl.concat(whole_subjects(path, 1)).equals(newer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subject_id": pl.String}, "wrong type of subject_id; .*found String; expected Int64"),
        ({"subject_id": pl.Float64}, "wrong type of subject_id"),
        ({"time": pl.String}, "wrong type of time"),
        ({"time": pl.Date}, "wrong type of time"),
        ({"numeric_value": pl.String}, "wrong type of numeric_value"),
        ({"code": pl.Int64}, "wrong type of code"),
    ],
)
def test_wrong_types(change: dict, message: str) -> None:
    schema = dict(EVENTS) | change
    with pytest.raises(DataError, match=message):
        conform(pl.DataFrame(schema=schema), "here")


@pytest.mark.parametrize("name", ["subject_id", "time", "code"])
def test_missing_columns(events: Callable, name: str) -> None:
    with pytest.raises(DataError, match=f"missing column {name}; in here; found columns "):
        conform(events((1, T[0], "A")).drop(name), "here")


@pytest.mark.parametrize("row", [(None, T[0], "A"), (1, T[0], None)])
def test_nulls(events: Callable, row: tuple) -> None:
    with pytest.raises(DataError, match=r"null (subject_id|code); in here; found 1 nulls"):
        conform(events((1, T[0], "A"), row), "here")


def test_a_subject_id_beyond_64_bits() -> None:
    frame = pl.DataFrame(
        {"subject_id": [2**63 + 1], "time": [T[0]], "code": ["A"]}, schema_overrides={"subject_id": pl.UInt64}
    )
    with pytest.raises(DataError, match="a value does not fit its type"):
        conform(frame, "here")


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        ([(1, T[1], "A"), (1, T[0], "A")], 1),
        ([(1, T[0], "A"), (1, None, "A")], 1),
        ([(3, T[0], "A"), (1, T[0], "A"), (3, T[1], "A")], 3),
    ],
)
def test_unsorted_rows(events: Callable, rows: list[tuple], first: int) -> None:
    with pytest.raises(DataError, match=f"not sorted; .*first of subject {first}; .*pass --sort"):
        check_sorted(events(*rows), "here")


def test_sorted_rows_pass_in_any_order_of_subjects(events: Callable) -> None:
    check_sorted(
        events((3, None, "A"), (3, None, "B"), (3, T[0], "A"), (3, T[0], "A"), (1, T[0], "A")), "here"
    )


def test_a_truncated_file(tmp_path: Path, events: Callable) -> None:
    path = tmp_path / "0.parquet"
    events(*((1, T[0], str(i)) for i in range(5000))).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"unreadable Parquet file; in .*0.parquet"):
        read_shard(path)
    with pytest.raises(DataError, match=r"unreadable Parquet file; in .*0.parquet"):
        list(whole_subjects(path, 10))


SUBJECTS = st.lists(st.integers(1, 12), min_size=1, max_size=6)


@settings(max_examples=50)
@given(sizes=SUBJECTS, rows=st.integers(1, 20), batch=st.integers(1, 20))
def test_pieces_hold_whole_subjects_and_all_rows(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], rows: int, batch: int
) -> None:
    frame = pl.DataFrame(
        [(subject, T[0], str(i), float(i), "u") for subject, size in enumerate(sizes) for i in range(size)],
        schema=EVENTS,
        orient="row",
    )
    path = tmp_path_factory.mktemp("shard") / "0.parquet"
    frame.write_parquet(path)
    pieces = list(whole_subjects(path, rows))
    assert pl.concat(pieces).equals(frame)
    subjects = [subject for piece in pieces for subject in piece["subject_id"].unique()]
    assert len(subjects) == len(set(subjects)) == len(sizes)
    assert all(piece.height <= rows or piece["subject_id"].n_unique() == 1 for piece in pieces)
    batched = in_pieces(frame.iter_slices(batch), rows)
    assert [piece.height for piece in batched] == [piece.height for piece in pieces]


def test_sorting_on_the_way(tmp_path: Path, events: Callable) -> None:
    path = tmp_path / "0.parquet"
    events((2, T[1], "A"), (1, T[0], "B"), (2, T[0], "C"), (2, None, "D")).write_parquet(path)
    with pytest.raises(DataError, match="not sorted"):
        list(whole_subjects(path, 2))
    for rows in (1, 2, 100):
        found = pl.concat(list(whole_subjects(path, rows, sort=True)))
        assert found["code"].to_list() == ["B", "D", "C", "A"]


def test_codes_from_the_shards_or_the_metadata(events: Callable, meds: Callable) -> None:
    folder = meds(
        {"0": events((1, BORN, BIRTH), (1, T[0], "B")), "1": events((2, T[0], "A"), (2, T[0], "B"))}
    )
    assert read_codes(folder) == ["A", "B", BIRTH]
    (folder / "metadata").mkdir()
    pl.DataFrame({"code": ["Z", "A"]}).write_parquet(folder / "metadata" / "codes.parquet")
    assert read_codes(folder) == ["A", "Z"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_time_in_a_zone_becomes_utc(zone: str) -> None:
    utc = pl.Series("time", [datetime(2012, 7, 1, 4, 30), None]).dt.cast_time_unit("ns")
    zoned = utc.dt.replace_time_zone("UTC")
    zoned = zoned.dt.convert_time_zone(zone)
    frame = pl.DataFrame({"subject_id": [1, 1], "time": zoned, "code": ["A", "A"]})
    assert conform(frame, "here")["time"].to_list() == utc.to_list()


@pytest.mark.parametrize("sort", [False, True])
def test_codes_of_birth_and_death_with_further_parts_are_bare(
    events: Callable, meds: Callable, sort: bool
) -> None:
    rows = events(
        (1, BORN, "MEDS_BIRTH//year"), (1, T[0], "MEDS_DEATHS//1"), (1, T[1], "A//MEDS_DEATH//b"),
        (1, T[2], "MEDS_DEATH//ICU//2"), (2, BORN, BIRTH), (2, T[2], DEATH),
    )  # fmt: skip
    folder = meds({"0": rows})
    path = folder / "data" / "0.parquet"
    wanted = [BIRTH, "MEDS_DEATHS//1", "A//MEDS_DEATH//b", DEATH, BIRTH, DEATH]
    assert read_shard(path)["code"].to_list() == wanted
    counts: Counter[str] = Counter()
    assert pl.concat(whole_subjects(path, 2, sort, counts))["code"].to_list() == wanted
    assert counts == {NUM_BARE: 2}
    assert read_codes(folder) == ["A//MEDS_DEATH//b", BIRTH, DEATH, "MEDS_DEATHS//1"]
    (folder / "metadata").mkdir()
    listed = pl.DataFrame({"code": ["MEDS_DEATH//ICU//2", "MEDS_DEATH//home", "B"]})
    listed.write_parquet(folder / "metadata" / "codes.parquet")
    assert read_codes(folder) == ["B", DEATH]


def test_codes_and_units_in_bytes_are_text(events: Callable, meds: Callable) -> None:
    rows = events((1, BORN, BIRTH), (1, T[0], "CONDITION//Ménière")).with_columns(pl.lit("µg").alias("unit"))
    written = rows.with_columns(pl.col("code", "unit").cast(pl.Binary))
    folder = meds({"0": written})
    assert read_shard(folder / "data" / "0.parquet").equals(rows)
    assert read_codes(folder) == ["CONDITION//Ménière", BIRTH]
    latin = written.with_columns(pl.lit("é".encode("latin1")).alias("unit"))
    with pytest.raises(DataError, match="a value does not fit its type; in here"):
        conform(latin, "here")
