"""Calibration panels: what is drawn, and what of people's data is not."""

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.statistics.suppress import LEAST
from proband.report.disclosure import Disclosure
from proband.report.figures.calibration import Calibration, calibration_panel
from proband.report.sections.found import read_results
from proband.report.sections.performance.panels import calibration_groups, calibrations

HIDING, OPEN = Disclosure(), Disclosure(synthetic=True)


def points(*rows):
    names = ("predicted", "observed", "low", "high")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row")


LINE = points((0.0, 0.1, 0.0, 0.2), (0.5, 0.6, 0.5, 0.7), (1.0, 0.9, 0.8, 1.0))
GROUPS = points((0.5, 0.5, 0.25, 0.75))
BARS = pl.DataFrame({"low": [0.0, 0.5], "high": [0.5, 1.0], "num_subjects": [100, 50]})


def test_a_panel_by_hand():
    svg = calibration_panel("gout", {"a": Calibration("m0", GROUPS, LINE, BARS)})
    # The axes reach 1.05, which 236 pixels from 54 and 182 from 192 upwards stand for.
    [band] = re.findall(r'class="band m0" d="M([^"]*)Z"', svg)
    assert band == "54 192L166.4 105.3L278.8 53.3L278.8 18.7L166.4 70.7L54 157.3"
    assert '<path class="line m0" d="M54 174.7L166.4 88L278.8 36"/>' in svg
    assert svg.count("<circle") == 1
    assert '<path class="interval m0" d="M166.4 148.7V62"/>' in svg
    # The strip of 20 pixels lies on 192 + 24: half as many people in a bar as wide make it half as high.
    assert 'class="area m0" d="M54 216V196H166.4V206H278.8V216Z"' in svg
    assert 'viewBox="0 0 300 254"' in svg


def test_bars_are_areas_not_heights():
    wide = BARS.with_columns(low=pl.Series([0.0, 0.2]), high=pl.Series([0.2, 1.0]))
    svg = calibration_panel("gout", {"a": Calibration("m0", GROUPS, LINE, wide)})
    # 500 to 62.5 people per unit of risk.
    assert "V196H99V213.5H278.8V216Z" in svg


def test_without_a_curve_groups_are_not_joined_and_without_either_there_is_no_panel():
    none = LINE.clear()
    svg = calibration_panel("gout", {"a": Calibration("m0", GROUPS, LINE[:2], BARS)})
    assert 'class="line m0"' not in svg
    assert "<circle" in svg
    assert calibration_panel("gout", {"a": Calibration("m0", none, none, BARS)}) == ""
    assert calibration_panel("gout", {}) == ""


def test_axes_fit_models_with_groups_and_other_curves_end_there():
    low = points((0.0, 0.1, None, None), (0.1, 0.1, None, None), (0.2, 0.2, None, None))
    near = points((0.1, 0.1, 0.05, 0.2))
    own, other = Calibration("m0", near, low, BARS), Calibration("m1", near.clear(), LINE, BARS.clear())
    svg = calibration_panel("gout", {"a": own, "b": other})
    assert 'class="line m0"' in svg
    assert 'class="line m1"' not in svg  # of its points one alone lies below 0.21
    assert "60%" not in svg
    assert 'class="line m1"' in calibration_panel("gout", {"b": other})


def test_a_curve_without_interval_has_no_band():
    bare = LINE.with_columns(pl.lit(None, pl.Float64).alias("low"), pl.lit(None, pl.Float64).alias("high"))
    svg = calibration_panel("gout", {"a": Calibration("m0", GROUPS, bare, BARS)})
    assert "band" not in svg
    assert 'class="line m0"' in svg


def test_a_curve_of_people_ends_where_20_lie_beyond():
    columns = {"predicted": [0.1, 0.2, 0.3, 0.4], "observed": [0.12345678, 0.2, 0.3, 0.4]}
    columns |= {"low": [0.1] * 4, "high": [0.5] * 4}
    counts = {"num_subjects_below": [20, 21, 100, 180], "num_subjects_above": [180, 179, 100, 20]}
    curve = pl.DataFrame(columns | counts)
    assert HIDING.smoothed(curve)["predicted"].to_list() == [0.2, 0.3]
    assert OPEN.smoothed(curve)["observed"].to_list() == [0.1235, 0.2, 0.3, 0.4]
    assert HIDING.smoothed(curve).columns == ["predicted", "observed", "low", "high"]


@given(st.lists(st.integers(0, 90), min_size=1, max_size=25))
def test_each_bar_of_people_stands_for_more_than_20_and_tells_no_exact_count(counts):
    edges = list(range(len(counts) + 1))
    bins = pl.DataFrame({"low": edges[:-1], "high": edges[1:], "num_subjects": counts})
    bars = HIDING.bars(bins)
    if sum(counts) < LEAST:
        assert bars.is_empty()
        return
    assert (bars["low"][0], bars["high"][-1]) == (0, len(counts))
    assert bars["low"][1:].to_list() == bars["high"][:-1].to_list()
    for low, high, drawn in bars.iter_rows():
        inside = sum(counts[low:high])
        assert inside >= LEAST
        assert drawn % LEAST == 0
        assert abs(drawn - inside) <= LEAST / 2
    assert OPEN.bars(bins)["num_subjects"].to_list() == counts


@pytest.fixture(scope="module", params=[False, True], ids=["people", "synthetic"])
def found(request, results):
    return read_results(results, synthetic=request.param)


def test_every_mark_of_the_page_stands_for_enough(found):
    shown = 0
    for name, horizon in found.main.items():
        here = found.at(name, horizon)
        groups = calibration_groups(here, found, found.models)
        for model, one in calibrations(here, found, groups).items():
            own = model in found.own
            assert one.bars.height == 0 or own
            assert one.groups.height == 0 or own or one.curve.is_empty()
            if found.rules.synthetic:
                continue
            risks = here["calibration_curve"].filter(model=model)
            for predicted in one.curve["predicted"]:
                at = risks.filter((pl.col("predicted") - predicted).abs() < 6e-5).row(0, named=True)
                assert min(at["num_subjects_below"], at["num_subjects_above"]) >= LEAST
            assert (one.bars["num_subjects"] >= LEAST).all()
            shown += one.curve.height + one.bars.height
    assert shown or found.rules.synthetic


def test_the_page_has_bands_histograms_and_no_joined_groups(page):
    panels = re.findall(r'<svg[^>]*aria-label="Calibration of[^>]*>.*?</svg>', page)
    assert panels
    assert any("histograms of the risks predicted by" in panel for panel in panels)
    for panel in panels:
        groups = set(re.findall(r'cx="([^"]*)" cy="([^"]*)"', panel))
        for line in re.findall(r'class="line m\d+" d="M([^"]*)"', panel):
            assert not groups & {tuple(point.split()) for point in line.split("L")}
    assert any('class="band m0"' in panel for panel in panels)
