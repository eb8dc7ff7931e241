"""What may be shown: of people's data by the rules of :mod:`proband.core.statistics.suppress`, else all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from proband.core.statistics import suppress

_OPEN_STEP = 0.0001
_THOUSANDTHS = 1000


@dataclass(frozen=True)
class Disclosure:
    """The rules of one page.

    Attributes:
        synthetic: The data are of no person: nothing is hidden, merged or rounded for their sake.
    """

    synthetic: bool = False

    def count(self, number: int | None) -> str:
        """A count as it may be printed.

        >>> Disclosure().count(7), Disclosure(synthetic=True).count(1234)
        ('≤20', '1,234')
        """
        return f"{number:,}" if self.synthetic and number is not None else suppress.count(number)

    def parts(self, numbers: Sequence[int], elsewhere: Collection[int] = ()) -> list[str]:
        """Counts that add up to a total shown beside; those at ``elsewhere`` are printed there as well."""
        if self.synthetic:
            return [self.count(number) for number in numbers]
        return suppress.parts(numbers, elsewhere)

    def steps(self, numbers: Sequence[int | None]) -> list[str]:
        """Counts of nested groups, each within the one before: from two that are shown no small one follows.

        >>> Disclosure().steps([500, 495, 495, 300])
        ['500', 'withheld', 'withheld', '300']
        """
        shown, last = [], None
        for number in numbers:
            near = last is not None and number is not None and not suppress.may_show(last - number)
            shown.append(suppress.WITHHELD if near and not self.synthetic else self.count(number))
            last = last if near else number
        return shown

    def enough(self, number: int) -> bool:
        """Whether a summary of so many subjects may be shown."""
        return self.synthetic or number >= suppress.LEAST

    def may_show(self, number: int) -> bool:
        """Whether a count may be known."""
        return self.synthetic or suppress.may_show(number)

    def share(self, value: float, number: int) -> float:
        """A share of ``number`` subjects."""
        return round(value, 4) if self.synthetic else suppress.share(value, number)

    def shares(self, values: pl.Series, numbers: pl.Series) -> pl.Series:
        """:meth:`share` of each value with its number."""
        return values.round(4) if self.synthetic else suppress.shares(values, numbers)

    def risks(self, values: pl.Series) -> pl.Series:
        """Thresholds, and means of risks, which are no shares of a count of people: rounded to thousandths.

        >>> Disclosure().risks(pl.Series([0.01234])).to_list()
        [0.012]
        """
        return self.shares(values, pl.Series([_THOUSANDTHS] * len(values), dtype=pl.Int64))

    def horizons(self, cases: Mapping[float, int], controls: Mapping[float, int]) -> list[float]:
        """Horizons whose results may be shown together."""
        return sorted(cases) if self.synthetic else suppress.shown_horizons(cases, controls)

    def points(
        self,
        curve: pl.DataFrame,
        num_subjects: int,
        num_cases: int,
        drawn: Sequence[tuple[int, int]] = (),
        first: Sequence[bool] = (),
    ) -> pl.DataFrame:
        """Points of a curve that may be drawn beside what is ``drawn``, those ``first`` before others."""
        if self.synthetic:
            return curve
        return suppress.safe_points(curve, num_subjects, num_cases, drawn, first)

    def smoothed(self, curve: pl.DataFrame) -> pl.DataFrame:
        """Points of a smoothed curve that may be drawn, in ten-thousandths; it is a regression, no share."""
        kept = curve if self.synthetic else suppress.inner_points(curve)
        return kept.select(pl.col("predicted", "observed", "low", "high").round(4))

    def bars(self, bins: pl.DataFrame) -> pl.DataFrame:
        """Bars of a histogram: low, high, and num_subjects as it may be drawn."""
        return bins.select("low", "high", "num_subjects") if self.synthetic else suppress.bars(bins)

    def groups(self, groups: pl.DataFrame, averaged: Sequence[str]) -> pl.DataFrame:
        """Groups in order, merged with neighbours as far as needed; see :func:`suppress.merge_groups`."""
        if not self.synthetic:
            return suppress.merge_groups(groups, averaged)
        number = pl.int_range(1, pl.len() + 1)
        kept = ["num_subjects", "num_cases", "observed", "low", "high", *averaged]
        return groups.select(number.alias("first"), number.alias("last"), *kept)
