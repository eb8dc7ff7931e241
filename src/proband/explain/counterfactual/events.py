"""Which events of a record raise its risk: codes left out one by one, and the risk along the record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from jaxtyping import Int

from proband.core.units import MICROSECONDS_PER_MINUTE, MINUTES_PER_YEAR
from proband.explain.attribution.decomposition import bins_before, keys_of, named
from proband.explain.attribution.record import record_terms
from proband.explain.counterfactual.shifted import Shifted
from proband.explain.inputs import Asked
from proband.explain.tables import ALONG, WITHOUT
from proband.model.onset.inputs import Query
from proband.tokens.history.edited import EditedStore
from proband.tokens.history.onsets import first_occurrences
from proband.tokens.history.summary import SummaryLayout


def query_without(
    asked: Asked, rows: Int[np.ndarray, " n"], minutes: Int[np.ndarray, " n"], tokens: list[np.ndarray]
) -> Query:
    """What is known of subjects at ages in minutes when their records are read without some tokens.

    Args:
        asked: The question.
        rows: Rows of the store; a subject may stand several times.
        minutes: Ages.
        tokens: Tokens left out, of each row.
    """
    keep = [~np.isin(asked.store.record(int(row))[0], left) for row, left in zip(rows, tokens, strict=True)]
    edited = EditedStore.keeping(asked.store, rows, keep)
    queries = asked.queries(edited, np.arange(len(rows)), minutes)
    return replace(queries, rows=rows.astype(np.int64)).batch(np.arange(len(rows)))


def without_frame(
    asked: Asked, layout: SummaryLayout, index: Int[np.ndarray, " n"], query: Query
) -> pl.DataFrame:
    """Rows of :data:`~proband.explain.tables.WITHOUT`: every code of some points left out, one by one.

    Args:
        asked: The question.
        layout: Of the vocabulary.
        index: Points.
        query: What is known of them.
    """
    last, tasks = int(bins_before(asked.horizons_years)[-1]), list(asked.tasks)
    terms = record_terms(asked.head, layout, query, tasks, last)
    entry = np.flatnonzero(terms.codes < len(layout.codes) - 1)  # the last is any event
    if not len(entry):
        return WITHOUT.empty()
    point = np.searchsorted(terms.bounds, entry, side="right") - 1
    rows, minutes = asked.points.rows[index[point]], asked.points.start[index[point]]
    tokens = [np.flatnonzero(layout.code_of == code) for code in terms.codes[entry]]
    changed = Shifted.of(asked, query_without(asked, rows, minutes, tokens))
    before = Shifted.of(asked, query)
    slope = asked.head.slope[tasks].double().numpy()
    numbers = [
        _num_events(asked, int(row), int(until), left)
        for row, until, left in zip(rows, minutes, tokens, strict=True)
    ]
    which, outcome = np.nonzero(~asked.prevalent[index[point]])
    columns = {
        "risk": before.risk()[point, :, -1],
        "risk_without": changed.risk()[..., -1],
        "log_ratio": (before.log_ratio()[point] - changed.log_ratio())[:, tasks, last],
        "log_ratio_linear": slope * terms.if_never[entry],
    }
    frame = keys_of(asked, index[point[which]], outcome).with_columns(
        pl.lit(asked.horizons_years[-1]).alias("horizon_years"),
        pl.Series("code", np.array(layout.codes)[terms.codes[entry]][which], pl.String),
        pl.Series("num_events", np.array(numbers)[which], pl.Int64),
        *(pl.Series(name, values[which, outcome]) for name, values in columns.items()),
    )
    return named(frame, "code", asked.names.codes).select(*WITHOUT.columns)


def _num_events(asked: Asked, row: int, until: int, tokens: np.ndarray) -> int:
    return int(np.isin(asked.store.history(row, until)[0], tokens).sum())


def agreement_of_linear(frame: pl.DataFrame) -> dict[str, float | None]:
    """How the exact and the linear change agree over the rows of each outcome, median over outcomes.

    Returns:
        ``rank_correlation`` and ``correlation``; None without an outcome in which both differ.
    """
    return _correlations(frame, "log_ratio", "log_ratio_linear")


def agreement_of_gradients(without: pl.DataFrame, gradients: pl.DataFrame) -> dict[str, float | None]:
    """How linear terms and gradients together agree with the exact change, median over outcomes.

    Args:
        without: Rows of :data:`~proband.explain.tables.WITHOUT`.
        gradients: Rows of :data:`~proband.explain.tables.GRADIENTS`.

    Returns:
        ``with_left_out_rank_correlation`` and ``with_left_out_correlation``, over codes of the predictions
        that are in both; beside them those of the linear terms alone (``linear_...``).
    """
    own = gradients.filter(through="state").rename({"item": "code"})
    key = ["subject_id", "prediction_time", "outcome", "code"]
    both = without.join(own.select(*key, "gradient"), on=key)
    both = both.with_columns(together=pl.col("log_ratio_linear") + pl.col("gradient"))
    found: dict[str, float | None] = {}
    for name, other in (("with_left_out", "together"), ("linear", "log_ratio_linear")):
        found |= {f"{name}_{key}": value for key, value in _correlations(both, "log_ratio", other).items()}
    return found


def _correlations(frame: pl.DataFrame, first: str, second: str) -> dict[str, float | None]:
    by_outcome = frame.group_by("outcome", maintain_order=True).agg(
        pl.corr(first, second, method="spearman").alias("rank_correlation"),
        pl.corr(first, second, method="pearson").alias("correlation"),
    )
    found: dict[str, float | None] = {}
    for name in ("rank_correlation", "correlation"):
        median = by_outcome[name].drop_nans().drop_nulls().median()
        found[name] = float(median) if isinstance(median, float) else None
    return found


def along_frame(asked: Asked, index: Int[np.ndarray, " n"]) -> pl.DataFrame:
    """Rows of :data:`~proband.explain.tables.ALONG`, of the subjects of some points."""
    stamps = [stamp for point in index for stamp in _stamps(asked, int(point))]
    stamps = list({stamp[:2]: stamp for stamp in stamps}.values())  # of several points of a subject, once
    if not stamps:
        return ALONG.empty()
    store = asked.store
    row, at = np.array([stamp[0] for stamp in stamps]), np.array([stamp[1] for stamp in stamps])
    found = [asked.queries(store, row, time).batch(np.arange(len(row))) for time in (at - 1, at)]
    before, after = (Shifted.of(asked, query).risk()[..., -1] for query in found)
    sets = [asked.head.config.tasks[task].tokens for task in asked.tasks]
    which, outcome = np.nonzero(first_occurrences(store, row, sets) > at[:, None])
    births = store.subjects["birth_time"].cast(pl.Datetime("us")).to_physical().to_numpy()[row]
    time = pl.Series("time", births + at * MICROSECONDS_PER_MINUTE).cast(pl.Datetime("us"))
    return pl.DataFrame(
        {
            "subject_id": store.subject_ids[row[which]],
            "time": time[which],
            "outcome": np.array(asked.outcomes)[outcome],
            "horizon_years": np.full(len(which), asked.horizons_years[-1]),
            "age_years": at[which] / MINUTES_PER_YEAR,
            "risk_before": before[which, outcome],
            "risk": after[which, outcome],
            "codes": np.array([stamp[2] for stamp in stamps])[which],
        },
        schema=dict(ALONG.columns),
    )


def _stamps(asked: Asked, point: int) -> list[tuple[int, int, str]]:
    """Row, age in minutes and codes of each time stamp from entry to the prediction time."""
    store, codes = asked.store, asked.store.vocabulary.recorded_codes()
    row = int(asked.points.rows[point])
    tokens, ages = store.history(row, int(asked.points.start[point]))
    return [
        (row, int(age), ", ".join(dict.fromkeys(codes[token] for token in tokens[ages == age])))
        for age in np.unique(ages[ages > max(0, store.entry[row])])
    ]
