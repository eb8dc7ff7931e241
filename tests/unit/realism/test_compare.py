"""The comparison's maths, and what it finds in worlds whose law is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse, stats

from proband.realism.compare import compare, summarise
from proband.realism.counts import Counts, Item

ITEM = [Item("rate", "x", "", 0)]


def counts(top: np.ndarray, bottom: np.ndarray) -> Counts:
    return Counts(sparse.csr_array(top.reshape(-1, 1)), bottom.reshape(-1, 1))


def test_a_difference_of_shares_has_the_error_of_paired_means() -> None:
    rng = np.random.default_rng(0)
    ones, real, simulated = np.ones(50), rng.integers(0, 2, 50).astype(float), rng.random(50)
    row = compare(ITEM, counts(real, ones), counts(simulated, ones), np.arange(50)).row(0, named=True)
    assert row["real"] == pytest.approx(real.mean())
    assert row["standard_error"] == pytest.approx(stats.sem(simulated - real))
    assert row["z"] == pytest.approx((simulated - real).mean() / stats.sem(simulated - real))
    assert row["num_real"] == real.sum()
    assert row["num_subjects"] == 50


def test_the_error_of_a_ratio_is_that_of_the_jackknife_over_subjects() -> None:
    rng = np.random.default_rng(1)
    subject = np.repeat(np.arange(200), 2)
    bottom = rng.uniform(1, 2, 400)
    top = rng.poisson(bottom).astype(float)
    other = rng.poisson(bottom).astype(float)
    row = compare(ITEM, counts(top, bottom), counts(other, bottom), subject).row(0, named=True)

    def difference(keep: np.ndarray) -> float:
        return (other[keep].sum() - top[keep].sum()) / bottom[keep].sum()

    left_out = np.array([difference(subject != one) for one in range(200)])
    jackknife = np.sqrt(199 / 200 * ((left_out - left_out.mean()) ** 2).sum())
    assert row["standard_error"] == pytest.approx(jackknife, rel=0.02)


def test_z_is_standard_normal_when_both_sides_have_one_law() -> None:
    rng = np.random.default_rng(2)
    subject, bottom = np.repeat(np.arange(150), 2), np.ones(300)
    frailty = rng.gamma(2, 0.5, (400, 150))[:, subject // 1]
    items = [Item("rate", str(number), "", 0) for number in range(400)]
    real = Counts(sparse.csr_array(rng.poisson(frailty).T.astype(float)), bottom[:, None])
    simulated = Counts(sparse.csr_array(rng.poisson(frailty, (5, *frailty.shape)).mean(0).T), bottom[:, None])
    z = compare(items, real, simulated, subject)["z"].to_numpy()
    assert abs(z.mean()) < 0.2
    assert z.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("expected_cases", [12, 50])
def test_a_model_that_is_right_seldom_differs_by_more_than_chance(expected_cases: int) -> None:
    """Among many rare codes, few of which happen by chance; without the variance expected, 37% and 5% do."""
    rng, subjects, codes, paths = np.random.default_rng(3), 1000, 150, 64
    items = [Item("prevalence", str(number), "", 0) for number in range(codes)]
    once, found = np.ones((subjects, 1)), []
    for _ in range(30):
        share = expected_cases / subjects
        real = Counts(sparse.csr_array((rng.random((subjects, codes)) < share).astype(float)), once)
        simulated = Counts(sparse.csr_array(rng.binomial(paths, share, (subjects, codes)) / paths), once)
        found.append(summarise(compare(items, real, simulated, np.arange(subjects)))["adjusted_p"][0])
    assert np.mean(np.array(found) < 0.01) < 0.05


def test_a_model_that_expects_half_or_twice_as_much_is_told() -> None:
    rng, subjects = np.random.default_rng(4), 1000
    once = np.ones((subjects, 1))
    for kind, factor in (("prevalence", 2.0), ("prevalence", 0.5), ("rate", 2.0), ("rate", 0.5)):
        real = Counts(sparse.csr_array((rng.random((subjects, 1)) < 0.1).astype(float)), once)
        simulated = Counts(sparse.csr_array(rng.binomial(64, 0.1 * factor, (subjects, 1)) / 64), once)
        z = compare([Item(kind, "x", "", 0)], real, simulated, np.arange(subjects))["z"][0]
        assert (z > 4) if factor > 1 else (z < -4)


def test_too_few_are_not_judged_and_what_never_happened_is_left_out() -> None:
    few = np.zeros(100)
    few[:5] = 1
    ones = np.ones(100)
    row = compare(ITEM, counts(few, ones), counts(0 * few, ones), np.arange(100)).row(0, named=True)
    assert row["z"] is None
    assert row["num_real"] == 5
    assert compare(ITEM, counts(0 * few, ones), counts(0 * few, ones), np.arange(100)).is_empty()
    many = counts(np.ones(100), ones)
    assert compare(ITEM, counts(0 * few, ones), many, np.arange(100))["z"].to_list() == [10.0]


def test_an_item_without_denominator_has_no_value() -> None:
    nothing = np.zeros(30)
    found = compare(ITEM, counts(nothing, nothing), counts(np.ones(30), np.ones(30)), np.arange(30))
    assert found.row(0, named=True)["real"] is None
    assert found["simulated"].to_list() == [1.0]
    timeless = compare(ITEM, counts(np.ones(30), nothing), counts(np.ones(30), np.ones(30)), np.arange(30))
    assert timeless["real"].to_list() == [None]
    assert timeless["z"].to_list() == [None]


def test_the_summary_adjusts_for_the_number_of_tests() -> None:
    z = [0.1, -3.0, 1.0, None]
    found = pl.DataFrame({"statistic": ["pair"] * 4, "z": z})
    row = summarise(found).row(0, named=True)
    assert row["num_judged"] == 3
    assert row["share_beyond"] == pytest.approx(1 / 3)
    assert row["largest_z"] == 3.0
    assert row["adjusted_p"] == pytest.approx(3 * 2 * stats.norm.sf(3.0))
