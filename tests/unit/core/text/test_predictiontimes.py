from datetime import date, datetime

import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.text.predictiontimes import prediction_times_of

AT = datetime(2015, 4, 1, 4)


@pytest.mark.parametrize(
    "times",
    [
        ["2015-04-01T04:00:00"],
        ["2015-04-01 04:00:00.000"],
        ["2015-04-01T04:00:00Z"],
        ["2015-03-31T23:00:00-05:00"],
        ["2015-04-01 06:00:00+0200"],
        ["2015-04-01 04:00"],
        ["2015-04-01 04:00:00 UTC"],
        ["2015-04-01 04:00:00+00"],
        ["20150401T040000Z"],
        ["  2015-04-01 04:00:00\t"],
        pl.Series([AT], dtype=pl.Datetime("ns")),
        pl.Series([AT]).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
    ],
)
def test_times_of_every_spelling_are_one(times):
    frame = pl.DataFrame({"subject_id": [9223298823261397041], "prediction_time": times})
    assert prediction_times_of(frame, "x").rows() == [(9223298823261397041, AT)]


def test_dates_and_identifiers_as_text():
    frame = pl.DataFrame({"subject_id": ["0011", "1e+05"], "prediction_time": [date(2015, 1, 2)] * 2})
    assert prediction_times_of(frame, "x")["subject_id"].to_list() == [11, 100000]
    assert prediction_times_of(frame, "x")["prediction_time"][0] == datetime(2015, 1, 2)
    packed = frame.with_columns(pl.lit("20150102").alias("prediction_time"))
    assert prediction_times_of(packed, "x")["prediction_time"][0] == datetime(2015, 1, 2)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"subject_id": [1.5]}, "unusable subject_id.*found 1.5.*whole numbers"),
        ({"subject_id": [[1]]}, "wrong type of subject_id.*List"),
        ({"subject_id": [2**64 - 1]}, "unusable subject_id"),
        ({"prediction_time": [5]}, "unusable prediction_time.*found 5.*dates such as"),
        ({"prediction_time": [b"x"]}, "wrong type of prediction_time.*Binary"),
        ({"prediction_time": ["3/5/2012"]}, "unusable prediction_time.*found '3/5/2012'"),
        ({"prediction_time": [None]}, "unusable prediction_time.*found None"),
    ],
)
def test_a_column_of_another_kind_is_refused(columns, message):
    frame = pl.DataFrame({"subject_id": [1], "prediction_time": [AT]} | columns)
    with pytest.raises(DataError, match=message):
        prediction_times_of(frame, "dates.parquet")
