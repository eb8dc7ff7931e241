"""Means over seeds that were run apart: on several machines, or in several nights.

    python experiments/pooled.py panel_seed0.csv panel_seed1.csv panel_seed2.csv --out pooled.csv

Each file is a table that an experiment wrote, with columns seed, value, low and high, of one seed or more.
Where seeds are run together their mean has an interval from resamples; here, with no resamples at hand, seeds
are independent and estimates normal: the standard error of the mean of k seeds is the root of the sum of
their squared errors over k. Rows are the same if their labels are: columns that hold what was measured beside
the value (numbers of people, cases or outcomes, weights, seconds, verdicts) tell nothing apart and are left
out. Rows of which some seed has no value are left out, and how many is said; a mean over outcomes counts
as the same whatever the number of outcomes with cases enough.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from replicates import markdown

from proband.core.errors import first_names
from proband.core.statistics.intervals import NORMAL_975

_VALUES = ("value", "low", "high")
_NEEDED = ("seed", *_VALUES)
_MEASURED = (
    *("expected", "found", "met", "equivalent", "aim"),  # verdicts
    *("weights", "train_cpu_seconds", "cpu_seconds_per_1000", "passes", "tasks"),
    *("nats_per_event", "nats_genomes_withheld", "noise", "monte_carlo_share"),
    *("expected_auroc", "observed_expected", "calibration_slope", "slope_noise_corrected"),
    *("p", "number"),
)
"""Columns with what was measured beside the value; so are those whose names begin with ``num_``."""
_EITHER = ("auroc", "outcomes", "subjects", "scores")
"""Labels in some tables, measured in others: measured where they are numbers and the rows of a seed are told
apart without them."""
_NUMBERS = r"^[\d./]+$"
"""One, or one for each of several seeds."""
_NUMBER_OF_OUTCOMES = r"^mean of \d+ outcomes$"
_REMARK = r" \(.*\)"
"""Of a bar of the headline: which outcome, how many of them."""


def main() -> None:
    """Read tables, write their means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, nargs="+", help="CSV files of one experiment")
    parser.add_argument("--out", type=Path, help="CSV file to write; default none, the table is printed")
    given = parser.parse_args()
    try:
        tables = [read(path) for path in given.tables]
        found = pooled(tables)
    except ValueError as error:
        parser.error(str(error))
    left = sum(_of_seeds(table).height for table in tables) - _of_seeds(found).height
    if left:
        print(f"pooled: {left} rows are left out: not every seed has a value of them", file=sys.stderr)
    if given.out:
        found.write_csv(given.out, float_precision=5)
    print("\n".join(markdown(found)))


def read(path: Path) -> pl.DataFrame:
    """A table with the columns that are needed.

    Raises:
        ValueError: It cannot be read, or lacks one.
    """
    try:
        table = pl.read_csv(path, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"{path} cannot be read as CSV: {str(error).splitlines()[0]}") from error
    if lacking := [name for name in _NEEDED if name not in table.columns]:
        needed = f"expected {', '.join(_NEEDED)}"
        raise ValueError(
            f"{path} has no column {', '.join(lacking)}; {needed}; tables without are not pooled"
        )
    return table


def pooled(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Rows of all seeds, each difference followed by its mean.

    Args:
        tables: Of different seeds; means that they hold are made anew.

    Raises:
        ValueError: The tables have other columns, a seed comes twice, or no row is of all seeds.
    """
    rows = _joined(tables)
    keys = _keys(rows)
    twice = rows.filter(rows.select(*keys, "seed").is_duplicated())
    if twice.height:
        seed = first_names(twice["seed"].unique(maintain_order=True).to_list())
        raise ValueError(
            f"a seed comes twice: {seed}, {twice.height} rows; expected tables of different seeds, "
            f"whose rows differ by {', '.join(keys) or 'seed'}"
        )
    seeds, parts = rows["seed"].n_unique(), []
    known = rows.filter(pl.col("value").is_finite()).select(*keys, *_NEEDED)
    for part in known.partition_by(keys, maintain_order=True) if keys else [known]:
        if part.height == seeds:
            parts += [part, part[:1].with_columns(seed=pl.lit("mean"), **_mean(part))]
    if not parts:
        raise ValueError(
            f"no row has a value of all {seeds} seeds; rows are matched by {', '.join(keys) or 'nothing'}; "
            "expected tables of one experiment, size and commit"
        )
    return pl.concat(parts)


def _joined(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Rows of single seeds, labels as text."""
    columns = tables[0].columns
    if other := sorted({name for table in tables for name in set(columns) ^ set(table.columns)}):
        raise ValueError(
            f"not all tables have the columns {first_names(other)}; expected tables of one script"
        )
    text = pl.col(columns).exclude(_VALUES).cast(pl.String)
    values = pl.col(_VALUES).cast(pl.Float64, strict=False)
    rows = _of_seeds(pl.concat([table.select(columns).select(text, values) for table in tables]))
    alike = {"outcomes": (_NUMBER_OF_OUTCOMES, "mean of outcomes"), "bar": (_REMARK, "")}
    return rows.with_columns(
        pl.col(name).str.replace(*change) for name, change in alike.items() if name in columns
    )


def _of_seeds(table: pl.DataFrame) -> pl.DataFrame:
    """Without the rows of means over seeds."""
    return table.filter(pl.col("seed").cast(pl.String) != "mean")


def _keys(rows: pl.DataFrame) -> list[str]:
    """Columns whose values name a row."""
    keys = [
        name for name in rows.columns if name not in (*_NEEDED, *_MEASURED) and not name.startswith("num_")
    ]
    for name in _EITHER:
        others = [key for key in keys if key != name]
        if name in keys and rows[name].drop_nulls().str.contains(_NUMBERS).all():
            keys = keys if rows.select(*others, "seed").is_duplicated().any() else others
    return keys


def _mean(part: pl.DataFrame) -> dict[str, pl.Expr]:
    """Value and ends of the mean of independent estimates; no ends where one has none."""
    error = (part["high"] - part["low"]).cast(pl.Float64).to_numpy() / (2 * NORMAL_975)
    mean = float(part["value"].to_numpy().mean())
    half = NORMAL_975 * float(np.linalg.norm(error)) / part.height
    low, high = (mean - half, mean + half) if np.isfinite(half) else (None, None)
    return {"value": pl.lit(mean), "low": pl.lit(low, pl.Float64), "high": pl.lit(high, pl.Float64)}


if __name__ == "__main__":
    main()
