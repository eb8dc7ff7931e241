"""A binary task of MEDS-DEV on a frozen proband model: fit a head on labels, predict with it.

    python head.py fit PRETRAINED LABELS OUT
    python head.py predict FITTED LABELS OUT --dataset DATASET --split held_out

PRETRAINED holds tokens/ and model/, as the unsupervised command leaves them. LABELS is a folder of Parquet
files of subject_id, prediction_time and boolean_value. `fit` reads the labels of train and tuning subjects
and writes OUT/head.npz; `predict` writes OUT/predictions.parquet: the labels of a split with
predicted_boolean_probability and predicted_boolean_value (above one half).

Inputs of the head are the trunk's state at the prediction time and the record summary; the strength of the
ridge is chosen on tuning. Whoever left no record in the tokens gets the share of positive train labels.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from labels import (
    KEY,
    MODEL,
    TOKENS,
    VALUE,
    exit_with_one_line,
    labels_of_split,
    read_labels,
    write_predictions,
)
from scipy import sparse
from scipy.special import expit

from proband.core.errors import DataError

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Of the ridge, as scikit-learn's C: smaller is stronger."""
HEAD = "head.npz"


@dataclass(frozen=True)
class Head:
    """A logistic regression on inputs divided by their largest size.

    Attributes:
        scale: Largest size of each input in train, 1 where all are nought.
        weights: Of the scaled inputs.
        intercept: Log odds where all inputs are nought.
        base_rate: Share of positive train labels.
        strength: The one chosen.
    """

    scale: np.ndarray
    weights: np.ndarray
    intercept: float
    base_rate: float
    strength: float

    def probabilities(self, inputs: sparse.csr_matrix) -> np.ndarray:
        """Probability of a positive label for each row."""
        log_odds = inputs @ (self.weights / self.scale) + self.intercept
        return expit(log_odds)


def fit_head(
    train: sparse.csr_matrix, labels: np.ndarray, tuning: sparse.csr_matrix, tuning_labels: np.ndarray
) -> Head:
    """The head whose ridge has the least log loss on tuning; without labels of both kinds, the base rate.

    Args:
        train: Inputs, shape (rows, width).
        labels: True or False of each row.
        tuning: Inputs of tuning subjects; without rows, the strongest ridge is taken.
        tuning_labels: Of those.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    largest = np.asarray(abs(train).max(axis=0).todense()).ravel()
    scale = np.where(largest > 0, largest, 1.0)
    rate = float(labels.mean())
    if labels.all() or not labels.any():
        return Head(scale, np.zeros(train.shape[1]), 0.0, rate, 0.0)
    heads = []
    for strength in STRENGTHS:
        fitted = LogisticRegression(C=strength, max_iter=500).fit(train @ sparse.diags(1 / scale), labels)
        heads.append(Head(scale, fitted.coef_[0], float(fitted.intercept_[0]), rate, strength))
    if not len(tuning_labels):
        return heads[0]
    losses = [log_loss(tuning_labels, one.probabilities(tuning), labels=[False, True]) for one in heads]
    return heads[int(np.argmin(losses))]


def read_inputs(pretrained: Path, labels: pl.DataFrame) -> tuple[pl.DataFrame, sparse.csr_matrix]:
    """Labels of subjects in the tokens, with their split, and the inputs of each.

    Only what lies at or before a prediction time is read.
    """
    import torch

    from proband.embed.dates import read_dates
    from proband.embed.stage import read_vectors
    from proband.model.checkpoint import load_model
    from proband.tokens.dataset import TokenStore
    from proband.tokens.history.queries import known_at

    store = TokenStore(pretrained / TOKENS)
    splits = store.subjects.select("subject_id", "split")
    known = labels.join(splits, on="subject_id", maintain_order="left")
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "dates.parquet"
        known.select(KEY).write_parquet(table)
        dates = read_dates(store, "all", None, table)
    model = load_model(pretrained / MODEL, store.vocabulary.hash)
    states = sparse.csr_matrix(read_vectors(model, store, dates, torch.device("cpu")))
    found: Any = known_at(store, dates.rows, dates.minutes)["features"]
    shape = (len(dates), found.num_features)
    summary = sparse.csr_matrix((found.values, found.indices, found.indptr), shape=shape)
    at = dates.frame.with_row_index("at")
    matched = known.with_columns(pl.col("prediction_time").cast(pl.Datetime("us"))).join(
        at, on=KEY, how="left", maintain_order="left"
    )
    inputs = sparse.hstack([states, summary], format="csr")[matched["at"].to_numpy()]
    return matched.drop("at"), inputs


def fit(pretrained: Path, labels: Path, out: Path) -> None:
    """Fit a head and write it.

    Raises:
        DataError: No train subject has a label; one without a value is none.
    """
    known, inputs = read_inputs(pretrained, read_labels(labels).drop_nulls(VALUE))
    is_train, is_tuning = (known["split"].to_numpy() == split for split in ("train", "tuning"))
    if not is_train.any():
        raise DataError("no train subject has a label", where=labels, found=f"{known.height} labels")
    values = known["boolean_value"].to_numpy().astype(bool)
    head = fit_head(inputs[is_train], values[is_train], inputs[is_tuning], values[is_tuning])
    out.mkdir(parents=True, exist_ok=True)
    np.savez(out / HEAD, pretrained=str(pretrained.resolve()), **vars(head))
    print(f"head: {is_train.sum():,} train labels, {head.base_rate:.1%} positive; C {head.strength:g}")


def predict(fitted: Path, labels: Path, out: Path, dataset: Path, split: str) -> None:
    """Predict the labels of a split and write them.

    Raises:
        DataError: There is no head, or no subject of the split has a label.
    """
    if not (fitted / HEAD).is_file():
        raise DataError("no fitted head", where=fitted, expected=HEAD, remedy="run the train command first")
    with np.load(fitted / HEAD) as stored:
        pretrained = Path(str(stored["pretrained"]))
        numbers = {name: float(stored[name]) for name in ("intercept", "base_rate", "strength")}
        head = Head(stored["scale"], stored["weights"], **numbers)
    asked = labels_of_split(labels, dataset, split).with_row_index("order")
    known, inputs = read_inputs(pretrained, asked)
    found = head.probabilities(inputs) if head.strength else np.full(known.height, head.base_rate)
    risk = known.select("order", probability=pl.Series(found, dtype=pl.Float64))
    ordered = asked.join(risk, on="order", how="left").sort("order").drop("order")
    write_predictions(ordered.drop("probability"), ordered["probability"], head.base_rate, out)


def main() -> None:
    """Fit or predict."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("fit", "predict"):
        one = commands.add_parser(name)
        for folder in ("pretrained" if name == "fit" else "fitted", "labels", "out"):
            one.add_argument(folder, type=Path)
    one.add_argument("--dataset", type=Path, required=True)
    one.add_argument("--split", default="held_out")
    given = vars(parser.parse_args())
    {"fit": fit, "predict": predict}[given.pop("command")](**given)


if __name__ == "__main__":
    exit_with_one_line("head", main)
