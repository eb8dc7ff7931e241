import polars as pl
import pytest

from proband.evaluate.tables import DISTANCE
from proband.report.sections.found import read_results
from proband.report.sections.performance.distance import by_distance


@pytest.fixture
def found(results):
    return read_results(results)


def with_lines(found, rows):
    tables = dict(found.tables) | {"distance": rows}
    return type(found)(tables, found.manifest, found.rules)


def line(found, metric, change, low, high, model=0):
    (outcome, horizon), *_ = found.main.items()
    row = {
        "outcome": outcome, "horizon_years": horizon, "model": found.own[model], "metric": metric,
        "at_centre": 0.71, "change": change, "low": low, "high": high, "num_subjects": 987, "num_cases": 654,
        "note": "",
    }  # fmt: skip
    return pl.DataFrame([row], schema=dict(DISTANCE.columns))


def test_falls_are_counted_and_drawn_without_counts(found):
    rows = [
        line(found, "auroc", -0.03, -0.05, -0.01),
        line(found, "auroc", 0.01, -0.02, 0.04, model=1),
        line(found, "calibration_slope", -0.2, -0.5, 0.1),
    ]
    said = by_distance(with_lines(found, pl.concat(rows)))
    first, second = found.own[:2]
    assert f"{first} −0.030 (median), interval below 0 in 1 of 1 outcomes" in said.sentence
    assert f"{second} +0.010 (median), interval below 0 in 0 of 1 outcomes" in said.sentence
    (row,) = said.rows
    assert row.svg.count("whisker") == 2
    assert "−0.030 (−0.050 to −0.010)" in row.svg
    assert len(said.table.rows) == 3
    assert not any(number in str(said) for number in ("987", "654"))


def test_lines_without_an_interval_are_not_shown(found):
    few = line(found, "auroc", -0.03, None, None)
    assert by_distance(with_lines(found, few)) is None
    assert by_distance(with_lines(found, DISTANCE.empty())) is None
