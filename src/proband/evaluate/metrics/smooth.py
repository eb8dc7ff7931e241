"""Observed risk as a smooth function of predicted risk: ICI, E50, E90, and the calibration curve."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from proband.core.statistics.splines import KNOT_QUANTILES, spline_basis
from proband.evaluate.metrics.calibration import (
    RISK_FLOOR,
    Refit,
    expit,
    fit_logistic,
    logit,
    newton_steps,
)
from proband.evaluate.metrics.sums import sums_by_group

MOST_SHOWN = 500
CURVE_POINTS = 50
"""Points of a calibration curve."""
CURVE_QUANTILES = (0.01, 0.99)
"""Of the predicted risks, between which a calibration curve is given."""
HISTOGRAM_BINS = 25
"""Most bins of a histogram of predicted risks."""
ERROR_GROUPS = 256
"""Most groups of rising risk in which the errors of a replicate are taken to be those of the middle row."""
_EPSILON = 1e-9
LEAST_LEVELS = 14
"""Different risks that a curve needs, ten more than it has coefficients: through fewer it would give back the
shares of the groups that have them."""


class Smoother:
    """Observed risk as a smooth function of predicted risk.

    A weighted logistic regression on a restricted cubic spline of logit(risk). Austin and Steyerberg 2019,
    doi:10.1002/sim.8281.

    Attributes:
        order: Rows by rising risk.

    Args:
        risk: Predicted risk of all rows.
        known: Row numbers of those whose status at the horizon is known.
    """

    def __init__(self, risk: Float[np.ndarray, " rows"], known: Int[np.ndarray, " known"]) -> None:
        self.risk, self.known = risk, known
        self.order = np.argsort(risk, kind="stable")
        self._refit: Refit | None = None
        x = logit(risk)
        self._knots = np.unique(np.quantile(x, KNOT_QUANTILES))
        self._design = spline_basis(x, self._knots) if np.ptp(x) > 0 else np.ones((len(x), 1))

    @cached_property
    def points(self) -> Float[np.ndarray, " points"]:
        """Predicted risks at which the curve is given: :data:`CURVE_POINTS`, evenly on the logit scale.

        Between the quantiles :data:`CURVE_QUANTILES` of the risks; none of fewer than :data:`LEAST_LEVELS`
        different risks.
        """
        low, high = np.quantile(logit(self.risk), CURVE_QUANTILES)
        if len(np.unique(self.risk)) < LEAST_LEVELS or low == high:
            return np.zeros(0)
        return expit(np.linspace(low, high, CURVE_POINTS))

    def coefficients(
        self, case: Bool[np.ndarray, " known"], censoring: Float[np.ndarray, "replicates known"]
    ) -> Float[np.ndarray, "replicates basis"]:
        """Of the regression in every replicate; NaN where the fit fails.

        Args:
            case: Which of the known rows are cases; the same in every call.
            censoring: Row weights of the known rows with censoring weights, the sample first.
        """
        if self._refit is None:
            design = self._design[self.known]
            beta = fit_logistic(design, case, censoring[0], start=self._identity)
            self._refit = Refit.logistic(design, case, beta)
        return self._refit.coefficients(censoring)

    def errors(
        self, coefficients: Float[np.ndarray, "replicates basis"]
    ) -> Float[np.ndarray, "replicates rows"]:
        """|smoothed observed risk − predicted risk|, rows by rising risk, by :meth:`coefficients`."""
        return self._errors(coefficients, self.order)

    def errors_by_group(
        self,
        coefficients: Float[np.ndarray, "replicates basis"],
        weights: Float[np.ndarray, "replicates rows"],
    ) -> tuple[Float[np.ndarray, "replicates groups"], Float[np.ndarray, "replicates groups"]]:
        """The same in the middle row of each of up to :data:`ERROR_GROUPS` groups of rising risk.

        Both curves are smooth, so that the errors within a group differ little, and a replicate costs as
        many evaluations of the curve as there are groups.

        Args:
            coefficients: Of :meth:`coefficients`.
            weights: How often each row was drawn.

        Returns:
            The errors, and how many rows of each group were drawn.
        """
        group, middle = self._error_groups
        return self._errors(coefficients, middle), sums_by_group(group, weights, len(middle))

    @cached_property
    def _error_groups(self) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " groups"]]:
        """Each row's group, and each group's middle row."""
        size = len(self.order)
        edges = np.linspace(0, size, min(size, ERROR_GROUPS) + 1).astype(np.int64)
        group = np.empty(size, dtype=np.int64)
        group[self.order] = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        return group, self.order[(edges[:-1] + edges[1:]) // 2]

    @cached_property
    def _identity(self) -> Float[np.ndarray, " basis"]:
        """Coefficients of the curve that gives back the risk: (0, 1, 0, 0) of the spline."""
        beta = np.zeros(self._design.shape[1])
        beta[:2] = (0.0, 1.0) if len(beta) > 1 else logit(self.risk[:1])
        return beta

    def _errors(
        self, coefficients: Float[np.ndarray, "replicates basis"], rows: Int[np.ndarray, " some"]
    ) -> Float[np.ndarray, "replicates some"]:
        return np.abs(expit(coefficients @ self._design[rows].T) - self.risk[rows])

    def curve(
        self, coefficients: Float[np.ndarray, "replicates basis"]
    ) -> Float[np.ndarray, "replicates points"]:
        """Smoothed observed risk at :attr:`points`, by :meth:`coefficients`."""
        if not len(self.points):
            return np.zeros((len(coefficients), 0))
        return expit(coefficients @ spline_basis(logit(self.points), self._knots).T)

    def errors_of_a_perfect_model(
        self, censoring: Float[np.ndarray, " known"], draws: int, rng: np.random.Generator
    ) -> Float[np.ndarray, "draws some"]:
        """The same if every case had been drawn with its predicted risk: what smoothing makes of chance.

        Given at up to :data:`MOST_SHOWN` rows, evenly spaced in the order of risk.

        Args:
            censoring: Censoring weights of the known rows.
            draws: Samples of cases.
            rng: Source of them.
        """
        risk, design = self.risk[self.known], self._design[self.known]
        case = rng.random((draws, len(risk))) < risk
        beta = self._identity  # each draw is one Newton step from there
        curvature = (design.T * (censoring * risk * (1 - risk))) @ design
        shown = self.order[_evenly(len(self.risk), MOST_SHOWN)]
        steps = newton_steps(
            np.broadcast_to(curvature, (draws, *curvature.shape)), ((case - risk) * censoring) @ design
        )
        return np.abs(expit((beta + steps) @ self._design[shown].T) - self.risk[shown])


def histogram_edges(risk: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " edges"]:
    """Edges of bins of one width from 0, of which the last begins below the 99th percentile and is open.

    The width is a round number of two digits, which makes 23 to 25 bins, so that no edge is somebody's risk.

    >>> histogram_edges(np.linspace(0, 0.3, 1000))[[0, 1, 2, -1]].round(4).tolist()
    [0.0, 0.012, 0.024, 0.3]
    """
    top = max(float(np.quantile(risk, CURVE_QUANTILES[1])), RISK_FLOOR)
    unit = 10.0 ** (np.floor(np.log10(top / HISTOGRAM_BINS)) - 1)
    width = np.ceil(top / HISTOGRAM_BINS / unit - _EPSILON) * unit
    number = int(np.ceil(top / width - _EPSILON))
    return np.minimum(np.arange(number + 1) * width, 1.0)


def subjects_beside(
    risk: Float[np.ndarray, " rows"],
    subject_id: Int[np.ndarray, " rows"],
    points: Float[np.ndarray, " points"],
) -> tuple[Int[np.ndarray, " points"], Int[np.ndarray, " points"]]:
    """Distinct subjects with a risk at or below each point, and with one above it.

    >>> subject_id = np.array([7, 7, 8])
    >>> [one.tolist() for one in subjects_beside(np.array([0.1, 0.3, 0.2]), subject_id, np.array([0.2]))]
    [[2], [1]]
    """
    subjects, index = np.unique(subject_id, return_inverse=True)
    lowest, highest = np.full(len(subjects), np.inf), np.full(len(subjects), -np.inf)
    np.minimum.at(lowest, index, risk)
    np.maximum.at(highest, index, risk)
    below = np.searchsorted(np.sort(lowest), points, side="right")
    return below, len(subjects) - np.searchsorted(np.sort(highest), points, side="right")


def subjects_in_bins(
    risk: Float[np.ndarray, " rows"], subject_id: Int[np.ndarray, " rows"], edges: Float[np.ndarray, " edges"]
) -> Int[np.ndarray, " bins"]:
    """Distinct subjects with a risk in each bin, lower edge included; in the last also those above it.

    >>> subjects_in_bins(np.array([0.1, 0.1, 0.9]), np.array([7, 7, 8]), np.array([0, 0.1, 0.2])).tolist()
    [0, 2]
    """
    number = len(edges) - 1
    place = np.clip(np.searchsorted(edges, risk, side="right") - 1, 0, number - 1)
    _, index = np.unique(subject_id, return_inverse=True)
    return np.bincount(np.unique(index * number + place) % number, minlength=number)


def _evenly(number: int, most: int) -> Int[np.ndarray, " some"]:
    """Up to ``most`` of the places 0 to ``number`` - 1, evenly spaced."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).round().astype(int))
