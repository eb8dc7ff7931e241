import numpy as np
import polars as pl
import pytest

from proband.ehr.meds.kinship import Families
from proband.evaluate.groups.deciles import BY_ASSOCIATION, BY_TRAIT, choose_score, decile_frame
from proband.evaluate.metrics.compare import Resamples


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


def test_deciles_leave_out_the_unscored(scored):
    rows, scores = scored
    chosen = choose_score("gout", rows, scores, {"A": {}, "B": {}, "C": {}})
    holes = scores.with_columns(
        pl.when(pl.col("subject_id") < 100).then(float("nan")).otherwise("B").alias("B").cast(pl.Float32)
    )
    resamples = Resamples(np.arange(500), 20, np.random.default_rng(0))
    frame = decile_frame(rows, chosen, holes, 5.0, resamples)
    assert frame["num_subjects"].sum() == 400
    assert frame["num_subjects"].to_list() == [40] * 10
    assert frame["observed"][-1] > frame["observed"][0]
    assert (frame["low"] <= frame["observed"]).all()
    assert (frame["observed"] <= frame["high"]).all()
    few = scores.head(50)
    assert decile_frame(rows, chosen, few, 5.0, resamples).is_empty()


def test_deciles_are_resampled_by_family(scored):
    """Everybody has a twin with the same score and fate: drawn one by one, intervals are too narrow by a root
    of 2."""
    one, scores = scored
    twin = pl.col("subject_id") + 500
    rows = pl.concat([one, one.with_columns(twin)])
    both = pl.concat([scores, scores.with_columns(twin)])
    chosen = choose_score("gout", rows, both, {"A": {}, "B": {"trait": "gout"}, "C": {}})
    subjects = np.arange(1000)
    families = Families(pl.DataFrame({"subject_id": subjects, "cluster": subjects % 500}), 500, 0)
    alone, together = (
        decile_frame(rows, chosen, both, 5.0, Resamples(drawn, 400, np.random.default_rng(0)), known)
        for drawn, known in ((subjects, None), (families.representatives(subjects), families))
    )
    assert together["observed"].to_list() == alone["observed"].to_list()
    width = [(found["high"] - found["low"]).mean() for found in (alone, together)]
    assert width[1] / width[0] == pytest.approx(2**0.5, rel=0.1)
