"""Onsets at given hazards on paths of the known law, against integrals by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from known_law import CODES, DEATH, A, B, C, D, KnownLaw
from proband.forecast.engine.clocks import NEVER, NO_TASK, Clocks, onset_minutes
from proband.forecast.engine.histories import Histories
from proband.forecast.engine.request import Finished, Question
from proband.forecast.engine.rollout import roll_out
from small_world import DAY

LAW = KnownLaw()
YEARS = 5
MONTHS = 12 * YEARS
HORIZONS = (365, 1826)
SICK, DYING = 0.15, 0.1


def outcome(*codes: int) -> list[bool]:
    return [code in codes for code in range(len(CODES))]


def constant(*rates: float) -> Tensor:
    """Cumulative hazards of constant rates per year, (clocks, months)."""
    return torch.tensor(rates, dtype=torch.float64)[:, None] * torch.arange(MONTHS + 1) / 12


def histories(n: int) -> Histories:
    return Histories(
        tokens=torch.tensor([[1, A]] * n),
        ages=torch.tensor([[0, 5000 * DAY]] * n),
        lengths=torch.full((n,), 2),
        statics=torch.zeros(n, 1, dtype=torch.int64),
        seen_before=torch.zeros(n, 1, dtype=torch.int64),
        start=torch.full((n,), 5030 * DAY),
        subject_ids=np.arange(n),
        modalities={},
    )


def asked(estimator: str, sets: list[list[bool]], tasks: list[int], **changes: object) -> Question:
    outcomes = torch.tensor(sets)
    question = Question(
        outcomes=outcomes,
        horizons=torch.tensor(HORIZONS) * DAY,
        estimator=estimator,  # type: ignore[arg-type]
        death=DEATH,
        num_paths=50,
        max_events=400,
        seed=0,
        clocks=Clocks.of(outcomes, tasks, DEATH, 99),
    )
    return replace(question, **changes)  # type: ignore[arg-type]


def drawn(question: Question, rates: dict[int, float], n: int = 60) -> list[Finished]:
    """What paths gave, with a constant hazard per year of each task."""
    assert question.clocks
    cumulative = constant(*(rates[task] for task in question.clocks.tasks)).expand(n, -1, -1)
    given = histories(n)

    def read(index: np.ndarray) -> Histories:
        items = {name: value[index] for name, value in vars(given).items() if name != "modalities"}
        return Histories(**items, modalities={})

    found = {
        one.point: one for one in roll_out(LAW, read, given.lengths.numpy(), question, hazards=cumulative)
    }
    return [found[at] for at in range(n)]


def shares(found: list[Finished]) -> np.ndarray:
    """Means over paths, (subjects, outcomes, horizons)."""
    return np.stack([one.values.value.mean(dim=0).numpy() for one in found])


def is_near(values: np.ndarray, truth: float) -> bool:
    return abs(values.mean() - truth) < 3.5 * values.std(ddof=1) / len(values) ** 0.5


def competing(rate: float, other: float, years: float) -> float:
    return rate / (rate + other) * -math.expm1(-(rate + other) * years)


def test_onsets_and_deaths_come_at_their_hazards() -> None:
    question = asked("mc", [outcome(D), outcome(DEATH)], [7, 99])
    found = shares(drawn(question, {7: SICK, 99: DYING}))
    for at, days in enumerate(HORIZONS):
        assert is_near(found[:, 0, at], competing(SICK, DYING, days / 365.25))
        assert is_near(found[:, 1, at], -math.expm1(-DYING * days / 365.25))
    # the law's own hazards of both are others
    unclocked = replace(question, clocks=None)
    given = histories(60)
    free = {
        one.point: one
        for one in roll_out(LAW, lambda index: histories(len(index)), given.lengths.numpy(), unclocked)
    }
    assert not is_near(shares(list(free.values()))[:, 1, 1], -math.expm1(-DYING * YEARS))


def test_an_onset_is_drawn_once_by_its_clock_and_may_follow_again_by_the_model() -> None:
    question = asked("mc", [outcome(D)], [7], record=True)
    paths = [path for one in drawn(question, {7: 2.0, 99: 1e-9}) for path in one.trajectories]
    first = [int(path.minutes[path.tokens == D][0]) for path in paths if (path.tokens == D).any()]
    years = (np.array(first) / DAY - 5030) / 365.25
    assert len(first) > 0.99 * len(paths)  # 1 − exp(−10)
    assert stats.kstest(years, stats.truncexpon(10, scale=0.5).cdf).pvalue > 1e-3
    assert np.mean([(path.tokens == D).sum() for path in paths]) > 1.5
    assert all(np.all(np.diff(path.minutes) >= 0) for path in paths)


def test_without_their_clock_going_off_outcomes_and_deaths_do_not_happen() -> None:
    question = asked("mc", [outcome(D)], [7], record=True)
    paths = [path for one in drawn(question, {7: 0.0, 99: 0.0}, n=10) for path in one.trajectories]
    assert {path.end for path in paths} == {"horizon"}
    tokens = np.concatenate([path.tokens for path in paths])
    assert set(np.unique(tokens)) == {A, B, C}


def test_the_smaller_set_draws_what_nested_sets_share() -> None:
    """Of {D} at one hazard and {C, D} at twice that, the latter happens at its own hazard altogether."""
    question = asked("mc", [outcome(C, D), outcome(D)], [8, 7])
    found = shares(drawn(question, {7: SICK, 8: 2 * SICK, 99: DYING}))
    assert is_near(found[:, 0, 1], competing(2 * SICK, DYING, HORIZONS[1] / 365.25))
    # the larger set happens by C half the time, and D may come afterwards
    assert is_near(found[:, 1, 1], competing(SICK, DYING, HORIZONS[1] / 365.25))


def test_an_outcome_that_holds_death_happens_by_either() -> None:
    question = asked("mc", [outcome(D, DEATH)], [8])
    found = shares(drawn(question, {8: SICK + DYING, 99: DYING}))
    assert is_near(found[:, 0, 1], -math.expm1(-(SICK + DYING) * HORIZONS[1] / 365.25))


def test_outcomes_that_have_death_alone_in_common_happen_at_their_hazards() -> None:
    question = asked("mc", [outcome(C, DEATH), outcome(D, DEATH)], [8, 9])
    found = shares(drawn(question, {8: SICK + DYING, 9: SICK + DYING, 99: DYING}))
    for at in range(2):
        assert is_near(found[:, at, 1], -math.expm1(-(SICK + DYING) * HORIZONS[1] / 365.25))


def test_a_clock_whose_codes_cannot_happen_brings_no_other_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the last code of the vocabulary, which is death."""
    law = KnownLaw.log_codes

    def without_c(*given: object) -> Tensor:
        found = law(*given)  # type: ignore[arg-type]
        return found.index_fill(1, torch.tensor([C]), -torch.inf).log_softmax(dim=-1)

    monkeypatch.setattr(KnownLaw, "log_codes", without_c)
    question = asked("mc", [outcome(C), outcome(D)], [8, 7], record=True)
    found = drawn(question, {8: 1.0, 7: SICK, 99: 0.0})
    assert {path.end for one in found for path in one.trajectories} == {"horizon"}
    assert not shares(found)[:, 0].any()
    assert is_near(shares(found)[:, 1, 1], -math.expm1(-SICK * HORIZONS[1] / 365.25))


def test_estimators_agree_on_outcomes_beside_clocks() -> None:
    """B and, sharing a code with a clock, {A, D} have none."""
    sets, tasks = [outcome(D), outcome(B), outcome(A, D)], [7, NO_TASK, NO_TASK]
    found = {
        name: shares(drawn(asked(name, sets, tasks), {7: SICK, 99: DYING}))
        for name in ("mc", "scope", "reach")
    }
    for name in ("scope", "reach"):
        for at in (1, 2):
            difference = found[name][:, at, 0] - found["mc"][:, at, 0]
            assert is_near(difference, 0.0)
        assert not found[name][:, 0].any()  # known without paths


def test_paths_that_can_give_nothing_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    step = KnownLaw.step
    monkeypatch.setattr(KnownLaw, "step", lambda *given: read.append(1) or step(*given))
    for estimator, is_read in (("scope", False), ("mc", True)):
        drawn(asked(estimator, [outcome(D)], [7]), {7: SICK, 99: DYING}, n=3)
        assert bool(read) is is_read


def test_draws_follow_the_hazard_and_depend_on_subject_path_and_clock_alone() -> None:
    own = constant(0.5, 0.5)
    many = onset_minutes(own, 0, 3, range(4000))
    years = many.double() / (365.25 * DAY)
    inside = many < NEVER
    assert float(inside.double().mean()) == pytest.approx(-math.expm1(-2.5), abs=0.015)
    for clock in range(2):
        drawn_years = years[inside[:, clock], clock].numpy()
        assert stats.kstest(drawn_years, stats.truncexpon(2.5, scale=2).cdf).pvalue > 1e-3
    assert abs(stats.spearmanr(many[:, 0], many[:, 1])[0]) < 0.05
    assert torch.equal(onset_minutes(own, 0, 3, [17, 5])[1], many[5])
    assert torch.equal(onset_minutes(own[:1], 0, 3, [5])[0], many[5, :1])


def test_no_clock_without_tasks() -> None:
    sets = torch.tensor([outcome(D)])
    assert Clocks.of(sets, [NO_TASK], DEATH, None) is None
    only_death = Clocks.of(sets, [NO_TASK], DEATH, 3)
    assert only_death
    assert only_death.tasks == (3,)
    assert only_death.pending(torch.tensor([[False]])).tolist() == [[True]]


def test_death_has_a_clock_where_no_set_of_codes_is_asked_about() -> None:
    """As in a task of patterns alone."""
    none = torch.zeros(0, len(CODES), dtype=torch.bool)
    clocks = Clocks.of(none, [], DEATH, 3)
    assert clocks
    assert clocks.pending(torch.zeros(4, 0, dtype=torch.bool)).tolist() == [[True]] * 4
    question = Question(
        none, torch.tensor(HORIZONS) * DAY, "mc", DEATH, 50, 400, 0, record=True, clocks=clocks
    )
    ends = [path.end for one in drawn(question, {3: DYING}) for path in one.trajectories]
    assert abs(np.mean([end == "death" for end in ends]) + math.expm1(-DYING * YEARS)) < 0.03
