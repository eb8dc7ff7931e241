"""The tables that explanations are."""

from __future__ import annotations

import polars as pl

from proband.core.files.tables import Table
from proband.core.schema import TIME

_RISK = {"subject_id": pl.Int64, "prediction_time": TIME, "outcome": pl.String}
_KEY = ("subject_id", "prediction_time", "outcome")

PARTS = Table(
    "parts of risks",
    {
        **_RISK,
        "horizon_years": pl.Float64,
        "part": pl.String,
        "log_hazard": pl.Float64,
        "risk_points": pl.Float64,
    },
    nullable=frozenset({"log_hazard"}),
    unique=(*_KEY, "horizon_years", "part"),
)
"""What every part gives: to the log hazard just before the horizon (of ``age_sex`` the log hazard per year
itself; of ``competing_death``, which changes another hazard, null), and to the risk by the horizon (of
``age_sex`` the risk itself), so that the points of all parts sum to the risk."""

CODES = Table(
    "codes of risks",
    {
        **_RISK,
        "rank": pl.Int64,
        "code": pl.String,
        "name": pl.String,
        "log_hazard": pl.Float64,
        "risk_points": pl.Float64,
    },
    nullable=frozenset({"name"}),
    unique=(*_KEY, "rank"),
)
"""Codes had, by the size of what they give to part ``record`` at the last horizon, against the mean of the
train split; then what is not listed, codes not had, and age and sex: all sum to the part."""

SCORES = Table(
    "scores of risks",
    {
        **_RISK,
        "rank": pl.Int64,
        "modality": pl.String,
        "score": pl.String,
        "name": pl.String,
        "value_sd": pl.Float64,
        "percentile": pl.Float64,
        "log_hazard_ratio_per_sd": pl.Float64,
        "log_hazard": pl.Float64,
        "risk_points": pl.Float64,
    },
    nullable=frozenset({"name"}),
    bounds={"percentile": (0.0, 100.0)},
    unique=(*_KEY, "modality", "rank"),
)
"""Values of modalities by the size of what they give; ``value_sd`` and ``percentile`` are against the train
split, the log hazard ratio is that at the age of the prediction, before calibration. All of a modality sum to
its part less its level by age."""

GENOMES = Table(
    "risks with other genomes",
    {
        **_RISK,
        "horizon_years": pl.Float64,
        "risk": pl.Float64,
        "risk_without": pl.Float64,
        "difference": pl.Float64,
        "risk_mean": pl.Float64,
        "risk_low": pl.Float64,
        "risk_high": pl.Float64,
        "percentile": pl.Float64,
    },
    bounds=dict.fromkeys(("risk", "risk_without", "risk_mean", "risk_low", "risk_high"), (0.0, 1.0)),
    unique=(*_KEY, "horizon_years"),
)
"""Of genotyped subjects the risk, that without genome, their difference; and the mean and the 5th and 95th
percentile of the risk over genomes of train subjects, with the percentile of the subject's own among them."""

PERCENTILES = Table(
    "risks by percentile of a score",
    {
        **_RISK,
        "horizon_years": pl.Float64,
        "score": pl.String,
        "name": pl.String,
        "percentile": pl.Float64,
        "others": pl.String,
        "risk": pl.Float64,
    },
    nullable=frozenset({"name"}),
    bounds={"risk": (0.0, 1.0)},
    unique=(*_KEY, "horizon_years", "score", "percentile", "others"),
)
"""Risk with a score at another percentile of the train split, the other scores ``held`` or each at its
``conditional_mean`` given the score (a line fitted on the train split)."""

WITHOUT = Table(
    "risks without a code",
    {
        **_RISK,
        "horizon_years": pl.Float64,
        "code": pl.String,
        "name": pl.String,
        "num_events": pl.Int64,
        "risk": pl.Float64,
        "risk_without": pl.Float64,
        "log_ratio": pl.Float64,
        "log_ratio_linear": pl.Float64,
    },
    nullable=frozenset({"name", "log_ratio_linear"}),
    bounds={"risk": (0.0, 1.0), "risk_without": (0.0, 1.0)},
    unique=(*_KEY, "code"),
)
"""Leave one code out: the risk of the record read again without it, and the change of the log hazard just
before the horizon that the code makes, exactly and by its linear terms and interactions alone."""

GRADIENTS = Table(
    "integrated gradients",
    {
        **_RISK,
        "horizon_years": pl.Float64,
        "through": pl.String,
        "item": pl.String,
        "name": pl.String,
        "gradient": pl.Float64,
    },
    nullable=frozenset({"name"}),
    unique=(*_KEY, "through", "item"),
)
"""What the trunk makes of each code (through ``state``: of the log hazard just before the horizon) and of
each score (through ``fusion``: of the log probability that the next event, 90 days ahead, is the outcome),
against baselines drawn from the train split."""

ATTENTION = Table(
    "attention to modalities",
    {
        "subject_id": pl.Int64,
        "prediction_time": TIME,
        "block": pl.Int64,
        "position": pl.Int64,
        "age_years": pl.Float64,
        "code": pl.String,
        "modality": pl.String,
        "share": pl.Float64,
        "gate": pl.Float64,
    },
    bounds={"share": (0.0, 1.0), "gate": (-1.0, 1.0)},
    unique=("subject_id", "prediction_time", "block", "position", "modality"),
)
"""With cross_attention: the share of its attention that a position of the record gives to the latents of each
modality, mean over heads; ``nothing`` is the learned empty latent. ``gate`` scales what the block takes."""

ALONG = Table(
    "risks along records",
    {
        "subject_id": pl.Int64,
        "time": TIME,
        "outcome": pl.String,
        "horizon_years": pl.Float64,
        "age_years": pl.Float64,
        "risk_before": pl.Float64,
        "risk": pl.Float64,
        "codes": pl.String,
    },
    bounds={"risk": (0.0, 1.0), "risk_before": (0.0, 1.0)},
    unique=("subject_id", "time", "outcome"),
)
"""The risk a minute before and at every time stamp of a record, from entry to the prediction time or the
outcome, with the codes that came."""

POPULATION = Table(
    "risks in a population",
    {
        "outcome": pl.String,
        "horizon_years": pl.Float64,
        "view": pl.String,
        "score": pl.String,
        "group": pl.String,
        "num_predictions": pl.Int64,
        "num_cases": pl.Int64,
        "risk": pl.Float64,
        "risk_without": pl.Float64,
        "observed": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    },
    nullable=frozenset({"score"}),
    bounds=dict.fromkeys(("risk", "risk_without", "observed", "low", "high"), (0.0, 1.0)),
    unique=("outcome", "horizon_years", "view", "group"),
)
"""Genotyped predictions by decile of a score (``decile``, of the train split) and by what a threshold of risk
says with and without the genome (``decision``): mean risks, and observed cumulative incidence with a 95%
interval resampling subjects."""

_BAND = {
    "outcome": pl.String,
    "horizon_years": pl.Float64,
    "score": pl.String,
    "by": pl.String,
    "band": pl.String,
}

INTERACTION = Table(
    "risks by decile of a score within bands",
    {
        **_BAND,
        "decile": pl.Int64,
        "num_predictions": pl.Int64,
        "num_cases": pl.Int64,
        "risk": pl.Float64,
        "observed": pl.Float64,
        "truth": pl.Float64,
    },
    nullable=frozenset({"truth"}),
    bounds=dict.fromkeys(("risk", "observed", "truth"), (0.0, 1.0)),
    unique=("outcome", "by", "band", "decile"),
)
"""Genotyped predictions by decile of the outcome's own score within bands of age, sex, record length and the
measured value that goes most with the risk: mean risk of the model, cumulative incidence observed, and mean
true risk where it is known, by the last horizon."""

INTERACTION_EFFECTS = Table(
    "effects of a score within bands",
    {
        **_BAND,
        "num_predictions": pl.Int64,
        "num_cases": pl.Int64,
        "log_hazard_ratio": pl.Float64,
        "cox": pl.Float64,
        "cox_standard_error": pl.Float64,
        "truth": pl.Float64,
    },
    nullable=frozenset({"log_hazard_ratio", "cox", "cox_standard_error", "truth"}),
    unique=("outcome", "by", "band"),
)
"""Log hazard ratio of the score per standard deviation within each band, age and sex beside it: what risks of
the model imply, that of a Cox model of what followed, and what true risks imply."""

EFFECTS = Table(
    "effects of scores",
    {
        "outcome": pl.String,
        "score": pl.String,
        "name": pl.String,
        "ancestry": pl.String,
        "is_own": pl.Boolean,
        "is_related": pl.Boolean,
        "log_hazard_ratio": pl.Float64,
        "log_hazard_ratio_alone": pl.Float64,
        "cox": pl.Float64,
        "cox_standard_error": pl.Float64,
        "cox_p": pl.Float64,
        "cox_q": pl.Float64,
        "num_cases": pl.Int64,
        "published": pl.Float64,
        "published_standard_error": pl.Float64,
        "source": pl.String,
    },
    nullable=frozenset(
        {"name", "cox", "cox_standard_error", "cox_p", "cox_q", "source"}
        | {"published", "published_standard_error"}
    ),
    unique=("outcome", "score", "ancestry"),
)
"""Log hazard ratios per standard deviation: learnt with the other scores held, learnt of the score alone
(others at their conditional mean), of a Cox model on the score, age and sex, and published ones."""

AGREEMENT = Table(
    "agreement with known effects",
    {
        "outcome": pl.String,
        "statistic": pl.String,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,
        "number": pl.Int64,
    },
    nullable=frozenset({"value", "low", "high", "p"}),
    unique=("outcome", "statistic"),
)
"""How learnt effects agree with those of Cox models and published ones; ``outcome`` is ``all`` for one number
over all. ``number`` is that of pairs, or of scores, it rests on."""
