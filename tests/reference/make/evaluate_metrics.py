"""Make tests/reference/evaluate_metrics/: people, and what independent programs say of risks told to them.

Usage: python tests/reference/make/evaluate_metrics.py tests/reference/evaluate_metrics
(in an environment of its own: pip install scikit-survival==0.28.0 lifelines==0.30.3 scikit-learn==1.9.1
dcurves==1.1.7 hazardous==0.2.0 statsmodels==0.15.0; made with these and numpy 2.4.6. scikit-survival is
GPL-3.0: it makes numbers here and is a dependency of nothing)

Writes people.tsv (follow-up with competing death, times distinct and in whole years, risks distinct and tied)
and numbers.tsv, a number a row: metric, the program it is of, what it was told, value. None is of proband.

Columns of numbers.tsv: outcome is `onset` (event 1, death competing), `any` (death or onset, one event) or
`complete` (onset among those whose status at the horizon is known, without censoring). Times are `distinct`,
`whole` or `whole_events_first`: whole years, the censored told as a quarter of a year later, so that at equal
times events come before censorings in every program; of `whole` there is only what shows the difference.
Risks are `distinct` or `tied`.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import dcurves
import numpy as np
import pandas as pd
import statsmodels.api as sm
from hazardous.metrics import (
    brier_score_incidence,
    concordance_index_incidence,
    integrated_brier_score_incidence,
)
from lifelines import AalenJohansenFitter
from lifelines.utils import concordance_index
from patsy import dmatrix
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score
from sksurv.metrics import (
    brier_score,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
    integrated_brier_score,
)
from sksurv.nonparametric import (
    CensoringDistributionEstimator,
    cumulative_incidence_competing_risks,
    kaplan_meier_estimator,
)

SEED, NUM_PEOPLE = 20, 400
HORIZONS = [2, 5, 8]
THRESHOLDS = [0.1, 0.25, 0.4]
NEVER = 100.0
QUARTER = 0.25
KNOTS = [0.05, 0.35, 0.65, 0.95]


def people() -> pd.DataFrame:
    """Exponential onset and death, uniform censoring, and risks that are noisy and too extreme."""
    rng = np.random.default_rng(SEED)
    onset_rate = 0.06 * np.exp(rng.normal(0, 0.8, NUM_PEOPLE))
    onset, death = rng.exponential(1 / onset_rate), rng.exponential(25, NUM_PEOPLE)
    leave = rng.uniform(0.5, 14, NUM_PEOPLE)
    time = np.minimum(np.minimum(onset, death), leave)
    table = pd.DataFrame({"subject_id": np.arange(NUM_PEOPLE), "time": time.round(6)})
    table["time_whole"] = np.ceil(table["time"])
    table["event"] = np.where(time == onset, 1, np.where(time == death, 2, 0))
    noise = rng.normal(0, 0.4, NUM_PEOPLE)
    for horizon in HORIZONS:
        both = onset_rate + 1 / 25
        risk = onset_rate / both * (1 - np.exp(-both * horizon))
        log_odds = 1.2 * np.log(risk / (1 - risk)) + noise + 0.3
        table[f"distinct_{horizon}"] = (1 / (1 + np.exp(-log_odds))).round(5)
        table[f"tied_{horizon}"] = (np.ceil(table[f"distinct_{horizon}"] * 20) / 20).clip(upper=0.95).round(2)
        assert not table["time"].between(horizon - 0.01, horizon).any()
    assert table["time"].is_unique
    return table


@dataclass
class Told:
    """What a program is told: times, events, and the risks by horizon."""

    outcome: str
    times: str
    risks: str
    time: np.ndarray
    event: np.ndarray
    risk: dict[int, np.ndarray]

    def structured(self) -> np.ndarray:
        """Event or not, as scikit-survival takes it."""
        return np.array(
            list(zip(self.event > 0, self.time, strict=True)), dtype=[("event", "?"), ("time", "f8")]
        )

    def frame(self) -> pd.DataFrame:
        """As hazardous takes it."""
        return pd.DataFrame({"event": self.event, "duration": self.time})

    def status(self, horizon: int) -> np.ndarray:
        """1 a case by the horizon, 0 without the outcome, -1 censored before."""
        within = self.time <= horizon
        return np.where(~within, 0, np.where(self.event == 1, 1, np.where(self.event == 2, 0, -1)))

    def weights(self, horizon: int) -> np.ndarray:
        """1 / G of scikit-survival at the horizon, or at an event before it; 0 where censored before."""
        censoring = CensoringDistributionEstimator().fit(self.structured())
        staying = censoring.predict_proba(np.minimum(self.time, horizon))
        return np.where(self.status(horizon) >= 0, 1 / staying, 0.0)


def told(table: pd.DataFrame, outcome: str, times: str, risks: str) -> Told:
    time = table["time" if times == "distinct" else "time_whole"].to_numpy(float)
    event = table["event"].to_numpy()
    if times == "whole_events_first":
        time = time + QUARTER * (event == 0)
    if outcome == "any":
        event = (event > 0).astype(int)
    return Told(outcome, times, risks, time, event, {h: table[f"{risks}_{h}"].to_numpy() for h in HORIZONS})


class Numbers:
    """Rows of numbers.tsv."""

    def __init__(self) -> None:
        self.rows: list[dict] = []

    def kept(self) -> list[dict]:
        """Of whole years told as they are, what shows how programs differ at ties."""
        shown = ["sum_of_weights", "brier", "cumulative_incidence"]
        return [row for row in self.rows if row["times"] != "whole" or row["metric"] in shown]

    def add(
        self, on: Told, metric: str, programs: str, horizon: int, value: float, threshold: float | None = None
    ) -> None:
        by = ", ".join(f"{name} {version(name)}" for name in programs.split())
        said = {"metric": metric, "outcome": on.outcome, "times": on.times, "risks": on.risks}
        self.rows.append(
            said | {"horizon": horizon, "threshold": threshold, "value": float(value), "program": by}
        )


def any_event(numbers: Numbers, on: Told) -> None:
    """Without competing death each is a function of one program."""
    truth = on.structured()
    risks = np.column_stack(list(on.risk.values()))
    _, scores = brier_score(truth, truth, 1 - risks, HORIZONS)
    whole = integrated_brier_score(truth, truth, 1 - risks, HORIZONS)
    numbers.add(on, "brier_integrated_from_first", "scikit-survival", HORIZONS[-1], whole)
    years, surviving = kaplan_meier_estimator(*(truth[name] for name in truth.dtype.names))
    for horizon, score in zip(HORIZONS, scores, strict=True):
        area = cumulative_dynamic_auc(truth, truth, on.risk[horizon], [horizon])[0][0]
        numbers.add(on, "auroc", "scikit-survival", horizon, area)
        numbers.add(on, "brier", "scikit-survival", horizon, score)
        incidence = 1 - surviving[years <= horizon][-1]
        numbers.add(on, "cumulative_incidence", "scikit-survival", horizon, incidence)
        table = pd.DataFrame({"risk": on.risk[horizon], "case": on.event, "time": on.time})
        found = dcurves.dca(table, "case", ["risk"], THRESHOLDS, time=horizon, time_to_outcome_col="time")
        benefits(numbers, on, horizon, found)


def benefits(numbers: Numbers, on: Told, horizon: int, found: pd.DataFrame) -> None:
    """Of dcurves, of acting by risk and on all."""
    for model, metric in (("risk", "net_benefit"), ("all", "net_benefit_all")):
        for row in found[found["model"] == model].itertuples():
            numbers.add(on, metric, "dcurves", horizon, row.net_benefit, row.threshold)


def onset(numbers: Numbers, on: Told) -> None:
    """With competing death."""
    truth, everybody = on.frame(), np.column_stack([np.zeros(NUM_PEOPLE), *on.risk.values()])
    whole = integrated_brier_score_incidence(truth, truth, everybody, np.array([0, *HORIZONS]), 1)
    numbers.add(on, "brier_integrated", "hazardous", HORIZONS[-1], whole)
    for horizon in HORIZONS:
        risk, weights = on.risk[horizon], on.weights(horizon)
        known = weights > 0
        case, chance, weight = on.status(horizon)[known] == 1, risk[known], weights[known]
        numbers.add(on, "sum_of_weights", "scikit-survival", horizon, weight.sum())
        score = brier_score_incidence(truth, truth, risk[:, None], np.array([horizon]), 1)[0]
        numbers.add(on, "brier", "hazardous", horizon, score)
        weighted = "scikit-survival scikit-learn"
        area = roc_auc_score(case, chance, sample_weight=weight)
        numbers.add(on, "auroc", weighted, horizon, area)
        precision = average_precision_score(case, chance, sample_weight=weight)
        numbers.add(on, "auprc", weighted, horizon, precision)
        numbers.add(on, "c_index", weighted, horizon, c_index(on, horizon, weights))
        incidences(numbers, on, horizon)
        calibration(numbers, on, horizon, weights)
        for threshold in THRESHOLDS:
            flagged = chance >= threshold
            said = {"sample_weight": weight}
            for metric, of in (("sensitivity", recall_score), ("positive_predictive_value", precision_score)):
                numbers.add(on, metric, weighted, horizon, of(case, flagged, **said), threshold)
            benefit = net_benefit(on, horizon, threshold)
            numbers.add(on, "net_benefit", "scikit-survival", horizon, benefit, threshold)


def incidences(numbers: Numbers, on: Told, horizon: int) -> None:
    """Aalen-Johansen of two programs, and the Brier score of telling it to everybody.

    lifelines moves the times of tied events at random by up to a ten-thousandth; scikit-survival takes ties
    as they are. That of hazardous is lifelines'.
    """
    observed = incidence(on.event, on.time, horizon)
    numbers.add(on, "cumulative_incidence", "scikit-survival", horizon, observed)
    fitter = AalenJohansenFitter(calculate_variance=False, seed=0).fit(on.time, on.event, event_of_interest=1)
    theirs = fitter.cumulative_density_.loc[: horizon + 0.001].iloc[-1, 0]
    numbers.add(on, "cumulative_incidence", "lifelines", horizon, theirs)
    truth, alike = on.frame(), np.full((NUM_PEOPLE, 1), observed)
    score = brier_score_incidence(truth, truth, alike, np.array([horizon]), 1)[0]
    numbers.add(on, "brier_of_incidence", "hazardous scikit-survival", horizon, score)
    theirs = concordance_index_incidence(
        truth, on.risk[horizon][:, None].repeat(2, 1), truth, time_grid=[0, NEVER], taus=[horizon]
    )[0]
    numbers.add(on, "c_index", "hazardous", horizon, theirs)


def incidence(event: np.ndarray, time: np.ndarray, horizon: int) -> float:
    years, found = cumulative_incidence_competing_risks(event, time)
    return float(found[1, years <= horizon][-1])


def net_benefit(on: Told, horizon: int, threshold: float) -> float:
    """As dcurves without death: the incidence among the flagged, times their share."""
    flagged = on.risk[horizon] >= threshold
    if not flagged.any():
        return 0.0
    observed = incidence(on.event[flagged], on.time[flagged], horizon)
    return flagged.mean() * (observed - (1 - observed) * threshold / (1 - threshold))


def c_index(on: Told, horizon: int, weights: np.ndarray) -> float:
    """scikit-learn's AUROC of each case against all known to be without the outcome at its time, averaged."""
    status, risk = on.status(horizon), on.risk[horizon]
    areas, pairs = [], []
    for row in np.flatnonzero(status == 1):
        without = (status == 0) | ((status == 1) & (on.time > on.time[row]))
        if without.any():
            told_risk = np.append(risk[row], risk[without])
            weight = np.append(1.0, weights[without])
            areas.append(roc_auc_score(np.arange(len(weight)) == 0, told_risk, sample_weight=weight))
            pairs.append(weights[row] * weights[without].sum())
    return float(np.average(areas, weights=pairs))


def calibration(numbers: Numbers, on: Told, horizon: int, weights: np.ndarray) -> None:
    """Binomial regressions of statsmodels with scikit-survival's weights; splines of patsy."""
    risk, known = on.risk[horizon], weights > 0
    log_odds = np.log(risk / (1 - risk))
    case, weight = (on.status(horizon) == 1).astype(float), weights[known]

    def fitted(design: np.ndarray, offset: np.ndarray | None = None) -> np.ndarray:
        start = None if offset is None else offset[known]
        model = sm.GLM(case[known], design[known], sm.families.Binomial(), offset=start, freq_weights=weight)
        return model.fit(tol=1e-14, maxiter=200).params

    ones, by = np.ones(NUM_PEOPLE), "scikit-survival statsmodels"
    numbers.add(on, "calibration_slope", by, horizon, fitted(np.column_stack([ones, log_odds]))[1])
    numbers.add(on, "calibration_intercept", by, horizon, fitted(ones[:, None], log_odds)[0])
    first, *inner, last = np.quantile(log_odds, KNOTS)
    formula = "cr(x, knots=inner, lower_bound=first, upper_bound=last) - 1"
    told_x = {"x": log_odds, "inner": inner, "first": first, "last": last}
    design = np.asarray(dmatrix(formula, told_x))
    smoothed = 1 / (1 + np.exp(-design @ fitted(design)))
    errors = np.abs(smoothed - risk)
    numbers.add(on, "ici", by + " patsy", horizon, errors.mean())
    for metric, share in (("e50", 0.5), ("e90", 0.9)):
        value = np.quantile(errors, share, method="inverted_cdf")
        numbers.add(on, metric, by + " patsy", horizon, value)


def complete(numbers: Numbers, on: Told) -> None:
    """Those known at the horizon, nobody censored: who died is told as without the outcome for ever."""
    for horizon in HORIZONS:
        status = on.status(horizon)
        known = status >= 0
        case, risk = status[known] == 1, on.risk[horizon][known]
        time = np.where(case, on.time[known], NEVER)
        truth = np.array(list(zip(case, time, strict=True)), dtype=[("event", "?"), ("time", "f8")])
        area = cumulative_dynamic_auc(truth, truth, risk, [horizon])[0][0]
        numbers.add(on, "auroc", "scikit-survival", horizon, area)
        numbers.add(on, "auprc", "scikit-learn", horizon, average_precision_score(case, risk))
        numbers.add(on, "c_index", "scikit-survival", horizon, concordance_index_ipcw(truth, truth, risk)[0])
        numbers.add(on, "c_index", "lifelines", horizon, concordance_index(time, -risk, case))
        as_is = Told("", "", "", on.time[known], on.event[known], {}).frame()
        theirs = concordance_index_incidence(
            as_is, risk[:, None].repeat(2, 1), None, None, [0, NEVER], [horizon]
        )
        numbers.add(on, "c_index", "hazardous", horizon, theirs[0])
        table = pd.DataFrame({"risk": risk, "case": case})
        benefits(numbers, on, horizon, dcurves.dca(table, "case", ["risk"], THRESHOLDS))


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    people().to_csv(out / "people.tsv", sep="\t", index=False)
    table = pd.read_csv(out / "people.tsv", sep="\t")
    numbers = Numbers()
    for times in ("distinct", "whole_events_first", "whole"):
        for risks in ("distinct", "tied"):
            any_event(numbers, told(table, "any", times, risks))
            onset(numbers, told(table, "onset", times, risks))
            complete(numbers, told(table, "complete", times, risks))
    pd.DataFrame(numbers.kept()).to_csv(out / "numbers.tsv", sep="\t", index=False)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "Tied event times")
    main(Path(sys.argv[1]))
