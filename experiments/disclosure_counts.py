"""What a report, and the tables of a model folder, tell about counts of 1 to 20; see disclosure.py."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import polars as pl

from proband.core.seeds import generator
from proband.core.statistics import suppress
from proband.core.units import MINUTES_PER_YEAR
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.history.onsets import first_occurrences
from proband.tokens.measurements.steps import edge_between, recorded_step

NUM_POINTS = 60
MOST_STEPS = 40
"""Between an edge and the neighbours that are tried."""
SMALL = range(1, suppress.LEAST)


class Point(NamedTuple):
    """Those above a threshold: a point of a curve, or the upper boundary of a calibration group.

    Attributes:
        share: Sensitivity as printed; None for a boundary.
        groups: Of a boundary, observed share as printed and size of every group above it.
        flagged, cases: Hidden: how many people and cases lie above.
    """

    share: float | None
    groups: list[tuple[float, int]]
    flagged: int
    cases: int

    def ends(self, cases: int) -> tuple[int, int]:
        """Fewest and most cases above that the digits allow, if there are so many cases in all."""
        groups = self.groups if self.share is None else [(self.share, cases)]
        halves = [suppress.step(number) / 2 + 1e-9 for _, number in groups]
        both = list(zip(groups, halves, strict=True))
        low = sum(math.ceil((share - half) * number) for (share, number), half in both)
        return low, sum(math.floor((share + half) * number) for (share, number), half in both)


class Page(NamedTuple):
    """What a page shows of one outcome: counts rounded up to tens, rounded shares, and one model's points."""

    subjects: int
    cases: int
    incidence: float
    points: list[Point]

    def digits(self) -> tuple:
        """All that is printed."""
        shown = [(point.share, *(share for share, _ in point.groups)) for point in self.points]
        return self.subjects, self.cases, self.incidence, shown


def cohort(rng: np.random.Generator) -> np.ndarray:
    """Case status of 100 to 3,000 people from the highest risk down."""
    number = int(rng.integers(100, 3000))
    log_odds = rng.normal(0, 1, number)
    rate = rng.uniform(0.05, 0.4)
    case = rng.random(number) < 1 / (1 + np.exp(-(log_odds + math.log(rate / (1 - rate)))))
    return case[np.argsort(-log_odds)]


def page(case: np.ndarray) -> Page | None:
    """The numbers shown of a cohort; None where none may be."""
    number, cases = len(case), int(case.sum())
    if not suppress.shown_horizons({1.0: cases}, {1.0: number - cases}):
        return None
    flagged = np.unique(np.linspace(1, number - 1, NUM_POINTS).astype(int))
    curve = pl.DataFrame({"num_flagged": flagged, "num_flagged_cases": case.cumsum()[flagged - 1]})
    groups = calibration(case)
    shown = suppress.safe_points(curve, number, cases, suppress.boundaries(groups))
    points = [Point(suppress.share(k / cases, cases), [], n, k) for n, k in shown.iter_rows()]
    above: list[tuple[float, int]] = []
    for row in groups.reverse().head(-1).iter_rows(named=True):
        above = [*above, (row["observed"], row["num_subjects"])]
        total = sum(size for _, size in above)
        points.append(Point(None, above, total, int(case[:total].sum())))
    return Page(
        int(suppress.count(number).replace(",", "")),
        int(suppress.count(cases).replace(",", "")),
        suppress.share(cases / number, number),
        sorted(points, key=lambda point: point.flagged),
    )


def calibration(case: np.ndarray) -> pl.DataFrame:
    """Groups of a tenth each, the lowest risks first, merged as the page does."""
    groups = np.array_split(case[::-1], 10)
    observed = [float(group.mean()) for group in groups]
    counts = {"num_subjects": [len(group) for group in groups], "num_cases": [int(g.sum()) for g in groups]}
    return suppress.merge_groups(
        pl.DataFrame(counts | {"observed": observed, "low": observed, "high": observed}), []
    )


def compatible(seen: Page, one: Point, other: Point) -> set[int]:
    """All differences between the cases above two points that the printed digits allow."""
    found: set[int] = set()
    for cases in range(max(suppress.LEAST, seen.cases - 9), seen.cases + 1):
        (low, high), (fewest, most) = one.ends(cases), other.ends(cases)
        found |= set(range(max(0, fewest - high), most - low + 1))
    return found


def reconstruction(seed: int, worlds: int) -> dict[str, float]:
    """Groups of 1 to 20 cases between neighbouring points: how many follow from the digits.

    The attacker knows the sizes of calibration groups, which are tenths.
    """
    rng, widths, unique, known_small = generator(seed, "reconstruction"), [], 0, 0
    for seen in filter(None, (page(cohort(rng)) for _ in range(worlds))):
        for one, other in itertools.pairwise(seen.points):
            truth = other.cases - one.cases
            if truth not in SMALL:
                continue
            possible = compatible(seen, one, other)
            assert truth in possible
            widths.append(len(possible))
            unique += len(possible) == 1
            known_small += possible <= set(SMALL)
    return {
        "groups of 1 to 20 cases": len(widths),
        "determined": unique,
        "known to be 1 to 20": known_small,
        "fewest compatible counts": min(widths, default=0),
        "median compatible counts": float(np.median(widths)) if widths else 0.0,
    }


def differencing(seed: int, worlds: int) -> dict[str, float]:
    """Two pages, the second with one person more whose status is sought."""
    rng, pairs, differ, certain, right = generator(seed, "differencing"), 0, 0, 0, 0
    majority = 0
    for _ in range(worlds):
        case = cohort(rng)
        added = bool(rng.random() < case.mean())
        more = np.insert(case, int(rng.integers(len(case))), added)
        before, after = page(case), page(more)
        if before is None or after is None:
            continue
        pairs += 1
        differ += before.digits() != after.digits()
        certain += after.cases > before.cases
        rises = after.cases > before.cases or after.incidence > before.incidence
        falls = after.incidence < before.incidence
        guess = rises or (not falls and case.mean() > 0.5)
        right += guess == added
        majority += (case.mean() > 0.5) == added
    return {
        "pairs of pages": pairs,
        "any printed number differs": differ / pairs,
        "status of the person added follows": certain / pairs,
        "guessed right": float(right / pairs),
        "guessed right without the pages": float(majority / pairs),
    }


def small_onset_counts(store: TokenStore, model: Proband) -> dict[str, float]:
    """Counts of 1 to 20 onsets of a sex, from the offsets of onset hazards.

    The attacker knows the person-years by sex and age, as a cohort description gives them, and adds up rate
    times years.
    """
    assert model.onset is not None
    rows = store.rows_of("train")
    female = store.female[rows]
    entry, leave = store.entry[rows] / MINUTES_PER_YEAR, store.exit[rows] / MINUTES_PER_YEAR
    tasks = model.onset.config.tasks
    first = first_occurrences(store, rows, [task.tokens for task in tasks]) / MINUTES_PER_YEAR
    happened = (first > entry[:, None]) & (first <= leave[:, None])
    rate = model.onset.log_rate.exp().numpy()
    small, exact, near, guess = 0, 0, 0, 0
    for sex in (0, 1):
        own = female == sex
        years = _person_years(entry[own], leave[own], rate.shape[-1])
        for task in range(len(tasks)):
            truth = int(happened[own, task].sum())
            if truth in SMALL:
                told = round(float(rate[task, sex] @ years))
                small += 1
                exact += told == truth
                near += abs(told - truth) <= 1
                guess += truth == suppress.LEAST // 2
    return {
        "counts of 1 to 20 of a sex": small,
        "told exactly": exact,
        "told to within 1": near,
        "exact by guessing 10": guess,
    }


def _person_years(entry: np.ndarray, leave: np.ndarray, ages: int) -> np.ndarray:
    year = np.arange(ages)
    lived = np.minimum(leave[:, None], year + 1) - np.maximum(entry[:, None], year)
    return np.clip(lived, 0, None).sum(axis=0)


def edges(store: TokenStore, events: pl.DataFrame) -> dict[str, float]:
    """Bin edges from which values follow, and those of them that fewer than 21 train subjects had.

    The attacker knows the rule and the step in which a code's values are recorded, and lists every pair of
    neighbouring values that gives an edge: a neighbour that all pairs share is known to occur.
    """
    told, few, total = 0, 0, 0
    for code, inner in store.vocabulary.edges.items():
        rows = events.filter(pl.col("code") == code, pl.col("numeric_value").is_finite())
        values = rows.select("subject_id", value=pl.col("numeric_value").cast(pl.Float64)).unique()
        people = values.group_by("value").agg("subject_id").sort("value")
        numbers = people["value"].to_numpy()
        step = recorded_step(numbers, people["subject_id"].to_list(), suppress.LEAST)
        total += len(inner)
        if step is None:
            continue
        had = dict(zip(np.rint(numbers / step).tolist(), people["subject_id"].list.len(), strict=True))
        followed = [value for edge in inner for value in neighbours_told(edge, step)]
        told += len(followed)
        few += sum(had.get(value, 0) < suppress.LEAST for value in followed)
    return {"edges": total, "values that follow": told, "of them of fewer than 21 people": few}


def neighbours_told(edge: float, step: float) -> list[float]:
    """The neighbours of an edge, as multiples of the step, that it gives away."""
    middle = math.floor(edge / step + 0.5)
    pairs = [
        (low, high)
        for low in range(middle - MOST_STEPS, middle)
        for high in range(middle, middle + MOST_STEPS)
        if edge_between(float(low), float(high), step) == edge
    ]
    sides = [{pair[side] for pair in pairs} for side in (0, 1)]
    return [float(*side) for side in sides if len(side) == 1]
