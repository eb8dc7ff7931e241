"""Laws beside the table's: incidence stays, the truth knows them, and a plain fit finds them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.lives.law import table_law
from proband.synth.lives.laws import LAWS
from proband.synth.lives.lives import years_after
from proband.synth.lives.output.replay import enter_lives
from proband.synth.lives.output.truth import true_risks
from proband.synth.traits import DISEASE_NAMES, DISEASES
from synthetic_lives import lived_cohort, shard_lives

pytestmark = pytest.mark.slow
YEARS = 8.0


@pytest.mark.parametrize("name", LAWS)
def test_the_oracle_is_calibrated_under_each_law(name: str) -> None:
    """Onsets within eight years of the landmark against the sum of true risks, all diseases together."""
    law, config = table_law(0.25, name), SynthConfig(seed=5, law=name)
    lives = shard_lives(law, 4000, config)
    time = years_after(lives.entry, np.full(4000, 2.0))
    row = np.flatnonzero(lives.state.death > (time - lives.birth) / 3.15576e13)
    at = enter_lives(law, lives, config, 0, row, time[row])
    risks = true_risks(law, at, (YEARS,), 12, generator(1, "laws"))
    onset = lives.state.onset[row] - at.age[:, None]
    at_risk = onset > 0
    happened = (onset <= YEARS) & at_risk & (lives.state.onset[row] < lives.state.death[row][:, None])
    expected = (risks.onset[..., 0] * at_risk).sum()
    # A person's diseases come together: the error is that of sums over people.
    spread = ((happened - risks.onset[..., 0]) * at_risk).sum(axis=1).std() * np.sqrt(len(row))
    assert abs(happened.sum() - expected) < 3 * spread
    assert spread < 0.04 * expected


def interaction(name: str) -> tuple[float, float]:
    """Slope of 15-year onset on the genetic value in smokers less that in never smokers, and its error."""
    cohort = lived_cohort(table_law(0.25, name), 12_000, 2)
    found = []
    for disease in ("copd", "coronary_artery_disease", "depression", "osteoporosis", "type_2_diabetes"):
        column = DISEASE_NAMES.index(disease)
        assert DISEASES[column].smoking[0] >= 1.2
        onset = cohort.state.onset[:, column]
        free = (onset > 45) & (cohort.ends > 45)
        parts = []
        for rows in (free & (cohort.people.quit_age > 60), free & np.isneginf(cohort.people.quit_age)):
            x, y = cohort.people.genetic[rows, column][:, None], onset[rows] <= 60
            fit = LogisticRegression(C=np.inf).fit(x, y)
            p = fit.predict_proba(x)[:, 1]
            parts.append((fit.coef_[0, 0], 1 / (p * (1 - p) * (x[:, 0] - x.mean()) ** 2).sum()))
        found.append((parts[0][0] - parts[1][0], parts[0][1] + parts[1][1]))
    difference, variance = np.array(found).T
    weight = 1 / variance
    return float((weight * difference).sum() / weight.sum()), float(weight.sum() ** -0.5)


def test_a_plain_interaction_fit_finds_the_term_and_nothing_under_the_tables_law() -> None:
    value, error = interaction("interactions")
    assert value > 3 * error
    assert value == pytest.approx(0.3, abs=3 * error)  # 0.35, less what frailty takes
    value, error = interaction("additive")
    assert abs(value) < 3 * error


@pytest.mark.parametrize("name", ["thresholds", "interactions"])
def test_incidence_stays_the_tables(name: str) -> None:
    """Onsets of a cohort by each law, all diseases together, from the same people."""
    counts = []
    for law in (name, "additive"):
        cohort = lived_cohort(table_law(0.25, law), 6000, 4)
        happened = np.isfinite(cohort.state.onset) & (cohort.state.onset < cohort.ends[:, None])
        counts.append(happened.sum(axis=1))
    ratio = counts[0].sum() / counts[1].sum()
    assert ratio == pytest.approx(1, abs=0.03)
