import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.statistics.suppress import (
    HIDDEN,
    LEAST,
    boundaries,
    count,
    may_show,
    merge_groups,
    parts,
    safe_points,
    share,
    shown_horizons,
    step,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (1, HIDDEN), (20, HIDDEN), (21, "30"), (30, "30"), (31, "40"), (12345, "12,350"), (None, "–")],
)
def test_count(number, text):
    assert count(number) == text


@given(st.integers(1, 20), st.integers(21, 5000))
def test_hidden_count_does_not_follow_by_subtraction(small, large):
    """Many true counts agree with what is shown of a total and its larger part."""
    total = count(small + large)
    fitting = [
        (a, b)
        for a in range(1, 21)
        for b in range(max(21, large - 10), large + 11)
        if count(a + b) == total and count(b) == count(large)
    ]
    assert len({a for a, _ in fitting}) >= 5


@given(st.lists(st.integers(0, 60), min_size=2, max_size=4))
def test_never_a_single_hidden_part_with_all_others_shown(numbers):
    shown = parts(numbers)
    hidden = sum(text in (HIDDEN, "withheld") for text in shown)
    others = [number for number in numbers if number > 20]
    assert hidden != 1 or not others


@given(st.lists(st.integers(0, 200), min_size=1, max_size=5), st.integers(0, 300))
def test_horizons_shown_together_differ_by_none_or_enough(increments, rest):
    cases = dict(enumerate(itertools.accumulate(increments), start=1))
    total = max(cases.values()) + rest
    others = {float(key): total - value for key, value in cases.items()}
    shown = shown_horizons({float(key): value for key, value in cases.items()}, others)
    assert all(cases[int(key)] >= LEAST and total - cases[int(key)] >= LEAST for key in shown)
    for a, b in itertools.combinations(shown, 2):
        assert may_show(abs(cases[int(a)] - cases[int(b)]))


def test_longest_horizon_goes_first():
    assert shown_horizons({1.0: 25, 5.0: 40, 10.0: 100}, {1.0: 475, 5.0: 460, 10.0: 400}) == [5.0, 10.0]
    assert shown_horizons({1.0: 20, 5.0: 20}, {1.0: 480, 5.0: 480}) == []
    assert shown_horizons({1.0: 490}, {1.0: 10}) == []


def test_those_censored_are_no_others():
    """120 of 500 have the outcome by 10 years and 12 are known not to have it; by 5 years 300 are."""
    assert shown_horizons({5.0: 60, 10.0: 120}, {5.0: 300, 10.0: 12}) == [5.0]
    assert shown_horizons({5.0: 60}, {}) == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)), min_size=1, max_size=80))
def test_between_points_lie_more_than_twenty(steps):
    cases = list(itertools.accumulate(step[0] for step in steps))
    others = list(itertools.accumulate(step[1] for step in steps))
    curve = pl.DataFrame(
        {"num_flagged": [a + b for a, b in zip(cases, others, strict=True)], "num_flagged_cases": cases}
    )
    kept = safe_points(curve, cases[-1] + others[-1], cases[-1])
    path = [(0, 0), *kept.iter_rows(), (cases[-1] + others[-1], cases[-1])]
    if kept.height:
        for (all_a, cases_a), (all_b, cases_b) in itertools.combinations(path, 2):
            assert cases_b - cases_a >= LEAST
            assert (all_b - cases_b) - (all_a - cases_a) >= LEAST


@given(st.lists(st.tuples(st.integers(1, 90), st.integers(0, 60)), max_size=12))
def test_merged_groups_are_large_enough(sizes):
    groups = pl.DataFrame(
        [
            {"num_subjects": cases + extra, "num_cases": cases, "observed": 0.1, "low": 0.0, "high": 0.2}
            for extra, cases in sizes
        ],
        schema={
            "num_subjects": pl.Int64,
            "num_cases": pl.Int64,
            "observed": pl.Float64,
            "low": pl.Float64,
            "high": pl.Float64,
        },
    )
    merged = merge_groups(groups, [])
    for row in merged.iter_rows(named=True):
        inside = groups[row["first"] - 1 : row["last"]]
        assert inside["num_cases"].sum() >= LEAST
        assert inside["num_subjects"].sum() - inside["num_cases"].sum() >= LEAST
        assert row["low"] <= row["observed"] <= row["high"]
    if merged.height:
        assert merged["num_subjects"].sum() == groups["num_subjects"].sum()
    enough = groups["num_cases"].sum() >= LEAST
    enough &= groups["num_subjects"].sum() - groups["num_cases"].sum() >= LEAST
    assert bool(merged.height) == bool(enough)


def test_merged_mean_and_interval_by_hand():
    groups = pl.DataFrame(
        {
            "num_subjects": [100, 300],
            "num_cases": [10, 60],
            "predicted": [0.1, 0.3],
            "observed": [0.1, 0.2],
            "low": [0.04, 0.16],
            "high": [0.16, 0.24],
        }
    )
    row = merge_groups(groups, ["predicted"]).row(0, named=True)
    half = ((100 * 0.12) ** 2 + (300 * 0.08) ** 2) ** 0.5 / 800
    exact = {"predicted": 0.25, "observed": 0.175, "low": 0.175 - half, "high": 0.175 + half}
    for name, value in exact.items():  # 400 subjects: steps of 0.005
        assert row[name] == pytest.approx(round(value / 0.005) * 0.005)
        assert row[name] == pytest.approx(value, abs=0.0025)


@given(
    st.integers(2 * LEAST, 5000).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n), min_size=1, max_size=40))
    )
)
def test_no_set_of_rounded_shares_tells_its_denominator(pair):
    """The attack: keep each denominator with which every coordinate shown can be a fraction."""
    total, counts = pair
    width = step(total)
    shown = np.array([share(number / total, total) for number in counts])
    smallest = int(np.ceil(1 / width - 1e-9))
    for other in range(smallest, smallest + 200):
        nearest = np.round(shown * other) / other
        assert np.all(np.abs(nearest - shown) <= width / 2 + 1e-9)


def test_full_precision_would_have_told_it():
    shown = np.array([number / 1187 for number in (40, 333, 701)])
    fits = [n for n in range(1000, 1400) if np.all(np.abs(np.round(shown * n) / n - shown) < 1e-6)]
    assert fits == [1187]


def test_points_near_a_boundary_of_groups_on_the_page_are_left_out():
    curve = pl.DataFrame({"num_flagged": [100, 200, 300, 400], "num_flagged_cases": [30, 60, 90, 120]})
    assert safe_points(curve, 600, 160)["num_flagged"].to_list() == [100, 200, 300, 400]
    kept = safe_points(curve, 600, 160, drawn=[(30, 70), (55, 125), (90, 231)])
    assert kept["num_flagged"].to_list() == [100, 300, 400]
    groups = pl.DataFrame({"num_subjects": [100, 200, 300], "num_cases": [10, 40, 90]})
    assert boundaries(groups) == [(90, 210), (130, 370)]
    assert boundaries(groups.clear()) == []


@pytest.mark.parametrize(
    ("other", "apart"),
    [((60, 140), True), ((65, 300), False), ((90, 150), False), ((60, 161), True), ((75, 121), False)],
)
def test_neither_cases_nor_others_between_two_curves_are_few(other, apart):
    """(65, 300) is 165 subjects away and 5 cases; (75, 121) 4 subjects."""
    curve = pl.DataFrame({"num_flagged": [200], "num_flagged_cases": [60]})
    assert safe_points(curve, 600, 160, [other]).height == apart


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 200)), min_size=1, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_points_wanted_first_are_chosen_first_and_all_lie_more_than_twenty_apart(steps, first):
    cases, others = (np.cumsum(values).tolist() for values in zip(*steps, strict=True))
    rows = [(case + other, case) for case, other in zip(cases, others, strict=True)]
    curve = pl.DataFrame(rows, schema=["num_flagged", "num_flagged_cases"], orient="row")
    total = (cases[-1] + others[-1] + 30, cases[-1] + 15)
    chosen = first[: len(steps)]
    kept = safe_points(curve, *total, first=chosen)
    points = [(0, 0), *((case, flagged - case) for flagged, case in kept.iter_rows())]
    points += [(total[1], total[0] - total[1])] if kept.height else []
    for (case, other), (next_case, next_other) in itertools.pairwise(points):
        assert min(next_case - case, next_other - other) >= LEAST
    alone = safe_points(curve.filter(pl.Series(chosen, dtype=pl.Boolean)), *total)
    assert set(alone.iter_rows()) <= set(kept.iter_rows())
