from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.core.errors import DataError
from proband.core.sex import SEX_PREFIXES
from proband.ehr.cohort import follow_up
from proband.tokens.encode.tokenize import dated_events, is_static, resolve_codes, tokenize_events, whole_days
from proband.tokens.measurements.units import COUNTS
from small_world import DAY, ENTRY, EXIT, frame
from vocabularies import vocabulary_named

CODES = (
    "PADDING",
    "MEDS_BIRTH",
    "A//1",
    "B//1",
    "B//UNKNOWN",
    "ICD10//E11",
    "LAB//1//Q1",
    "LAB//1//Q2",
    "UNKNOWN",
)
VOCABULARY = vocabulary_named(
    names=(*CODES, "MEDS_DEATH"),
    edges={"LAB//1": (4.5,)},
    rolled={"A//2": "A//1"},
    once=(False,) * 10,
    statics=("Gender//F", "Gender//M"),
    resolution_minutes=1440,
)
LIFE = (
    (1, None, "Gender//F"),
    (1, "1950-01-01", "MEDS_BIRTH"),
    (1, "1950-01-11", ENTRY),
    (1, "1950-01-31", EXIT),
)


def tokens_of(*rows: tuple) -> list[tuple[int, int]]:
    part = tokenize_events(frame(*rows), VOCABULARY, {})
    return list(zip((part.rows["minutes"] // DAY).to_list(), part.rows["token"].to_list(), strict=True))


@given(
    st.permutations([("LAB//1", 5.0), ("B//1", None), ("A//1", None), ("MEDS_DEATH", None), ("LAB//1", 1.0)])
)
@settings(max_examples=30)
def test_the_order_within_a_time_stamp_is_fixed(order: list[tuple[str, float | None]]) -> None:
    rows = [(1, "1950-01-21", code, value) for code, value in order]
    assert tokens_of(*LIFE, *rows) == [(0, 1), (20, 2), (20, 3), (20, 6), (20, 7), (20, 9)]


def test_birth_is_first_even_before_events_at_birth() -> None:
    assert tokens_of(*LIFE, (1, "1950-01-01", "A//1")) == [(0, 1), (0, 2)]


def test_entry_exit_and_what_follows_exit_are_no_tokens() -> None:
    late = (1, "1950-02-01", "A//1")
    at_exit = (1, "1950-01-31", "B//1")
    early = (1, "1950-01-05", "A//1")
    assert tokens_of(*LIFE, late, at_exit, early) == [(0, 1), (4, 2), (30, 3)]


def test_nothing_after_death_is_a_token() -> None:
    rows = [(1, "1950-01-20", "MEDS_DEATH"), (1, "1950-01-21", "A//1")]
    part = tokenize_events(frame(*LIFE, *rows), VOCABULARY, {})
    assert part.rows["token"].to_list() == [1, 9]
    assert part.subjects["died"].to_list() == [True]
    assert part.subjects["exit_minutes"].to_list() == [19 * DAY]


@pytest.mark.parametrize("hour", ["", " 11:00"])
def test_what_is_recorded_on_the_day_of_death_is_a_token_before_it(hour: str) -> None:
    """As labels count it: of many deaths the date alone is recorded, as its midnight."""
    day = "1950-01-20"
    rows = [(1, f"{day}{hour}", "MEDS_DEATH"), (1, f"{day} 15:30", "A//1"), (1, "1950-01-21", "B//1")]
    part = tokenize_events(frame(*LIFE, *rows), VOCABULARY, {})
    minute = 19 * DAY + (11 * 60 if hour else 0)
    assert part.rows.select("minutes", "token").rows() == [(0, 1), (minute, 2), (minute, 9)]
    assert part.subjects["exit_minutes"].to_list() == [minute]


@pytest.mark.parametrize("year", [1700, 1899, 1969, 2200])
def test_any_century_will_do(year: int) -> None:
    rows = [
        (1, f"{year}-03-01", "MEDS_BIRTH"),
        (1, f"{year + 90}-03-01", "A//1"),
        (1, f"{year + 90}-03-02T00:00:59", "B//1"),
    ]
    part = tokenize_events(frame(*rows), VOCABULARY, {})
    assert part.rows["token"].to_list() == [1, 2, 3]
    days = (part.rows["minutes"] / DAY).to_list()
    assert days[1] == pytest.approx(90 * 365.25, abs=1.5)
    assert days[2] == days[1] + 1  # seconds are cut off, not rounded


def test_new_codes_climb_the_hierarchy_or_become_unknown() -> None:
    parents = {"B//77": ["B//7"], "B//7": ["B//1"], "B//8": ["B//9"], "B//9": ["B//8"]}
    asked = ["A//2", "B//77", "B//8", "B//5", "C//1", "ICD10//E11.65", "LAB//1"]
    found = resolve_codes(asked, VOCABULARY, parents)
    names = {code: VOCABULARY.codes[token] for code, token in found.items()}
    assert names == {
        "A//2": "A//1",  # train's own roll-up
        "B//77": "B//1",  # the hierarchy of the new data
        "B//8": "B//UNKNOWN",  # a circle
        "B//5": "B//UNKNOWN",
        "C//1": "UNKNOWN",  # a kind that train never saw
        "ICD10//E11.65": "ICD10//E11",
        "LAB//1": "UNKNOWN",
    }


def test_every_row_is_accounted_for() -> None:
    rows = frame(
        *LIFE,
        (1, None, "Ethnicity//X"),
        (1, "1949-12-31", "A//1"),
        (1, "1950-01-15", "A//2"),
        (1, "1950-01-15", "C//1"),
        (1, "1950-01-16", "LAB//1", 9.0),
        (1, "1960-01-01", "A//1"),
        (2, "1950-01-15", "A//1"),
        (2, None, "Gender//M"),
    )
    counts = tokenize_events(rows, VOCABULARY, {}).counts
    assert counts == {
        "num_rows": 12,
        "num_rows_static_or_marker": 6,
        "num_rows_subject_without_birth": 1,
        "num_rows_outside_life_or_follow_up": 2,
        "num_rows_rolled_up": 1,
        "num_rows_unknown": 1,
        "num_subjects": 1,
        "num_subjects_without_birth": 1,
        "num_tokens": 4,
        "num_subjects_with_sex": 1,
        **dict.fromkeys(COUNTS, 0),
    }
    left_out = ("static_or_marker", "subject_without_birth", "outside_life_or_follow_up")
    kept = counts["num_tokens"] - counts["num_subjects"]  # birth tokens are made, not read
    assert counts["num_rows"] == kept + sum(counts[f"num_rows_{reason}"] for reason in left_out)


def test_statics_are_kept_once_and_by_index() -> None:
    part = tokenize_events(frame(*LIFE, (1, None, "Gender//F"), (1, None, "Gender//M")), VOCABULARY, {})
    assert part.statics["static"].to_list() == [1, 2]


@pytest.mark.parametrize("rows", [(), ((2, "1950-01-15", "A//1"),)])
def test_a_shard_without_usable_subjects_is_empty(rows: tuple) -> None:
    part = tokenize_events(frame(*rows), VOCABULARY, {})
    assert part.rows.height == part.subjects.height == part.statics.height == 0
    assert part.counts["num_rows"] == len(rows)


def test_a_vocabulary_without_statics() -> None:
    bare = vocabulary_named(VOCABULARY.codes, {}, {}, VOCABULARY.once, (), 1440)
    assert tokenize_events(frame(*LIFE), bare, {}).statics.height == 0


def test_whole_days() -> None:
    assert whole_days(pl.Series([0, 1440, 2880]))
    assert not whole_days(pl.Series([0, 1441]))


def test_dated_events_speak_of_subjects_in_the_span_alone() -> None:
    events = frame(*LIFE, (1, "1950-01-20", "A//1"), (2, "1950-01-20", "A//1"))
    assert dated_events(events, follow_up(events)).to_dict(as_series=False) == {
        "subject_id": [1],
        "minutes": [19 * DAY],
        "code": ["A//1"],
        "numeric_value": [None],
        "unit": [None],
    }


def test_sex_of_another_spelling_is_the_sex_of_the_vocabulary() -> None:
    born = datetime(1950, 1, 1)
    events = pl.DataFrame(
        [(1, None, "SEX/female"), (1, born, "MEDS_BIRTH"), (2, None, "SEX/x"), (2, born, "MEDS_BIRTH")],
        schema={"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String},
        orient="row",
    ).with_columns(numeric_value=pl.lit(None, pl.Float32), unit=pl.lit(None, pl.String))
    codes = ("PADDING", "MEDS_BIRTH", "UNKNOWN", "MEDS_DEATH")
    vocabulary = vocabulary_named(codes, {}, {}, (False,) * 4, ("Gender//F", "Gender//M"), 1)
    found = tokenize_events(events, vocabulary, {})
    assert found.statics.rows() == [(1, 1)]
    assert found.counts["num_subjects_with_sex"] == 1
    names = ["Gender//F", "GENDER/m", "sex//X", "OMOP//8532", "OMOP//85321", "GENDERED//F"]
    known = pl.DataFrame({"code": names, "time": [None] * len(names)})
    assert known.filter(is_static(SEX_PREFIXES))["code"].to_list() == names[:4]


@pytest.mark.parametrize("year", [-200_000, 1, 9999, 200_000])
def test_a_date_beyond_counting_is_refused_with_its_subject(year: int) -> None:
    microseconds = (year - 1970) * 31_556_952 * 10**6
    frame = pl.DataFrame(
        {
            "subject_id": [7, 7],
            "time": pl.Series([-(10**15), microseconds]).cast(pl.Datetime("us")),
            "code": ["MEDS_BIRTH", "OBSERVATION_PERIOD//END" if year > 0 else "A"],
            "numeric_value": pl.Series([None, None], dtype=pl.Float32),
            "unit": pl.Series([None, None], dtype=pl.String),
        }
    )
    vocabulary = vocabulary_named(
        ("PADDING", "MEDS_BIRTH", "UNKNOWN", "MEDS_DEATH"), {}, {}, (False,) * 4, (), 1
    )
    if abs(year) < 4000:
        assert tokenize_events(frame, vocabulary, {}).subjects.height == 1
        return
    with pytest.raises(DataError, match="thousands of years from birth; in the events of subject 7; found 1"):
        tokenize_events(frame, vocabulary, {})
