import re

import numpy as np
import polars as pl
import pytest

from proband.evaluate.metrics.discrimination import curve
from proband.report.disclosure import Disclosure
from proband.report.figures.distribution import densities, distribution_panel
from proband.report.sections.found import read_results
from proband.report.sections.performance.distribution import risk_bins

HIDING, OPEN = Disclosure(), Disclosure(synthetic=True)


def points(*rows):
    names = ["threshold", "sensitivity", "false_positive_rate"]
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row")


HAND = points((0.36, 0.2, 0.0), (0.16, 0.7, 0.1), (0.04, 0.9, 0.5))


def test_bins_by_hand():
    # On the square-root scale 0.2, 0.4 and 0.6: the highest bin ends at 0.8, which is a risk of 0.64.
    found = risk_bins(HAND, HIDING)
    assert found["low"].to_list() == [0.0, 0.04, 0.16, 0.36]
    assert found["high"].to_list() == pytest.approx([0.04, 0.16, 0.36, 0.64])
    assert found["cases"].to_list() == pytest.approx([0.1, 0.2, 0.5, 0.2])
    assert found["others"].to_list() == pytest.approx([0.5, 0.4, 0.1, 0.0])
    assert densities(found, "cases") == pytest.approx([0.5, 1.0, 2.5, 1.0])


def test_thresholds_are_thousandths_and_two_that_round_alike_are_one():
    exact = points((0.36, 0.2, 0.0), (0.16049, 0.7, 0.1), (0.16012, 0.75, 0.12), (0.0404, 0.9, 0.5))
    assert risk_bins(exact, HIDING)["low"].to_list() == [0.0, 0.04, 0.16, 0.36]
    assert risk_bins(exact, OPEN)["low"].to_list() == [0.0, 0.0404, 0.1601, 0.36]


def test_too_few_points_and_points_at_the_ends_give_none():
    assert risk_bins(HAND[:2], HIDING).is_empty()
    assert risk_bins(points((1.0, 0.1, 0.0), (0.3, 0.5, 0.1), (0.2, 0.7, 0.3), (0.0, 1, 1)), OPEN).is_empty()
    assert risk_bins(HAND.clear(), HIDING).is_empty()


def test_shares_are_those_of_the_people():
    rng = np.random.default_rng(0)
    risk = rng.beta(1, 6, 3000)
    case = rng.random(3000) < risk
    drawn = curve(risk, case, np.ones(3000), np.arange(3000), 200)
    frame = pl.DataFrame(
        {name: getattr(drawn, name) for name in ("threshold", "sensitivity", "false_positive_rate")}
    )
    found = risk_bins(frame, OPEN)
    assert 10 < found.height <= 25
    assert found.select(pl.col("cases", "others").sum()).row(0) == pytest.approx((1, 1))
    for low, high, cases, others in found[:-1].iter_rows():
        inside = (risk >= low - 5e-5) & (risk < high + 5e-5)  # bounds are rounded to four digits
        assert cases == pytest.approx((inside & case).sum() / case.sum(), abs=0.01)
        assert others == pytest.approx((inside & ~case).sum() / (~case).sum(), abs=0.01)


def test_halves_of_the_figure_have_one_area_and_lie_on_their_side():
    bins = risk_bins(HAND, HIDING)
    svg = distribution_panel("gout", {"a & b": (bins, "m0")})
    shapes = re.findall(r'class="(area m0[^"]*)" d="M([^"]*)Z"><title>([^<]*)<', svg)
    assert [(css, name) for css, _, name in shapes] == [
        ("area m0", "a &amp; b, cases"),
        ("area m0 open", "a &amp; b, others"),
    ]
    sizes = []
    for _, path, _ in shapes:
        x, y = np.array([float(one) for one in re.split("[ L]", path)]).reshape(-1, 2).T
        sizes.append((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)
    assert sizes[0] == pytest.approx(-sizes[1], rel=0.01)
    assert abs(sizes[0]) > 500
    assert 'class="grid"' not in svg  # densities have no scale
    # Of 0.7 and 0.2 of the cases, 0.7 is as near to a half as any other bound gets.
    assert "a &amp; b: 70% of cases and 10% of others above 16%" in svg
    assert distribution_panel("gout", {}) == ""


def test_people_lie_between_the_points_that_are_drawn(results, page):
    found = read_results(results)
    assert "Predicted risk of cases and others, Type 2 diabetes" in page
    assert "age_sex: " not in page[page.index("Predicted risk of cases") :].split('"')[0]
    thresholds = found.at("type_2_diabetes", 5.0)["roc"].filter(model="ehr & pgs")
    kept = HIDING.points(thresholds, *thresholds.select("num_flagged", "num_flagged_cases").row(-1))
    assert 0 < risk_bins(kept, HIDING).height <= kept.height + 1 < thresholds.height
