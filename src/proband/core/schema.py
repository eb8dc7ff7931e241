"""The tables that cross a stage: their columns, types and rules (:mod:`proband.core.files.tables`)."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import polars as pl

from proband.core.config import Split
from proband.core.files.tables import Table

TIME = pl.Datetime("us")

RISK = Table(
    "RiskTable",
    {
        "subject_id": pl.Int64,
        "prediction_time": TIME,
        "outcome": pl.String,
        "horizon_years": pl.Float64,
        "model": pl.String,
        "risk": pl.Float64,
        "standard_error": pl.Float64,
        "unresolved": pl.Float64,
    },
    bounds={
        "risk": (0.0, 1.0),
        "unresolved": (0.0, 1.0),
        "standard_error": (0.0, 1.0),
        "horizon_years": (0.0, 150.0),
        "risk_low": (0.0, 1.0),
        "risk_high": (0.0, 1.0),
        "fit_error": (0.0, 1.0),
    },
    nullable=frozenset({"fit_error"}),
    unique=("subject_id", "prediction_time", "outcome", "horizon_years", "model"),
    optional={
        "risk_low": pl.Float64,
        "risk_high": pl.Float64,
        "fit_error": pl.Float64,
        "num_paths": pl.Int64,
    },
)
"""Cumulative incidence by a horizon. ``standard_error`` is Monte-Carlo error only (0 for a closed form);
``unresolved`` is the share of paths that ended before the answer, and ``risk_low`` and ``risk_high`` are what
the risk would be if they said the least and the most they may. ``fit_error`` is the standard error of the fit
of onset hazards, by the jackknife over train people; null where it is not known. ``num_paths`` were drawn."""

_SCENARIO = {"scenario": pl.String, "subject_id": pl.Int64, "prediction_time": TIME}

SCENARIOS = Table(
    "risks of scenarios",
    {
        **_SCENARIO,
        "outcome": pl.String,
        "horizon_years": pl.Float64,
        "is_changed": pl.Boolean,
        "risk_baseline": pl.Float64,
        "risk": pl.Float64,
        "difference": pl.Float64,
        "standard_error": pl.Float64,
        "fit_error": pl.Float64,
    },
    bounds={
        "risk_baseline": (0.0, 1.0),
        "risk": (0.0, 1.0),
        "difference": (-1.0, 1.0),
        "fit_error": (0.0, 2.0),
    },
    nullable=frozenset({"fit_error"}),
    unique=("scenario", "subject_id", "prediction_time", "outcome", "horizon_years"),
)
"""Risks of declared changes beside those of the subjects as they are, and the difference; ``is_changed``
tells whom the scenario changes. ``standard_error`` is that of the difference from sampled paths (0 for a
closed form), ``fit_error`` that of its fit, as in :data:`RISK` (null of sampled paths)."""

SCENARIO_SUMMARY = Table(
    "scenarios over a cohort",
    {
        "scenario": pl.String,
        "outcome": pl.String,
        "horizon_years": pl.Float64,
        "num_predictions": pl.Int64,
        "num_changed": pl.Int64,
        "risk_baseline": pl.Float64,
        "risk": pl.Float64,
        "difference": pl.Float64,
        "standard_error": pl.Float64,
        "fit_error": pl.Float64,
    },
    bounds={"fit_error": (0.0, 2.0)},
    nullable=frozenset({"standard_error", "fit_error"}),
    unique=("scenario", "outcome", "horizon_years"),
)
"""Means over the predictions that a scenario changes; ``standard_error`` is that of the mean difference over
subjects; of one subject that of sampled paths, null in closed form. ``fit_error`` is that of the fit of the
mean difference, as in :data:`RISK`: more subjects do not lower it."""

SCENARIO_FOLDS = Table(
    "differences of scenarios without a fold",
    {
        "scenario": pl.String,
        "outcome": pl.String,
        "horizon_years": pl.Float64,
        "fold": pl.Int64,
        "difference": pl.Float64,
    },
    unique=("scenario", "outcome", "horizon_years", "fold"),
)
"""Sums over predictions that a scenario changes of the difference of risks fitted without a fold of the train
people; no rows where it is not known. Kept until all predictions are answered."""

PLAUSIBILITY = Table(
    "plausibility of changed histories",
    {
        **_SCENARIO,
        "distance_baseline": pl.Float64,
        "share_beyond_baseline": pl.Float64,
        "distance": pl.Float64,
        "share_beyond": pl.Float64,
    },
    bounds=dict.fromkeys(("share_beyond_baseline", "share_beyond"), (0.0, 1.0)),
    unique=("scenario", "subject_id", "prediction_time"),
)
"""Of predictions whose record a scenario changes: distance of the record summary from the nearest train
histories, and the share of train histories that lie as far out, before and after."""

TRAJECTORIES = Table(
    "trajectories",
    {
        "subject_id": pl.Int64,
        "source_subject_id": pl.Int64,
        "prediction_time": TIME,
        "path": pl.Int64,
        "end": pl.String,
        "end_time": TIME,
        "horizon_time": TIME,
    },
    unique=("subject_id",),
)
"""Whose future a simulated subject is: ``end`` is horizon, death or budget (cut before either, unresolved);
``end_time`` when it came, ``horizon_time`` how far was asked."""

LABELS = Table(
    "labels",
    {
        "subject_id": pl.Int64,
        "prediction_time": TIME,
        "outcome": pl.String,
        "split": pl.String,
        "time_years": pl.Float64,
        "event": pl.Int8,
    },
    bounds={"time_years": (0.0, 200.0), "event": (0.0, 2.0)},
    unique=("subject_id", "prediction_time", "outcome"),
)
"""What followed a prediction time: ``event`` is 1 the outcome, 2 death before it, 0 neither by the end of
follow-up, ``time_years`` after ``prediction_time``."""

SCORES = Table("scores", {"subject_id": pl.Int64}, unique=("subject_id",), extra=pl.Float32)
"""One row per genotyped subject, one float32 column per ``pgs_id`` (raw sums; NaN where not computable)."""

PCS = Table(
    "components", {"subject_id": pl.Int64, "is_fitted": pl.Boolean}, unique=("subject_id",), extra=pl.Float32
)
"""Principal components PC1, PC2, ... of each genotyped subject; ``is_fitted`` tells the unrelated subjects by
whom they were fitted."""

ANCESTRY = Table(
    "ancestry",
    {"subject_id": pl.Int64, "most_similar_population": pl.String, "low_confidence": pl.Boolean},
    unique=("subject_id",),
    extra=pl.Float32,
)
"""Genetic similarity to labelled populations, by components: ``probability_X`` per population X."""

SAMPLES = Table("samples", {"subject_id": pl.Int64, "sample_id": pl.String}, unique=("subject_id",))
"""Genotype sample names; a name that is no integer gets a negative subject_id that joins to no record."""

MATCH = Table(
    "match report",
    {
        "pgs_id": pl.String,
        "num_rows": pl.Int64,
        "num_matched": pl.Int64,
        "num_not_scorable": pl.Int64,
        "num_no_position": pl.Int64,
        "num_no_variant": pl.Int64,
        "num_allele_mismatch": pl.Int64,
        "num_ambiguous": pl.Int64,
        "num_multiallelic": pl.Int64,
        "num_duplicated": pl.Int64,
        "num_flipped": pl.Int64,
        "num_homozygous_reference": pl.Int64,
        "match_rate": pl.Float64,
        "kept": pl.Boolean,
        "remedy": pl.String,
    },
    bounds={"match_rate": (0.0, 1.0)},
    unique=("pgs_id",),
)
"""Why each scoring-file row was or was not used; the reasons are exclusive and add up to ``num_rows``
(``num_flipped``, by the other strand, and ``num_homozygous_reference``, at sites where nobody varies, are
parts of ``num_matched``). ``remedy`` says what to do about a score left out; it is empty for one kept."""

EMBEDDINGS = Table(
    "embeddings",
    {"subject_id": pl.Int64, "prediction_time": TIME},
    unique=("subject_id", "prediction_time"),
    extra=pl.Float32,
)
"""What a model has read of a subject's record by a date: ``state_1``, ``state_2`` and so on, of root mean
square 1."""

EMBEDDING_MAP = Table(
    "map of embeddings",
    {
        "component": pl.Int64,
        "share_of_variance": pl.Float64,
        "factor": pl.String,
        "r2": pl.Float64,
        "by_chance": pl.Float64,
    },
    bounds={"share_of_variance": (0.0, 1.0), "r2": (0.0, 1.0)},
    unique=("component", "factor"),
)
"""Principal components of embeddings: the share of all variance that each has, and the share of its own that
a regression on a factor explains (``all`` on all of them but outcomes together), with what chance would."""

SPLITS: tuple[str, ...] = get_args(Split)

SUBJECTS = Table(
    "token subjects",
    {
        "subject_id": pl.Int64,
        "split": pl.String,
        "birth_time": TIME,
        "entry_time": TIME,
        "exit_time": TIME,
        "entry_minutes": pl.Int32,
        "exit_minutes": pl.Int32,
        "died": pl.Boolean,
    },
    unique=("subject_id",),
    optional={"row": pl.Int64},
)
"""One row per subject of a tokens folder; ages in minutes since birth. ``row`` is its place in the arrays."""


ADJUSTED = "adjusted"
"""Folder of a genome folder with scores adjusted for ancestry."""


def scores_file(genome: Path) -> Path:
    """The scores of a genome folder: those adjusted for ancestry (Z_norm2) where it has them."""
    adjusted = genome / ADJUSTED / "Z_norm2.parquet"
    return adjusted if adjusted.is_file() else genome / "scores.parquet"
