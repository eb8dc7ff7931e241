"""The tables of a results folder."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from proband.core.files.tables import Table

_Columns = dict[str, pl.DataType | type[pl.DataType]]
_KEY: _Columns = {"outcome": pl.String, "horizon_years": pl.Float64}
_INTERVAL: _Columns = {"low": pl.Float64, "high": pl.Float64}
_COUNTS: _Columns = {"num_subjects": pl.Int64, "num_cases": pl.Int64}
FLAGGED: _Columns = {"num_flagged": pl.Int64, "num_flagged_cases": pl.Int64}

METRICS = Table(
    "metrics",
    _KEY
    | {"model": pl.String, "metric": pl.String, "value": pl.Float64}
    | _INTERVAL
    | _COUNTS
    | {"note": pl.String},
    nullable=frozenset({"value", "low", "high"}),
    unique=("outcome", "horizon_years", "model", "metric"),
)
"""One value with its 95% interval; a null value has its reason in ``note``. ``num_cases`` had the outcome by
the horizon."""

DIFFERENCES = Table(
    "differences",
    _KEY
    | {"metric": pl.String, "model_a": pl.String, "model_b": pl.String, "difference": pl.Float64}
    | _INTERVAL
    | {"p_value": pl.Float64, "q_value": pl.Float64, "p_value_max_t": pl.Float64, "verdict": pl.String},
    nullable=frozenset({"low", "high", "p_value", "q_value", "p_value_max_t", "verdict"}),
    unique=("outcome", "horizon_years", "metric", "model_a", "model_b"),
)
"""Model a minus model b on the same subjects and the same resamples. Over the outcomes of one metric, horizon
and pair: ``q_value`` is the false discovery rate, ``p_value_max_t`` holds for all outcomes together. The
``verdict`` on a difference in AUROC allows for the margin."""

SUBGROUPS = Table(
    "subgroups",
    _KEY
    | {"model": pl.String, "dimension": pl.String, "subgroup": pl.String, "reference": pl.String}
    | {"metric": pl.String, "threshold": pl.Float64, "value": pl.Float64}
    | _INTERVAL
    | {"gap": pl.Float64, "gap_low": pl.Float64, "gap_high": pl.Float64}
    | _COUNTS
    | {"note": pl.String},
    nullable=frozenset({"threshold", "value", "low", "high", "gap", "gap_low", "gap_high"}),
    unique=("outcome", "horizon_years", "model", "dimension", "subgroup", "metric", "threshold"),
)
"""A metric within a subgroup, and how far it lies from the dimension's reference, its subgroup with most
cases, on the same resamples. ``threshold`` is the risk from which one acts, the same in all subgroups; null
for a metric without one."""

DISTANCE = Table(
    "performance by genetic distance",
    _KEY
    | {"model": pl.String, "metric": pl.String, "at_centre": pl.Float64, "change": pl.Float64}
    | _INTERVAL
    | _COUNTS
    | {"note": pl.String},
    nullable=frozenset({"at_centre", "change", "low", "high"}),
    unique=("outcome", "horizon_years", "model", "metric"),
)
"""A straight line through a metric over genetic distance from the people trained on: its value at distance 0,
and its change per unit of distance, with interval; see :mod:`proband.evaluate.groups.distance`."""

CALIBRATION = Table(
    "calibration",
    _KEY
    | {"model": pl.String, "group": pl.Int64, "predicted": pl.Float64, "observed": pl.Float64}
    | _INTERVAL
    | _COUNTS,
    nullable=frozenset({"low", "high"}),
    unique=("outcome", "horizon_years", "model", "group"),
)
"""Groups of rising risk: mean prediction and Aalen-Johansen cumulative incidence."""

CALIBRATION_CURVE = Table(
    "calibration curve",
    _KEY
    | {"model": pl.String, "predicted": pl.Float64, "observed": pl.Float64}
    | _INTERVAL
    | {"num_subjects_below": pl.Int64, "num_subjects_above": pl.Int64},
    nullable=frozenset({"low", "high"}),
    unique=("outcome", "horizon_years", "model", "predicted"),
)
"""Smoothed observed risk, weighted for censoring, with a pointwise interval, at predicted risks evenly spaced
on the logit scale; ``num_subjects_below`` counts those at or below the point."""

RISK_HISTOGRAM = Table(
    "histogram of predicted risk",
    _KEY | {"model": pl.String, "low": pl.Float64, "high": pl.Float64, "num_subjects": pl.Int64},
    unique=("outcome", "horizon_years", "model", "low"),
)
"""Subjects by predicted risk in bins of one width; the last has all of higher risk as well."""

ROC = Table(
    "ROC curve",
    _KEY
    | {
        "model": pl.String,
        "threshold": pl.Float64,
        "false_positive_rate": pl.Float64,
        "sensitivity": pl.Float64,
    }
    | FLAGGED,
)
"""Thinned, thresholds falling; rates weighted for censoring, counts not."""

PR = Table(
    "precision-recall curve",
    _KEY
    | {"model": pl.String, "threshold": pl.Float64, "sensitivity": pl.Float64, "precision": pl.Float64}
    | FLAGGED,
)
"""Thinned, thresholds falling; rates weighted for censoring, counts not."""

DECISION = Table(
    "decision curve",
    _KEY
    | {"model": pl.String, "threshold": pl.Float64, "net_benefit": pl.Float64, "net_benefit_all": pl.Float64}
    | {"standardised_net_benefit": pl.Float64}
    | _INTERVAL
    | {"sensitivity": pl.Float64, "specificity": pl.Float64}
    | {"positive_predictive_value": pl.Float64, "share_flagged": pl.Float64}
    | FLAGGED,
    nullable=frozenset({"low", "high", "positive_predictive_value"}),
)
"""What acting at or above a threshold does, weighted for censoring. Net benefit is per subject, and acting on
nobody is 0; standardised, it is over the incidence, and 1 is the
most; the interval, pointwise, is of that. The predictive value is null where
nobody is flagged."""

UTILITY = Table(
    "net benefit beside references",
    _KEY
    | {"model": pl.String, "reference": pl.String, "threshold": pl.Float64}
    | {"difference": pl.Float64}
    | _INTERVAL,
    nullable=frozenset({"low", "high"}),
    unique=("outcome", "horizon_years", "model", "reference", "threshold"),
)
"""Standardised net benefit of a model less that of a reference at the same threshold: acting on ``all``, on
``none``, or by a baseline. Same resamples on both sides."""

FLOW = Table(
    "flow",
    _KEY | {"step": pl.String, "num_predictions": pl.Int64, "num_subjects": pl.Int64},
    unique=("outcome", "horizon_years", "step"),
)
"""How many predictions are left after each step, and what became of the last: case, control, censored."""

DECILES = Table(
    "PGS deciles",
    _KEY
    | {
        "pgs_id": pl.String,
        "pgs_name": pl.String,
        "chosen_by": pl.String,
        "decile": pl.Int64,
        "observed": pl.Float64,
    }
    | _INTERVAL
    | _COUNTS,
    nullable=frozenset({"low", "high"}),
    unique=("outcome", "horizon_years", "decile"),
)
"""Aalen-Johansen cumulative incidence by decile of one score; ``chosen_by`` is trait or train association."""

DECILE_RISKS = Table(
    "risks by PGS decile",
    _KEY | {"model": pl.String, "decile": pl.Int64, "predicted": pl.Float64},
    unique=("outcome", "horizon_years", "model", "decile"),
)
"""Mean risk that each model predicted in the deciles of :data:`DECILES`."""

COHORT = Table(
    "cohort",
    {
        "split": pl.String,
        "outcome": pl.String,
        "num_subjects": pl.Int64,
        "num_predictions": pl.Int64,
        "num_female": pl.Int64,
        "num_male": pl.Int64,
        "num_genotyped": pl.Int64,
        "num_events": pl.Int64,
        "num_deaths": pl.Int64,
        "mean_age_years": pl.Float64,
        "sd_age_years": pl.Float64,
        "median_follow_up_years": pl.Float64,
    },
    nullable=frozenset({"sd_age_years", "num_genotyped"}),
    unique=("split", "outcome"),
)
"""Who is at risk at prediction, and what followed over all of follow-up (deaths: before the outcome)."""

COSTS = Table(
    "costs",
    {
        "model": pl.String,
        "cpu_seconds": pl.Float64,
        "wall_seconds": pl.Float64,
        "peak_memory_mib": pl.Float64,
    },
    unique=("model",),
)
"""What fitting each baseline took, work shared with an earlier one aside; memory is the whole process's."""

ALREADY_BEGUN = Table(
    "already begun",
    _KEY | {"num_cases": pl.Int64, "share_already_begun": pl.Float64},
    nullable=frozenset({"share_already_begun"}),
    bounds={"share_already_begun": (0.0, 1.0)},
    optional={"num_at_risk": pl.Int64, "num_already_begun": pl.Int64},
    unique=("outcome", "horizon_years"),
)
"""Of a synthetic biobank's cases, the share whose disease had begun, unrecorded, by the prediction time; null
without a case. The oracle knows of them and no record does. Empty where no truth is given."""

MODELS = Table(
    "models",
    {"model": pl.String, "kind": pl.String, "reads_genome": pl.Boolean},
    nullable=frozenset({"reads_genome", "reads_besides"}),
    optional={"reads_besides": pl.String},
    unique=("model",),
)
"""The models compared, in their order: ``kind`` is given, baseline or oracle (the truth of a synthetic
biobank). Whether a model reads a genome is null where nothing beside its risks tells; ``reads_besides`` names
its other modalities, with commas between them."""

GAINS = Table(
    "mean gains",
    {"horizon_years": pl.Float64, "model": pl.String, "reference": pl.String, "metric": pl.String}
    | {"difference": pl.Float64}
    | _INTERVAL
    | {"num_outcomes": pl.Int64, "least_cases": pl.Int64},
    nullable=frozenset({"low", "high"}),
    unique=("horizon_years", "model", "reference", "metric"),
)
"""A model that reads a genome less the one that does not, mean over outcomes of ``least_cases`` or more."""

LEAKS = Table(
    "codes that nearly determine an outcome",
    _KEY
    | {"window": pl.String, "code": pl.String, "who": pl.String, "label": pl.String, "rule": pl.String}
    | {"value": pl.Float64, "low": pl.Float64, "share_of_cases": pl.Float64, "share_of_others": pl.Float64}
    | _COUNTS,
    nullable=frozenset({"horizon_years"}),
    bounds=dict.fromkeys(("value", "low", "share_of_cases", "share_of_others"), (0.0, 1.0)),
    unique=("outcome", "horizon_years", "window", "code"),
)
"""People ``who`` are having or lacking a code at the prediction time, and nearly all have one ``label``.
Counts and shares are of them, in all splits together; see :mod:`proband.evaluate.leaks.rule`.
A null horizon is the end of follow-up."""

SUBGROUP_GAINS = Table(
    "gains within subgroups",
    {"outcome": pl.String, "horizon_years": pl.Float64, "dimension": pl.String, "subgroup": pl.String}
    | {"subgroup_reference": pl.String, "model": pl.String, "reference": pl.String, "metric": pl.String}
    | {"difference": pl.Float64}
    | _INTERVAL
    | {"gap": pl.Float64, "gap_low": pl.Float64, "gap_high": pl.Float64}
    | {"num_outcomes": pl.Int64, "num_outcomes_of_gap": pl.Int64},
    nullable=frozenset({"outcome", "difference", "low", "high", "gap", "gap_low", "gap_high"}),
    unique=("outcome", "horizon_years", "dimension", "subgroup", "model", "reference", "metric"),
)
"""A model that reads a genome less the one that does not, within a subgroup, and how far this lies from that
within the subgroup with most cases, over the outcomes of both. ``outcome`` is null for the mean over outcomes
with intervals there."""

LEARNING = Table(
    "learning curves",
    {"model": pl.String, "fit": pl.String, "part": pl.String, "split": pl.String, "at": pl.Float64}
    | {"seconds": pl.Float64, "loss": pl.Float64, "kept": pl.Boolean},
    nullable=frozenset({"seconds"}),
    unique=("model", "fit", "part", "split", "at"),
)
"""Losses of the fits of a model, as its folder logged them; see :mod:`proband.evaluate.panel.learning`.
``kept`` marks the state that the model has."""

TABLES = {
    "metrics": METRICS,
    "differences": DIFFERENCES,
    "calibration": CALIBRATION,
    "calibration_curve": CALIBRATION_CURVE,
    "risk_histogram": RISK_HISTOGRAM,
    "roc": ROC,
    "pr": PR,
    "decision": DECISION,
    "utility": UTILITY,
    "subgroups": SUBGROUPS,
    "distance": DISTANCE,
    "flow": FLOW,
    "costs": COSTS,
    "deciles": DECILES,
    "decile_risks": DECILE_RISKS,
    "cohort": COHORT,
    "already_begun": ALREADY_BEGUN,
    "models": MODELS,
    "gains": GAINS,
    "subgroup_gains": SUBGROUP_GAINS,
    "leaks": LEAKS,
    "learning": LEARNING,
}
"""File stem in a results folder -> table."""


def read_table(results: Path, name: str) -> pl.DataFrame:
    """One table of a results folder, checked; ``name`` is a key of :data:`TABLES`."""
    return TABLES[name].read(results / f"{name}.parquet")
