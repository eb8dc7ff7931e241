"""Expected AUROC: by every pair, and by onsets drawn again and again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from biobank import EHR, EHR_PCS, ORACLE, with_truth
from expected_auroc import (
    BOOSTING,
    COMPARED,
    PGS,
    SHOWN,
    ExpectedAreas,
    at_horizons,
    ceilings,
    differences,
    expected_auroc,
    name_of,
    table,
)
from hypothesis import given
from hypothesis import strategies as st
from replicates import Areas
from sklearn.metrics import roc_auc_score

from paired_people import drawn_people
from proband.core.errors import DataError
from proband.evaluate.panel.gain import PairedRisks


def by_pairs(risk: np.ndarray, truth: np.ndarray, people: list[int]) -> float:
    above = pairs = 0.0
    for i in people:
        for j in people:
            if i != j:
                weight = truth[i] * (1 - truth[j])
                above += weight * (float(risk[i] > risk[j]) + float(risk[i] == risk[j]) / 2)
                pairs += weight
    return above / pairs if pairs > 0 else np.nan


@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.2, 0.5]), st.sampled_from([0.0, 0.125, 0.5, 1.0])),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
def test_it_counts_every_pair_of_two_people(people: list[tuple[float, float]], data: st.DataObject) -> None:
    risk, truth = np.array(people).T
    kept = data.draw(st.lists(st.booleans(), min_size=len(risk), max_size=len(risk)))
    weights = np.array([np.ones(len(risk)), np.array(kept, dtype=float)])
    found = expected_auroc(risk, truth, weights)
    for value, mine in zip(found, (range(len(risk)), np.flatnonzero(kept)), strict=True):
        assert value == pytest.approx(by_pairs(risk, truth, list(mine)), abs=1e-9, nan_ok=True)


def test_it_is_the_mean_over_drawn_onsets() -> None:
    random = np.random.default_rng(3)
    log_odds = -1 + 1.2 * random.standard_normal(400)
    truth = 1 / (1 + np.exp(-log_odds))
    risk = np.round(1 / (1 + np.exp(-log_odds - random.standard_normal(400))), 2)
    drawn = [roc_auc_score(random.random(400) < truth, risk) for _ in range(400)]
    (found,) = expected_auroc(risk, truth, np.ones((1, 400)))
    assert found == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 20)
    (noise,) = expected_auroc(random.random(400), truth, np.ones((1, 400)))
    assert noise == pytest.approx(0.5, abs=0.06)


def test_differences_are_better_known_than_from_the_cases_seen() -> None:
    noise = dict.fromkeys((*SHOWN, EHR_PCS.name), 1.0) | {ORACLE: 0.0, EHR.name: 2.0, PGS: 0.5}
    outcomes = {"common": 0.2, "rare": 0.05}
    paired = {seed: drawn_people(outcomes, noise, number=1500, seed=seed) for seed in (0, 1)}
    expected = {seed: ExpectedAreas(one) for seed, one in paired.items()}
    rows = differences(expected, {seed: Areas(one) for seed, one in paired.items()}, list(outcomes))
    gain = {
        row["auroc"]: row for row in rows if row["seed"] == "mean" and str(row["difference"]).startswith(PGS)
    }
    assert gain["expected"]["low"] > 0
    widths = {kind: row["high"] - row["low"] for kind, row in gain.items()}
    assert widths["expected"] < 0.8 * widths["observed"]
    found = table(expected, list(outcomes))
    assert found["outcome"].to_list() == [*outcomes, "mean"]
    assert (found[PGS] > found[EHR.name]).all()


def test_who_has_no_true_risk_is_left_out() -> None:
    noise = {PGS: 0.5, ORACLE: 0.0}
    whole = drawn_people({"common": 0.3}, noise, number=300, seed=0)
    rows = whole.rows["common"]
    known = pl.int_range(pl.len()) >= 40
    lacking = rows.with_columns(pl.when(known).then(ORACLE).alias(ORACLE))
    kept = with_truth(replace(whole, rows={"common": lacking}))
    found = ExpectedAreas(kept).of("common", PGS)
    expected = ExpectedAreas(replace(whole, rows={"common": rows.filter(known)})).of("common", PGS)
    assert kept.with_cases(1, [PGS, ORACLE]) == ["common"]
    assert np.isfinite(found).all()
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("place", [0, 1])
def test_risks_that_are_not_finite_are_refused(place: int) -> None:
    values = [np.array([0.1, 0.2, 0.3]), np.array([0.1, 0.5, 0.9])]
    values[place][1] = np.nan
    with pytest.raises(DataError, match="a risk that is not finite; in expected AUROC; found 1 of 3 people"):
        expected_auroc(*values, np.ones((1, 3)))


def lacking(whole: PairedRisks, outcome: str, model: str) -> PairedRisks:
    """The same people, the first of whom a model has no risk for."""
    known = pl.when(pl.int_range(pl.len()) > 0).then(model).alias(model)
    return replace(whole, rows=whole.rows | {outcome: whole.rows[outcome].with_columns(known)})


def test_shorter_horizons_leave_out_outcomes_that_a_baseline_lacks() -> None:
    whole = drawn_people({"common": 0.3, "rare": 0.1}, dict.fromkeys(COMPARED, 1.0), number=300)
    part = lacking(whole, "rare", BOOSTING)
    with pytest.raises(DataError, match=f"model {BOOSTING}; found 1 of 300 rows"):
        ExpectedAreas(part).of("rare", BOOSTING)
    nothing = lacking(part, "common", ORACLE)
    shorter = {years: {0: ExpectedAreas(one)} for years, one in ((1.0, nothing), (3.0, part), (5.0, whole))}
    gained, aurocs = at_horizons(shorter, ["common", "rare"])
    assert gained.group_by("horizon_years", maintain_order=True).agg(
        pl.col("num_outcomes").first()
    ).rows() == [
        (3.0, 1),
        (5.0, 2),
    ]
    assert aurocs.select("horizon_years", "outcome").rows() == [
        *((3.0, name) for name in ("common", "mean")),
        *((5.0, name) for name in ("common", "rare", "mean")),
    ]
    assert aurocs.select(pl.col(SHOWN).is_finite().all()).row(0) == (True,) * len(SHOWN)
    none, empty = at_horizons({1.0: {0: ExpectedAreas(nothing)}}, ["common", "rare"])
    assert none.is_empty()
    assert empty.is_empty()


def test_an_oracle_of_few_futures_is_no_ceiling() -> None:
    noise = {PGS: 1.0, EHR_PCS.name: 1.5, name_of(5): 0.8, name_of(400): 0.0}
    observed = {seed: Areas(drawn_people({"common": 0.3}, noise, number=2000, seed=seed)) for seed in (0, 1)}
    rows = {
        (row["futures"], row["metric"]): row["value"]
        for row in ceilings(observed, ["common"], (5, 400))
        if row["seed"] == "mean"
    }
    assert rows[400, "auroc"] > rows[5, "auroc"] + 0.01
    assert 0 < rows[400, "share of the distance"] < rows[5, "share of the distance"]
