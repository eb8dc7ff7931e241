import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from proband.evaluate.baselines import tuning
from proband.evaluate.baselines.age_sex import AgeSexRates
from proband.evaluate.baselines.features import Features
from proband.evaluate.baselines.records.logistic import Linear
from proband.evaluate.baselines.records.phers import ElasticNet
from proband.evaluate.metrics.calibration import expit

RATES = AgeSexRates(np.zeros((2, 120)), np.zeros((2, 120)))


def examples(rows, case, weight, offset):
    return tuning.Examples(rows, rows, case, weight, offset)


def matrix(x):
    return Features.of_moments(csr_matrix(x))


def question(x, effect, seed=0, offset=-2.0):
    rng = np.random.default_rng(seed)
    size = len(x)
    case = rng.random(size) < expit(offset + np.nan_to_num(x) @ effect)
    half = size // 2
    weight, start = rng.uniform(0.5, 2, size), np.full(size, offset)
    parts = [
        examples(rows, case[rows], weight[rows], start[rows])
        for rows in (np.arange(half), np.arange(half, size))
    ]
    return tuning.Question("x", 5.0, RATES, *parts)


def test_equals_scikit_learn_on_standardised_columns():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1200, 4)) * [1, 5, 0.2, 1] + [0, 30, 0, -2]
    asked = question(x, np.array([0.8, 0.0, 2.0, -0.3]))
    learner = Linear(matrix(x), np.arange(600))
    found = learner.fit(asked.by_tuning, 10.0)
    (model,) = found.models
    scaled = (x[:600] - x[:600].mean(axis=0)) / x[:600].std(axis=0)
    theirs = LogisticRegression(C=0.1, tol=1e-8, max_iter=1000).fit(
        scaled, asked.train.case, asked.train.weight
    )
    assert model[1:] == pytest.approx(theirs.coef_[0], abs=2e-3)
    assert model[0] - 2.0 == pytest.approx(theirs.intercept_[0], abs=2e-3)
    assert found.gain > 5


def test_unknown_values_are_the_mean_and_columns_without_variance_nothing():
    x = np.array([[1.0, 7], [3, 7], [np.nan, 7], [2, 7]])
    learner = Linear(matrix(x), np.arange(3))
    assert learner.features.joined().toarray()[2, 0] == 2
    assert learner.added(np.array([0.0, 1.0, 5.0]), learner.features)[2:].tolist() == [0, 0]


def test_noise_with_a_weak_penalty_is_not_taken():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 150))
    asked = question(x, np.zeros(150))
    assert Linear(matrix(x), np.arange(200)).fit(asked.by_tuning, 0.01) == tuning.NOTHING


def test_too_few_tuning_cases_to_judge():
    x = np.random.default_rng(3).normal(size=(400, 2))
    asked = question(x, np.array([1.0, 0]), offset=-8.0)
    assert Linear(matrix(x), np.arange(200)).fit(asked.by_tuning, 10.0) == tuning.NOTHING


def test_equals_scikit_learns_elastic_net():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1200, 6)) * [1, 5, 0.2, 1, 1, 1] + [0, 30, 0, -2, 0, 0]
    asked = question(x, np.array([0.8, 0.0, 2.0, -0.3, 0.0, 0.0]))
    (found,) = ElasticNet(matrix(x), np.arange(600)).fit(asked.by_tuning, 40.0).models
    scaled = (x[:600] - x[:600].mean(axis=0)) / x[:600].std(axis=0)
    theirs = LogisticRegression(C=1 / 40, l1_ratio=0.5, solver="saga", tol=1e-8, max_iter=20_000).fit(
        scaled, asked.train.case, asked.train.weight
    )
    assert found[1:] == pytest.approx(theirs.coef_[0], abs=2e-3)
    assert found[0] - 2.0 == pytest.approx(theirs.intercept_[0], abs=5e-3)
    assert (found[1:] == 0).sum() == (theirs.coef_[0] == 0).sum() > 0


@pytest.mark.parametrize(("learner", "setting"), [(Linear, 10.0), (ElasticNet, 40.0)])
def test_columns_of_subjects_count_as_columns_of_their_moments(learner, setting):
    rng = np.random.default_rng(5)
    x, scores = rng.normal(size=(1200, 3)), rng.normal(2.0, 3.0, size=(300, 2)).astype(np.float32)
    scores[::7, 1] = np.nan  # of subjects without this score
    subject = rng.integers(300, size=1200)
    split = Features(csr_matrix(x), scores, subject)
    whole = np.hstack([x, scores[subject]])
    asked = question(whole, np.array([0.8, 0.0, 0.5, 0.3, 0.2]))
    found, expected = (
        learner(features, asked.train.moment).fit(asked.by_tuning, setting)
        for features in (split, matrix(whole))
    )
    assert found.gain == pytest.approx(expected.gain, rel=1e-4)
    assert found.models[0] == pytest.approx(expected.models[0], abs=1e-4)
    assert np.abs(expected.models[0][4:]).min() > 0.01
    assert split.joined().toarray() == pytest.approx(whole, nan_ok=True)
    assert split.take(np.array([4, 1])).joined().toarray() == pytest.approx(whole[[4, 1]], nan_ok=True)
