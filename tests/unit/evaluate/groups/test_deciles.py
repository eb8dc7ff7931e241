import numpy as np
import polars as pl
import pytest

from proband.evaluate.groups.deciles import BY_ASSOCIATION, BY_TRAIT, Deciles, choose_score
from proband.evaluate.metrics.censoring import aalen_johansen
from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.tables import DECILE_RISKS, DECILES


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    scores = pl.DataFrame({"subject_id": np.arange(500)}).with_columns(
        *(pl.Series(name, rng.normal(size=500).astype(np.float32)) for name in ("A", "B", "C"))
    )
    hazard = 0.1 * np.exp(0.9 * scores["B"].to_numpy().astype(float))
    time = rng.exponential(1 / hazard)
    rows = pl.DataFrame({"subject_id": np.arange(500), "outcome": "gout", "time_years": time})
    event = (pl.col("time_years") < 8).cast(pl.Int8).alias("event")
    return rows.with_columns(event, pl.col("time_years").clip(upper_bound=8.0)), scores


def test_trait_goes_before_association(scored):
    rows, scores = scored
    described = {"A": {"trait": "Gout"}, "B": {"trait": "Height"}, "C": {}}
    assert choose_score("gout", rows, scores, described).chosen_by == BY_TRAIT
    assert choose_score("gout", rows, scores, described).pgs_id == "A"


def test_most_associated_without_a_trait(scored):
    rows, scores = scored
    chosen = choose_score("gout", rows, scores, {"A": {}, "B": {"name": "b_score"}, "C": {}})
    assert (chosen.pgs_id, chosen.name, chosen.chosen_by) == ("B", "b_score", BY_ASSOCIATION)


def test_too_few_train_events(scored):
    rows, scores = scored
    quiet = rows.with_columns(pl.lit(0, pl.Int8).alias("event"))
    assert choose_score("gout", quiet, scores, {"A": {}, "B": {}, "C": {}}) is None
    assert choose_score("gout", quiet, scores, {"A": {}, "B": {"trait": "gout"}, "C": {}}).pgs_id == "B"


def risk_set(rows, landmark=None, cluster=None):
    """Rows with risks of one model, those of a hazard of 0.1 a year for everybody."""
    risk = np.full(rows.height, 1 - np.exp(-0.5))
    columns = (rows[name].to_numpy() for name in ("subject_id", "time_years", "event"))
    return RiskSet("gout", 5.0, *columns, {"m": risk}, cluster=cluster, landmark=landmark)


def test_deciles_leave_out_the_unscored(scored):
    rows, scores = scored
    chosen = choose_score("gout", rows, scores, {"A": {}, "B": {}, "C": {}})
    holes = scores.with_columns(
        pl.when(pl.col("subject_id") < 100).then(float("nan")).otherwise("B").alias("B").cast(pl.Float32)
    )
    resamples = Resamples(np.arange(500), 20, np.random.default_rng(0))
    deciles = Deciles.of(risk_set(rows), chosen, holes)
    frame = DECILES.check(deciles.observed(resamples), "deciles")
    assert frame["num_subjects"].sum() == 400
    assert frame["num_subjects"].to_list() == [40] * 10
    assert frame["observed"][-1] > frame["observed"][0]
    assert (frame["low"] <= frame["observed"]).all()
    assert (frame["observed"] <= frame["high"]).all()
    predicted = DECILE_RISKS.check(deciles.predicted(), "deciles")
    assert predicted["predicted"].to_list() == pytest.approx([1 - np.exp(-0.5)] * 10)
    assert Deciles.of(risk_set(rows), chosen, scores.head(50)) is None
    alone = deciles.observed(Resamples(np.arange(500), 0, np.random.default_rng(0)))
    assert alone["observed"].to_list() == frame["observed"].to_list()
    assert alone["low"].null_count() == 10


def test_the_observed_risk_of_a_decile_is_that_of_its_rows(scored):
    """By Aalen and Johansen, and the mean over landmarks where there are some."""
    rows, scores = scored
    chosen = choose_score("gout", rows, scores, {"A": {"trait": "gout"}, "B": {}, "C": {}})
    resamples = Resamples(np.arange(500), 0, np.random.default_rng(0))
    landmark = np.repeat([0, 1], 250)
    time, event = rows["time_years"].to_numpy(), rows["event"].to_numpy()
    least = np.argsort(scores["A"].to_numpy(), kind="stable")[:50]
    for given in (None, landmark):
        found = Deciles.of(risk_set(rows, given), chosen, scores).observed(resamples)["observed"][0]
        part = None if given is None else given[least]
        expected = aalen_johansen(time[least], event[least], 5.0, np.ones((1, 50)), part)
        assert found == pytest.approx(expected[0])


def test_deciles_are_resampled_by_family(scored):
    """Everybody has a twin with the same score and fate: drawn one by one, intervals are too narrow by a root
    of 2."""
    one, scores = scored
    twin = pl.col("subject_id") + 500
    rows = pl.concat([one, one.with_columns(twin)])
    both = pl.concat([scores, scores.with_columns(twin)])
    chosen = choose_score("gout", rows, both, {"A": {}, "B": {"trait": "gout"}, "C": {}})
    alone, together = (
        Deciles.of(risk_set(rows, cluster=cluster), chosen, both).observed(
            Resamples(np.unique(cluster), 400, np.random.default_rng(0))
        )
        for cluster in (np.arange(1000), np.arange(1000) % 500)
    )
    assert together["observed"].to_list() == alone["observed"].to_list()
    width = [(found["high"] - found["low"]).mean() for found in (alone, together)]
    assert width[1] / width[0] == pytest.approx(2**0.5, rel=0.1)
