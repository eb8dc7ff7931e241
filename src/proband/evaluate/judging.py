"""Risk sets judged one by one: the rows of all results tables, by outcome and horizon."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.running.engine import map_shards
from proband.core.seeds import generator
from proband.ehr.meds.kinship import Families, clusters_of
from proband.evaluate.baselines.registry import references
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.frames import risk_set_frames
from proband.evaluate.groups.deciles import Deciles, choose_score
from proband.evaluate.groups.distance import DISTANCE_COLUMN, distance_frame, genetic_distance
from proband.evaluate.groups.gains import Differences, SubgroupGains, gains_within
from proband.evaluate.groups.integrated import Compared, SubgroupBrier, brier_within
from proband.evaluate.groups.members import members_of
from proband.evaluate.groups.record import MOMENT
from proband.evaluate.groups.subgroups import dimensions, frame_of
from proband.evaluate.inputs import Scores
from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.registry import compared
from proband.evaluate.metrics.replicates import bootstrap
from proband.evaluate.notices import say_cautions, say_subgroups
from proband.evaluate.panel.multiplicity import Panel
from proband.evaluate.predictions import write_predictions
from proband.evaluate.selection.risk_sets import Judgement, risk_sets
from proband.evaluate.tables import DIFFERENCES, SUBGROUPS


@dataclass(frozen=True)
class Groups:
    """Who belongs together among those judged.

    Attributes:
        families: Relatives, who are drawn as one; None without a table of kinship.
        members: Subgroups of every prediction, as :func:`~proband.evaluate.groups.members.members_of` gives.
        distance: Genetic distance of every subject; None without components.
    """

    families: Families | None
    members: pl.DataFrame
    distance: pl.DataFrame | None


def groups_of(rows: pl.DataFrame, families: Families | None, config: EvaluateConfig) -> Groups:
    """Read who belongs together.

    Args:
        rows: Labels with age_years and female, of train and the judged split.
        families: Relatives.
        config: Settings.

    Raises:
        DataError: The table of subgroups is unusable, or has nobody who is judged.
    """
    genome, own = (None if path is None else Path(path) for path in (config.genome, config.subgroups))
    trained, mine = rows.filter(split="train")["subject_id"].unique(), rows.filter(split=config.split)
    distance = None if genome is None else genetic_distance(genome, trained)
    return Groups(families, members_of(mine, Path(config.meds), genome, own, distance), distance)


def judged_tables(
    folder: Path,
    risks: pl.DataFrame,
    extra: pl.DataFrame,
    rows: pl.DataFrame,
    end: datetime | None,
    truth: str,
    groups: Groups,
    pairs: Sequence[tuple[str, str]],
    scores: Scores | None,
    config: EvaluateConfig,
) -> defaultdict[str, list[pl.DataFrame]]:
    """The rows of all tables, by outcome and horizon; predictions for others are written to ``folder``."""
    frames: defaultdict[str, list[pl.DataFrame]] = defaultdict(list)
    resamples = _resamples(risks, groups.families, config)
    work = partial(_one_outcome, groups, resamples, config, pairs)
    mine = rows.filter(split=config.split)
    judgements = list(risk_sets(risks, extra, mine, end, groups.families, truth))
    for judgement in judgements if config.meds_evaluation else ():
        write_predictions(judgement, folder)
    panel, gains, brier = Panel(), SubgroupGains(), SubgroupBrier()
    # Threads, since nearly all of it is numpy and compiled code, which release the GIL.
    done = map_shards(work, judgements, description="Evaluating", threads=True)
    for judgement, (found, values, within, scores_within) in zip(judgements, done, strict=True):
        for name, frame in found.items():
            frames[name].append(frame)
        gains.add(judgement.risk_set.outcome, within)
        brier.add(judgement.risk_set.outcome, scores_within)
        if values is not None:
            panel.add(judgement.risk_set, values)
        frames["flow"].append(judgement.flow)
    frames["differences"] = [panel.adjusted(pl.concat([DIFFERENCES.empty(), *frames["differences"]]))]
    frames["metrics"].append(panel.integrated_brier())
    frames["subgroups"].append(brier.frame())
    frames["gains"].append(panel.mean_gains(pairs))
    if scores is not None:
        for observed, predicted in _deciles(judgements, rows, scores, resamples):
            frames["deciles"].append(observed)
            frames["decile_risks"].append(predicted)
    frames["subgroup_gains"].append(gains.frame())
    say_cautions(frames)
    say_subgroups(groups.members, pl.concat([SUBGROUPS.empty(), *frames["subgroups"]])["dimension"])
    return frames


def _one_outcome(
    groups: Groups,
    resamples: Resamples,
    config: EvaluateConfig,
    pairs: Sequence[tuple[str, str]],
    judgement: Judgement,
) -> tuple[
    dict[str, pl.DataFrame], dict[tuple[str, str], np.ndarray] | None, Differences, tuple[Compared, ...]
]:
    """Tables of one outcome and horizon, replicates for the panel, None with an obstacle, and gains and Brier
    scores within subgroups."""
    risk_set = judgement.risk_set
    found = None if risk_set.obstacle() else bootstrap(risk_set, resamples, config.thresholds)
    frames = risk_set_frames(risk_set, found, references(), config.margin, pairs)
    if found is None:
        return frames, None, {}, ()
    mine = judgement.moments.join(groups.members, on=MOMENT, how="left", maintain_order="left").drop(MOMENT)
    estimated = dimensions(risk_set, mine, resamples, found.thresholds)
    frames["subgroups"] = frame_of(risk_set, estimated)
    within = gains_within(risk_set.horizon_years, estimated, pairs)
    scores = brier_within(risk_set.horizon_years, estimated, list(risk_set.risks))
    if groups.distance is not None:
        far = judgement.moments.join(groups.distance, on="subject_id", how="left", maintain_order="left")
        number = far[DISTANCE_COLUMN].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        frames["distance"] = distance_frame(risk_set, number, resamples)
    wanted = compared()
    return frames, {key: values for key, values in found.values.items() if key[1] in wanted}, within, scores


def _resamples(risks: pl.DataFrame, families: Families | None, config: EvaluateConfig) -> Resamples:
    """Draws of all judged subjects, or their families, once for everything."""
    clusters = clusters_of(risks["subject_id"].unique().sort().to_numpy(), families)
    return Resamples(clusters, config.bootstrap, generator(config.seed, "bootstrap"))


def _deciles(
    judgements: Sequence[Judgement], rows: pl.DataFrame, scores: Scores, resamples: Resamples
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Observed and predicted risk by decile of each outcome's score."""
    train = rows.filter(split="train").select("subject_id", "outcome", "event")
    chosen = {
        outcome: choose_score(outcome, train.filter(outcome=outcome), scores.frame, scores.described)
        for outcome in dict.fromkeys(one.risk_set.outcome for one in judgements)
    }
    for judgement in judgements:
        one = chosen[judgement.risk_set.outcome]
        if one is None or judgement.risk_set.obstacle():
            continue
        parts = Deciles.of(judgement.risk_set, one, scores.frame)
        if parts is not None:
            yield parts.observed(resamples), parts.predicted()
