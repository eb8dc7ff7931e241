"""Risks of worlds whose law is known: every estimator against exact cumulative incidences.

Thousands of subjects with independent paths: a z-test of their mean, and the coverage of their intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from known_law import CODES, DEATH, A, B, C, D, KnownLaw, exact_net_risk, exact_risk
from proband.forecast.engine.histories import Histories
from proband.forecast.engine.request import Finished, Question
from proband.forecast.engine.rollout import roll_out
from proband.forecast.estimators.path_values import PathValues
from proband.forecast.estimators.risks import Precision, Risks, estimate, stacked

pytestmark = pytest.mark.slow

DAY, WAITED = 1440, 30
ESTIMATORS = ("mc", "scope", "reach")
LAW, RARE = KnownLaw(), KnownLaw(share_of_d=0.012)
HORIZONS = (365, 1826)
MOST_Z = 4.0  # of some fifty: by chance once in 300 runs of this file


def histories(state: int, number: int) -> Histories:
    """Subjects whose last event, ``WAITED`` days ago, was ``state``."""
    return Histories(
        tokens=torch.tensor([[1, state]]).expand(number, -1),
        ages=torch.tensor([[0, 5000 * DAY]]).expand(number, -1),
        lengths=torch.full((number,), 2),
        statics=torch.zeros(number, 1, dtype=torch.int64),
        seen_before=torch.zeros(number, 1, dtype=torch.int64),
        start=torch.full((number,), (5000 + WAITED) * DAY),
        subject_ids=np.arange(number),
        modalities={},
    )


def question(estimator: str, *outcomes: int, **changes: object) -> Question:
    asked = Question(
        outcomes=torch.tensor([[code == CODES[outcome] for code in CODES] for outcome in outcomes]),
        horizons=torch.tensor(HORIZONS) * DAY,
        estimator=estimator,  # type: ignore[arg-type]
        death=DEATH,
        num_paths=64,
        max_events=400,
        seed=0,
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def path_values(
    law: KnownLaw,
    state: int,
    number: int,
    asked: Question,
    is_enough: Callable[[Finished], bool] | None = None,
) -> list[PathValues]:
    """What the paths of each subject say."""
    subjects = histories(state, number)

    def read(index: np.ndarray) -> Histories:
        items = {name: value[index] for name, value in vars(subjects).items() if name != "modalities"}
        return Histories(**items, modalities={})

    found = roll_out(law, read, subjects.lengths.numpy(), asked, is_enough=is_enough)
    return [one.values for one in found]


def risks(
    law: KnownLaw,
    state: int,
    number: int,
    asked: Question,
    is_enough: Callable[[Finished], bool] | None = None,
) -> Risks:
    found = path_values(law, state, number, asked, is_enough)
    return stacked([estimate(values, asked.estimator) for values in found])


def z(found: Tensor, truth: float) -> float:
    """How many standard errors the mean of independent estimates is from the truth."""
    return float((found.mean() - truth) / (found.std() / len(found) ** 0.5))


def coverage(found: Tensor, error: Tensor, truth: float) -> float:
    """Share of subjects whose 95% interval holds the truth."""
    return float(((found - truth).abs() < 1.96 * error).double().mean())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_common_outcomes_are_unbiased_with_honest_errors(estimator: str) -> None:
    """Shares come in steps, so single coverages scatter by some two hundredths; their mean does not."""
    covered = []
    for state in (A, C):
        found = risks(LAW, state, 600, question(estimator, D, DEATH))
        for o, outcome in enumerate((D, DEATH)):
            for h, days in enumerate(HORIZONS):
                truth = exact_risk(LAW, state, days, WAITED, outcome)
                assert 0.05 < truth < 0.95
                assert abs(z(found.risk[:, o, h], truth)) < MOST_Z
                covered.append(coverage(found.risk[:, o, h], found.standard_error[:, o, h], truth))
    assert 0.93 < np.mean(covered) < 0.97
    assert min(covered) > 0.9


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_outcome_of_half_a_percent_is_unbiased_with_honest_errors(estimator: str) -> None:
    """mc needs thousands of paths to have a few that hit."""
    number, num_paths = (100, 4000) if estimator == "mc" else (1500, 64)
    found = risks(RARE, A, number, question(estimator, D, num_paths=num_paths))
    truth = exact_risk(RARE, A, HORIZONS[1], WAITED)
    assert truth == pytest.approx(0.006, abs=0.0015)
    own, error = found.risk[:, 0, 1], found.standard_error[:, 0, 1]
    assert abs(z(own, truth)) < MOST_Z
    slack = 0.04 if estimator == "mc" else 0.0  # a coverage of 100 subjects is known to 0.02
    assert 0.93 - slack < coverage(own, error, truth) < 0.97 + slack


def test_reach_is_never_worse_than_mc_nor_is_scope_where_the_outcome_is_rare() -> None:
    for law, states in ((LAW, (A, B, C)), (RARE, (A, C))):
        for state in states:
            spread = {name: risks(law, state, 300, question(name, D)).risk.std(dim=0) for name in ESTIMATORS}
            assert (spread["reach"] < spread["mc"]).all()
            assert law is LAW or (spread["scope"] < spread["mc"] / 3).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_net_risks_are_unbiased(estimator: str) -> None:
    found = risks(LAW, C, 400, question(estimator, D, net=True))
    for h, days in enumerate(HORIZONS):
        truth = exact_net_risk(LAW, C, days, WAITED)
        assert abs(z(found.risk[:, 0, h], truth)) < MOST_Z
        assert abs(z(found.risk[:, 0, h], exact_risk(LAW, C, days, WAITED))) > 3 * MOST_Z


def test_an_estimator_that_drops_unresolved_paths_fails() -> None:
    """The negative control: paths with many events are not cut at random."""
    asked = question("mc", D, max_events=8)
    truth = exact_risk(LAW, A, HORIZONS[1], WAITED)
    paths = path_values(LAW, A, 500, asked)
    resolved = [one.margin[:, 0, 1] == 0 for one in paths]
    dropped = torch.stack([one.value[keep, 0, 1].mean() for one, keep in zip(paths, resolved, strict=True)])
    assert abs(z(dropped, truth)) > MOST_Z
    low = torch.stack([one.value[:, 0, 1].mean() for one in paths]).mean()
    high = torch.stack([(one.value + one.margin)[:, 0, 1].mean() for one in paths]).mean()
    assert low < truth < high


@pytest.mark.parametrize("estimator", ["scope", "reach"])
def test_drawing_until_a_precision_adds_little_bias(estimator: str) -> None:
    """Whoever stops when the error looks small stops a little early: less than a tenth of the error asked."""
    wanted = 0.01
    asked, precision = question(estimator, D, num_paths=32, max_paths=2048), Precision(absolute=wanted)

    def is_enough(one: Finished) -> bool:
        known = estimate(one.values, asked.estimator)
        return bool(precision.reached(known.risk, known.standard_error).all())

    found = risks(LAW, A, 250, asked, is_enough)
    truth = exact_risk(LAW, A, HORIZONS[1], WAITED)
    own = found.risk[:, 0, 1]
    assert float(found.standard_error.max()) <= wanted
    assert abs(float(own.mean()) - truth) < 0.1 * wanted + 3 * float(own.std()) / len(own) ** 0.5
    assert float(own.std()) < 1.1 * wanted
