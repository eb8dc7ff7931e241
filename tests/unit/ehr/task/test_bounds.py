from __future__ import annotations

import pytest

from proband.core.errors import ConfigError
from proband.ehr.task.bounds import check_bounds, line_to
from proband.ehr.task.codesets import CodeSet

GLUCOSE = "LOINC//2345-7"


def test_a_bound_needs_a_unit_where_there_are_several() -> None:
    step, units = CodeSet(codes=GLUCOSE, above=126), {GLUCOSE: {"mg/dL": 9, "mmol/L": 2}}
    with pytest.raises(ConfigError, match=r"without a unit.*outcome x; found LOINC//2345-7 in mg/dL, mmol/L"):
        check_bounds({"x": [(step, [GLUCOSE])]}, units)
    check_bounds({"x": [(step, [GLUCOSE])]}, {GLUCOSE: {"mg/dL": 9, "none": 2}})


def test_values_that_do_not_convert_are_counted_or_refused(capsys: pytest.CaptureFixture) -> None:
    step = CodeSet(codes="LAB//X", above=7, unit="mmol/L")
    check_bounds({"x": [(step, ["LAB//X"])]}, {"LAB//X": {"mg/dL": 9, "mmol/L": 2}})
    assert "0 values are converted, 0 without a unit" in (said := capsys.readouterr().err)
    assert "9 do not count; first LAB//X in mg/dL" in said
    with pytest.raises(ConfigError, match="no value of an outcome's codes converts"):
        check_bounds({"x": [(step, ["LAB//X"])]}, {"LAB//X": {"mg/dL": 9}})


def test_values_without_a_unit_have_the_only_one() -> None:
    line = line_to(GLUCOSE, "none", "mg/dL", ["mmol/L", "none"])
    assert line is not None
    assert line(5.5) == pytest.approx(99.09, abs=0.01)
    assert line_to(GLUCOSE, "none", "mg/dL", ["mmol/L", "mg/dL", "none"]) is None
    assert line_to(GLUCOSE, "none", "mg/dL", ["none"]) == (1.0, 0.0)


def test_a_unit_needs_a_bound() -> None:
    with pytest.raises(ValueError, match="unit mg/dL without a bound"):
        CodeSet(codes=GLUCOSE, unit="mg/dL")
