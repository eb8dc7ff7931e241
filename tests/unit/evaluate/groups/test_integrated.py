"""The integrated Brier score of subgroups is that of their people, and its gap that of the same resamples."""

import numpy as np
import polars as pl
import pytest

from proband.evaluate.groups.integrated import SubgroupBrier, brier_within
from proband.evaluate.groups.subgroups import dimensions
from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.replicates import bootstrap
from proband.evaluate.metrics.risk_set import RiskSet

SIZE, HORIZONS = 900, (2.0, 5.0)


def world():
    rng = np.random.default_rng(0)
    hazard = 0.08 * np.exp(rng.normal(size=SIZE))
    onset, leave = rng.exponential(1 / hazard), rng.uniform(3, 12, SIZE)
    time, event = np.minimum(onset, leave), (onset < leave).astype(np.int8)
    return {
        horizon: RiskSet("x", horizon, np.arange(SIZE), time, event, {"m": 1 - np.exp(-horizon * hazard)})
        for horizon in HORIZONS
    }


def found_of(sets, members, resamples):
    brier = SubgroupBrier()
    for horizon, risk_set in sets.items():
        brier.add("x", brier_within(horizon, dimensions(risk_set, members, resamples), ["m"]))
    return brier.frame()


def test_a_subgroup_has_the_score_of_its_people_and_the_gap_of_the_same_resamples():
    sets, resamples = world(), Resamples(np.arange(SIZE), 60, np.random.default_rng(0))
    is_first = np.arange(SIZE) < 500
    frame = found_of(sets, pl.DataFrame({"d": np.where(is_first, "a", "b")}), resamples)
    by_hand = {}
    for name, rows in (("a", is_first), ("b", ~is_first)):
        two, five = (bootstrap(sets[h].part(rows), resamples).values["m", "brier"] for h in HORIZONS)
        by_hand[name] = (two * 2 / 2 + (two + five) / 2 * 3) / 5
    assert frame["horizon_years"].to_list() == [5.0, 5.0]
    rows = {row["subgroup"]: row for row in frame.iter_rows(named=True)}
    reference = rows["a"]["reference"]
    other = "b" if reference == "a" else "a"
    for name, row in rows.items():
        low, high = np.quantile(by_hand[name][1:], [0.025, 0.975])
        assert [row["value"], row["low"], row["high"]] == pytest.approx([by_hand[name][0], low, high])
        assert row["note"] == "horizons 2, 5 years"
    gap = by_hand[other] - by_hand[reference]
    ends = np.quantile(gap[1:], [0.025, 0.975])
    assert [rows[other][end] for end in ("gap", "gap_low", "gap_high")] == pytest.approx([gap[0], *ends])
    assert rows[reference]["gap"] is None


def test_by_one_horizon_there_is_none_and_few_cases_by_the_shorter_leave_no_interval():
    sets, resamples = world(), Resamples(np.arange(SIZE), 20, np.random.default_rng(0))
    members = pl.DataFrame({"d": np.where(np.arange(SIZE) < 800, "most", "some")})
    assert found_of({5.0: sets[5.0]}, members, resamples).is_empty()
    few = sets[2.0].part(np.arange(SIZE) < 800).counts[1], sets[2.0].part(np.arange(SIZE) >= 800).counts[1]
    assert few[1] < 30 <= few[0]
    some = found_of(sets, members, resamples).filter(subgroup="some").row(0, named=True)
    assert some["value"] is not None
    assert some["gap"] is not None
    assert some["low"] is some["gap_low"] is None
    assert some["note"] == f"horizons 2, 5 years; no interval: {few[1]} cases, at least 30 needed"


def test_a_subgroup_of_too_few_cases_by_all_but_one_horizon_has_none():
    sets, resamples = world(), Resamples(np.arange(SIZE), 20, np.random.default_rng(0))
    members = pl.DataFrame({"d": np.where(np.arange(SIZE) < 886, np.arange(SIZE) % 2, 2).astype(str)})
    rows = found_of(sets, members, resamples).filter(subgroup="2")
    assert sets[2.0].part(np.arange(SIZE) >= 886).counts[1] < 5
    assert rows["value"].to_list() == [None]
    assert rows["note"].to_list() == ["not estimable"]
