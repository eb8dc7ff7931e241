"""A binary task of MEDS-DEV by simulated futures of a proband model: no label, no training for the task.

    python zero_shot.py PRETRAINED LABELS OUT --dataset DATASET --task TASK.yaml --predicates PREDICATES.yaml

PRETRAINED holds tokens/ and model/, as the unsupervised command leaves them. TASK.yaml is the task's ACES
configuration. Of LABELS subject_id and prediction_time are read; boolean_value is copied to the output and
plays no part. OUT/predictions.parquet has the labels of a split with predicted_boolean_probability, the share
of futures with the label among those that hold what the task's windows ask, and predicted_boolean_value.

Who left no record in the tokens, or has no future that holds what is asked, gets the mean of the others.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import polars as pl
import yaml
from futures import answers
from labels import KEY, MODEL, TOKENS, exit_with_one_line, labels_of_split, write_predictions
from task import Question, codes_of, read_question

from proband.core.errors import DataError
from proband.core.schema import TRAJECTORIES
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.ehr.meds.dataset import DEATH, ENTRY, EXIT
from proband.forecast import forecast
from proband.forecast.config import ForecastConfig
from proband.tokens.dataset import TokenStore


def simulate(
    pretrained: Path, dates: pl.DataFrame, question: Question, folder: Path, config: ForecastConfig
) -> Path:
    """Sample futures of subjects at dates.

    Args:
        pretrained: Folder of tokens/ and model/.
        dates: subject_id and prediction_time.
        question: The task.
        folder: Folder for what is written on the way.
        config: Settings of the forecast.

    Returns:
        A trajectories folder.
    """
    known = TokenStore(pretrained / TOKENS).vocabulary.recorded_codes()
    codes = codes_of(question.aces, question.aces.label, known)
    for window in (question.target, *question.criteria):
        if window.closing:
            codes_of(question.aces, window.closing, known)
    dates.unique().write_parquet(folder / "dates.parquet")
    task = {
        "outcomes": {"label": {"codes": codes}, "death": {"codes": [DEATH], "may_be_absent": True}},
        "prediction": {"file": "dates.parquet"},
        "horizons_years": question.horizon / MICROSECONDS_PER_YEAR,
    }
    (folder / "task.yaml").write_text(yaml.safe_dump(task))
    futures = folder / "futures"
    forecast(
        pretrained / MODEL,
        pretrained / TOKENS,
        folder / "risk",
        task=folder / "task.yaml",
        trajectories=futures,
        config=config,
    )
    return futures


def shares(futures: Path, question: Question) -> pl.DataFrame:
    """Share of futures with the label, by subject_id and prediction_time.

    Args:
        futures: A trajectories folder.
        question: The task.

    Returns:
        subject_id, prediction_time, ``share`` (null where no future holds what is asked), ``held`` (share of
        futures that do) and ``is_open`` (share of those that were cut before the answer).
    """
    paths = TRAJECTORIES.read(futures / "trajectories.parquet")
    found = []
    for file in sorted((futures / "data").rglob("*.parquet")):
        rows = pl.read_parquet(file, columns=["subject_id", "time", "code", "numeric_value"])
        mine = paths.join(rows.select("subject_id").unique(), on="subject_id", how="semi")
        drawn = rows.filter(~pl.col("code").is_in([ENTRY, EXIT])).join(
            mine.select("subject_id", "prediction_time"), on="subject_id"
        )
        drawn = drawn.filter(pl.col("time") > pl.col("prediction_time")).drop("prediction_time")
        found.append(answers(mine, drawn, question))
    value = pl.col("value")
    return (
        pl.concat(found)
        .group_by(pl.col("source_subject_id").alias("subject_id"), "prediction_time")
        .agg(
            share=value.mean(),
            held=value.is_not_null().mean(),
            is_open=pl.col("is_open").filter(value.is_not_null()).mean(),
        )
    )


def predict(
    pretrained: Path,
    labels: Path,
    out: Path,
    dataset: Path,
    split: str,
    task: Path,
    predicates: Path | None,
    longest_days: float,
    paths: int,
    max_events: int,
    seed: int,
) -> None:
    """Predict the labels of a split and write them.

    Raises:
        ConfigError: The task is unusable, asks what a future cannot answer, or names codes unknown to the
            model.
        DataError: No subject of the split has a label, or none can be predicted.
    """
    asked = labels_of_split(labels, dataset, split, with_values=False)
    asked = asked.with_columns(pl.col("prediction_time").cast(pl.Datetime("us")))
    question = read_question(task, predicates, longest_days)
    config = ForecastConfig(
        estimator="mc", split=split, paths=paths, max_events=max_events, seed=seed, device="auto"
    )
    with tempfile.TemporaryDirectory() as folder:
        futures = simulate(pretrained, asked.select(KEY), question, Path(folder), config)
        found = shares(futures, question)
    matched = asked.join(found, on=KEY, how="left", maintain_order="left")
    mean = matched["share"].mean()
    if mean is None:
        raise DataError(
            "no simulated future holds what the task's windows ask", where=task, remedy="raise --paths"
        )
    write_predictions(asked, matched["share"], float(mean), out)
    print(
        f"zero_shot: {asked.height:,} predictions, mean {mean:.1%}, from {paths} futures each, of which "
        f"{found['held'].mean():.1%} hold what the task asks; {matched['share'].null_count():,} predictions "
        "are the mean"
    )
    is_open = float(found["is_open"].mean() or 0)
    if is_open > 0:
        remedy = "raise --max-events" + (" or --longest-days" if question.target.closing else "")
        print(f"zero_shot: {is_open:.1%} of these futures end before the answer and count half: {remedy}")


def main() -> None:
    """Predict."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for folder in ("pretrained", "labels", "out"):
        parser.add_argument(folder, type=Path)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--task", type=Path, required=True, help="ACES configuration")
    parser.add_argument("--predicates", type=Path, help="predicates of the dataset")
    parser.add_argument("--split", default="held_out")
    parser.add_argument("--paths", type=int, default=128, help="futures per prediction")
    parser.add_argument("--max-events", type=int, default=512, help="events after which a future is cut")
    parser.add_argument("--longest-days", type=float, default=365.0, help="of a window that an event ends")
    parser.add_argument("--seed", type=int, default=0)
    predict(**vars(parser.parse_args()))


if __name__ == "__main__":
    exit_with_one_line("zero_shot", main)
