from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.genome.ancestry.population import Similarity, assign, check_populations

FROZEN = Path(__file__).parents[3] / "reference" / "ancestry_pgsc_calc"


def frozen(method):
    reference = pl.read_csv(FROZEN / "reference.tsv", separator="\t").filter("is_unrelated")
    target = pl.read_csv(FROZEN / "target.tsv", separator="\t")
    pcs = [name for name in reference.columns if name.startswith("PC")]
    learnt = Similarity(reference.select(pcs).to_numpy(), reference["population"].to_list(), method, 32)
    return learnt, target, target.select(pcs).to_numpy()


@pytest.mark.parametrize(("method", "theirs"), [("forest", "RandomForest"), ("mahalanobis", "Mahalanobis")])
def test_same_populations_as_pgsc_calc(method, theirs):
    learnt, target, pcs = frozen(method)
    found = assign(learnt, pcs)
    agree = (found["most_similar_population"] == target[f"{theirs}_population"]).mean()
    assert agree == 1 if method == "mahalanobis" else agree >= 0.97  # a forest's draws hang on the version
    assert found["low_confidence"].to_list() == target[f"{theirs}_low_confidence"].to_list()


def test_mahalanobis_by_hand():
    own = np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2]])
    learnt = Similarity(
        np.concatenate([own, own + np.array([10, 0])]), ["a"] * 4 + ["b"] * 4, "mahalanobis", 0
    )
    found = assign(learnt, np.array([[1.0, 0], [10, 2], [100, 0]]))
    # Covariance diag(1/2, 2): squared distances 2 and 2; p of chi-square with 2 degrees exp(-d/2).
    assert found["most_similar_population"].to_list() == ["a", "b", "b"]
    np.testing.assert_allclose(found["probability_a"][0], np.exp(-1), rtol=1e-5)
    np.testing.assert_allclose(found["probability_b"][1], np.exp(-1), rtol=1e-5)
    assert found["low_confidence"].to_list() == [False, False, True]


def test_forest_between_populations_has_low_confidence():
    rng = np.random.default_rng(0)
    names = ["a", "b", "c"]
    centres = np.array([[0.0, 6], [-6, -6], [6, -6]])
    own = np.repeat(centres, 40, axis=0) + rng.normal(size=(120, 2))
    learnt = Similarity(own, list(np.repeat(names, 40)), "forest", 0)
    found = assign(learnt, np.concatenate([centres, np.random.default_rng(1).uniform(-3, 3, (200, 2))]))
    assert found["most_similar_population"].to_list()[:3] == names
    assert not found["low_confidence"][:3].any()
    assert found["low_confidence"][3:].any()
    shares = found.select("probability_a", "probability_b", "probability_c").to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert (found["low_confidence"].to_numpy() == (shares.max(axis=1) < 0.5)).all()


def test_the_same_forest_every_time():
    learnt, _, pcs = frozen("forest")
    assert assign(learnt, pcs).equals(assign(learnt, pcs))


def test_a_seed_longer_than_32_bits_is_one():
    """Such as a time stamp, which scikit-learn refuses."""
    learnt, _, pcs = frozen("forest")
    short, long = (replace(learnt, seed=seed) for seed in (5, 2**40 + 5))
    assert assign(long, pcs).equals(assign(short, pcs))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 30, "too few populations.*found 1 among 30"),
        (["a"] * 30 + ["b"] * 5, "too small a population.*found 5 unrelated people of b.*expected 6"),
    ],
)
def test_labels_that_teach_nothing(labels, message):
    with pytest.raises(DataError, match=message):
        check_populations(labels, 5, "panel.psam")
