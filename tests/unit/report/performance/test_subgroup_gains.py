"""For whom the genome adds, as the page says it."""

import shutil
from dataclasses import replace

import polars as pl
import pytest

from manifests import forget_digests
from proband.evaluate.tables import MODELS, SUBGROUP_GAINS
from proband.report import check, report
from proband.report.sections.found import read_results
from proband.report.sections.performance.subgroup_gains import subgroup_gains

HORIZON = 5.0
MODEL, RECORD = "ehr & pgs", "<b>ehr"


def row(subgroup, difference, gap=None, metric="auroc", outcome=None):
    ends = (None, None, None) if gap is None else (gap, gap - 0.01, gap + 0.01)
    place = (outcome, HORIZON, "age", subgroup, "40 to 54", MODEL, RECORD, metric)
    return (*place, difference, difference - 0.01, difference + 0.01, *ends, 12, 12 if gap != 0.005 else 11)


ROWS = [
    row("40 to 54", 0.04),
    row("70 and over", 0.005, -0.035),
    row("under 40", 0.045, 0.005),
    row("70 and over", 0.9, outcome="x"),
]


def with_gains(found, rows):
    models = [(RECORD, "given", False), (MODEL, "given", True), ("age_sex", "baseline", False)]
    tables = {
        "models": pl.DataFrame(models, schema=dict(MODELS.columns), orient="row"),
        "subgroup_gains": pl.DataFrame(rows, schema=dict(SUBGROUP_GAINS.columns), orient="row"),
    }
    return replace(found, tables=dict(found.tables) | tables)


@pytest.fixture
def found(results):
    return read_results(results)


def test_subgroups_with_a_gain_and_gaps_beyond_chance_are_named(found):
    said = subgroup_gains(with_gains(found, ROWS))
    assert said.sentence == (
        f"{MODEL} less {RECORD}: the interval lies above 0 in 2 of 3 subgroups. "
        "Of 2 gaps, 1 exclude 0, about 0.1 would by chance: "
        "less in age 70 and over than in 40 to 54 by 0.035 (0.025 to 0.045)."
    )
    assert [one.title for one in said.rows] == ["Age: under 40", "Age: 40 to 54", "Age: 70 and over"]
    assert [one.value for one in said.rows] == ["+0.045", "+0.040", "+0.005"]
    assert all("whisker" in one.svg for one in said.rows)
    assert [cells[-1] for cells in said.table.rows] == [
        "0.005 (−0.005 to 0.015), 11 outcomes",
        "reference",
        "−0.035 (−0.045 to −0.025)",
    ]


def test_without_pairs_or_rows_there_is_no_panel(found):
    assert subgroup_gains(found) is None
    assert subgroup_gains(with_gains(found, ROWS[3:])) is None


def test_the_page_shows_it_and_may_leave(results, found, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    changed = with_gains(found, ROWS)
    for name, table in (("models", MODELS), ("subgroup_gains", SUBGROUP_GAINS)):
        table.write(changed.tables[name], tmp_path / "results" / f"{name}.parquet")
    forget_digests(tmp_path / "results")
    report(tmp_path / "results", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.index('id="subgroups"') < text.index("For whom the genome adds") < text.index("Age: under 40")
    assert check(tmp_path / "page.html") == []
