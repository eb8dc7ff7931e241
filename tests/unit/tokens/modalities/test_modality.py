from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from proband.core.errors import ConfigError, DataError
from proband.core.schema import SCORES
from proband.core.units import MINUTES_PER_DAY
from proband.tokens.modalities.modality import ModalityTable, load_modality, modality_files, modality_inputs
from proband.tokens.modalities.tables import say_shifted, standardised_moments
from small_world import HandStore, Record

STORE = HandStore([Record([2], [5]), Record([3, 4], [1, 2], split="held_out"), Record([], [])])
"""Subjects 100, 101 and 102, born in 1900."""

NAN = float("nan")


def scores(folder: Path, **columns: list) -> Path:
    schema = {name: pl.Int64 if name == "subject_id" else pl.Float32 for name in columns}
    SCORES.write(pl.DataFrame(columns, schema=schema), folder / "scores.parquet")
    return folder / "scores.parquet"


def load(folder: Path, expected: dict[str, Any] | None = None, **columns: Any) -> ModalityTable:
    pl.DataFrame(columns, strict=False).write_parquet(folder / "panel.parquet")
    return load_modality("panel", folder / "panel.parquet", STORE, **(expected or {}))


def rows_of(table: ModalityTable) -> list[list[tuple[int, list[float]]]]:
    """Measurements of each subject: (minutes, values)."""
    both = list(zip(table.minutes.tolist(), table.values.tolist(), strict=True))
    return [both[begin:end] for begin, end in zip(table.offsets[:-1], table.offsets[1:], strict=True)]


def test_scores_come_in_the_order_of_the_records(tmp_path: Path) -> None:
    path = scores(tmp_path, subject_id=[102, 7, 100], PGS1=[1.0, 2.0, 3.0], PGS2=[0.0, 9.0, None])
    table = load_modality("genome", path, STORE)
    assert (table.names, table.timed) == (("PGS1", "PGS2"), False)
    assert table.observed.tolist() == [True, False, True]
    assert table.values.dtype == np.float32
    assert np.array_equal(table.values, np.float32([[3, np.nan], [1, 0]]), equal_nan=True)
    given = modality_inputs({"genome": table}, np.array([2, 1, 0]), np.zeros((3, 4), np.int64))["genome"]
    assert given.observed.tolist() == [[True], [False], [True]]
    assert given.values[0].tolist() == [[1, 0]]
    assert given.values[1].isnan().all()
    only = load_modality("genome", path, STORE, ("PGS2",))
    assert only.names == ("PGS2",)
    assert only.values.tolist() == [[0.0]]  # a subject without any value has not been measured


def test_within_a_minute_the_newest_is_last_however_the_file_is_ordered(tmp_path: Path) -> None:
    times = [datetime(1990, 1, 1, 10, 0, second) for second in (50, 10, 30)]
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        table = load(
            tmp_path,
            subject_id=[100] * 3,
            time=[times[at] for at in order],
            a=[[2.0, 1.0, 1.5][at] for at in order],
        )
        assert [values for _, values in rows_of(table)[0]] == [[1.0], [1.5], [2.0]]


def test_genotypes_of_other_people_are_refused(tmp_path: Path) -> None:
    path = scores(tmp_path, subject_id=[-1, -2], PGS1=[1.0, 2.0])
    with pytest.raises(DataError, match=r"no subject in common.*\[-1, -2\].*\[100, 101, 102\].*--samples"):
        load_modality("genome", path, STORE)


def test_missing_scores_are_named(tmp_path: Path) -> None:
    path = scores(tmp_path, subject_id=[100], PGS1=[1.0])
    with pytest.raises(DataError, match=r"trained on are missing.*1 absent, first PGS9.*same scoring files"):
        load_modality("genome", path, STORE, ("PGS1", "PGS9"))
    pl.DataFrame({"PGS1": [1.0]}, schema={"PGS1": pl.Float32}).write_parquet(path)
    with pytest.raises(DataError, match="missing column subject_id"):
        load_modality("genome", path, STORE)


@pytest.mark.parametrize(
    ("clock", "ages"),
    [
        ("age_days", [2.0, 1.5, 0.0]),
        ("age_years", [2 / 365.25, 1.5 / 365.25, 0.0]),
        ("time", [datetime(1900, 1, 3), datetime(1900, 1, 2, 12), datetime(1900, 1, 1)]),
    ],
)
def test_measurements_are_ordered_by_age(tmp_path: Path, clock: str, ages: list[Any]) -> None:
    given = {"subject_id": [101, 101, 100], clock: ages, "a": [1, 2, 3], "b": [0.5, None, NAN]}
    table = load(tmp_path, **given)
    day = MINUTES_PER_DAY
    assert (table.names, table.timed) == (("a", "b"), True)
    found = rows_of(table)
    assert [[minutes for minutes, _ in own] for own in found] == [[0], [1.5 * day, 2 * day], []]
    assert found[1][1] == (2 * day, [1.0, 0.5])
    assert np.isnan(table.values[:2, 1]).all()
    at = np.array([0, 1, 1, 1, 2])
    then = np.array([0, 2159, 2160, 9999, 9999])
    assert table.observed_by(at, then).tolist() == [True, False, True, True, False]


def test_ages_are_rounded_down_to_minutes_and_dates_are_midnights(tmp_path: Path) -> None:
    table = load(tmp_path, subject_id=[100], time=[datetime(1900, 1, 1, 0, 3, 59)], a=[1.0])
    assert table.minutes.tolist() == [3]
    assert load(tmp_path, subject_id=[100], time=[date(1900, 1, 2)], a=[1.0]).minutes.tolist() == [1440]


def test_rows_without_a_value_are_no_measurements(tmp_path: Path) -> None:
    table = load(
        tmp_path, subject_id=[100, 100, 101], age_days=[1, 2, 1], a=[1.0, NAN, None], b=[NAN, None, NAN]
    )
    assert [len(own) for own in rows_of(table)] == [1, 0, 0]


def test_components_and_similarities_of_a_genome_folder_are_modalities(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = load(tmp_path, subject_id=[100, 102], is_fitted=[True, False], PC1=[0.1, 0.2], PC2=[1.0, 2.0])
    assert table.names == ("PC1", "PC2")
    assert "1 columns hold no numbers and are left out, first is_fitted" in capsys.readouterr().err
    named = {"most_similar_population": ["AFR"], "low_confidence": [False], "probability_AFR": [0.9]}
    assert load(tmp_path, subject_id=[100], **named).names == ("probability_AFR",)


def test_rows_of_nobody_are_passed_over(tmp_path: Path) -> None:
    table = load(tmp_path, subject_id=[None, 100, None], a=[0.5, 1.5, 2.5])
    assert table.observed.tolist() == [True, False, False]


def test_values_that_lie_elsewhere_than_in_training_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Learnt with means 1 and deviations 2; the values are 0 and 2 in turn, so mean 1 and deviation 1."""
    values = np.arange(40)[:, None] % 2 * np.array([2.0, 200.0, 2.0, 0.2, 2.0]) + np.array([0, 0, 8, 0, 0])
    values[29:, 4] = NAN  # too few to tell
    mean, scale = np.full(5, 1.0), np.full(5, 0.5)
    number, *found = standardised_moments(values.astype(np.float32), mean, scale)
    assert number.tolist() == [40, 40, 40, 40, 29]
    assert found[0] == pytest.approx([0, 49.5, 4, -0.45, NAN], nan_ok=True)
    assert found[1] == pytest.approx([0.5, 50, 0.5, 0.05, NAN], nan_ok=True)
    at = np.arange(41)
    table = ModalityTable(values.astype(np.float32), np.zeros(40, dtype=np.int64), at, tuple("abcde"))
    say_shifted("forecast", {"labs": (mean, scale)}, {"labs": table})
    said = "forecast: 3 of 5 columns of labs lie elsewhere than in training, first b (mean +49.5 standard"
    assert said in capsys.readouterr().err
    say_shifted(
        "forecast", {"labs": (mean, scale * [1, 0, 0, 0, 1])}, {"labs": table}
    )  # constant in training
    assert not capsys.readouterr().err


def test_columns_without_a_value_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """c did not vary in training either; of a handful of people nothing is said."""
    values = np.tile(np.arange(40)[:, None] % 2 * 1.0, (1, 300)).astype(np.float32)
    values[:, [1, 2, 280]] = NAN
    names = tuple(f"column {number}" for number in range(300))
    scales = {"labs": (np.full(300, 0.5), np.where(np.arange(300) == 2, 0, 2.0))}
    for number in (40, 5):
        zeros, at = np.zeros(number, dtype=np.int64), np.arange(number + 1)
        say_shifted("forecast", scales, {"labs": ModalityTable(values[:number], zeros, at, names)})
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(
        "forecast: 2 of 300 columns of labs have no value of anybody here, first column 1;"
    )


def test_the_row_numbers_that_pandas_keeps_are_no_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table sorted by what is to be predicted would else tell it by the number of its row."""
    numbered: dict[str, Any] = {"Unnamed: 0": [7, 3], "__index_level_0__": [1, 0]}
    table = load(tmp_path, subject_id=[100, 102], a=[0.5, 1.5], **numbered)
    assert table.names == ("a",)
    assert (
        "row numbers are no values and are left out: Unnamed: 0, __index_level_0__" in capsys.readouterr().err
    )
    with pytest.raises(DataError, match="no column of numbers"):
        load(tmp_path, subject_id=[100, 102], **numbered)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"person_id": [100], "a": [1.0]}, "no subject_id of integers.*columns person_id, a"),
        ({"subject_id": ["x"], "a": [1.0]}, "no subject_id of integers"),
        ({"subject_id": [100.0], "a": [1.0]}, "no subject_id of integers.*found subject_id of Float64"),
        ({"subject_id": [100], "label": ["yes"]}, "no column of numbers.*columns subject_id, label"),
        ({"subject_id": [100], "a": [1.0], "b": ["1.5"]}, "numbers stored as text.*found b"),
        ({"subject_id": [100], "a": [np.inf]}, "an infinite value.*found a.*null where missing"),
        ({"subject_id": [100], "a": [1.0], "age_days": [1], "age_years": [1]}, "several columns of time"),
        ({"subject_id": [100], "a": [1.0], "visit": [date(2020, 1, 1)]}, "not read as one.*found visit;"),
        ({"subject_id": [100], "a": [1.0], "Time": [5.0]}, "not read as one.*found Time;.*rename Time"),
        ({"subject_id": [100], "a": [1.0], "age": [50]}, "not read as one.*found age;.*time, age_days"),
        ({"subject_id": [100], "a": [1.0], "time": [5]}, "time is no date or time.*Int64"),
        ({"subject_id": [100], "a": [1.0], "age_days": ["1"]}, "age_days is no number.*String"),
        ({"subject_id": [100], "a": [1.0], "age_days": [-1]}, "measurements before birth.*subject_id 100"),
        ({"subject_id": [100], "a": [1.0], "age_days": [NAN]}, "with no age_days.*subject_id 100"),
        ({"subject_id": [100], "a": [1.0], "age_years": [2.0**64]}, "at an impossible age.*subject_id 100"),
        ({"subject_id": [100, 100], "a": [1.0, 2.0]}, "stands twice.*id = 100.*add a column of time"),
        (
            {"subject_id": [100, 100], "a": [1.0, 2.0], "age_days": [4, 4]},
            "a subject stands twice.*subject_id = 100, age_days = 4",
        ),
        ({"subject_id": [5], "a": [1.0]}, r"no subject in common.*\[5\].*\[100, 101, 102\]"),
    ],
)  # fmt: skip
def test_unusable_files_are_refused_in_one_line(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path, **columns)
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing file"):
        load_modality("panel", tmp_path / "none.parquet", STORE)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match="unreadable Parquet file"):
        load_modality("panel", tmp_path / "bad.parquet", STORE)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"names": ("a", "crp")}, "trained on are missing.*1 absent, first crp.*did you mean crq"),
        ({"names": ("a", "b")}, "a column is no number.*b of String"),
        ({"names": ("a",), "timed": True}, "other data.*found known from birth.*give one of time"),
    ],
)
def test_what_a_model_was_trained_on_is_needed_again(
    tmp_path: Path, expected: dict[str, Any], message: str
) -> None:
    columns = {"subject_id": [100], "a": [1.0], "crq": [2.0], "b": ["x"]}
    assert load(tmp_path, {"names": ("crq",), "timed": False}, **columns).values.tolist() == [[2.0]]
    with pytest.raises(DataError, match=message):
        load(tmp_path, expected, **columns)
    with pytest.raises(DataError, match=r"other data.*expected known from birth.*leave out age_days"):
        load(tmp_path, {"names": ("a",), "timed": False}, **columns, age_days=[3])


def test_names_of_modalities(tmp_path: Path) -> None:
    path = Path("x.parquet")
    found = modality_files(tmp_path, {"pcs": path})
    assert found == {"genome": tmp_path / "scores.parquet", "pcs": path}
    with pytest.raises(DataError, match=r"no such folder; in --genome .*nowhere; remedy"):
        modality_files(tmp_path / "nowhere")
    assert modality_files(None) == {}
    with pytest.raises(ConfigError, match=r"name genome is taken.*--genome"):
        modality_files(None, {"genome": path})
    for name in ("a.b", "2x", "", "keys"):
        with pytest.raises(ConfigError, match="unusable name of a modality"):
            modality_files(None, {name: path})


def test_rows_taken_keep_their_measurements() -> None:
    values = np.array([[1.0], [2.0], [3.0]], dtype=np.float32)
    table = ModalityTable(values, np.array([5, 9, 7]), np.array([0, 2, 2, 3]), ("protein",), timed=True)
    taken = table.take(np.array([2, 0, 1, 0]))
    assert taken.observed.tolist() == [True, True, False, True]
    now = np.full(4, 8)
    rows = np.arange(4)
    assert taken.values_by(rows, now)[:, 0].tolist() == pytest.approx([3, 1, np.nan, 1], nan_ok=True)
    assert taken.values_by(rows, now + 1)[1, 0] == 2


def test_scores_of_another_adjustment_than_in_training_are_refused(tmp_path: Path) -> None:
    """They have another scale; a model of which nothing is known takes either."""
    (tmp_path / "adjusted").mkdir()
    raw = scores(tmp_path, subject_id=[100], PGS1=[1.0])
    adjusted = tmp_path / "adjusted" / "Z_norm2.parquet"
    adjusted.write_bytes(raw.read_bytes())
    for path, kind in ((raw, "raw"), (adjusted, "Z_norm2")):
        assert load_modality("genome", path, STORE).kind == kind
        assert load_modality("genome", path, STORE, ("PGS1",), False, kind).kind == kind
    with pytest.raises(
        DataError, match=r"on other scores.*found scores adjusted by Z_norm2.*without `--ancestry`"
    ):
        load_modality("genome", adjusted, STORE, kind="raw")
    with pytest.raises(
        DataError, match=r"found scores that are not adjusted .*adjusted by Z_norm2.*with `--ancestry`"
    ):
        load_modality("genome", raw, STORE, kind="Z_norm2")
    assert load(tmp_path, subject_id=[100], a=[1.0]).kind == ""
