import numpy as np
import pytest

from proband.evaluate.compare import interval, resampled_weights, two_sided_p


def test_every_block_begins_with_the_sample_and_rows_of_a_subject_stay_together():
    subject = np.array([7, 7, 8, 9, 9, 9])
    blocks = list(resampled_weights(subject, 200_000, np.random.default_rng(0)))
    assert len(blocks) > 1
    assert sum(len(block) - 1 for block in blocks) == 200_000
    for block in blocks:
        assert (block[0] == 1).all()
        assert (block[:, 0] == block[:, 1]).all()
        assert (block[:, 3] == block[:, 5]).all()
        assert (block[:, [0, 2, 3]].sum(axis=1) == 3).all()


def test_no_replicates_gives_the_sample_alone():
    blocks = list(resampled_weights(np.arange(4), 0, np.random.default_rng(0)))
    assert len(blocks) == 1
    assert blocks[0].tolist() == [[1, 1, 1, 1]]


def test_same_stream_same_resamples():
    first, second = (next(resampled_weights(np.arange(9), 5, np.random.default_rng(4))) for _ in range(2))
    assert (first == second).all()


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
