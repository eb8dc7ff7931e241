import html
import re

import numpy as np
import polars as pl
import pytest

from proband.core.schema import RISK
from proband.core.statistics.suppress import HIDDEN
from proband.evaluate.stability import STABILITY
from proband.report import check, report
from proband.report.disclosure import Disclosure
from proband.report.sections.found import read_results
from proband.report.sections.performance.stability import shown_groups, stability

OUTCOME = "type_2_diabetes"


def written(measures, num_subjects=1000, num_refits=5, outcome=OUTCOME, horizon=5.0, model="m & n"):
    """A stability table of (measure, at, value)."""
    rows = [(outcome, horizon, model, *one, num_refits, num_subjects) for one in measures]
    return STABILITY.check(pl.DataFrame(rows, schema=dict(STABILITY.columns), orient="row"), "stability")


def grouped(*groups):
    names = ("group_original", "group_low", "group_high", "group_subjects")
    return [
        (name, float(at), value)
        for at, group in enumerate(groups, 1)
        for name, value in zip(names, group, strict=True)
    ]


SIZES = [("mean_absolute_difference", None, 0.0123), ("interval_width", None, 0.04)]
CHANGED = [("classification_changed", at, value) for at, value in ((0.05, 0.0), (0.1, 0.021), (0.2, 0.0204))]
GROUPS = grouped((0.0204, 0.01, 0.03, 100), (0.1, 0.08, 0.12, 20), (0.4, 0.3, 0.55, 21))


def with_stability(found, table):
    return type(found)(dict(found.tables) | {"stability": table}, found.manifest, found.rules)


@pytest.fixture
def found(refitted):
    return read_results(refitted[0])


def test_the_table_by_hand(found):
    [outcome] = stability(with_stability(found, written(SIZES + CHANGED + GROUPS))).outcomes
    # A mean risk of 10%, since the lowest threshold is half of it: 0.0123 of 0.1. Of 1000 subjects 21 may be
    # told; 20.4 may not. A threshold of 4 times the mean was not judged.
    [row] = outcome.table.rows
    assert row == ["m & n", "5", "10.0%", "0.0123 (12.3% of it)", "0.0400", "0.0%", "2.1%", HIDDEN, "–"]
    assert (outcome.title, outcome.horizon) == ("Type 2 diabetes", "5 years")


def test_synthetic_data_hide_no_share_and_no_group(found):
    open_page = type(found)(found.tables, found.manifest, Disclosure(synthetic=True))
    [outcome] = stability(with_stability(open_page, written(SIZES + CHANGED + GROUPS))).outcomes
    assert outcome.table.rows[0][-2] == "2.0%"
    assert "10%, refits 8% to 12%" in outcome.figures[0].svg


def test_almost_all_who_change_sides_are_hidden_too(found):
    changed = [("classification_changed", 0.05, 0.99)]
    [outcome] = stability(with_stability(found, written(SIZES + changed))).outcomes
    assert outcome.table.rows[0][5] == HIDDEN


def test_a_group_of_fewer_than_21_is_not_drawn(found):
    shown = shown_groups(written(GROUPS), Disclosure())
    assert shown.rows() == [(0.02, 0.01, 0.03), (0.4, 0.3, 0.55)]
    [outcome] = stability(with_stability(found, written(SIZES + GROUPS))).outcomes
    [figure] = outcome.figures
    assert "risk 2%, refits 1% to 3% in the lowest group shown" in figure.svg
    assert "10%, refits" not in figure.svg
    one = grouped((0.02, 0.01, 0.03, 100), (0.1, 0.08, 0.12, 20))
    [outcome] = stability(with_stability(found, written(SIZES + one))).outcomes
    assert outcome.figures == []


def test_groups_of_unknown_size_are_not_drawn():
    sizeless = [one for one in GROUPS if one[0] != "group_subjects"]
    assert shown_groups(written(sizeless), Disclosure()).is_empty()


def test_coordinates_of_a_plot_are_those_of_the_numbers(found):
    [outcome] = stability(with_stability(found, written(SIZES + GROUPS))).outcomes
    # The axes end at 1.05 × 0.55 = 0.5775; x runs from 54 to 290, y from 192 up to 10.
    curves = re.findall(r'<path class="line m0" d="M([^"]*)"/>', outcome.figures[0].svg)
    drawn = [[float(one) for one in re.split("[ L]", curve)] for curve in curves]
    for values, points in zip(((0.01, 0.3), (0.03, 0.55)), drawn, strict=True):
        assert points[::2] == pytest.approx([54 + 236 * x / 0.5775 for x in (0.02, 0.4)], abs=0.06)
        assert points[1::2] == pytest.approx([192 - 182 * y / 0.5775 for y in values], abs=0.06)


def test_the_page_says_what_the_risks_of_refits_say(refitted, tmp_path):
    results, files = refitted
    report(results, tmp_path / "page.html")
    text = html.unescape((tmp_path / "page.html").read_text(encoding="utf-8"))
    original, *refits = (
        RISK.read(file).filter(outcome=OUTCOME, horizon_years=5.0).sort("subject_id") for file in files
    )
    judged = pl.read_parquet(results / "labels.parquet").filter(outcome=OUTCOME, split="held_out")
    risks = [
        one.join(judged, on=["subject_id", "prediction_time"], how="semi")["risk"].to_numpy()
        for one in (original, *refits)
    ]
    gaps = np.abs(np.array(risks[1:]) - risks[0])
    said = f"{gaps.mean():.4f} ({100 * gaps.mean() / risks[0].mean():.1f}% of it)"
    assert said in text[text.index('id="stability"') : text.index('id="cohort"')]
    assert 'href="#stability"' in text
    assert check(tmp_path / "page.html") == []


def test_an_outcome_that_is_not_shown_is_not_here_either(found):
    assert "stroke" in found.tables["stability"]["outcome"]
    assert [one.title for one in stability(found).outcomes] == ["Type 2 diabetes"]


def test_without_refits_there_is_no_section(page, results):
    assert 'id="stability"' not in page
    assert "#stability" not in page
    assert stability(read_results(results)) is None
