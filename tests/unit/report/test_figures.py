import math
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.report.figures.calibration import Calibration, calibration_panel
from proband.report.figures.colours import model_colours
from proband.report.figures.curves import Curve, binormal, decile_panel, decision_panel, roc_panel
from proband.report.figures.forest import Axis, Estimate, axis_of, row_svg
from proband.report.figures.panel import Panel, ticks
from proband.report.sections.found import read_results
from proband.report.sections.performance.outcomes import outcome_sections


def luminance(colour):
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_each_model_has_a_colour_and_baselines_keep_theirs():
    colours = model_colours(["ehr", "ehr_pgs", "age_sex", "pgs_logistic"])
    assert len(set(colours.values())) == 4
    assert model_colours(["other", "age_sex"])["age_sex"] == colours["age_sex"]


def test_marks_have_contrast_on_white():
    names = [str(number) for number in range(8)] + ["age_sex", "lightgbm", "lightgbm_pgs", "pgs_logistic"]
    assert all(1.05 / (luminance(colour) + 0.05) >= 3 for colour in model_colours(names).values())


@pytest.fixture(scope="module")
def groups():
    columns = {"first": [1, 4], "last": [3, 10], "observed": [0.1, 0.3], "low": [0.05, 0.2]}
    return pl.DataFrame(columns | {"high": [0.2, 0.4], "predicted": [0.1, 0.2]})


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside(low, width):
    found = ticks(low, low + width)
    assert 1 <= len(found) <= 8 or width < abs(low) * 1e-9
    assert all(low - 1e-6 * width - 1e-9 <= tick <= low + width * (1 + 1e-6) + 1e-9 for tick in found)


def test_a_panel_scales_and_its_coordinates_tell_tenths_of_a_pixel():
    panel = Panel("a", (0, 1), (0, 1), "x", "y")
    panel.line([0, 1 / 3, 1], [0, 2 / 3, 1], "m0")
    svg = panel.svg()
    assert "viewBox" in svg[: svg.index(">")]
    assert not re.search(r"\d\.\d\d", svg)


def test_a_label_cannot_break_out(groups):
    none = groups.clear()
    bars = pl.DataFrame({"low": [0.0], "high": [0.1], "num_subjects": [30]})
    svg = calibration_panel('a"><script', {"<b>": Calibration("m0", groups, none, bars)})
    assert "<script" not in svg
    assert "<b>" not in svg


def test_binormal_curve_has_the_area_asked_for():
    for auroc in (0.55, 0.7, 0.9):
        x, y = binormal(auroc)
        area = sum((b - a) * (c + d) / 2 for a, b, c, d in zip(x, x[1:], y, y[1:], strict=False))
        assert area == pytest.approx(auroc, abs=2e-3)


def test_too_few_points_give_a_smooth_curve_and_no_straight_line():
    points = pl.DataFrame({"false_positive_rate": [0.2, 0.5], "sensitivity": [0.5, 0.8]})
    few = roc_panel("gout", {"a": Curve(points, 0.8, "m0")})
    [curve] = re.findall(r'<path class="line m0" d="([^"]*)" stroke-dasharray', few)
    assert curve.count("L") > 25  # as many points as can be told from the curve itself
    three = pl.concat([points, pl.DataFrame({"false_positive_rate": [0.7], "sensitivity": [0.9]})])
    assert "stroke-dasharray" not in roc_panel("gout", {"a": Curve(three, 0.8, "m0")})


def test_no_deciles(groups):
    assert decile_panel("gout", groups.clear(), "", {}) == ""
    shown = decile_panel("gout", groups, "PGS1", {"a": (groups, "m0")})
    assert "1–3" in shown
    assert shown.count('class="bar"') == 2
    assert shown.count("<circle") == 2


def test_a_forest_row_is_drawn_in_percent_and_read_aloud():
    row = [
        Estimate(0.7, 0.6, 0.8, "m0", "ehr 0.700 (0.600 to 0.800)"),
        Estimate(0.5, None, None, "m1", "age"),
    ]
    axis = axis_of([row], 0.5)
    svg = row_svg(row, axis, "Gout")
    assert svg.count("<circle") == 2
    assert svg.count('class="whisker"') == 1
    assert 'aria-label="Gout: ehr 0.700 (0.600 to 0.800); age"' in svg
    assert re.search(r'cx="50.0%"', row_svg([Estimate(0.5, None, None, "", "")], Axis(0, 1, 0.5), ""))
    assert not any(math.isnan(end) for end in axis)


def test_sections_of_results(results):
    sections = outcome_sections(read_results(results))
    assert [section.title for section in sections] == ["Stroke", "Type 2 diabetes"]
    assert sections[0].main is None
    assert sections[1].main.title == "5 years"


def test_a_decision_curve_has_a_band_where_its_interval_is_known():
    curve = pl.DataFrame({"threshold": [0.3, 0.2, 0.1], "standardised_net_benefit": [0.1, 0.2, 0.4]})
    known = curve.with_columns(low=pl.lit(0.05), high=pl.lit(0.5))
    without = curve.with_columns(pl.lit(None, pl.Float64).alias(end) for end in ("low", "high"))
    everybody = pl.DataFrame({"threshold": [0.0, 0.3], "benefit": [1.0, -0.5]})
    svg = decision_panel("Gout", {"a": (known, "m0"), "b": (without, "m1")}, everybody, -0.1)
    assert svg.count('class="band m0"') == 1
    assert 'class="band m1"' not in svg
    assert svg.count('class="line m1"') == 1
