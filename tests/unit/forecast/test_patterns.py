"""Patterns over tokens; the matching itself is tested in ehr."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from known_law import CODES, DEATH, A, C, D, KnownLaw, exact_pattern_risk
from proband.ehr.labels import onset_times
from proband.ehr.outcomes import Task
from proband.forecast.engine.histories import Histories
from proband.forecast.engine.request import Question, Trajectory
from proband.forecast.engine.rollout import roll_out
from proband.forecast.estimators.path_values import PathValues
from proband.forecast.estimators.risks import estimate
from proband.forecast.patterns import TokenPattern, pattern_values, token_patterns

DAY = 1440


def two_steps(least: float | None = None, most: float | None = None) -> TokenPattern:
    steps = [{"codes": "A"}, {"codes": "B", "after_days": least, "within_days": most}]
    task = Task(
        outcomes={"set": {"codes": "A"}, "both": {"steps": steps}},
        prediction={"age_years": 50},
        horizons_years=[1],
    )
    members = np.array([[False, True, True, False, False], [False, False, True, True, False]])
    found = token_patterns(task, {"set": members[:1], "both": members})
    assert list(found) == ["both"]
    return found["both"]


def onset(pattern: TokenPattern, *events: tuple[int, int]) -> int | None:
    tokens, minutes = np.array(events, dtype=np.int64).reshape(-1, 2).T
    return pattern.onset(tokens.astype(np.int32), minutes)


def test_distances_are_counted_in_minutes() -> None:
    one_to_two = two_steps(1, 2)
    assert onset(one_to_two, (1, 0), (3, DAY - 1)) is None
    assert onset(one_to_two, (1, 0), (3, DAY)) == DAY
    assert onset(one_to_two, (1, 0), (3, 2 * DAY), (3, 3 * DAY)) == 2 * DAY
    assert onset(one_to_two, (1, 0), (3, 2 * DAY + 1)) is None


def test_one_token_may_be_of_both_steps_but_one_event_is_not_both() -> None:
    assert onset(two_steps(), (2, 5)) is None
    assert onset(two_steps(), (2, 5), (2, 5)) is None
    assert onset(two_steps(), (2, 5), (2, 6)) == 6


def test_nothing_happens_without_events_or_with_others_alone() -> None:
    assert onset(two_steps()) is None
    assert onset(two_steps(), (4, 1), (4, 2)) is None


EVENTS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5 * DAY)), max_size=10)


@given(EVENTS, st.none() | st.sampled_from([0.5, 1.0]), st.none() | st.sampled_from([1.0, 2.5]))
def test_against_every_pair_of_events(events: list, least: float | None, most: float | None) -> None:
    events.sort(key=lambda event: event[1])
    ends = [
        later
        for (one, before), (two, later) in itertools.product(events, repeat=2)
        if one in (1, 2) and two in (2, 3) and max(1, (least or 0) * DAY) <= later - before
        if most is None or later - before <= most * DAY
    ]
    assert onset(two_steps(least, most), *events) == (min(ends) if ends else None)


@settings(max_examples=50)
@given(EVENTS, st.none() | st.sampled_from([0.5, 1.0]), st.none() | st.sampled_from([1.0, 2.5]))
def test_labels_and_forecasts_find_the_same_onset(
    events: list, least: float | None, most: float | None
) -> None:
    events.sort(key=lambda event: event[1])
    pattern, born = two_steps(least, most), datetime(1950, 1, 1)
    columns = {"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String}
    rows = [(1, born + timedelta(minutes=minute), str(token)) for token, minute in events]
    frame = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        numeric_value=pl.lit(None, pl.Float32)
    )
    codes = [[str(token) for token in np.flatnonzero(members)] for members in pattern.members]
    found = onset_times(frame, pattern.pattern, codes)["onset"].to_list()
    expected = onset(pattern, *events)
    assert found == ([] if expected is None else [born + timedelta(minutes=expected)])


def path(end: str, *events: tuple[int, int]) -> Trajectory:
    tokens, minutes = np.array(events, dtype=np.int64).reshape(-1, 2).T
    return Trajectory(0, tokens.astype(np.int32), minutes * DAY, end)  # type: ignore[arg-type]


def test_what_paths_say_by_horizon_and_what_a_cut_leaves_open() -> None:
    """Token 1, then token 3, from day 100 on; horizons of 10, 20 and 30 days."""
    record = (np.array([1]), np.array([95 * DAY]))
    paths = [
        path("horizon", (3, 115)),  # begun in the history
        path("death", (1, 101), (4, 105)),
        path("budget", (1, 105), (1, 110)),
        path("budget", (3, 110), (4, 111)),
        path("budget"),
    ]
    horizons = torch.tensor([10, 20, 30]) * DAY
    found = pattern_values([two_steps(None, 20), two_steps(30)], record, 100 * DAY, horizons, paths)
    assert found.value[:, 0].tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert found.margin[:, 0].tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0], [1, 1, 1]]
    assert not found.value[:, 1].any()
    assert found.margin[:, 1].tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1], [0, 1, 1], [1, 1, 1]]


LAW = KnownLaw()
WAITED, WITHIN = 30, 90


def known_pattern() -> TokenPattern:
    """C, then D within 90 days."""
    steps = [{"codes": "X//C"}, {"codes": "X//D", "within_days": WITHIN}]
    task = Task(outcomes={"x": {"steps": steps}}, prediction={"age_years": 50}, horizons_years=[1])
    members = np.array([[code == CODES[step] for code in CODES] for step in (C, D)])
    return token_patterns(task, {"x": members})["x"]


def paths_values(last: int, num_subjects: int, estimator: str, days: tuple[int, ...]) -> list[PathValues]:
    """Of subjects whose last event was ``last``, 30 days before the prediction."""
    n, born, start = num_subjects, 5000 * DAY, (5000 + WAITED) * DAY

    def read(index: np.ndarray) -> Histories:
        return Histories(
            tokens=torch.tensor([[1, last]] * len(index)),
            ages=torch.tensor([[0, born]] * len(index)),
            lengths=torch.full((len(index),), 2),
            statics=torch.zeros(len(index), 1, dtype=torch.int64),
            seen_before=torch.zeros(len(index), 1, dtype=torch.int64),
            start=torch.full((len(index),), start),
            subject_ids=index.astype(np.int64),
            modalities={},
        )

    question = Question(
        outcomes=torch.tensor([[code == "X//D" for code in CODES]]),
        horizons=torch.tensor(days) * DAY,
        estimator=estimator,  # type: ignore[arg-type]
        death=DEATH,
        num_paths=50,
        max_events=200,
        seed=3,
        record=True,
    )
    record = (np.array([1, last]), np.array([0, born]))
    return [
        pattern_values([known_pattern()], record, start, question.horizons, one.trajectories)
        for one in roll_out(LAW, read, np.full(n, 2), question)
    ]


def test_risks_of_a_pattern_are_unbiased_and_their_errors_honest() -> None:
    """After a C in the history a D completes the pattern; after an A another C must come first."""
    n, days = 120, (60, 120)
    values = {last: paths_values(last, n, "reach", days) for last in (A, C)}
    truths = {last: [exact_pattern_risk(LAW, last, day, WITHIN, WAITED) for day in days] for last in (A, C)}
    for last, other in ((A, C), (C, A)):
        found = [estimate(one, "mc") for one in values[last]]
        for at in range(len(days)):
            risk = torch.stack([one.risk[0, at] for one in found])
            error = torch.stack([one.standard_error[0, at] for one in found])
            spread = 3.5 * float(risk.std()) / n**0.5
            assert abs(float(risk.mean()) - truths[last][at]) < spread
            assert float(((risk - truths[last][at]).abs() < 1.96 * error).double().mean()) > 0.9
            # Another history would show, or one that is forgotten or counted twice.
            assert abs(float(risk.mean()) - truths[other][at]) > spread


def test_the_paths_of_all_estimators_say_the_same_of_a_pattern() -> None:
    one, two = (
        torch.stack([item.value for item in paths_values(C, 20, estimator, (120,))])
        for estimator in ("scope", "reach")
    )
    assert torch.equal(one.sum(dim=1).sort(dim=0).values, two.sum(dim=1).sort(dim=0).values)
