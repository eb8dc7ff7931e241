"""Counts of an outcome's subjects as they are printed, decided once for every place of the page."""

from __future__ import annotations

from collections.abc import Mapping

from proband.core.statistics.suppress import WITHHELD
from proband.report.disclosure import Disclosure
from proband.report.sections.found import Found

AT_RISK, ENDS = "early enough", ("case", "control", "censored")
"""Steps of the flow: who is judged, and what became of them by the horizon."""


def shown_counts(found: Found, outcome: str) -> dict[float, dict[str, str]]:
    """What is printed of the subjects of an outcome.

    Subjects at risk by the horizons shown lie within each other and within the steps before. Cases are
    printed in several places: where one end of the flow is hidden, controls or those censored are withheld.

    Args:
        found: Results and rules.
        outcome: Its name.

    Returns:
        Horizon shown, rising -> step of the flow -> its count, "≤20" or "withheld". Steps before those at
        risk are as at the longest horizon.
    """
    horizons, flow = found.shown[outcome], found.tables["flow"].filter(outcome=outcome)
    if not horizons:
        return {}
    numbers = {
        horizon: dict(flow.filter(horizon_years=horizon).select("step", "num_subjects").iter_rows())
        for horizon in horizons
    }
    longest = numbers[horizons[-1]]
    before = [step for step in longest if step not in (AT_RISK, *ENDS)]
    steps = [longest[step] for step in before] + [numbers[horizon].get(AT_RISK) for horizon in horizons]
    nested = found.rules.steps(steps)
    first = dict(zip(before, nested, strict=False))
    return {
        horizon: first | {AT_RISK: at_risk} | _ends(numbers[horizon], found.rules)
        for horizon, at_risk in zip(horizons, nested[len(before) :], strict=True)
    }


def at_risk_and_onsets(counts: Mapping[str, str]) -> str:
    """Both in words, of the counts of one horizon.

    >>> at_risk_and_onsets({"early enough": "1,580", "case": "80"})
    '1,580 subjects at risk, 80 onsets seen'
    """
    number = counts[AT_RISK]
    subjects = "Subjects at risk withheld" if number == WITHHELD else f"{number} subjects at risk"
    return f"{subjects}, {counts['case']} onsets seen"


def _ends(numbers: Mapping[str, int], rules: Disclosure) -> dict[str, str]:
    shown = rules.parts([numbers.get(end, 0) for end in ENDS], elsewhere=[ENDS.index("case")])
    return dict(zip(ENDS, shown, strict=True))
