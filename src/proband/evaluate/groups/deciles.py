"""Observed risk by decile of one polygenic score per outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int

from proband.evaluate.metrics.calibration import risk_groups
from proband.evaluate.metrics.censoring import Incidence
from proband.evaluate.metrics.compare import Resamples, intervals, stack
from proband.evaluate.metrics.discrimination import auroc
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.tables import DECILE_RISKS, DECILES

BY_TRAIT, BY_ASSOCIATION = "trait", "association in train"
NUM_GROUPS = 10
_LEAST_TRAIN_EVENTS = 5
_LEAST_SUBJECTS = 100


@dataclass(frozen=True)
class ChosenScore:
    """The score shown for an outcome.

    Attributes:
        pgs_id: Its column in the scores.
        name: Its name, or the pgs_id.
        chosen_by: BY_TRAIT or BY_ASSOCIATION.
    """

    pgs_id: str
    name: str
    chosen_by: str


def words(text: str) -> str:
    """A trait or an outcome's name in plain lower-case words.

    >>> words("Type_2-diabetes")
    'type 2 diabetes'
    """
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def matches(outcome: str, trait: str) -> bool:
    """Whether a score's trait is the outcome: its name, as whole words.

    >>> matches("type_2_diabetes", "Type 2 diabetes mellitus"), matches("stroke", "Heatstroke")
    (True, False)
    """
    return f" {words(outcome)} " in f" {words(trait)} "


def choose_score(
    outcome: str, train: pl.DataFrame, scores: pl.DataFrame, described: Mapping[str, Mapping]
) -> ChosenScore | None:
    """The score whose trait is the outcome; else, or among several, the one most associated in train.

    Association is |AUROC − 1/2| of the score for an event of the outcome during train follow-up.

    Args:
        outcome: Name of the outcome.
        train: Train labels of the outcome: subject_id and event.
        scores: A frame of :data:`proband.core.schema.SCORES`.
        described: pgs_id -> its entry in scores.json.

    Returns:
        None when no score can be chosen: none matches and train has too few events.
    """
    matching = [name for name, entry in described.items() if matches(outcome, str(entry.get("trait") or ""))]
    joined = train.unique("subject_id", keep="first", maintain_order=True).join(scores, on="subject_id")
    case = joined["event"].to_numpy() == 1
    chosen_by = BY_TRAIT if matching else BY_ASSOCIATION
    candidates = matching or list(described)
    if min(case.sum(), (~case).sum()) < _LEAST_TRAIN_EVENTS:
        candidates = matching[:1]
    if not candidates:
        return None
    strength = {name: _association(joined[name].to_numpy(), case) for name in candidates}
    best = max(candidates, key=lambda name: strength[name])
    return ChosenScore(best, str(described[best].get("name") or best), chosen_by)


def _association(values: np.ndarray, case: np.ndarray) -> float:
    usable = np.isfinite(values)
    if not case[usable].any() or case[usable].all():
        return 0.0
    return abs(auroc(values[usable].astype(np.float64), case[usable]) - 0.5)


@dataclass(frozen=True)
class Deciles:
    """Rows of an outcome and horizon with the chosen score, in ten groups of rising score.

    Attributes:
        risk_set: These rows.
        chosen: The score.
        group: Number of each row's group, from 0.
    """

    risk_set: RiskSet
    chosen: ChosenScore
    group: Int[np.ndarray, " rows"]

    @classmethod
    def of(cls, risk_set: RiskSet, chosen: ChosenScore, scores: pl.DataFrame) -> Deciles | None:
        """Rows of ``risk_set`` whose subjects have the score; None below 100 of these."""
        given = pl.DataFrame({"subject_id": risk_set.subject_id}).join(
            scores.select("subject_id", pl.col(chosen.pgs_id).cast(pl.Float64)),
            on="subject_id", how="left", maintain_order="left",
        )  # fmt: skip
        value = given[chosen.pgs_id].fill_null(float("nan")).to_numpy()
        scored = np.isfinite(value)
        if risk_set.num_subjects(scored) < _LEAST_SUBJECTS:
            return None
        group = np.zeros(int(scored.sum()), dtype=np.int64)
        for number, members in enumerate(risk_groups(value[scored], NUM_GROUPS)):
            group[members] = number
        return cls(risk_set.part(scored), chosen, group)

    def observed(self, resamples: Resamples) -> pl.DataFrame:
        """Cumulative incidence by decile, with bootstrap intervals.

        Args:
            resamples: Drawn from the judged subjects, or their families.

        Returns:
            A frame of :data:`proband.evaluate.tables.DECILES`.
        """
        on = self.risk_set
        incidence = Incidence(on.time_years, on.event, on.horizon_years, self.group, on.landmark)
        found = stack([incidence.of(weights) for weights in resamples.weights(on.clusters)])
        low, high = intervals(found[1:].T)
        rows = [
            (
                on.outcome, on.horizon_years, self.chosen.pgs_id, self.chosen.name, self.chosen.chosen_by,
                number + 1, value, low[number], high[number],
                on.num_subjects(self.group == number), on.num_cases(self.group == number),
            )
            for number, value in enumerate(found[0].tolist())
        ]  # fmt: skip
        frame = pl.DataFrame(rows, schema=dict(DECILES.columns), orient="row")
        return frame.with_columns(pl.col("low", "high").fill_nan(None))

    def predicted(self) -> pl.DataFrame:
        """Mean risk that every model predicts by decile: a frame of
        :data:`proband.evaluate.tables.DECILE_RISKS`."""
        size = np.bincount(self.group)
        place = self.risk_set.outcome, self.risk_set.horizon_years
        rows = [
            (*place, model, number + 1, total / size[number])
            for model, risk in sorted(self.risk_set.risks.items())
            for number, total in enumerate(np.bincount(self.group, risk).tolist())
        ]
        return pl.DataFrame(rows, schema=dict(DECILE_RISKS.columns), orient="row")
