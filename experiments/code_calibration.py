"""Does a model expect a code as often as it happens, on real histories?

    python experiments/code_calibration.py MODEL TOKENS OUT --code MEDS_DEATH --split held_out tuning

At each event of a record the model gives the code a probability, knowing all before it and the time of the
event. Their sum is what it expects, and should be what happened. Unlike simulated futures nothing builds up
along a path here: what is wrong is wrong at a single step. Done with dropout off, as in forecasting, and on,
as in training. OUT gets code_calibration.csv and .md, by ten years of age.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import torch

from proband.core.batch import EVENT
from proband.core.errors import DataError, near_matches
from proband.core.units import MINUTES_PER_YEAR
from proband.model.checkpoint import load_model
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import sequential_batches

BATCH_TOKENS = 8192
YEARS = 10


@torch.no_grad()
def expected_and_observed(model: Proband, store: TokenStore, rows: np.ndarray, token: int) -> pl.DataFrame:
    """By decade of age: events, how many of them the model expects to be ``token``, and how many were."""
    parts = []
    for batch in sequential_batches(store, rows, model.config.context, BATCH_TOKENS):
        row, position = (batch.target == EVENT).nonzero(as_tuple=True)
        hidden, _ = model.hidden(batch.tokens, batch.ages, batch.statics, batch.modalities)
        first = model.first_positions(batch.tokens, batch.seen_before)
        at = row, position
        moment = model.moment(hidden, batch, at)
        gaps = model.bins.bin_of(model.bins.steps(batch.gaps[row, position]))
        log_codes = model.log_codes(hidden[row, position], gaps, first[row] <= position[:, None], moment)
        ages = (batch.ages + batch.gaps)[row, position].numpy()
        parts.append(
            pl.DataFrame(
                {
                    "age": (ages // (YEARS * MINUTES_PER_YEAR)).astype(int) * YEARS,
                    "expected": log_codes[:, token].exp().numpy().astype(float),
                    "observed": (batch.next_tokens[row, position] == token).numpy().astype(int),
                }
            )
        )
    sums = (pl.len().alias("events"), pl.col("expected", "observed").sum())
    return pl.concat(parts).group_by("age").agg(*sums).sort("age")


def compare(model: Proband, store: TokenStore, splits: list[str], code: str) -> pl.DataFrame:
    """Both ways of running the model side by side."""
    if code not in store.vocabulary.index:
        remedy = near_matches(code, store.vocabulary.codes)
        raise DataError("the code is not in the vocabulary", where=store.folder, found=code, remedy=remedy)
    rows = np.concatenate([store.rows_of(split) for split in splits])
    token = store.vocabulary.index[code]
    off = expected_and_observed(model.eval(), store, rows, token)
    torch.manual_seed(0)
    on = expected_and_observed(model.train(), store, rows, token)
    model.eval()
    return off.with_columns(on["expected"].alias("expected_with_dropout"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("tokens", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--code", default="MEDS_DEATH")
    parser.add_argument("--split", nargs="+", default=["held_out"])
    given = parser.parse_args()
    store = TokenStore(given.tokens)
    found = compare(load_model(given.model, store.vocabulary.hash), store, given.split, given.code)
    given.out.mkdir(parents=True, exist_ok=True)
    found.write_csv(given.out / "code_calibration.csv")
    with pl.Config(tbl_formatting="MARKDOWN", tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        text = str(found.with_columns(pl.col("^expected.*$").round(1)))
    (given.out / "code_calibration.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
