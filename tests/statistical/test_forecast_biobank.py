"""Risks of a trained model on a synthetic biobank: reach with few paths agrees with 5,000 paths of mc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from proband.core.units import years_to_minutes
from proband.ehr.outcomes import load_task
from proband.forecast.engine.histories import Histories, read_histories
from proband.forecast.engine.request import Question, outcome_matrix
from proband.forecast.engine.rollout import roll_out
from proband.forecast.estimators.risks import Risks, estimate, stacked
from proband.forecast.risk import prediction_points
from proband.model.checkpoint import load_model
from proband.tokens.dataset import TokenStore
from proband.tokens.history.outcomes import outcome_tokens

pytestmark = pytest.mark.slow

SUBJECTS, YEARS = 8, 2
MC_PATHS, REACH_PATHS = 5000, 250
LEAST_HITS = 20
"""Of mc, expected: with fewer its share is far from normal."""
MOST_MEAN_SQUARE = 1.7
"""Of z; 1 is expected, and the scores of one person's outcomes are correlated."""


@dataclass(frozen=True)
class Pair:
    """Risks of the same people by two estimators, and which are asked for."""

    mc: Risks
    reach: Risks
    at_risk: np.ndarray


@pytest.fixture(scope="module")
def pair(tiny: Path) -> Pair:
    store = TokenStore(tiny / "tokens")
    task = load_task(tiny / "biobank" / "task.yaml")
    sets = outcome_tokens(store.vocabulary, task)
    points = prediction_points(store, task, "held_out", sets).take(np.arange(SUBJECTS))
    model = load_model(tiny / "model", store.vocabulary.hash).eval()
    context = model.config.context

    def read(index: np.ndarray) -> Histories:
        return read_histories(store, points.rows[index], points.start[index], context)

    def risks(estimator: str, paths: int) -> Risks:
        question = Question(
            outcomes=outcome_matrix(sets),
            horizons=torch.tensor([years_to_minutes(YEARS)]),
            estimator=estimator,
            death=store.vocabulary.death,
            num_paths=paths,
            max_events=512,
            seed=len(estimator),  # two seeds: with one, both would draw the same paths
        )
        lengths = np.minimum(store.history_lengths(points.rows, points.start), context)
        found = {
            one.point: one.values for one in roll_out(model, read, lengths, question, asked=~points.prevalent)
        }
        return stacked([estimate(found[at], estimator) for at in range(SUBJECTS)])

    return Pair(risks("mc", MC_PATHS), risks("reach", REACH_PATHS), ~points.prevalent)


def z_scores(pair: Pair, reach: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Differences in standard errors, of the risks that are large enough."""
    used = pair.at_risk & (reach * MC_PATHS >= LEAST_HITS) & ((1 - reach) * MC_PATHS >= LEAST_HITS)
    mc, reach, error = pair.mc.risk[:, :, 0].numpy()[used], reach[used], error[used]
    return (mc - reach) / np.sqrt(reach * (1 - reach) / MC_PATHS + error**2)


def test_reach_and_mc_agree(pair: Pair) -> None:
    reach, error = pair.reach.risk[:, :, 0].numpy(), pair.reach.standard_error[:, :, 0].numpy()
    z = z_scores(pair, reach, error)
    assert len(z) > 40
    assert np.abs(z).max() < 4.5
    assert 0.5 < (z**2).mean() < MOST_MEAN_SQUARE


def test_risks_of_other_people_do_not_agree(pair: Pair) -> None:
    """The negative control: what differs as two people do does not pass as agreement."""
    reach, error = pair.reach.risk[:, :, 0].numpy(), pair.reach.standard_error[:, :, 0].numpy()
    z = z_scores(pair, np.roll(reach, 1, axis=0), np.roll(error, 1, axis=0))
    assert (z**2).mean() > MOST_MEAN_SQUARE


def test_reach_errs_less_with_a_twentieth_of_the_paths(pair: Pair) -> None:
    """Root mean square over the risks asked for."""
    errors = {name: getattr(pair, name).standard_error[:, :, 0].numpy() for name in ("mc", "reach")}
    mean = {name: np.sqrt((error[pair.at_risk] ** 2).mean()) for name, error in errors.items()}
    assert mean["reach"] < mean["mc"]
