import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from proband.evaluate.metrics.compare import (
    Resamples,
    false_discovery_rate,
    interval,
    intervals,
    max_t,
    two_sided_p,
)


def test_every_block_begins_with_the_sample_and_rows_of_a_subject_stay_together():
    subject = np.array([7, 7, 8, 9, 9, 9])
    blocks = list(Resamples(subject, 200_000, np.random.default_rng(0)).weights(subject))
    assert len(blocks) > 1
    assert sum(len(block) - 1 for block in blocks) == 200_000
    for block in blocks:
        assert (block[0] == 1).all()
        assert (block[:, 0] == block[:, 1]).all()
        assert (block[:, 3] == block[:, 5]).all()
        assert (block[:, [0, 2, 3]].sum(axis=1) == 3).all()


def test_no_replicates_gives_the_sample_alone():
    blocks = list(Resamples(np.arange(4), 0, np.random.default_rng(0)).weights(np.arange(4)))
    assert len(blocks) == 1
    assert blocks[0].tolist() == [[1, 1, 1, 1]]


def test_same_stream_same_resamples():
    first, second = (Resamples(np.arange(9), 5, np.random.default_rng(4)) for _ in range(2))
    of_each = [next(resamples.weights(np.arange(9))) for resamples in (first, second)]
    assert (of_each[0] == of_each[1]).all()


def test_interval_needs_most_replicates():
    values = np.arange(101.0)
    assert interval(values) == pytest.approx((2.5, 97.5))
    values[:30] = np.nan
    assert np.isnan(interval(values)).all()


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        (np.zeros(99), 1.0),
        (np.full(99, 0.1), 0.02),
        (np.array([-1.0, 1.0, 1.0]), 1.0),
        (np.full(3, np.nan), np.nan),
    ],
)
def test_p_value(differences, p):
    assert two_sided_p(differences) == pytest.approx(p, nan_ok=True)


def test_false_discovery_rate_as_r_has_it():
    """R 4.3: p.adjust(c(.01, .02, .03, .04, .05, .5), "BH") is .06 throughout but for the last."""
    given = np.array([0.05, 0.01, np.nan, 0.03, 0.02, 0.04, 0.5])
    expected = [0.06, 0.06, np.nan, 0.06, 0.06, 0.06, 0.5]
    assert false_discovery_rate(given) == pytest.approx(expected, nan_ok=True)


def test_max_t_of_the_same_test_many_times_is_that_test_and_of_many_is_larger():
    rng = np.random.default_rng(0)
    one = rng.normal(size=20_000)
    twelve = rng.normal(size=(12, 20_000))
    same = max_t(np.full(5, 2.0), np.tile(one + 2.0, (5, 1)))
    many = max_t(np.full(12, 2.0), twelve + 2.0)
    assert same == pytest.approx(0.0455, abs=0.004)  # P(|Z| > 2)
    assert many == pytest.approx(1 - (1 - 0.0455) ** 12, abs=0.012)
    assert np.isnan(max_t(np.array([1.0]), np.zeros((1, 50)))).all()
    assert np.isnan(max_t(np.array([1.0]), np.zeros((1, 0)))).all()


def test_max_t_rejects_nothing_true_too_often():
    """Twelve correlated tests of no difference, 400 worlds: some p below 0.1 in about 10% of them."""
    rng = np.random.default_rng(1)
    shared = 0.7 * rng.normal(size=(400, 1)) + rng.normal(size=(400, 12))
    noise = 0.7 * rng.normal(size=(1, 1000)) + rng.normal(size=(12, 1000))
    rejected = [(max_t(values, values[:, None] + noise) < 0.1).any() for values in shared]
    assert 0.06 < np.mean(rejected) < 0.15


@given(
    arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(0, 40)), elements=st.floats(-5, 5)),
    st.floats(0, 0.5),
    st.integers(0, 2**16),
)
def test_many_intervals_at_once_are_those_of_each(replicates, missing, seed):
    replicates = replicates.copy()
    replicates[np.random.default_rng(seed).random(replicates.shape) < missing] = np.nan
    expected = np.array([interval(row) for row in replicates]).T
    assert np.array(intervals(replicates)) == pytest.approx(expected, nan_ok=True)
