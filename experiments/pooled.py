"""Means over seeds that were run apart: on several machines, or in several nights.

    python experiments/pooled.py panel_seed0.csv panel_seed1.csv panel_seed2.csv --out pooled.csv

Each file is a table that an experiment wrote, with columns seed, value, low and high, of one seed or more.
Where seeds are run together their mean has an interval from resamples; here, with no resamples at hand, seeds
are independent and estimates normal: the standard error of the mean of k seeds is the root of the sum of
their squared errors over k. Rows that not all seeds have are left out; a mean over outcomes counts as
the same whatever the number of outcomes with cases enough.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from replicates import markdown

from proband.core.statistics.intervals import NORMAL_975

_VALUES = ("value", "low", "high")
_NO_KEYS = ("seed", "expected", "found", "num_subjects", "num_cases")
_NUMBER_OF_OUTCOMES = r"^mean of \d+ outcomes$"


def main() -> None:
    """Read tables, write their means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, nargs="+", help="CSV files of one experiment")
    parser.add_argument("--out", type=Path, help="CSV file to write; default none, the table is printed")
    given = parser.parse_args()
    try:
        found = pooled([pl.read_csv(path, schema_overrides={"seed": pl.String}) for path in given.tables])
    except ValueError as error:
        parser.error(str(error))
    if given.out:
        found.write_csv(given.out, float_precision=5)
    print("\n".join(markdown(found)))


def pooled(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Rows of all seeds, each difference followed by its mean.

    Args:
        tables: Of different seeds; means that they hold are made anew.

    Raises:
        ValueError: A seed comes twice.
    """
    text = pl.all().exclude(_VALUES).cast(pl.String)
    rows = pl.concat([table.select(text, pl.col(_VALUES).cast(pl.Float64)) for table in tables])
    rows = rows.filter(pl.col("seed") != "mean")
    if "outcomes" in rows.columns:
        rows = rows.with_columns(pl.col("outcomes").str.replace(_NUMBER_OF_OUTCOMES, "mean of outcomes"))
    keys = [name for name in rows.columns if name not in (*_NO_KEYS, *_VALUES)]
    if rows.select(*keys, "seed").is_duplicated().any():
        raise ValueError("a seed comes twice; expected tables of different seeds")
    seeds, parts = rows["seed"].n_unique(), []
    for part in rows.select(*keys, "seed", *_VALUES).partition_by(keys, maintain_order=True):
        if part.height == seeds:
            parts += [part, part[:1].with_columns(seed=pl.lit("mean"), **_mean(part))]
    return pl.concat(parts)


def _mean(part: pl.DataFrame) -> dict[str, pl.Expr]:
    """Value and ends of the mean of independent estimates."""
    error = (part["high"] - part["low"]).to_numpy() / (2 * NORMAL_975)
    mean = float(part["value"].to_numpy().mean())
    half = NORMAL_975 * float(np.linalg.norm(error)) / part.height
    return {"value": pl.lit(mean), "low": pl.lit(mean - half), "high": pl.lit(mean + half)}


if __name__ == "__main__":
    main()
