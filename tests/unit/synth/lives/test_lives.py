from __future__ import annotations

import numpy as np

from proband.core.units import MICROSECONDS_PER_MINUTE, MICROSECONDS_PER_YEAR
from proband.synth.config import SynthConfig
from proband.synth.lives.lives import NEVER, Lives, end_of, to_minutes, years_after


def test_times_are_whole_minutes_and_never_stays() -> None:
    start = np.array([0, 10])
    found = to_minutes(years_after(start, np.array([1.00000001, np.inf])))
    assert found[0] % MICROSECONDS_PER_MINUTE == 0
    assert 0 <= MICROSECONDS_PER_YEAR + 400_000 - found[0] < MICROSECONDS_PER_MINUTE
    assert found[1] == NEVER


def test_follow_up_is_in_order(lives: Lives, config: SynthConfig) -> None:
    assert (lives.birth < lives.record_start).all()
    assert (lives.record_start <= lives.entry).all()
    assert (lives.entry < lives.exit).all()
    assert (lives.exit <= end_of(config)).all()
    dead = lives.death < NEVER
    np.testing.assert_array_equal(lives.exit[dead], lives.death[dead])
    assert 0 < dead.sum() < len(dead)
    assert (lives.exit < end_of(config))[~dead].any()


def test_treatments_follow_records_and_end_after_they_start(lives: Lives) -> None:
    taken = lives.started < NEVER
    assert taken.any()
    at_record = (lives.started[:, :, None] == lives.recorded[:, None, :]).any(axis=2)
    assert at_record[taken].all()
    assert (lives.stopped >= lives.started)[taken].all()
    assert (lives.stopped[~taken] == NEVER).all()


def test_some_records_are_late_some_false_some_missing(lives: Lives) -> None:
    ill, known = lives.onset < NEVER, lives.recorded < NEVER
    assert (ill & known & (lives.recorded > lives.onset)).any()
    assert (ill & ~known).any()
    assert (known & (lives.recorded < lives.onset)).any()


def test_the_level_at_an_age_is_that_of_the_step_that_holds_it(lives: Lives) -> None:
    subject = np.array([0, 0, 1])
    ages = np.array([18.0, 18.49, 20.3])
    expected = lives.markers[[0, 1, 9], subject]
    np.testing.assert_array_equal(lives.level(subject, ages), expected)
    np.testing.assert_allclose(lives.ages[[0, 1, 9], subject], [18.0, 18.25, 20.25])
