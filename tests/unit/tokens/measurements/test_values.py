from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.tokens.measurements.steps import recorded_step
from proband.tokens.measurements.values import _targets, bin_codes, bin_values, count_values, total_values
from proband.tokens.measurements.values import fit_edges as edges_of_counted

FLOATS = st.floats(-1e6, 1e6, width=32)


def rows(values: list[float | None], code: str = "a") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "subject_id": list(range(len(values))),
            "code": [code] * len(values),
            "numeric_value": values,
        },
        schema={"subject_id": pl.Int64, "code": pl.String, "numeric_value": pl.Float32},
    )


def fit_edges(
    frame: pl.DataFrame, num_bins: int, min_values: int, least: int
) -> dict[str, tuple[float, ...]]:
    return edges_of_counted(count_values(frame, least), num_bins, min_values, least)


def bins(values: list[float | None], edges: dict[str, tuple[float, ...]]) -> list[int]:
    return bin_codes(rows(values), edges)["bin"].fill_null(0).to_list()


def test_edges_are_the_quantiles() -> None:
    assert fit_edges(rows([float(v) for v in range(1, 101)]), 4, 1, 1) == {"a": (25.5, 50.5, 75.5)}


def test_ties_collapse_bins() -> None:
    assert fit_edges(rows([0.0] * 90 + [5.0] * 10), 10, 1, 1) == {"a": (2.5,)}
    assert bins([0.0, 5.0, 9.0], fit_edges(rows([0.0] * 90 + [5.0] * 10), 10, 1, 1)) == [1, 2, 2]
    assert fit_edges(rows([3.0] * 500), 10, 1, 1) == {}
    assert fit_edges(rows([0.0] * 95 + [1.0, 2.0]), 10, 1, 1) == {"a": (0.5,)}


def test_no_edge_tells_a_single_persons_value() -> None:
    assert fit_edges(rows([0.0] * 99 + [7.31]), 10, 1, 21) == {}
    assert fit_edges(rows([5.0] * 400 + [900.5] * 12), 10, 1, 21) == {}
    [edge] = fit_edges(rows([5.0] * 400 + [900.5] * 21), 10, 1, 21)["a"]
    assert edge == 449.75
    one_person = rows([5.0] * 400 + [900.5] * 30).with_columns(
        subject_id=pl.when(pl.col("numeric_value") > 5).then(-1).otherwise("subject_id")
    )
    assert fit_edges(one_person, 10, 1, 21) == {}


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(-4, 4).map(float)), min_size=1, max_size=80),
    st.integers(2, 12),
    st.integers(1, 6),
)
def test_every_bin_holds_enough_people_and_no_edge_is_a_value(
    pairs: list[tuple[int, float]], num_bins: int, least: int
) -> None:
    frame = pl.DataFrame(pairs, schema={"subject_id": pl.Int64, "numeric_value": pl.Float32}, orient="row")
    frame = frame.with_columns(code=pl.lit("a"))
    edges = fit_edges(frame, num_bins, 1, least)
    if not edges:
        people = frame.group_by("numeric_value").agg("subject_id").sort("numeric_value")
        numbers = people["numeric_value"].cast(pl.Float64).to_numpy()
        step = recorded_step(numbers, people["subject_id"].list.unique().to_list(), least)
        if step is not None and np.any(numbers / step % 1 == 0.5):
            return  # somebody's value lies where an edge would
        for cut in people["numeric_value"].unique().sort()[1:]:  # no cut at all would do
            sides = frame.group_by(pl.col("numeric_value") < cut).agg(pl.col("subject_id").n_unique())
            # Cuts below the first quantile are not tried.
            below = (frame["numeric_value"] < cut).mean()
            assert sides["subject_id"].min() < least or below < 1 / num_bins
        return
    assert not set(edges["a"]) & set(frame["numeric_value"].to_list())
    assert len(edges["a"]) < num_bins
    held = bin_codes(frame, edges).group_by("bin").agg(pl.col("subject_id").n_unique())
    assert held.height == len(edges["a"]) + 1
    assert held["subject_id"].min() >= least


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(-9, 9).map(float)), min_size=1, max_size=90),
    st.integers(2, 6),
    st.integers(1, 6),
)
def test_sums_over_parts_of_whole_subjects_give_the_same_edges(
    pairs: list[tuple[int, float]], num_bins: int, least: int
) -> None:
    frame = pl.DataFrame(pairs, schema={"subject_id": pl.Int64, "numeric_value": pl.Float32}, orient="row")
    frame = frame.with_columns(code=pl.lit("a"))
    parts = [frame.filter(pl.col("subject_id") % 3 == part) for part in range(3)]
    total = total_values([count_values(part, least) for part in parts], least)
    assert edges_of_counted(total, num_bins, 1, least) == fit_edges(frame, num_bins, 1, least)
    assert total.people.group_by("value").len()["len"].max() <= least  # type: ignore[operator]
    assert total.numbers["len"].sum() == frame.height


@given(st.lists(FLOATS, min_size=1, max_size=40), st.integers(2, 20))
def test_quantiles_are_those_of_all_values(values: list[float], num_bins: int) -> None:
    numbers = np.sort(np.float32(values).astype(np.float64)) + 0.0
    wanted = np.quantile(numbers, np.arange(1, num_bins) / num_bins)
    distinct, times = np.unique(numbers, return_counts=True)
    expected = np.unique(np.searchsorted(distinct, wanted))
    found = _targets(distinct, times, num_bins)
    assert found == ([*expected[expected > 0]] or [1][: len(distinct) - 1])


def test_a_value_on_an_edge_goes_up() -> None:
    assert bins([0.9, 1.0, 1.1, 2.0, -9.0], {"a": (1.0, 2.0)}) == [1, 2, 2, 3, 1]


def test_too_few_values_give_no_bins() -> None:
    values = [float(v) for v in range(99)]
    assert fit_edges(rows(values), 10, 100, 1) == {}
    assert fit_edges(rows([*values, 99.0]), 10, 100, 1) != {}
    assert fit_edges(rows([*values, None]), 10, 100, 1) == {}


def test_null_nan_and_infinity_are_no_values() -> None:
    clean = rows([float(v) for v in range(200)])
    odd = rows([float("nan"), float("inf"), float("-inf"), None])
    assert fit_edges(pl.concat([clean, odd]), 4, 1, 1) == fit_edges(clean, 4, 1, 1)
    assert bins([None, float("nan"), float("inf"), float("-inf")], {"a": (1.0,)}) == [0, 0, 0, 0]


def test_codes_without_bins_stay_and_other_columns_are_kept() -> None:
    frame = rows([1.0], "b").with_columns(x=pl.lit(7))
    found = bin_codes(frame, {"a": (1.0,)})
    assert found.drop("bin").equals(frame)
    assert found["bin"].to_list() == [None]
    assert bin_codes(frame.clear(), {"a": (1.0,)}).height == 0


@given(
    st.lists(FLOATS, min_size=1, max_size=60), st.lists(FLOATS, min_size=1, max_size=20), st.integers(2, 12)
)
def test_every_value_falls_in_exactly_one_bin_and_bins_are_monotone(
    train: list[float], new: list[float], num_bins: int
) -> None:
    edges = fit_edges(rows(list(train)), num_bins, 1, 1)
    found = bins(list(new), edges)
    if not edges:
        assert len(set(train)) == 1
        assert found == [0] * len(new)
        return
    inner = np.asarray(edges["a"])
    assert np.all(np.diff(inner) > 0)
    assert len(inner) < num_bins
    lower, upper = np.concatenate([[-np.inf], inner]), np.concatenate([inner, [np.inf]])
    for value, k in zip(np.float32(new), found, strict=True):
        assert [low <= value < high for low, high in zip(lower, upper, strict=True)].index(True) == k - 1
    order = np.argsort(np.float32(new), kind="stable")
    assert np.all(np.diff(np.asarray(found)[order]) >= 0)
    assert {1, len(inner) + 1} <= set(bins(list(train), edges))  # neither end bin is empty on train


@given(st.lists(FLOATS, min_size=2, max_size=60), st.integers(2, 10))
def test_the_value_of_a_bin_falls_into_the_bin(values: list[float], num_bins: int) -> None:
    edges = fit_edges(rows(values), num_bins, 1, 1)
    for inner in edges.values():
        with_train_values = set(bins(values, {"a": inner}))
        found = bins([float(value) for value in bin_values(inner)], {"a": inner})
        assert all(found[number - 1] == number for number in with_train_values)


def test_the_value_of_a_bin_is_its_middle_or_the_nearest_to_its_only_edge() -> None:
    assert bin_values((10.0, 20.0, 40.0)).tolist() == pytest.approx([10.0, 15.0, 30.0, 40.0])
    assert bin_values((0.1,)).dtype == np.float32
    assert bins([float(value) for value in bin_values((0.1,))], {"a": (0.1,)}) == [1, 2]
