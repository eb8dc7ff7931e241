import numpy as np
import polars as pl
import pytest

from proband.core.statistics.suppress import LEAST, step
from proband.evaluate.metrics.utility import decision_curve
from proband.report.disclosure import Disclosure
from proband.report.sections.found import read_results
from proband.report.sections.performance.panels import acting_rows, thresholds
from proband.report.sections.performance.thresholds import threshold_table
from proband.report.sections.performance.utility import decision_rows

HIDING, OPEN = Disclosure(), Disclosure(synthetic=True)
HEADER = ["Model", "Risk of at least", "Sensitivity", "Specificity", "PPV", "Flagged"]


def tables(risk, case, at):
    """A decision table of a model m, and the last point of its ROC curve, which tells the totals."""
    found = decision_curve(risk, case, np.ones(len(risk)), np.arange(len(risk)), np.array(at))
    rows = pl.DataFrame({name: getattr(found, name) for name in found.__dataclass_fields__})
    totals = pl.DataFrame(
        {"model": ["m"], "num_flagged": [len(risk)], "num_flagged_cases": [int(case.sum())]}
    )
    return rows.with_columns(pl.col("positive_predictive_value").fill_nan(None)), {"roc": totals}


def test_shares_by_hand():
    # 1,000 people, 100 cases: 60 of the cases and 140 of the others have a risk of 0.2, all others 0.05.
    risk = np.concatenate([np.full(60, 0.2), np.full(40, 0.05), np.full(140, 0.2), np.full(760, 0.05)])
    rows, here = tables(risk, np.arange(1000) < 100, [0.04, 0.1, 0.19, 0.4])
    table = threshold_table({"m": rows}, here, 0.1, OPEN)
    assert table.header == HEADER
    flagged = ["60.0%", "84.4%", "30.0%", "20.0%"]
    assert table.rows == [
        ["m", "4.0%", "100.0%", "0.0%", "10.0%", "100.0%"],
        ["m", "10.0%", *flagged],
        ["m", "19.0%", *flagged],
        ["m", "40.0%", "0.0%", "100.0%", "–", "0.0%"],
    ]


def test_the_nearest_thresholds_are_taken_once_and_without_any_there_is_no_table():
    rng = np.random.default_rng(0)
    risk = rng.beta(1, 9, 2000)
    rows, here = tables(risk, rng.random(2000) < risk, [0.02, 0.045, 0.11, 0.12, 0.9])
    table = threshold_table({"m": rows}, here, 0.1, OPEN)
    # As ratios, 0.12 is the nearest to 0.2, and 0.9 to 0.4.
    assert [row[1] for row in table.rows] == ["4.5%", "11.0%", "12.0%", "90.0%"]
    assert len(threshold_table({"m": rows[1:2]}, here, 0.1, OPEN).rows) == 1
    assert threshold_table({"m": rows.clear()}, here, 0.1, OPEN) is None
    assert threshold_table({}, here, 0.1, OPEN) is None


def test_stated_thresholds_have_rows_of_their_own():
    rng = np.random.default_rng(0)
    risk = rng.beta(1, 9, 2000)
    rows, here = tables(risk, rng.random(2000) < risk, [0.02, 0.05, 0.06, 0.1, 0.2, 0.25, 0.4])
    table = threshold_table({"m": rows}, here, 0.1, OPEN, (0.06, 0.25))
    assert [row[1] for row in table.rows] == ["5.0%", "6.0%", "10.0%", "20.0%", "25.0%", "40.0%"]
    withheld = threshold_table({"m": rows.filter(pl.col("threshold") != 0.25)}, here, 0.1, HIDING, (0.25,))
    assert withheld.rows[-1] == ["m", "25.0%", *["withheld"] * 4]


def test_with_data_of_people_stated_thresholds_come_before_those_of_the_curve():
    rng = np.random.default_rng(0)
    risk = rng.beta(1, 9, 20_000)
    grid, stated = list(np.geomspace(0.02, 0.8, 41)), [0.05, 0.1]
    rows, here = tables(risk, rng.random(20_000) < risk, sorted([*grid, *stated]))
    here |= {"decision": rows.with_columns(model=pl.lit("m")), "utility": pl.DataFrame({"threshold": stated})}
    kept = decision_rows("m", here, HIDING)
    assert set(stated) <= set(kept["threshold"])
    assert 5 < kept.height < 43
    table = threshold_table({"m": kept}, here, 0.1, HIDING, stated)
    assert {"5.0%", "10.0%"} <= {row[1] for row in table.rows}


def test_shares_of_people_are_rounded_by_their_own_denominator():
    rng = np.random.default_rng(1)
    risk = rng.beta(1, 9, 1500)
    case = rng.random(1500) < risk
    rows, here = tables(risk, case, [0.1])
    [row] = threshold_table({"m": rows}, here, 0.1, HIDING).rows
    sizes = [case.sum(), (~case).sum(), rows["num_flagged"][0], 1500]
    for cell, size in zip(row[2:], sizes, strict=True):
        steps = float(cell[:-1]) / 100 / step(int(size))
        assert steps == pytest.approx(round(steps), abs=1e-6)


@pytest.mark.parametrize("synthetic", [False, True])
def test_each_threshold_shown_leaves_enough_on_either_side(results, synthetic, page):
    found = read_results(results, synthetic=synthetic)
    shown = 0
    for name, horizon in found.main.items():
        table = thresholds(name, found, acting_rows(found.at(name, found.main[name]), found))
        if table is None:
            continue
        decision = found.at(name, horizon)["decision"]
        for row in table.rows:
            shown += 1
            if synthetic:
                continue
            at = decision.filter(model=row[0]).sort((pl.col("threshold") - float(row[1][:-1]) / 100).abs())
            flagged = at.row(0, named=True)
            others = flagged["num_flagged"] - flagged["num_flagged_cases"]
            assert min(flagged["num_flagged_cases"], others) >= LEAST
    assert shown
    assert "Risk of at least" in page
