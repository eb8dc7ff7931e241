"""Means over seeds that were run apart, against resamples of all of them."""

import numpy as np
import polars as pl
import pytest
from pooled import pooled
from replicates import by_seed


def table(seed, values, metric="auroc"):
    return pl.DataFrame([{"metric": metric} | row for row in by_seed({seed: values})])


def test_the_mean_has_the_interval_that_resamples_would_give():
    rng = np.random.default_rng(0)
    resampled = {seed: 0.02 * (seed + 1) + 0.004 * rng.normal(size=20_000) for seed in range(3)}
    for values in resampled.values():
        values[0] = values.mean()  # the sample itself
    found = pooled([table(seed, values) for seed, values in resampled.items()])
    assert found["seed"].to_list() == ["0", "1", "2", "mean"]
    expected = by_seed(resampled)[-1]
    row = found.row(3, named=True)
    assert {name: row[name] for name in ("value", "low", "high")} == pytest.approx(
        {name: expected[name] for name in ("value", "low", "high")}, abs=1e-4
    )


def test_rows_of_some_seeds_and_a_seed_given_twice():
    first, second = (table(seed, np.array([0.1, 0.0, 0.2])) for seed in (0, 1))
    alone = table(0, np.array([0.1, 0.0, 0.2]), "auprc")
    assert pooled([pl.concat([first, alone]), second])["metric"].unique().to_list() == ["auroc"]
    again = pooled([pooled([first, second]), table(2, np.array([0.4, 0.3, 0.5]))])
    assert again.filter(seed="mean")["value"].to_list() == pytest.approx([0.2])
    with pytest.raises(ValueError, match="comes twice"):
        pooled([first, first])


def test_numbers_that_name_a_row_may_be_whole_in_one_table() -> None:
    values = np.array([0.1, 0.0, 0.2])
    first = table(0, values).with_columns(horizon_years=pl.lit(10), num_subjects=pl.lit(7))
    second = table(1, values).with_columns(horizon_years=pl.lit(10), num_subjects=pl.lit(8))
    assert pooled([first, second])["seed"].to_list() == ["0", "1", "mean"]


def test_means_over_outcomes_are_the_same_whatever_their_number():
    tables = [
        table(seed, np.array([0.1, 0.0, 0.2])).with_columns(outcomes=pl.lit(f"mean of {20 + seed} outcomes"))
        for seed in (0, 1)
    ]
    assert pooled(tables)["outcomes"].unique().to_list() == ["mean of outcomes"]
    assert pooled(tables).height == 3
