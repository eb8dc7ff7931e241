from __future__ import annotations

import numpy as np

from proband.core.units import MICROSECONDS_PER_YEAR
from proband.synth.config import SynthConfig
from proband.synth.lives.law import Law
from proband.synth.lives.lives import Lives
from proband.synth.lives.output.replay import enter_lives
from proband.synth.lives.state import Terms


def test_the_state_entered_at_any_time_is_the_one_that_was_lived(
    law: Law, lives: Lives, config: SynthConfig
) -> None:
    """Stored events and replayed drift give back every biomarker bit by bit, in lives of any round."""
    random = np.random.default_rng(1)
    row = np.sort(random.integers(0, len(lives.birth), 400))
    assert (lives.life[row, 0] > 0).any()
    end = np.minimum(lives.exit, lives.entry + 10 * MICROSECONDS_PER_YEAR)
    time = lives.entry[row] + (random.random(400) * (end - lives.entry)[row]).astype(np.int64)
    at = enter_lives(law, lives, config, 0, row, time)
    found = Terms(law, at.people, at.start).levels(400)
    np.testing.assert_array_equal(found, lives.markers[law.step_of(at.age), row])


def test_later_events_are_undone_and_the_steps_own_are_kept_apart(
    law: Law, lives: Lives, config: SynthConfig
) -> None:
    subject, disease = (index[0] for index in np.nonzero(np.isfinite(lives.state.onset)))
    age = lives.state.onset[subject, disease]
    moments = lives.birth[subject] + ((age + np.array([-0.001, 0.001])) * MICROSECONDS_PER_YEAR).astype(
        np.int64
    )
    at = enter_lives(law, lives, config, 0, np.array([subject, subject]), moments)
    assert at.now.onset[0, disease] == np.inf
    assert at.now.onset[1, disease] == age
    begins = 18 + law.step_of(at.age) * law.step_years
    np.testing.assert_array_equal(at.start.onset[:, disease] <= begins, age <= begins)
