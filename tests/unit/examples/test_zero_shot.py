"""Zero-shot predictions of MEDS-DEV tasks: shares of futures that are right, and tasks that are refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
import yaml

import known_law
from proband.core.errors import ConfigError
from proband.core.schema import RISK, TRAJECTORIES
from proband.forecast import forecast
from proband.forecast.config import ForecastConfig
from proband.model.checkpoint import save_model
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from small_world import random_model

FOLDER = Path(__file__).parents[3] / "examples" / "meds_dev"
REFERENCE = Path(__file__).parents[2] / "reference" / "aces"
START, HOUR = datetime(2020, 1, 1), 3_600_000_000
CLOSED = {"start_inclusive": True, "end_inclusive": True}
AHEAD = {"start_inclusive": False, "end_inclusive": True}
DAYS = 730
PATHS = 24


def task(**changes: Any) -> dict[str, Any]:
    """C within two years of a date 200 days after birth; changes by window."""
    windows = {
        "input": CLOSED | {"start": None, "end": "trigger + 200d", "index_timestamp": "end"},
        "target": AHEAD | {"start": "input.end", "end": f"start + {DAYS}d", "label": "c"},
    }
    for name, change in changes.items():
        windows[name] = windows.get(name, dict(AHEAD)) | change
    codes = {"birth": "MEDS_BIRTH", "a": "X//A", "c": "X//C", "d": "X//D", "death": "MEDS_DEATH"}
    predicates = {name: {"code": code} for name, code in codes.items()} | {"or_c": {"expr": "or(c, death)"}}
    return {"predicates": predicates, "trigger": "birth", "windows": windows}


@pytest.fixture(scope="module")
def zero_shot(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("zero_shot")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A known world's tokens with a model of random weights, a MEDS dataset and labels."""
    root = tmp_path_factory.mktemp("zero_shot")
    known_law.write_meds(known_law.simulate(160, 0), root / "meds")
    tokens(root / "meds", root / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    store = TokenStore(root / "tokens")
    model = random_model(
        vocabulary_size=len(store.vocabulary), once=store.once.nonzero()[0].tolist(), context=32
    )
    (root / "model").mkdir()
    save_model(model, root / "model", store.vocabulary.hash)
    (root / "meds" / "metadata").mkdir()
    splits = store.subjects.select("subject_id", "split")
    splits.write_parquet(root / "meds" / "metadata" / "subject_splits.parquet")
    when = pl.lit(known_law.START + timedelta(days=200)).cast(pl.Datetime("us"))
    (root / "labels").mkdir()
    labels = splits.select("subject_id", prediction_time=when, boolean_value=pl.col("subject_id") % 3 == 0)
    labels.write_parquet(root / "labels" / "0.parquet")
    return root


@pytest.fixture
def predicted(zero_shot: ModuleType, world: Path, tmp_path: Path) -> Callable[..., pl.DataFrame]:
    def run(content: dict[str, Any] | None = None, labels: Path = world / "labels") -> pl.DataFrame:
        (tmp_path / "aces.yaml").write_text(yaml.safe_dump(content or task()))
        settings = {"longest_days": 400, "paths": PATHS, "max_events": 400, "seed": 0}
        zero_shot.predict(
            world,
            labels,
            tmp_path / "out",
            world / "meds",
            "held_out",
            tmp_path / "aces.yaml",
            None,
            **settings,
        )
        return pl.read_parquet(tmp_path / "out" / "predictions.parquet")

    return run


def test_a_share_of_futures_is_the_risk_that_forecast_counts(
    predicted: Callable[..., pl.DataFrame], world: Path, tmp_path: Path
) -> None:
    found = predicted()
    content = {
        "outcomes": {"c": {"codes": "X//C"}},
        "prediction": {"years_after_entry": 200 / 365.25},
        "horizons_years": DAYS / 365.25,
    }
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(content))
    config = ForecastConfig(estimator="mc", paths=PATHS, max_events=400)
    forecast(world / "model", world / "tokens", tmp_path / "risk", task=tmp_path / "task.yaml", config=config)
    risk = RISK.read(tmp_path / "risk" / "risk.parquet")
    both = found.join(risk, on=["subject_id", "prediction_time"], how="inner")
    assert both.height == risk.height > 5
    assert risk["risk"].n_unique() > 3
    assert both["predicted_boolean_probability"].to_list() == pytest.approx(both["risk"].to_list())
    assert found.height > both.height  # and those who had it before, or left: a label may come again


def test_no_label_changes_a_prediction(
    predicted: Callable[..., pl.DataFrame], world: Path, tmp_path: Path
) -> None:
    labels = pl.read_parquet(world / "labels" / "0.parquet")
    others = {
        "turned": labels.with_columns(~pl.col("boolean_value")),
        "without": labels.drop("boolean_value"),
        "later": labels.with_columns(pl.col("prediction_time") + pl.duration(days=60)),
    }
    risk = {"as they are": predicted()["predicted_boolean_probability"]}
    for name, frame in others.items():
        (tmp_path / name).mkdir()
        frame.write_parquet(tmp_path / name / "0.parquet")
        found = predicted(labels=tmp_path / name)
        risk[name] = found["predicted_boolean_probability"]
        assert ("boolean_value" in found.columns) == (name != "without")
    assert risk["turned"].equals(risk["as they are"])
    assert risk["without"].equals(risk["as they are"])
    assert not risk["later"].equals(risk["as they are"])


def test_windows_that_must_hold_change_the_share(predicted: Callable[..., pl.DataFrame]) -> None:
    """Shares are of the futures that hold what is asked: without the label none has it, with it all."""
    plain = predicted()["predicted_boolean_probability"]
    without = predicted(task(target={"has": {"c": "(None, 0)"}}))["predicted_boolean_probability"]
    assert plain.max() > 0
    assert without.max() == 0
    only = predicted(task(target={"has": {"c": "(1, None)"}}))["predicted_boolean_probability"]
    assert only.min() == 1


def hours(*events: tuple[int, str], end: str = "horizon") -> tuple[list[tuple[int, str]], str]:
    return list(events), end


@pytest.mark.parametrize(
    ("future", "value", "is_open"),
    [
        (hours((20, "DEATH"), end="death"), None, False),  # in the gap
        (hours((60, "OUT"), (70, "DEATH"), end="death"), 0.0, False),
        (hours((60, "OUT"), (60, "DEATH"), end="death"), 1.0, False),  # at one time
        (hours((60, "LAB"), (61, "DEATH"), end="death"), 1.0, False),
        (hours((60, "LAB")), 0.5, True),  # still there at the end
        (hours((60, "LAB"), end="budget"), 0.5, True),
        (hours((60, "OUT"), end="budget"), 0.5, True),  # the death may come at that time
        (hours((60, "OUT"), (61, "LAB"), end="budget"), 0.0, False),
        (hours((10, "LAB"), end="budget"), 0.5, True),  # cut within the gap
        (hours((10, "IN"), (60, "OUT")), None, False),
    ],
)
def test_what_a_future_says_of_a_stay_by_hand(
    script: Callable[[str], ModuleType],
    tmp_path: Path,
    future: tuple[list[tuple[int, str]], str],
    value: float | None,
    is_open: bool,
) -> None:
    """Prediction a day after admission; who is still there another day later: dies before leaving?"""
    names = {"in": "IN", "out": "OUT", "death": "DEATH"}
    nobody = {"in": "(None, 0)", "leaves": "(None, 0)"}
    windows = {
        "input": CLOSED | {"start": None, "end": "trigger + 24h", "index_timestamp": "end"},
        "gap": AHEAD | {"start": "trigger", "end": "start + 48h", "has": nobody},
        "target": AHEAD | {"start": "gap.end", "end": "start -> leaves", "label": "death"},
    }
    content = {
        "predicates": {name: {"code": code} for name, code in names.items()}
        | {"leaves": {"expr": "or(out, death)"}},
        "trigger": "in",
        "windows": windows,
    }
    (tmp_path / "stay.yaml").write_text(yaml.safe_dump(content))
    question = script("task").read_question(tmp_path / "stay.yaml", None, 30)
    assert question.horizon == 24 * HOUR + 30 * 24 * HOUR
    drawn, end = future
    rows = [(1, START + timedelta(hours=hour), code) for hour, code in drawn]
    found = script("futures").answers(*frames(rows, {1: (START, end, rows[-1][1])}), question)
    assert found.select("value", "is_open").row(0) == (value, is_open)


def frames(
    rows: list[tuple[int, datetime, str]], paths: dict[int, tuple[datetime, str, datetime]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Paths from (prediction time, end, end time) by subject, and their events."""
    schema = {"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String}
    events = pl.DataFrame(rows, schema=schema, orient="row")
    whole = [(one, one, at, 0, end, last, last) for one, (at, end, last) in paths.items()]
    return (
        pl.DataFrame(whole, schema=TRAJECTORIES.empty().schema, orient="row"),
        events.with_columns(pl.lit(None, pl.Float32).alias("numeric_value")),
    )


@pytest.mark.parametrize(("name", "hours_ahead"), [("stay", 12), ("readmission", 0), ("measured", 12)])
def test_on_what_really_followed_the_answer_is_that_of_aces(
    script: Callable[[str], ModuleType], name: str, hours_ahead: int
) -> None:
    """Every trigger's real future, as if it had been drawn, gives the row and the label that ACES gives."""
    question = script("task").read_question(REFERENCE / f"{name}.yaml", None, 30)
    events = pl.read_parquet(REFERENCE / "events.parquet").filter(pl.col("time").is_not_null())
    trigger = "^DISCHARGE//" if name == "readmission" else "^ADMISSION//"
    at = pl.col("time") + pl.duration(hours=hours_ahead)
    rows = events.filter(pl.col("code").str.contains(trigger)).select(
        "subject_id", prediction_time=at
    ).unique().sort("subject_id", "prediction_time").with_row_index("path")  # fmt: skip
    future = rows.join(events, on="subject_id").filter(pl.col("time") > pl.col("prediction_time"))
    last = events.group_by("subject_id").agg(
        end_time=pl.col("time").max(), died=(pl.col("code") == "MEDS_DEATH").any()
    )
    paths = rows.join(last, on="subject_id").select(
        subject_id=pl.col("path").cast(pl.Int64),
        source_subject_id="subject_id",
        prediction_time="prediction_time",
        path=pl.lit(0, pl.Int64),
        end=pl.when("died").then(pl.lit("death")).otherwise(pl.lit("horizon")),
        end_time="end_time",
        horizon_time="end_time",
    )
    drawn = future.select(pl.col("path").cast(pl.Int64).alias("subject_id"), "time", "code", "numeric_value")
    ours = script("futures").answers(paths, drawn, question)
    theirs = pl.read_csv(REFERENCE / f"{name}.tsv", separator="\t", try_parse_dates=True)
    theirs = theirs.select(
        pl.col("subject_id").alias("source_subject_id"),
        pl.col("prediction_time").cast(pl.Datetime("us")),
        "boolean_value",
    ).unique()
    both = ours.join(theirs, on=["source_subject_id", "prediction_time"], how="left")
    of_aces = both.drop_nulls("boolean_value")
    assert of_aces.height == theirs.height
    assert not of_aces["is_open"].any()
    assert of_aces["value"].to_list() == of_aces["boolean_value"].cast(pl.Float64).to_list()
    # ACES also asks what came between trigger and prediction, and here of everybody; and of a stay or a
    # readmission that the record goes on.
    between = rows.join(events, on="subject_id").filter(
        pl.col("time").is_between(
            pl.col("prediction_time") - pl.duration(hours=hours_ahead),
            pl.col("prediction_time"),
            closed="right",
        )
    )
    calm = both.join(
        between.select(pl.col("path").cast(pl.Int64).alias("subject_id")), on="subject_id", how="anti"
    )
    gone = pl.col("end_time") <= pl.col("prediction_time") + pl.duration(days=30)
    others = calm.filter(pl.col("boolean_value").is_null(), ~pl.col("is_open"))
    if name == "readmission":
        others = both.filter(pl.col("boolean_value").is_null(), ~gone)
        assert others.is_empty()
        assert both.filter(pl.col("end") == "death", gone)["value"].null_count() > 10
        return
    assert others["value"].null_count() == others.height > 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": {"end": None}}, r"windows.target.end .* a target without end"),
        ({"target": {"start": "trigger"}}, "a target from before the prediction time"),
        ({"target": {"end": "start -> c", "end_inclusive": False}}, "windows.target.end_inclusive"),
        ({"target": {"start": "trigger -> a"}}, r"windows.target.start .* found trigger -> a"),
        ({"target": {"end": "start -> nobody"}}, "undefined predicate nobody"),
        ({"more": {"start": "trigger", "end": "start + 300d", "has": {"a": "(1, None)"}}}, "a counted from"),
        (
            {"more": {"start": "target.end", "end": None, "has": {"a": "(1, None)"}}},
            "up to the end of the re",
        ),
        ({"more": {"start": "trigger", "end": "start -> a"}}, "a counted from before"),
    ],
)
def test_what_futures_cannot_answer_is_refused(
    script: Callable[[str], ModuleType], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    (tmp_path / "aces.yaml").write_text(yaml.safe_dump(task(**changes)))
    with pytest.raises(ConfigError, match=message):
        script("task").read_question(tmp_path / "aces.yaml", None, 30)


def test_a_bound_without_a_code_is_refused_and_one_of_the_dataset_s_predicates_taken(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    content = task(target={"label": "low"})
    content["predicates"] |= {
        "range": {"code": None, "value_max": 3, "value_max_inclusive": False},
        "low": {"expr": "and(c, range)"},
    }
    (tmp_path / "aces.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="unusable predicate range"):
        script("task").read_question(tmp_path / "aces.yaml", None, 30)
    (tmp_path / "own.yaml").write_text("predicates: {low: {code: X//C, value_max: 3}}")
    question = script("task").read_question(tmp_path / "aces.yaml", tmp_path / "own.yaml", 30)
    assert question.aces.predicates["low"].is_bounded


def test_windows_of_the_past_are_not_asked_again(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    past = {
        "before": CLOSED | {"start": "end <- a", "end": "trigger"},
        "input": {"has": {"d": "(None, 0)", "a": "(2, None)"}},
    }
    (tmp_path / "aces.yaml").write_text(yaml.safe_dump(task(**past)))
    question = script("task").read_question(tmp_path / "aces.yaml", None, 30)
    assert question.criteria == ()
    assert question.horizon == DAYS * 24 * HOUR


def test_codes_that_the_model_cannot_draw_are_refused(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    content = task(target={"label": "label"})
    (tmp_path / "aces.yaml").write_text("")
    known = ["X//C", "MEDS_DEATH"]

    def codes(expression: str) -> list[str]:
        content["predicates"]["label"] = {"expr": expression}
        (tmp_path / "aces.yaml").write_text(yaml.safe_dump(content))
        aces = script("task").read_question(tmp_path / "aces.yaml", None, 30).aces
        found: list[str] = script("task").codes_of(aces, "label", known)
        return found

    assert codes("or(c, d)") == ["X//C"]
    assert codes("and(c, death)") == known
    with pytest.raises(ConfigError, match="the model knows no code of predicate d"):
        codes("and(c, d)")


def test_a_mistake_is_one_line_and_leaves_nothing_behind(world: Path, tmp_path: Path) -> None:
    words = [world, world / "labels", tmp_path / "out", "--dataset", world / "meds", "--task", ""]
    ran = subprocess.run(
        [sys.executable, FOLDER / "zero_shot.py", *map(str, words)], capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("zero_shot: no task definition; in PROBAND_TASK; expected ")
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
