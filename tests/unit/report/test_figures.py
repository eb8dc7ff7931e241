import re

import polars as pl
import pytest

from proband.report.figures import model_colours, outcome_figure
from proband.report.sections import outcome_sections, read_results


def test_each_model_has_a_colour_and_baselines_are_grey():
    colours = model_colours(["ehr", "ehr_pgs", "age_sex", "pgs_logistic"])
    assert len(set(colours.values())) == 4
    assert model_colours(["other", "age_sex"])["age_sex"] == colours["age_sex"]


@pytest.fixture(scope="module")
def groups():
    schema = {
        "first": [1, 4],
        "last": [3, 10],
        "observed": [0.1, 0.3],
        "low": [0.05, 0.2],
        "high": [0.2, 0.4],
    }
    return pl.DataFrame(schema)


def draw(groups, name="gout", deciles=None):
    roc = pl.DataFrame({"false_positive_rate": [0.2, 0.5], "sensitivity": [0.5, 0.8]})
    pr = pl.DataFrame({"sensitivity": [0.5, 0.8], "precision": [0.6, 0.4]})
    calibration = {"a": groups.with_columns(pl.Series("predicted", [0.1, 0.2]))}
    return outcome_figure(
        name,
        {"a": (roc, pr)},
        calibration,
        groups if deciles is None else deciles,
        "Decile of X",
        0.2,
        {"a": "#123456"},
    )


def test_figure_scales_and_is_the_same_each_time(groups):
    svg = draw(groups)
    head = svg[: svg.index(">")]
    assert "viewBox" in head
    assert "width=" not in head
    assert svg == draw(groups)
    assert "1–3" in svg
    assert "<metadata" not in svg


def test_ids_of_two_figures_do_not_collide(groups):
    ids = [
        set(re.findall(r'id="(m[0-9a-f]+|p[0-9a-f]+)"', draw(groups, name))) for name in ("gout", "stroke")
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_label_cannot_break_out(groups):
    assert 'a"><script' not in draw(groups, 'a"><script')


def test_no_deciles(groups):
    assert "not shown" in draw(groups, deciles=groups.clear())


def test_sections_read_results(results):
    sections = outcome_sections(read_results(results))
    assert [section.title for section in sections] == ["Stroke", "Type 2 diabetes"]
    assert sections[0].main is None
    assert sections[1].main.title == "5 years"
