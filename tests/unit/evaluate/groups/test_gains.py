"""For whom a model gains: within subgroups, on average over outcomes, with the distance between subgroups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from proband.evaluate.groups.gains import SubgroupGains, gains_within
from proband.evaluate.groups.subgroups import dimensions
from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.discrimination import auroc_and_auprc, rank
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.tables import SUBGROUP_GAINS

SIZE, HORIZON = 2400, 5.0
FIRST = np.arange(SIZE) < SIZE // 2
PAIRS = [("with", "without")]
MEAN = pl.col("outcome").is_null()


def outcome(name: str, seed: int) -> RiskSet:
    """A genome that tells as much as the record in the first half and nothing in the second."""
    rng = np.random.default_rng(seed)
    record, genome = rng.normal(size=SIZE), np.where(FIRST, rng.normal(size=SIZE), 0)
    onset = rng.exponential(1 / (0.08 * np.exp(record + genome)))
    time, event = np.minimum(onset, 12.0), (onset < 12).astype(np.int8)
    noise = np.where(FIRST, 0, 1e-9 * rng.normal(size=SIZE))
    risks = {
        name: 1 - np.exp(-HORIZON * 0.08 * np.exp(log))
        for name, log in (("without", record), ("with", record + genome + noise))
    }
    return RiskSet(name, HORIZON, np.arange(SIZE), time, event, risks)


def found(outcomes: list[RiskSet], members: pl.DataFrame, replicates: int = 60) -> pl.DataFrame:
    resamples = Resamples(np.arange(SIZE), replicates, np.random.default_rng(0))
    gains = SubgroupGains()
    for one in outcomes:
        gains.add(one.outcome, gains_within(HORIZON, dimensions(one, members, resamples), PAIRS))
    return SUBGROUP_GAINS.check(gains.frame(), "gains")


HALVES = pl.DataFrame(
    {
        "half": np.where(FIRST, "first", "second"),
        "parity": np.where(np.arange(SIZE) % 2 == 0, "even", "odd"),
    }
)


def test_the_gain_is_where_the_genome_tells_something_and_nowhere_else() -> None:
    rows = found([outcome("x", 0), outcome("y", 1)], HALVES).filter(MEAN, metric="auroc")
    first, second = (rows.filter(subgroup=name).row(0, named=True) for name in ("first", "second"))
    assert first["difference"] > 0.05
    assert first["low"] > 0
    assert second["difference"] == pytest.approx(0, abs=1e-6)
    apart = first if first["subgroup"] != first["subgroup_reference"] else second
    sign = 1 if apart is first else -1
    assert sign * apart["gap"] == pytest.approx(first["difference"] - second["difference"])
    assert (apart["gap_low"] > 0) if sign > 0 else (apart["gap_high"] < 0)
    at_random = rows.filter(dimension="parity").drop_nulls("gap").row(0, named=True)
    assert at_random["gap_low"] < 0 < at_random["gap_high"]


def test_a_gain_is_the_difference_of_the_areas_of_the_subgroup_and_means_are_over_outcomes() -> None:
    outcomes = [outcome("x", 2), outcome("y", 3)]
    rows = found(outcomes, HALVES).filter(metric="auroc", subgroup="first")
    each = []
    for one in outcomes:
        part = one.part(FIRST)
        known, case = part.known, part.status[part.known] == 1
        areas = [
            auroc_and_auprc(rank(part.risks[name][known], case), np.ones((1, len(known))))[0][0]
            for name in ("with", "without")
        ]  # nobody is censored before the horizon
        each.append(areas[0] - areas[1])
    assert rows.filter(outcome="x")["difference"][0] == pytest.approx(each[0])
    mean = rows.filter(MEAN).row(0, named=True)
    assert mean["difference"] == pytest.approx(np.mean(each))
    assert mean["num_outcomes"] == 2
    assert rows.filter(MEAN)["num_outcomes_of_gap"].to_list() in ([0], [2])  # beside itself there is none
    assert mean["low"] < mean["difference"] < mean["high"]
    single = rows.filter(outcome="x").row(0, named=True)
    assert mean["high"] - mean["low"] < single["high"] - single["low"]


def test_outcomes_of_few_cases_in_a_subgroup_are_not_in_its_mean() -> None:
    """Cases of the smaller subgroup are enough to judge it, and too few for an interval."""
    rare = outcome("rare", 4)
    few = np.arange(SIZE) < 60
    members = pl.DataFrame({"part": np.where(few, "few", "most")})
    rows = found([outcome("x", 5), rare], members).filter(metric="auroc")
    assert rows.filter(outcome="rare", subgroup="few")["low"].null_count() == 1
    assert "few" not in rows.filter(MEAN)["subgroup"]
    assert rows.filter(MEAN, subgroup="most")["num_outcomes"].to_list() == [2]


def test_a_gap_is_over_the_outcomes_of_both_subgroups() -> None:
    """The second outcome is rare in one subgroup: its gain there is in no mean, nor in the gap."""
    number = np.arange(SIZE)
    members = pl.DataFrame({"part": np.where(number < 200, "few", "most")})
    first, second = outcome("x", 7), outcome("y", 8)
    later = replace(second, event=np.where((number < 200) & (number > 30), 0, second.event))
    rows = found([first, later], members).filter(MEAN, metric="auroc", subgroup="few")
    assert rows.select("num_outcomes", "num_outcomes_of_gap").row(0) == (1, 1)
    assert rows["gap"].null_count() == 0


def test_without_pairs_or_resamples() -> None:
    assert gains_within(HORIZON, [], PAIRS) == {}
    assert SubgroupGains().frame().height == 0
    rows = found([outcome("x", 6)], HALVES, replicates=0)
    assert rows["low"].null_count() == rows.height
    assert rows.filter(MEAN).height == 0
