"""All metrics of all models at one outcome and horizon, in the sample and in every bootstrap replicate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from proband.evaluate.choices import HIGHEST_THRESHOLD
from proband.evaluate.metrics.block import Block, Model
from proband.evaluate.metrics.compare import Resamples, stack
from proband.evaluate.metrics.judged import Judged
from proband.evaluate.metrics.registry import metrics_of
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.metrics.utility import (
    decision_thresholds,
    standardised_net_benefit,
)


@dataclass
class Replicates:
    """What the bootstrap gave; in every array the sample's own value comes first.

    Attributes:
        values: (model, metric) -> one value per replicate.
        groups: model -> row numbers of its groups of rising risk.
        observed: (model, group number) -> cumulative incidence per replicate.
        points: model -> predicted risks at which its calibration curve is given.
        smoothed: model -> smoothed observed risk there, per replicate and point.
        thresholds: At which net benefit is compared, as of :func:`compared_thresholds`.
        benefit: Model, ``all`` or ``none`` -> standardised net benefit per replicate and threshold.
        decision_thresholds: Those of the decision curve.
        decision: Model -> standardised net benefit per replicate and threshold of the decision curve.
    """

    values: dict[tuple[str, str], np.ndarray]
    groups: dict[str, list[np.ndarray]]
    observed: dict[tuple[str, int], np.ndarray]
    points: dict[str, np.ndarray]
    smoothed: dict[str, np.ndarray]
    thresholds: np.ndarray
    benefit: dict[str, np.ndarray]
    decision_thresholds: np.ndarray
    decision: dict[str, np.ndarray]


ACT_ON_ALL, ACT_ON_NONE = "all", "none"
COMPARED_AT = (0.5, 1.0, 2.0, 4.0)
"""Thresholds of the tested differences in net benefit, in multiples of the incidence."""


def compared_thresholds(incidence: float, stated: Sequence[float]) -> Float[np.ndarray, " thresholds"]:
    """:data:`COMPARED_AT` times the incidence, no more than 0.9, and the risks that were stated; rising.

    >>> compared_thresholds(0.25, (0.1,)).tolist()
    [0.1, 0.125, 0.25, 0.5]
    """
    multiples = incidence * np.array(COMPARED_AT)
    return np.union1d(multiples[multiples <= HIGHEST_THRESHOLD], np.array(stated, dtype=float))


def bootstrap(risk_set: RiskSet, resamples: Resamples, stated: Sequence[float] = ()) -> Replicates:
    """Metrics, calibration groups and curves of every model, on the same resamples of subjects or families.

    With too few cases or controls for an interval, the sample alone is computed.

    Args:
        risk_set: Rows and risks; has no obstacle.
        resamples: Drawn from its subjects or families, and maybe others beside.
        stated: Risks at which net benefit is compared beside multiples of the incidence, in (0, 1).
    """
    models = [Model(risk_set, name) for name in risk_set.risks]
    values: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    observed: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)
    smoothed: dict[str, list[np.ndarray]] = defaultdict(list)
    benefit: dict[str, list[np.ndarray]] = defaultdict(list)
    compared = on_curve = np.zeros(0)
    drawn = resamples.weights(risk_set.clusters, sample_alone=bool(risk_set.too_few_for_intervals()))
    for number, weights in enumerate(drawn):
        block = Block.of(risk_set, weights)
        if number == 0:
            compared = compared_thresholds(float(block.incidence[0]), stated)
            on_curve = np.union1d(decision_thresholds(float(block.incidence[0])), compared)
        for name, found in _benefits(block, on_curve).items():
            benefit[name].append(found)
        for model in models:
            judged = Judged(block, model)
            for name, metric in metrics_of(risk_set, model.name).items():
                if number == 0 or not metric.once:
                    values[model.name, name].append(metric.compute(judged))
            smoothed[model.name].append(judged.calibration_curve())
            for group, incidence in enumerate(model.incidence.of(block.weights).T):
                observed[model.name, group].append(incidence)
    benefits, place = {key: stack(blocks) for key, blocks in benefit.items()}, np.isin(on_curve, compared)
    return Replicates(
        {key: stack(blocks) for key, blocks in values.items()},
        {model.name: model.groups for model in models},
        {key: stack(blocks) for key, blocks in observed.items()},
        {model.name: model.smoother.points for model in models},
        {key: stack(blocks) for key, blocks in smoothed.items()},
        compared,
        {key: found[:, place] for key, found in benefits.items()},
        on_curve,
        {model.name: benefits[model.name] for model in models},
    )


def _benefits(block: Block, thresholds: np.ndarray) -> dict[str, np.ndarray]:
    """Standardised net benefit of every model, of acting on all and of acting on none."""
    known = block.known
    found = {
        name: standardised_net_benefit(risk[known], block.case, block.censoring, thresholds)
        for name, risk in block.risk_set.risks.items()
    }
    everybody = standardised_net_benefit(np.ones(len(known)), block.case, block.censoring, thresholds)
    return found | {ACT_ON_ALL: everybody, ACT_ON_NONE: np.zeros_like(everybody)}
