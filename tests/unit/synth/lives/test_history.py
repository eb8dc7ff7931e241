from __future__ import annotations

import numpy as np

from proband.core.seeds import generator
from proband.synth.lives.history import active_rows, live_through, longest_first, num_steps_to
from proband.synth.lives.law import NUM_MARKERS, Law
from proband.synth.lives.lifecourse import Course
from proband.synth.lives.state import healthy
from synthetic_lives import average_people


def test_steps_reach_the_age_and_no_further(law: Law) -> None:
    np.testing.assert_array_equal(num_steps_to(np.array([18.0, 18.1, 18.25, 18.26]), law), [1, 1, 1, 2])


def test_the_living_are_the_first_rows() -> None:
    lengths = np.array([3, 5, 1, 5])
    order = longest_first(lengths)
    np.testing.assert_array_equal(order, [1, 3, 0, 2])
    assert [active_rows(lengths[order], step) for step in range(6)] == [4, 3, 3, 2, 2, 0]


def test_everyone_is_alive_at_enrolment(law: Law) -> None:
    entry, end = np.linspace(18, 80, 120), np.linspace(32, 94, 120)
    history = live_through(law, average_people(120, male=True), entry, end, (1, 0))
    state = history.state
    assert (state.death > entry).all()
    assert np.isfinite(state.death).any()
    assert (history.life[:, 0] > 0).any()
    for name in ("onset", "recorded", "started", "stopped"):
        ages = getattr(state, name)
        happened = np.isfinite(ages)
        assert (ages[happened] >= 18).all()
        # A life ends with its last step, which may reach beyond its end.
        limit = np.minimum(state.death, end + law.step_years)[:, None]
        assert (np.where(happened, ages, 0) <= limit).all()


def test_markers_are_known_for_the_steps_lived(law: Law) -> None:
    end = np.array([20.0, 30.0, 40.0])
    history = live_through(law, average_people(3), np.full(3, 19.0), end, (1, 0))
    lived = ~np.isnan(history.markers).any(axis=2)
    np.testing.assert_array_equal(lived.sum(axis=0), num_steps_to(end, law))
    assert history.markers.shape == (88, 3, NUM_MARKERS)


def test_same_names_same_lives_other_shard_other_lives(law: Law) -> None:
    people, entry, end = average_people(40), np.full(40, 60.0), np.full(40, 75.0)
    first, again, other = (live_through(law, people, entry, end, names) for names in ((1, 0), (1, 0), (1, 1)))
    for name, values in vars(first.state).items():
        np.testing.assert_array_equal(values, getattr(again.state, name))
    assert not np.array_equal(first.state.onset, other.state.onset)


def test_survivors_have_the_law_of_a_life_given_survival(law: Law) -> None:
    """Lives drawn until they survive, against survivors among many lived once: onsets before 80 as often."""
    count = 1500
    people = average_people(count, male=True)
    found = live_through(law, people, np.full(count, 80.0), np.full(count, 80.25), (2, 0)).state
    course, random = Course(law, average_people(2 * count, male=True), healthy(2 * count)), generator(5)
    for step in range(248):
        start = np.full(2 * count, 18 + step / 4)
        hazards = course.hazards(np.full(2 * count, step), start)
        changed = course.happen(hazards, start, np.full(2 * count, 0.25), random)
        course.settle(changed, 2 * count, random)
    alive = course.state.death > 80
    assert 0.3 < alive.mean() < 0.9
    expected = (course.state.onset[alive] < 80).mean(axis=0)
    shares = (found.onset < 80).mean(axis=0)
    error = np.sqrt(np.maximum(expected, 1e-3) * (1 / count + 1 / alive.sum()))
    assert (np.abs(shares - expected) < 4.5 * error).all()
