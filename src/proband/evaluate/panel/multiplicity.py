"""What is computed over several outcomes or horizons at once: multiplicity, mean gains, integrated Brier
score."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.evaluate.metrics.compare import false_discovery_rate, interval, max_t
from proband.evaluate.metrics.registry import compared
from proband.evaluate.metrics.risk_set import LEAST_FOR_INTERVALS, RiskSet
from proband.evaluate.panel.gain import METRICS as GAINED
from proband.evaluate.tables import DIFFERENCES, GAINS, METRICS

INTEGRATED_BRIER = "brier_integrated"
FAMILY = ["metric", "horizon_years", "model_a", "model_b"]
"""Columns of differences; rows alike in them are adjusted together."""


class Panel:
    """Keeps the replicates of all outcomes and horizons, which are of the same resamples."""

    def __init__(self) -> None:
        self._differences: dict[tuple, dict[str, np.ndarray]] = defaultdict(dict)
        self._firm: dict[tuple[str, float], bool] = {}
        self._brier: dict[tuple[str, str], list[tuple[RiskSet, np.ndarray]]] = defaultdict(list)

    def add(self, risk_set: RiskSet, values: Mapping[tuple[str, str], np.ndarray]) -> None:
        """Keep what one outcome and horizon gave.

        Args:
            risk_set: Of the outcome and horizon.
            values: (model, metric) -> one value per replicate, of the metrics compared.
        """
        self._firm[risk_set.outcome, risk_set.horizon_years] = not risk_set.too_few_for_intervals()
        for metric in compared():
            for a, b in combinations(risk_set.risks, 2):
                family = metric, risk_set.horizon_years, a, b
                difference = values[a, metric] - values[b, metric]
                self._differences[family][risk_set.outcome] = difference
        for model in risk_set.risks:
            self._brier[risk_set.outcome, model].append((risk_set, values[model, "brier"]))

    def adjusted(self, differences: pl.DataFrame) -> pl.DataFrame:
        """The differences with p values adjusted over the outcomes.

        Args:
            differences: A frame of :data:`proband.evaluate.tables.DIFFERENCES`.
        """
        if differences.is_empty():
            return differences
        parts = differences.partition_by(FAMILY, as_dict=True, maintain_order=True)
        done = [self._with_adjusted(family, part) for family, part in parts.items()]
        place = differences.with_row_index("place").select("place", "outcome", *FAMILY)
        joined = pl.concat(done).join(place, on=["outcome", *FAMILY], how="left")
        return joined.sort("place").select(*DIFFERENCES.columns)

    def _with_adjusted(self, family: tuple, part: pl.DataFrame) -> pl.DataFrame:
        kept = [self._differences[family][outcome] for outcome in part["outcome"]]
        most = max(map(len, kept))
        tested = np.array([found if len(found) == most else np.full(most, np.nan) for found in kept])
        p_values = part["p_value"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        adjusted = {
            "q_value": false_discovery_rate(p_values),
            "p_value_max_t": max_t(tested[:, 0], tested[:, 1:]),
        }
        columns = [pl.Series(name, values).fill_nan(None) for name, values in adjusted.items()]
        return part.with_columns(columns)

    def mean_gains(self, pairs: Sequence[tuple[str, str]]) -> pl.DataFrame:
        """What each model of a pair gains on the other, mean over outcomes with cases enough for an interval.

        By the longest horizon at which both are judged, on the people that all models predict; everybody is
        drawn the same number of times for all outcomes, so that the interval knows that the same people stand
        in each.

        Args:
            pairs: A model, and that of which it is the gain.

        Returns:
            A frame of :data:`proband.evaluate.tables.GAINS`.
        """
        rows = [row for pair in pairs for metric in GAINED if (row := self._mean_gain(*pair, metric))]
        ends = pl.col("low", "high").fill_nan(None)
        return pl.DataFrame(rows, schema=dict(GAINS.columns), orient="row").with_columns(ends)

    def _mean_gain(self, model: str, reference: str, metric: str) -> dict[str, object] | None:
        signs = {(metric, model, reference): 1, (metric, reference, model): -1}
        found = {
            horizon: (signs[name, a, b], by_outcome)
            for (name, horizon, a, b), by_outcome in self._differences.items()
            if (name, a, b) in signs
        }
        if not found:
            return None
        horizon = max(found)
        sign, by_outcome = found[horizon]
        firm = [sign * one for outcome, one in by_outcome.items() if self._firm[outcome, horizon]]
        if not firm:
            return None
        value, *replicates = np.mean(firm, axis=0)
        low, high = interval(np.array(replicates))
        return {
            "horizon_years": horizon, "model": model, "reference": reference, "metric": metric,
            "difference": float(value), "low": low, "high": high, "num_outcomes": len(firm),
            "least_cases": LEAST_FOR_INTERVALS,
        }  # fmt: skip

    def integrated_brier(self) -> pl.DataFrame:
        """The Brier score integrated from 0 to the longest horizon by the trapezoid rule, over that horizon.

        Graf et al. 1999. Of outcomes and models with at least two horizons; at time 0 the score is 0.
        """
        rows = [_integrated(model, kept) for (_, model), kept in self._brier.items() if len(kept) > 1]
        return pl.DataFrame(rows, schema=dict(METRICS.columns), orient="row")


def mean_over_time(scores: Mapping[float, Float[np.ndarray, " replicates"]]) -> Float[np.ndarray, " fewest"]:
    """A score integrated from 0 to the longest horizon by the trapezoid rule, over that horizon.

    Args:
        scores: Horizon, rising -> a value per replicate, the sample's first. Where cases are few the sample
            alone was computed: as many replicates are given as all have.

    >>> mean_over_time({1.0: np.array([0.2, 0.2]), 2.0: np.array([0.4])}).round(3).tolist()
    [0.2]
    """
    fewest = min(map(len, scores.values()))
    heights = np.array([np.zeros(fewest), *(values[:fewest] for values in scores.values())])
    years = np.array([0.0, *scores])
    return np.asarray(np.trapezoid(heights, years, axis=0) / years[-1])


def _integrated(model: str, kept: list[tuple[RiskSet, np.ndarray]]) -> dict:
    kept = sorted(kept, key=lambda one: one[0].horizon_years)
    last = kept[-1][0]
    scores = {risk_set.horizon_years: values for risk_set, values in kept}
    value, *replicates = mean_over_time(scores)
    low, high = interval(np.array(replicates))
    over = ", ".join(f"{horizon:g}" for horizon in scores)
    few = next(filter(None, (risk_set.too_few_for_intervals() for risk_set, _ in kept)), "")
    return {
        "outcome": last.outcome, "horizon_years": last.horizon_years, "model": model,
        "metric": INTEGRATED_BRIER, "value": float(value), "num_subjects": last.counts[0],
        "low": low if np.isfinite(low) else None, "high": high if np.isfinite(high) else None,
        "num_cases": last.counts[1], "note": f"horizons {over} years" + (f"; {few}" if few else ""),
    }  # fmt: skip
