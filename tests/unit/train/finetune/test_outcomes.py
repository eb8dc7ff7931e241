"""Labels given for dates: what a new row makes of them has the probability that made them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.errors import ConfigError, DataError
from proband.core.files.manifest import read_manifest
from proband.ehr.outcomes import load_task
from proband.forecast import forecast
from proband.forecast.config import ForecastConfig
from proband.model.checkpoint import load_model
from proband.tokens.dataset import TokenStore
from proband.tokens.history.onsets import NEVER
from proband.train.finetune import finetune
from proband.train.finetune.config import FinetuneConfig
from proband.train.finetune.labels import labelled_subjects
from proband.train.finetune.outcomes import labelled_dates, new_outcomes

CODE, CHANCE = "X//C", (0.2, 0.7)
"""Labels are true so often without the code by the date, and with it."""
TASK = "outcomes: {flag: {labels: flags.parquet}}\nhorizons_years: 0.25\n"


def flags(adapted: Path, chance: tuple[float, float] = CHANCE) -> pl.DataFrame:
    """A label every quarter year of every subject's follow-up, with the chance that made it."""
    store, rng = TokenStore(adapted / "tokens"), np.random.default_rng(0)
    wanted = store.vocabulary.index[CODE]
    found = []
    for row, subject in enumerate(store.follow_up().iter_rows(named=True)):
        time: datetime = subject["entry_time"] + timedelta(days=30)
        while time < subject["exit_time"]:
            minutes = (time - subject["birth_time"]) // timedelta(minutes=1)
            has_it = bool((store.history(row, minutes)[0] == wanted).any())
            found.append((subject["subject_id"], time, bool(rng.random() < chance[has_it]), chance[has_it]))
            time += timedelta(days=91)
    schema = ["subject_id", "prediction_time", "boolean_value", "chance"]
    return pl.DataFrame(found, schema=schema, orient="row")


@pytest.fixture(scope="module")
def labelled(adapted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """flags.parquet, task.yaml and model/, which has learnt them."""
    root = tmp_path_factory.mktemp("labelled")
    flags(adapted).write_parquet(root / "flags.parquet")
    (root / "task.yaml").write_text(TASK)
    finetune(adapted / "model", adapted / "tokens", root / "model", tasks=[root / "task.yaml"])
    return root


def test_risks_are_the_chances_that_made_the_labels(adapted: Path, labelled: Path) -> None:
    shape = load_model(labelled / "model").config.onset
    assert shape is not None
    assert shape.index_of_label("flag", 0.25) is not None
    assert shape.index_of_label("flag", 1.0) is None
    forecast(
        labelled / "model", adapted / "tokens", labelled / "risk", task=labelled / "task.yaml", workers=1
    )
    key = ["subject_id", "prediction_time"]
    risks = pl.read_parquet(labelled / "risk" / "risk.parquet").filter(pl.col("horizon_years") == 0.25)
    joined = risks.join(pl.read_parquet(labelled / "flags.parquet"), on=key, validate="1:1")
    assert joined.height == risks.height > 300
    means = joined.group_by("chance").agg(pl.col("risk").mean()).sort("chance")
    # Shrunk, with 1,900 train labels: without any terms both would be 0.58, and 60 of 0.2 are 0.21 by chance.
    assert means["risk"].to_list() == pytest.approx(CHANCE, abs=0.08)


def test_the_manifest_and_the_card_tell_of_labels(labelled: Path) -> None:
    counts = read_manifest(labelled / "model", "finetune")["counts"]
    assert counts["num_new"] == 1
    assert counts["num_labelled_train"] > 100
    assert "Labels of flag were added" in (labelled / "model" / "README.md").read_text()


@pytest.mark.parametrize("years", [0.25, 1.0])
def test_labels_that_nothing_tells_get_the_share_that_is_true(
    adapted: Path, tmp_path: Path, years: float
) -> None:
    # A year lies across two bins of the time ahead, the first of which holds every true label.
    flags(adapted, (0.6, 0.6)).write_parquet(tmp_path / "flags.parquet")
    (tmp_path / "task.yaml").write_text(TASK.replace("0.25", str(years)))
    finetune(adapted / "model", adapted / "tokens", tmp_path / "model", tasks=[tmp_path / "task.yaml"])
    forecast(
        tmp_path / "model", adapted / "tokens", tmp_path / "risk", task=tmp_path / "task.yaml", workers=1
    )
    risk = pl.read_parquet(tmp_path / "risk" / "risk.parquet").filter(pl.col("horizon_years") == years)[
        "risk"
    ]
    assert risk.mean() == pytest.approx(0.6, abs=0.03)
    assert risk.std() < 0.04


def test_an_adapted_trunk_reads_labels_too(adapted: Path, labelled: Path, tmp_path: Path) -> None:
    config = FinetuneConfig(mode="lora", epochs=0.1, batch_subjects=10, evaluations=1, label_fraction=0.5)
    finetune(
        adapted / "model",
        adapted / "tokens",
        tmp_path / "lora",
        tasks=[labelled / "task.yaml"],
        config=config,
    )
    assert read_manifest(tmp_path / "lora", "finetune")["notes"]["trunk_steps"]["last"] > 0
    with pytest.raises(ConfigError, match="labels of the model are not at hand"):
        finetune(
            labelled / "model",
            adapted / "tokens",
            tmp_path / "no",
            tasks=[adapted / "new.yaml"],
            config=config,
        )


def test_what_cannot_be_learnt_is_refused(adapted: Path, labelled: Path, tmp_path: Path) -> None:
    given = adapted / "model", adapted / "tokens", tmp_path / "out"
    mixed = tmp_path / "mixed.yaml"
    mixed.write_text(
        f"outcomes: {{d: {{codes: X//D}}, flag: {{labels: {labelled}/flags.parquet}}}}\n"
        "prediction: {years_after_entry: 0.5}\nhorizons_years: 5\n"
    )
    with pytest.raises(ConfigError, match="finetune twice"):
        finetune(*given, tasks=[mixed])
    with pytest.raises(ConfigError, match="has a task of this name"):
        finetune(labelled / "model", *given[1:], tasks=[labelled / "task.yaml"])
    flags(adapted, (0.001, 0.001)).write_parquet(tmp_path / "flags.parquet")
    (tmp_path / "task.yaml").write_text(TASK)
    with pytest.raises(DataError, match="too few labels"):
        finetune(*given, tasks=[tmp_path / "task.yaml"])
    config = ForecastConfig(estimator="scope")
    with pytest.raises(ConfigError, match="labels cannot be read off sampled paths"):
        forecast(*given, task=labelled / "task.yaml", config=config, workers=1)
    with pytest.raises(ConfigError, match="no onset task of the model"):
        forecast(*given, task=labelled / "task.yaml", workers=1)


def test_labels_of_subjects_that_the_tokens_do_not_have(
    adapted: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    store, given = TokenStore(adapted / "tokens"), pl.read_parquet(labelled / "flags.parquet")
    strangers = given.head(40).with_columns(subject_id=pl.col("subject_id") + 10**6)
    num_known, num_strangers = (frame["subject_id"].n_unique() for frame in (given, strangers))
    (tmp_path / "task.yaml").write_text(TASK)
    subjects, known = labelled_subjects(store, 1.0, 0), load_model(adapted / "model").config.onset
    assert known is not None
    pl.concat([given, strangers]).write_parquet(tmp_path / "flags.parquet")
    new_outcomes(store, [tmp_path / "task.yaml"], known, subjects)
    assert f"flag {num_strangers} of {num_known + num_strangers:,} subjects" in capsys.readouterr().err
    strangers.write_parquet(tmp_path / "flags.parquet")
    with pytest.raises(DataError, match=r"no labelled subject is in the records; in .*tokens"):
        new_outcomes(store, [tmp_path / "task.yaml"], known, subjects)


def test_labels_of_several_outcomes_meet_at_their_dates(adapted: Path, tmp_path: Path) -> None:
    store = TokenStore(adapted / "tokens")
    rows = store.rows_of("tuning")
    first, second = store.follow_up()[rows[:2]].iter_rows(named=True)
    dates = [first["entry_time"] + timedelta(days=10), second["entry_time"] + timedelta(days=20)]
    ids = [first["subject_id"], second["subject_id"]]
    a = pl.DataFrame({"subject_id": ids, "prediction_time": dates, "boolean_value": [True, False]})
    b = pl.DataFrame({"subject_id": ids[1:], "prediction_time": dates[1:], "boolean_value": [True]})
    elsewhere = a.with_columns(subject_id=pl.col("subject_id") + 10**6)
    tasks = []
    for name, frame in {"none": elsewhere, "a": a, "b": b}.items():
        frame.write_parquet(tmp_path / f"{name}.parquet")
        (tmp_path / f"{name}.yaml").write_text(TASK.replace("flag: ", f"{name}: ").replace("flags", name))
        tasks.append(load_task(tmp_path / f"{name}.yaml"))
    found = labelled_dates(store, tasks, rows)
    assert found.rows.tolist() == rows[:2].tolist()
    assert found.known.tolist() == [[False, True, False], [False, True, True]]
    assert found.had.tolist() == [[False, True, False], [False, False, True]]
    onsets = found.onsets(window=1000) - found.minutes[:, None]
    assert onsets[0].tolist() == [0, 500, 0]
    assert onsets[1].tolist() == [0, NEVER - found.minutes[1], 500]
