"""When a code nearly determines an outcome.

Two rules, each on a lower 97.5% confidence limit, so that a handful of people never decides:

- predictive value: of those who have the code, or of those who lack it, at least 90% have the rarer of the
  two labels. That most people have the commoner one anyway says nothing.
- AUROC: having the code alone has an AUROC of at least .95, (1 + s) / 2 with s the difference between the
  shares of cases and of others who have it. A marker that is normal within cases and within others with one
  variance, cut where a code of it is best, gives Φ(d / 2) of its own AUROC Φ(d / √2): a code of .95 would be
  the cut of a marker with an AUROC of .99, and a marker of .90 gives codes of .82 at most.

With labels that have nothing to do with the codes, n people have the rarer label all together with a
probability of at most 2^-n, and the first rule needs 36: 1.5e-11 for each code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

LEAST_VALUE, LEAST_AUROC = 0.9, 0.95
TAIL = 0.025
"""Probability of missing a true share on the one side that counts."""
LEAST_SUBJECTS = 36
"""Fewest who can be all alike with a lower limit of :data:`LEAST_VALUE`: TAIL ** (1 / 36) is .903."""
PREDICTIVE_VALUE, AUROC = "predictive value", "AUROC"
HAVING, LACKING = "having", "lacking"
CASE_LABEL, OTHER_LABEL = "case", "no case"


@dataclass(frozen=True)
class Verdict:
    """Why a code was named.

    Attributes:
        who: HAVING or LACKING the code.
        label: What these people nearly all are, CASE_LABEL or OTHER_LABEL.
        rule: PREDICTIVE_VALUE or AUROC.
        value: Its estimate.
        low: Its lower limit.
        share_of_cases: Share of the cases who are of these people, 0 to 1.
        share_of_others: Share of the others who are.
        num_subjects: How many different subjects they are.
        num_cases: How many of these are cases.
    """

    who: str
    label: str
    rule: str
    value: float
    low: float
    share_of_cases: float
    share_of_others: float
    num_subjects: int
    num_cases: int


@dataclass(frozen=True)
class Known:
    """Predictions whose label at a horizon is known.

    Attributes:
        is_case: Whether the outcome came.
        weights: Censoring weights.
        subject_id: Whose prediction it is.
    """

    is_case: Bool[np.ndarray, " known"]
    weights: Float[np.ndarray, " known"]
    subject_id: Int[np.ndarray, " known"]

    @property
    def rarer_is_case(self) -> bool:
        """Whether cases are the rarer label."""
        return float(self.weights[self.is_case].sum()) <= float(self.weights[~self.is_case].sum())

    def number(self, rows: Bool[np.ndarray, " known"]) -> float:
        """How many independent observations some rows are worth: (Σw)² / Σw² with w the weights that each
        subject has together (Kish 1965, Survey Sampling), so no more than their subjects."""
        _, subject = np.unique(self.subject_id[rows], return_inverse=True)
        weights = np.bincount(subject, self.weights[rows])
        squares = float((weights**2).sum())
        return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0

    def subjects(self, rows: Bool[np.ndarray, " known"]) -> int:
        """How many different subjects some rows are of."""
        return len(np.unique(self.subject_id[rows]))

    def share(self, part: Bool[np.ndarray, " known"], whole: Bool[np.ndarray, " known"]) -> float:
        """Weighted share of ``part`` in ``whole``; 0 where that is empty."""
        total = float(self.weights[whole].sum())
        return float(self.weights[part & whole].sum()) / total if total > 0 else 0.0


def lower_limit(share: float | int, number: float | int) -> float:
    """Lower 97.5% limit of a share of ``number`` (Clopper and Pearson 1934, Biometrika 26:404).

    The number may be no whole one. 0 of nobody.

    >>> round(lower_limit(1.0, 5), 3), round(lower_limit(1.0, 36), 3), lower_limit(0.0, 5)
    (0.478, 0.903, 0.0)
    """
    from scipy.special import betaincinv

    successes = share * number
    return float(betaincinv(successes, number - successes + 1, TAIL)) if successes > 0 else 0.0


def upper_limit(share: float | int, number: float | int) -> float:
    """The upper one."""
    return 1.0 - lower_limit(1.0 - share, number)


def judge(held: Bool[np.ndarray, " known"], known: Known) -> Verdict | None:
    """What a code tells of the label.

    Args:
        held: Who has the code.
        known: Whose label is known, and which it is.

    Returns:
        None where neither rule applies; the predictive value where both do.
    """
    rarer = known.is_case if known.rarer_is_case else ~known.is_case
    label = CASE_LABEL if known.rarer_is_case else OTHER_LABEL
    for who, people in ((HAVING, held), (LACKING, ~held)):
        value = known.share(rarer, people)
        low = lower_limit(value, known.number(people))
        if low >= LEAST_VALUE:
            return _verdict(people, known, who, label, PREDICTIVE_VALUE, value, low)
    return _by_auroc(held, known)


def _by_auroc(held: Bool[np.ndarray, " known"], known: Known) -> Verdict | None:
    """The second rule."""
    case, other = known.is_case, ~known.is_case
    points_to_case = known.share(held, case) >= known.share(held, other)
    more, fewer = (case, other) if points_to_case else (other, case)
    high, low = known.share(held, more), known.share(held, fewer)
    certain = lower_limit(high, known.number(more)) - upper_limit(low, known.number(fewer))
    if (1 + certain) / 2 < LEAST_AUROC:
        return None
    label = CASE_LABEL if points_to_case else OTHER_LABEL
    return _verdict(held, known, HAVING, label, AUROC, (1 + high - low) / 2, (1 + certain) / 2)


def _verdict(
    people: Bool[np.ndarray, " known"],
    known: Known,
    who: str,
    label: str,
    rule: str,
    value: float,
    low: float,
) -> Verdict:
    shares = known.share(people, known.is_case), known.share(people, ~known.is_case)
    counts = known.subjects(people), known.subjects(people & known.is_case)
    return Verdict(who, label, rule, value, low, *shares, *counts)
