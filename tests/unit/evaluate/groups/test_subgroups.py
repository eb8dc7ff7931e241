import numpy as np
import polars as pl
import pytest

from proband.evaluate.groups.subgroups import by_subgroup, subgroup_frame
from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.risk_set import RiskSet
from resampled import bootstrapped

SIZE, HORIZON = 1200, 5.0


@pytest.fixture
def risk_set():
    """A model that knows the hazard of the first half and nothing of the second."""
    rng = np.random.default_rng(0)
    hazard = 0.08 * np.exp(rng.normal(size=SIZE))
    onset, leave = rng.exponential(1 / hazard), rng.uniform(3, 12, SIZE)
    time, event = np.minimum(onset, leave), (onset < leave).astype(np.int8)
    known = 1 - np.exp(-HORIZON * hazard)
    risk = np.where(np.arange(SIZE) < SIZE // 2, known, rng.permutation(known))
    return RiskSet("x", HORIZON, np.arange(SIZE), time, event, {"m": risk})


def frame_of(risk_set, members, number=60):
    resamples = Resamples(np.arange(SIZE + 50), number, np.random.default_rng(0))
    return subgroup_frame(risk_set, members, resamples)


def test_a_gap_is_found_with_its_interval_and_none_between_halves_at_random(risk_set):
    half = np.where(np.arange(SIZE) < SIZE // 2, "first", "second")
    at_random = np.where(np.arange(SIZE) % 2 == 0, "even", "odd")
    frame = frame_of(risk_set, pl.DataFrame({"half": half, "parity": at_random}))
    auroc = frame.filter(metric="auroc")
    gap = auroc.filter((pl.col("dimension") == "half") & (pl.col("subgroup") != pl.col("reference")))
    sign = 1 if gap["reference"][0] == "second" else -1
    assert sign * gap["gap"][0] > 0.15
    assert (gap["gap_low"][0] > 0) == (sign > 0)
    assert gap["gap_low"][0] < gap["gap"][0] < gap["gap_high"][0]
    none = auroc.filter((pl.col("dimension") == "parity") & (pl.col("subgroup") != pl.col("reference")))
    assert none["gap_low"][0] < 0 < none["gap_high"][0]
    assert frame["metric"].unique(maintain_order=True).to_list() == by_subgroup()
    assert auroc["num_subjects"].to_list() == [SIZE // 2] * 4


def test_values_are_those_of_the_subgroup_alone(risk_set):
    is_first = np.arange(SIZE) < 700
    frame = frame_of(risk_set, pl.DataFrame({"d": np.where(is_first, "a", "b")}), 0)
    alone = risk_set.part(is_first)
    expected = bootstrapped(alone, 0).values["m", "observed_expected"][0]
    assert frame.filter(subgroup="a", metric="observed_expected")["value"][0] == pytest.approx(expected)


def test_few_cases_unknown_members_and_a_single_subgroup(risk_set):
    number = np.arange(SIZE)
    members = pl.DataFrame({
        "small": np.where(number < 3, "tiny", np.where(number < 60, "some", "most")),
        "single": np.full(SIZE, "all"),
        "unknown": pl.Series([None] * 600 + ["u"] * 300 + ["v"] * 300),
    })  # fmt: skip
    frame = frame_of(risk_set, members)
    assert frame["dimension"].unique().sort().to_list() == ["small", "unknown"]
    tiny = frame.filter(subgroup="tiny")
    assert tiny["value"].null_count() == tiny.height
    assert tiny["note"].str.contains("at least 5 needed").all()
    some = frame.filter(subgroup="some", metric="auroc").row(0, named=True)
    assert some["value"] is not None
    assert some["low"] is None
    assert "no interval" in some["note"]
    assert frame.filter(dimension="unknown", metric="auroc")["num_subjects"].to_list() == [300, 300]
