"""Observed risk by decile of one polygenic score per outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from proband.ehr.meds.kinship import Families, clusters_of
from proband.evaluate.metrics.calibration import risk_groups
from proband.evaluate.metrics.censoring import CASE, aalen_johansen, horizon_status
from proband.evaluate.metrics.compare import Resamples, interval, stack
from proband.evaluate.metrics.discrimination import auroc
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


def decile_frame(
    rows: pl.DataFrame,
    chosen: ChosenScore,
    scores: pl.DataFrame,
    horizon_years: float,
    resamples: Resamples,
    families: Families | None = None,
) -> pl.DataFrame:
    """Cumulative incidence by decile of the chosen score, with bootstrap intervals.

    Args:
        rows: Labels of one outcome in the judged split.
        chosen: The score.
        scores: All scores; subjects without this one are left out.
        horizon_years: The horizon.
        resamples: Drawn from the judged subjects, or their families.
        families: Resampled as one; default each subject by itself.

    Returns:
        A frame of :data:`proband.evaluate.tables.DECILES`; empty below 100 scored subjects.
    """
    joined = _scored(rows, chosen, scores)
    if joined["subject_id"].n_unique() < _LEAST_SUBJECTS:
        return DECILES.empty()
    time, event = joined["time_years"].to_numpy(), joined["event"].to_numpy()
    subject = joined["subject_id"].to_numpy()
    groups = risk_groups(joined["score"].to_numpy(), NUM_GROUPS)
    blocks: list[list[np.ndarray]] = [[] for _ in groups]
    for weights in resamples.weights(clusters_of(subject, families)):
        for found, members in zip(blocks, groups, strict=True):
            found.append(aalen_johansen(time[members], event[members], horizon_years, weights[:, members]))
    status = horizon_status(time, event, horizon_years)
    lines = []
    for number, (found, members) in enumerate(zip(blocks, groups, strict=True)):
        value, *others = stack(found)
        low, high = interval(np.array(others))
        lines.append(
            (
                rows["outcome"][0],
                horizon_years,
                chosen.pgs_id,
                chosen.name,
                chosen.chosen_by,
                number + 1,
                float(value),
            )
            + ((low, high) if np.isfinite(low) else (None, None))
            + (len(np.unique(subject[members])), len(np.unique(subject[members][status[members] == CASE])))
        )
    return pl.DataFrame(lines, schema=dict(DECILES.columns), orient="row")


def decile_risks(
    rows: pl.DataFrame, chosen: ChosenScore, scores: pl.DataFrame, horizon_years: float, risks: pl.DataFrame
) -> pl.DataFrame:
    """Mean predicted risk of every model in the deciles of :func:`decile_frame`.

    Args:
        rows: Labels of one outcome in the judged split.
        chosen: The score.
        scores: All scores.
        horizon_years: The horizon.
        risks: RiskTables of all models; a model that lacks one of the predictions is averaged over the rest.

    Returns:
        A frame of :data:`proband.evaluate.tables.DECILE_RISKS`; empty below 100 scored subjects.
    """
    joined = _scored(rows, chosen, scores)
    if joined["subject_id"].n_unique() < _LEAST_SUBJECTS:
        return DECILE_RISKS.empty()
    decile = np.zeros(joined.height, dtype=np.int64)
    for number, members in enumerate(risk_groups(joined["score"].to_numpy(), NUM_GROUPS)):
        decile[members] = number + 1
    key = ["subject_id", "prediction_time", "outcome"]
    mine = risks.filter(horizon_years=horizon_years).join(
        joined.select(key).with_columns(pl.Series("decile", decile)), on=key, maintain_order="left"
    )
    groups = mine.group_by("outcome", "horizon_years", "model", "decile", maintain_order=True)
    means = groups.agg(pl.col("risk").mean().alias("predicted"))
    return means.sort("model", "decile").select(*DECILE_RISKS.columns)


def _scored(rows: pl.DataFrame, chosen: ChosenScore, scores: pl.DataFrame) -> pl.DataFrame:
    """Rows with the chosen score as ``score``; subjects without it are left out."""
    column = scores.select("subject_id", pl.col(chosen.pgs_id).cast(pl.Float64).alias("score"))
    return rows.join(column.filter(pl.col("score").is_finite()), on="subject_id", maintain_order="left")
