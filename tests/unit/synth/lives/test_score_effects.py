from __future__ import annotations

import numpy as np
import pytest

from proband.synth.lives.law import NUM_DISEASES, GeneticEffects
from proband.synth.lives.score_effects import RecordCounts, share_followed
from proband.synth.lives.state import State, healthy


def counts_of(log_ratio: float, per_decade: float, count: int = 40_000) -> RecordCounts:
    """Records at known hazards that depend on the genetic value of the first disease."""
    random = np.random.default_rng(5)
    genetic = np.zeros((count, NUM_DISEASES))
    genetic[:, 0] = random.standard_normal(count)
    state: State = healthy(count)
    counts = RecordCounts(np.arange(count) % 2 == 0, genetic)
    for age in range(18, 90):
        counts.begin_year(state)
        effect = log_ratio + per_decade * (age + 0.5 - 60) / 10
        happens = random.random(count) < 1 - np.exp(-0.002 * np.exp(effect * genetic[:, 0]))
        state.recorded[happens & np.isinf(state.recorded[:, 0]), 0] = age + 0.5
        counts.end_year(state)
    return counts


def test_a_known_effect_comes_back_times_the_scores_correlation() -> None:
    fitted = counts_of(0.6, 0.0).fit(1.0)
    assert fitted.log_ratio[0] == pytest.approx(0.6, abs=0.05)  # some 5,000 records: 0.015 is one error
    assert fitted.per_decade[0] == pytest.approx(0, abs=0.05)
    half = counts_of(0.6, 0.0).fit(0.5)
    assert half.log_ratio[0] == pytest.approx(0.3, abs=0.04)


def test_a_slope_with_age_comes_back() -> None:
    fitted = counts_of(0.6, -0.1).fit(1.0)
    assert fitted.at_60[0] == pytest.approx(0.6, abs=0.06)
    assert fitted.per_decade[0] == pytest.approx(-0.1, abs=0.04)
    assert fitted.slope[0] == pytest.approx(fitted.per_decade[0] / fitted.at_60[0])


def test_without_records_there_is_no_effect_to_tell() -> None:
    assert np.isnan(counts_of(0.6, 0.0, 100).fit(1.0).log_ratio[1])


def test_ages_weigh_as_in_follow_up() -> None:
    found = share_followed(np.array([17.0, 50.0, 60.0, 95.0]))
    assert found[0] == found[3] == 0
    assert 0.2 < found[1] < found[2] < 1


def test_effects_are_a_line_in_age_that_ends_at_0() -> None:
    effects = GeneticEffects(np.array([0.5, 1.0]), np.array([-0.2, 0.0]))
    np.testing.assert_allclose(effects.at(np.array([60.0, 80.0, 120.0])), [[0.5, 1], [0.3, 1], [0, 1]])
