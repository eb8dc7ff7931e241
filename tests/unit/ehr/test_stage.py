from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import meds as meds_standard
import polars as pl
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from proband.core.config import validated
from proband.core.errors import ConfigError, DataError
from proband.ehr import ehr
from proband.ehr.cohort import follow_up, read_follow_up
from proband.ehr.config import EhrConfig
from proband.ehr.labels import labels
from proband.ehr.meds.dataset import BIRTH, DEATH, ENTRY, EXIT
from proband.ehr.meds.follow_up_end import YEAR, supported
from proband.ehr.outcomes import Task

BORN = datetime(1950, 1, 1)
T = datetime(2000, 1, 1)


@pytest.fixture
def many(events: Callable) -> pl.DataFrame:
    """Forty subjects of three rows."""
    rows = [[(i, None, "Gender//F"), (i, BORN, BIRTH), (i, T, f"A//{i % 3}", float(i))] for i in range(1, 41)]
    return events(*(row for subject in rows for row in subject))


def counts(out: Path) -> dict[str, int]:
    return json.loads((out / "manifest.json").read_text())["counts"]


def convert(source: Path, out: Path, *, overwrite: bool = False, **options: object) -> Path:
    ehr(source, out, config=validated(EhrConfig, **options), workers=1, overwrite=overwrite)
    return out


def test_a_single_shard_is_split(
    many: pl.DataFrame, meds: Callable, read_out: Callable, tmp_path: Path
) -> None:
    out = convert(meds({"0": many}), tmp_path / "out", splits=(0.5, 0.25, 0.25))
    assert read_out(out).equals(many)
    table = pl.read_parquet(out / "metadata" / "subject_splits.parquet")
    assert table["subject_id"].to_list() == list(range(1, 41))
    assert set(table["split"]) == {"train", "tuning", "held_out"}
    for path in (out / "data").rglob("*.parquet"):
        shard = pl.read_parquet(path)
        splits = shard.join(table, on="subject_id")["split"].unique().to_list()
        assert splits == [path.parent.name]
        assert shard.equals(shard.sort("subject_id", "time", "code"))
    found = counts(out)
    assert found["num_events"] == found["num_events_in"] == 120
    assert found["num_subjects"] == sum(found[f"num_subjects_{split}"] for split in set(table["split"])) == 40


def test_output_is_valid_by_the_standard(many: pl.DataFrame, meds: Callable, tmp_path: Path) -> None:
    out = convert(meds({"0": many}), tmp_path / "out")
    for path in (out / "data").rglob("*.parquet"):
        table = pq.read_table(path)
        meds_standard.DataSchema.validate(table)
        assert [str(field.type) for field in table.schema][:2] == ["int64", "timestamp[us]"]
    meds_standard.CodeMetadataSchema.validate(pq.read_table(out / meds_standard.code_metadata_filepath))
    meds_standard.SubjectSplitSchema.validate(pq.read_table(out / meds_standard.subject_splits_filepath))
    about = json.loads((out / meds_standard.dataset_metadata_filepath).read_text())
    meds_standard.DatasetMetadataSchema.validate(about)


def test_own_splits_by_folder_are_kept(many: pl.DataFrame, meds: Callable, tmp_path: Path) -> None:
    halves = {
        "held_out/0": many.filter(pl.col("subject_id") <= 20),
        "train/0": many.filter(pl.col("subject_id") > 20),
    }
    out = convert(meds(halves), tmp_path / "out")
    table = pl.read_parquet(out / "metadata" / "subject_splits.parquet")
    assert table["split"].to_list() == ["held_out"] * 20 + ["train"] * 20
    assert counts(out)["num_drawn_splits"] == 0


def test_own_splits_by_table_win_and_who_lacks_one_is_drawn(
    many: pl.DataFrame, meds: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source = meds({"part/0": many})
    (source / "metadata").mkdir()
    given = pl.DataFrame({"subject_id": list(range(1, 31)), "split": ["tuning"] * 30})
    given.write_parquet(source / "metadata" / "subject_splits.parquet")
    out = convert(source, tmp_path / "out", splits=(1.0, 0.0, 0.0))
    table = pl.read_parquet(out / "metadata" / "subject_splits.parquet")
    assert table["split"].to_list() == ["tuning"] * 30 + ["train"] * 10
    assert counts(out)["num_drawn_splits"] == counts(out)["num_drawn_train"] == 10
    said = "10 subjects came without a split; drawn: 10 train, 0 tuning, 0 held_out"
    assert said in capsys.readouterr().err
    given.with_columns(pl.col("subject_id") + 100).write_parquet(
        source / "metadata" / "subject_splits.parquet"
    )
    convert(source, tmp_path / "of strangers")
    assert "40 subjects came without a split" in capsys.readouterr().err
    convert(meds({"0": many}, "none given"), tmp_path / "other")
    assert "came without a split" not in capsys.readouterr().err


def test_codes_metadata_is_kept(many: pl.DataFrame, meds: Callable, tmp_path: Path) -> None:
    source = meds({"0": many})
    (source / "metadata").mkdir()
    known = pl.DataFrame(
        {
            "code": ["A//0", "Z"],
            "description": ["nought", "z"],
            "parent_codes": [["A"], None],
            "more": [1, 2],
        }
    )
    known.write_parquet(source / "metadata" / "codes.parquet")
    codes = pl.read_parquet(convert(source, tmp_path / "out") / "metadata" / "codes.parquet")
    assert codes.columns == ["code", "description", "parent_codes"]
    assert codes["code"].to_list() == ["A//0", "A//1", "A//2", "Gender//F", BIRTH]
    assert codes.row(0) == ("A//0", "nought", ["A"])
    assert codes["description"].null_count() == 4


def test_its_own_output_is_a_source(
    many: pl.DataFrame, meds: Callable, read_out: Callable, tmp_path: Path
) -> None:
    first = convert(meds({"0": many}), tmp_path / "first")
    second = convert(first, tmp_path / "second", seed=99)
    for name in ("data/train/0.parquet", "metadata/codes.parquet", "metadata/subject_splits.parquet"):
        assert pl.read_parquet(first / name).equals(pl.read_parquet(second / name))


def test_a_pool_of_workers_gives_the_same(many: pl.DataFrame, meds: Callable, tmp_path: Path) -> None:
    source = meds({str(i): many.filter(pl.col("subject_id") % 3 == i) for i in range(3)})
    alone, pool = tmp_path / "alone", tmp_path / "pool"
    ehr(source, alone, workers=1)
    ehr(source, pool, workers=2)
    files = sorted(path.relative_to(alone) for path in alone.rglob("*.parquet"))
    assert files == sorted(path.relative_to(pool) for path in pool.rglob("*.parquet"))
    assert all(pl.read_parquet(alone / file).equals(pl.read_parquet(pool / file)) for file in files)


def test_an_unsorted_shard(events: Callable, meds: Callable, read_out: Callable, tmp_path: Path) -> None:
    source = meds({"0": events((1, T, "B"), (1, BORN, BIRTH))})
    with pytest.raises(DataError, match=r"not sorted; in .*0.parquet; .*subject 1; .*--sort"):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    out = convert(source, tmp_path / "out", sort=True)
    assert read_out(out)["code"].to_list() == [BIRTH, "B"]


def test_a_subject_in_two_shards(events: Callable, meds: Callable, tmp_path: Path) -> None:
    one = events((1, BORN, BIRTH), (7, BORN, BIRTH))
    source = meds({"0": one, "1": events((7, T, "A"))})
    with pytest.raises(DataError, match=r"in two shards; .*subject 7 in 0.parquet and 1.parquet"):
        convert(source, tmp_path / "out")


def test_events_before_birth(events: Callable, meds: Callable, read_out: Callable, tmp_path: Path) -> None:
    rows = [(1, datetime(1949, 1, 1), "X"), (1, datetime(1949, 5, 1), "Y"), (1, BORN, BIRTH), (1, T, "A")]
    source = meds({"0": events(*rows), "1": events((2, datetime(1900, 1, 1), "Z"), (2, BORN, BIRTH))})
    with pytest.raises(DataError, match=r"found 3 events, the first X of subject 1; .*--drop-before-birth"):
        convert(source, tmp_path / "out")
    out = convert(source, tmp_path / "out", drop_before_birth=True)
    assert read_out(out)["code"].to_list() == [BIRTH, "A", BIRTH]
    assert counts(out)["num_before_birth"] == 3


def test_subjects_without_birth(events: Callable, meds: Callable, read_out: Callable, tmp_path: Path) -> None:
    source = meds({"0": events((1, BORN, BIRTH), (2, T, "A"))})
    out = convert(source, tmp_path / "out")
    assert counts(out)["num_no_birth"] == 1
    assert counts(out)["num_subjects"] == 1
    with pytest.raises(ConfigError, match=r"finished with other settings.*assume_birth False, now True"):
        convert(source, out, assume_birth=True)
    convert(source, out, assume_birth=True, overwrite=True)
    assert read_out(out).rows()[1:] == [(2, T, "A", None, None), (2, T, BIRTH, None, None)]
    with pytest.raises(DataError, match=r"no subject is left; .*--assume-birth"):
        convert(meds({"0": events((2, T, "A"))}, "unborn"), tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.col("subject_id").cast(pl.String), "wrong type of subject_id"),
        (pl.col("time").cast(pl.String), "wrong type of time"),
        (pl.lit(None, pl.String).alias("code"), "null code"),
        (pl.lit(None, pl.Int64).alias("subject_id"), "null subject_id"),
    ],
)
def test_bad_columns(
    many: pl.DataFrame, meds: Callable, tmp_path: Path, change: pl.Expr, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        convert(meds({"0": many.with_columns(change)}), tmp_path / "out")
    assert not list(tmp_path.glob(".out*"))


def test_a_missing_column(many: pl.DataFrame, meds: Callable, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing column code; .*columns subject_id, time, numeric_value"):
        convert(meds({"0": many.drop("code")}), tmp_path / "out")


def test_a_truncated_shard(many: pl.DataFrame, meds: Callable, tmp_path: Path) -> None:
    source = meds({"0": many})
    path = source / "data" / "0.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="unreadable Parquet file"):
        convert(source, tmp_path / "out")


def test_empty_shards(many: pl.DataFrame, meds: Callable, tmp_path: Path) -> None:
    convert(meds({"0": many, "1": many.clear()}), tmp_path / "out")
    with pytest.raises(DataError, match="no events"):
        convert(meds({"0": many.clear()}, "empty"), tmp_path / "none")


def test_far_times(events: Callable, meds: Callable, read_out: Callable, tmp_path: Path) -> None:
    times = [datetime(1801, 1, 1), datetime(1969, 12, 31, 23), datetime(2209, 1, 1)]
    rows = [(1, time, code) for time, code in zip(times, (BIRTH, "A", DEATH), strict=True)]
    source = meds({"0": events(*rows)})
    assert read_out(convert(source, tmp_path / "out"))["time"].to_list() == times[:2]
    assert read_out(convert(source, tmp_path / "late", latest_year=2210))["time"].to_list() == times


def followed(events: Callable, *ends: datetime) -> pl.DataFrame:
    """A subject for each end of a period; records half a year apart, the last of anybody of June 2018."""
    half_years = [datetime(year, month, 1) for year in range(2000, 2018) for month in (1, 7)]
    rows = [
        [(i, BORN, BIRTH), *((i, time, "A") for time in half_years), (i, T, ENTRY), (i, end, EXIT)]
        for i, end in enumerate(ends, start=1)
    ]
    return events(*(row for one in rows for row in one), (9, BORN, BIRTH), (9, datetime(2018, 6, 5, 10), "A"))


def test_ends_that_no_record_supports_are_cut_and_said(
    events: Callable, meds: Callable, read_out: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    near, far = datetime(2019, 5, 31, 23, 59, 59), datetime(2099, 12, 31, 23, 59, 59)
    source = meds({"0": followed(events, near, far, datetime(9999, 12, 31))})
    out = convert(source, tmp_path / "out", sort=True)
    ends = read_out(out).filter(code=EXIT)["time"].to_list()
    assert ends == [near, *[datetime(2018, 6, 5, 23, 59, 59)] * 2]
    assert counts(out)["num_ends_cut"] == 2
    assert (
        "2 observation periods beyond the last record of anybody, in 2018-06, by more than"
        in capsys.readouterr().err
    )
    assert json.loads((out / "manifest.json").read_text())["notes"]["follow_up_cut_at"] == "2018-06-05"


ODD_ROWS = {
    "a wrong year": [(1, datetime(2102, 3, 5), "A")],
    "wrong years": [
        (1, datetime(2102, 3, 5), "A"),
        (2, datetime(2102, 4, 5), "A"),
        (2, datetime(2150, 1, 1), "A"),
    ],
    "open visits": [(i, datetime(2099, 12, 31), "DISCHARGE//Visit//IP") for i in (1, 2, 3, 9)] * 20,
    "nobody dead yet": [(i, datetime(2099, 12, 31), DEATH) for i in (1, 2, 3, 9)],
    "none": [],
}


@pytest.mark.parametrize("odd", ODD_ROWS)
def test_odd_rows_support_no_follow_up(
    events: Callable, meds: Callable, tmp_path: Path, capsys: pytest.CaptureFixture, odd: str
) -> None:
    far, rows = datetime(2099, 12, 31, 23, 59, 59), ODD_ROWS[odd]
    source = meds({"0": pl.concat([followed(events, far, far, far), events(*rows)])})
    out = convert(source, tmp_path / "out", sort=True)
    spans = read_follow_up(out)
    cut, last = datetime(2018, 6, 5, 23, 59, 59), datetime(2018, 6, 5, 10)
    assert spans.select("subject_id", "exit_time").rows() == [(1, cut), (2, cut), (3, cut), (9, last)]
    assert spans["death_time"].null_count() == 4
    assert (counts(out)["num_ends_cut"], counts(out)["num_unsupported_records"]) == (3, len(rows))
    assert counts(out)["num_ends_added"] == any(row[0] == 9 for row in rows)
    said = capsys.readouterr().err
    assert "3 observation periods beyond the last record of anybody, in 2018-06, by more than 2 years" in said
    if rows:
        assert f"{len(rows)} records dated after 2018-06-05, the last before a silence" in said
    assert ("1 subjects without a period have such records" in said) == any(row[0] == 9 for row in rows)


def test_odd_rows_in_other_shards_and_processes_give_the_same(
    events: Callable, meds: Callable, tmp_path: Path
) -> None:
    far = datetime(2099, 12, 31, 23, 59, 59)
    rows = pl.concat([followed(events, far, far, far), events((1, datetime(2102, 3, 5), "A"))])
    shards = {str(i): rows.filter(pl.col("subject_id") % 2 == i) for i in (0, 1)}
    source, made = meds(shards), [tmp_path / name for name in ("alone", "pool", "one")]
    ehr(source, made[0], config=EhrConfig(sort=True), workers=1)
    ehr(source, made[1], config=EhrConfig(sort=True), workers=2)
    ehr(meds({"0": rows}, "whole"), made[2], config=EhrConfig(sort=True), workers=1)
    alone, pool, one = (read_follow_up(out) for out in made)
    assert alone.equals(pool)
    assert alone.drop("split").equals(one.drop("split"))
    assert alone["exit_time"].max() == datetime(2018, 6, 5, 23, 59, 59)


LATE = datetime(2012, 1, 1)
TRUE_LATE = {
    # A cohort seen once and followed by a registry of deaths.
    "deaths": [[(i, datetime(2000, 1, 1), "A"), (i, datetime(2000 + i, 6, 1), DEATH)] for i in range(1, 12)],
    # The second wave of a study: 5 of 105 records.
    "second wave": [[(1, datetime(2000, 1, day % 28 + 1), "A") for day in range(100)], [(2, LATE, "A")] * 5],
    # One subject of few records.
    "one subject": [[(1, datetime(2000 + i, 1, 1), "A") for i in range(5)], [(1, LATE, "A")]],
    # Silences of three years before one of five.
    "gaps of years": [[(1, datetime(year, 1, 1), "A")] * 20 for year in (1990, 1998, 2001, 2004, 2007)]
    + [[(1, LATE, "A")]],
}


@pytest.mark.parametrize("kind", TRUE_LATE)
def test_true_late_records_support_follow_up(
    events: Callable, meds: Callable, tmp_path: Path, kind: str
) -> None:
    rows = [row for rows in TRUE_LATE[kind] for row in rows]
    subjects = sorted({row[0] for row in rows})
    end = datetime(2012, 6, 30, 23, 59, 59)
    bounds = [(i, *rest) for i in subjects for rest in ((BORN, BIRTH), (end, EXIT))]
    out = convert(meds({"0": events(*rows, *bounds)}), tmp_path / "out", sort=True)
    assert "num_ends_cut" not in counts(out)
    assert counts(out)["num_unsupported_records"] == 0


def test_wrong_dates_of_a_large_source_are_silence() -> None:
    days = [date(2000, 1, 1) + timedelta(days=i) for i in range(4000)]
    odd = [days[-1] + timedelta(days=100 * i) for i in range(1, 200)]
    made = pl.DataFrame(
        {"day": days + odd, "len": [10_000] * 4000 + [1] * 199, "num_deaths_and_discharges": 0}
    )
    assert supported(made.sample(fraction=1, shuffle=True, seed=1)) == (days[-1], YEAR)


def test_a_given_end_of_follow_up_is_not_cut(
    events: Callable, meds: Callable, read_out: Callable, tmp_path: Path
) -> None:
    source = meds({"0": followed(events, datetime(2099, 12, 31))})
    out = convert(source, tmp_path / "out", sort=True, follow_up_end=date(2024, 12, 31))
    assert read_out(out).filter(code=EXIT)["time"].to_list() == [datetime(2024, 12, 31, 23, 59, 59)] * 2


def test_a_sparse_source_is_believed_longer_and_it_is_said(
    events: Callable, meds: Callable, read_out: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    records = [(1, datetime(year, 1, 1), "A") for year in (1960, 2004, 2006)]
    end = datetime(2010, 1, 1)
    out = convert(meds({"0": events((1, BORN, BIRTH), *records, (1, end, EXIT))}), tmp_path / "out")
    assert read_out(out)["time"].max() == end
    assert "by up to 4.0 years; kept, as the source is sparse" in capsys.readouterr().err


def test_the_end_of_follow_up_may_be_given(
    events: Callable, meds: Callable, read_out: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    early = datetime(2010, 5, 31)
    source = meds({"0": followed(events, early, datetime(2099, 12, 31))})
    out = convert(source, tmp_path / "out", sort=True, follow_up_end=date(2016, 12, 31))
    given = datetime(2016, 12, 31, 23, 59, 59)
    found = read_out(out).filter(code=EXIT).select("subject_id", "time").rows()
    assert found == [(1, early), (2, given), (9, given)]
    assert (counts(out)["num_ends_cut"], counts(out)["num_ends_added"]) == (1, 1)
    assert "follow-up to 2016-12-31: 1 later ends cut there, 1 subjects without" in capsys.readouterr().err


def test_nobody_is_followed_beyond_the_end_that_is_given(
    events: Callable, meds: Callable, read_out: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Who dies soon after it is not, either: else outcomes after it would count for them alone."""
    given, dies = date(2014, 12, 31), datetime(2015, 1, 20)
    rows = [(subject, datetime(2010, 1, 1), ENTRY) for subject in (1, 2)]
    onsets = [(subject, datetime(2015, 1, 10), "X") for subject in (1, 2)]
    frame = events(*((s, BORN, BIRTH) for s in (1, 2)), *rows, *onsets, (1, dies, DEATH))
    out = convert(meds({"0": frame}), tmp_path / "out", sort=True, follow_up_end=given)
    spans = follow_up(read_out(out))
    assert spans["exit_time"].to_list() == [datetime(2014, 12, 31, 23, 59, 59)] * 2
    assert spans["death_time"].null_count() == 2
    assert counts(out)["num_deaths_after_end"] == 1
    assert "1 later deaths left out" in capsys.readouterr().err
    early = convert(meds({"0": frame}), tmp_path / "later", sort=True, follow_up_end=date(2015, 2, 1))
    assert follow_up(read_out(early))["death_time"].to_list() == [dies, None]


def test_an_end_of_follow_up_before_every_record_is_refused(
    events: Callable, meds: Callable, tmp_path: Path
) -> None:
    source = meds({"0": followed(events, datetime(2010, 5, 31))})
    with pytest.raises(ConfigError, match=r"--follow-up-end; found 1900-01-01, first start \d{4}-"):
        convert(source, tmp_path / "out", sort=True, follow_up_end=date(1900, 1, 1))
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_said(
    events: Callable, meds: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    convert(
        meds({"0": events((1, BORN, BIRTH), (1, T, "A"), (1, T, DEATH), (1, T, DEATH))}), tmp_path / "out"
    )
    said = capsys.readouterr().err
    assert "no subject has a sex" in said
    assert "1 of 1 subjects have no observation period" in said
    assert "1.25, 1.10 and 1.04 times at 0.5, 1 and 2 visits a year" in said
    assert "1 rows left out: a further death of a subject" in said


@pytest.mark.parametrize("splits", [(0.8, 0.1, 0.2), (1.2, -0.1, -0.1)])
def test_splits_add_up(many: pl.DataFrame, meds: Callable, tmp_path: Path, splits: tuple) -> None:
    with pytest.raises(ConfigError, match="three shares that add up to 1"):
        convert(meds({"0": many}), tmp_path / "out", splits=splits)


def test_the_source_is_safe(many: pl.DataFrame, meds: Callable, tmp_path: Path) -> None:
    source = meds({"0": many})
    for out in (source, tmp_path):
        with pytest.raises(ConfigError, match=r"would replace an input|is in use"):
            convert(source, out, overwrite=True)


def test_a_finished_output_is_left_alone(many: pl.DataFrame, meds: Callable, tmp_path: Path) -> None:
    source = meds({"0": many})
    out = convert(source, tmp_path / "out")
    before = (out / "manifest.json").stat().st_mtime_ns
    convert(source, out)
    assert (out / "manifest.json").stat().st_mtime_ns == before


def test_command_line(many: pl.DataFrame, meds: Callable, tmp_path: Path) -> None:
    from proband.cli.main import app

    arguments = [
        "ehr",
        str(meds({"0": many})),
        str(tmp_path / "out"),
        "--splits",
        "0.5",
        "0.5",
        "0",
        "--workers",
        "1",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert counts(tmp_path / "out")["num_subjects_held_out"] == 0
    assert "Example: proband ehr" in CliRunner().invoke(app, ["ehr", "--help"]).output


def test_codes_of_several_units_are_named(
    events: Callable, meds: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    units = ["mg/dL", " MG/DL ", "mmol/L", None, "", "%"]
    codes = ["GLU", "GLU", "GLU", "GLU", "GLU", "A1C"]
    rows = [(1, T, code, float(i)) for i, code in enumerate(codes)]
    frame = events((1, BORN, BIRTH), *rows).with_columns(unit=pl.Series([None, *units]))
    out = convert(meds({"0": frame}), tmp_path / "out", sort=True)
    notes = json.loads((out / "manifest.json").read_text())["notes"]
    assert notes["codes_of_several_units"] == {"GLU": {"mg/dL": 2, "none": 2, "mmol/L": 1}}
    assert "1 codes have values in several units, first GLU (mg/dL, none, mmol/L)" in capsys.readouterr().err


def test_metadata_that_are_empty_throughout_are_absent_ones(
    many: pl.DataFrame, meds: Callable, tmp_path: Path
) -> None:
    source = meds({"0": many.with_columns(pl.lit(None).alias("unit"))})
    (source / "metadata").mkdir()
    codes = pl.DataFrame({"code": ["A//1"], "description": [None], "parent_codes": [None]})
    assert codes.schema["parent_codes"] == pl.Null
    codes.write_parquet(source / "metadata" / "codes.parquet")
    found = pl.read_parquet(convert(source, tmp_path / "out") / "metadata" / "codes.parquet")
    assert found.schema["parent_codes"] == pl.List(pl.String)
    assert found["parent_codes"].null_count() == found.height


def test_death_and_birth_with_further_parts_are_death_and_birth(
    events: Callable, meds: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A subject dies of MEDS_DEATH//in_hospital two years after the prediction: competing death, no survivor;
    whether the source is read as it is or by way of the stage."""
    born, at = datetime(1950, 1, 1), datetime(2001, 1, 1)
    rows = events(
        (1, None, "GENDER//M"), (1, born, "MEDS_BIRTH//year"), (1, datetime(2000, 1, 1), "A//1"),
        (1, datetime(2003, 1, 1), "MEDS_DEATH//in_hospital"),
        (2, None, "GENDER//F"), (2, born, BIRTH), (2, datetime(2000, 1, 1), "A//1"),
        (2, datetime(2010, 1, 1), "B//2"),
    )  # fmt: skip
    source = meds({"train/0": rows})
    out = convert(source, tmp_path / "out")
    assert "2 rows MEDS_BIRTH//... or MEDS_DEATH//..." in capsys.readouterr().err
    assert counts(out)["num_bare_birth_death"] == 2
    task = Task(outcomes={"b": {"codes": ["B//2"]}}, prediction={"date": at.date()}, horizons_years=[5])
    splits = pl.DataFrame({"subject_id": [1, 2], "split": ["train", "train"]})
    (source / "metadata").mkdir()
    splits.write_parquet(source / "metadata" / "subject_splits.parquet")
    for folder in (source, out):
        found = labels(folder, task).sort("subject_id")
        assert found["event"].to_list() == [2, 1]
        assert found["time_years"][0] == pytest.approx(2.0, abs=0.01)
        assert read_follow_up(folder).sort("subject_id")["birth_time"].to_list() == [born, born]
