"""Whose labels are read, and which outcomes are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from proband.core.errors import ConfigError, DataError
from proband.model.config import OnsetConfig, OnsetTask
from proband.train.finetune.labels import labelled_subjects, new_tasks
from small_world import HandStore, Record

TAIL = "prediction: {years_after_entry: 1}\nhorizons_years: [5]\n"
DEATH = 7
KNOWN = OnsetConfig(
    tasks=(
        OnsetTask(name="known", tokens=(4,)),
        OnsetTask(name="MEDS_DEATH", tokens=(DEATH,)),
        OnsetTask(name="X//2", tokens=(2,)),
    ),
    num_named=2,
    num_features=1,
)


def store_of(train: int = 30, tuning: int = 2) -> HandStore:
    """So many onsets of code 2 among 100 and 20 subjects; of code 3 in train alone."""
    tokens = [2] * train + [3] * (100 - train)
    records = [Record([token], [500], entry=10, exit=900) for token in tokens]
    tokens = [2] * tuning + [5] * (20 - tuning)
    records += [Record([token], [500], entry=10, exit=900, split="tuning") for token in tokens]
    return HandStore(records)


def task(path: Path, **codes: str) -> Path:
    file = path / "task.yaml"
    lines = "".join(f"  {name}: {{codes: {code}}}\n" for name, code in codes.items())
    file.write_text(f"outcomes:\n{lines}{TAIL}")
    return file


STORE = store_of()


def test_labels_are_of_a_share_of_train_and_tuning() -> None:
    found = labelled_subjects(STORE, 0.5, 1)
    assert {split: len(rows) for split, rows in found.items()} == {"train": 50, "tuning": 10}


def test_what_the_model_names_stays_and_a_code_becomes_an_outcome(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled = labelled_subjects(STORE, 1.0, 0)
    found = new_tasks(STORE, [task(tmp_path, mine="X//4", d="X//2")], KNOWN, labelled)
    assert found == (OnsetTask(name="d", tokens=(2,)),)
    said = capsys.readouterr().err
    assert said == "finetune: mine is a task of the model already (known) and stays as it is\n"


def test_outcomes_that_the_model_has(tmp_path: Path) -> None:
    labelled = labelled_subjects(STORE, 1.0, 0)
    message = r"every outcome is a task of the model already; in --task; found known; remedy: name an outcome"
    with pytest.raises(ConfigError, match=message):
        new_tasks(STORE, [task(tmp_path, known="X//4")], KNOWN, labelled)
    with pytest.raises(ConfigError, match=r"another task of this name; found known; remedy: rename"):
        new_tasks(STORE, [task(tmp_path, known="X//2")], KNOWN, labelled)


def test_too_few_labels_are_named_with_their_number(tmp_path: Path) -> None:
    store = store_of(train=15)
    message = (
        r"too few labels; in 100 labelled train subjects.*found onsets: d 15; expected at least 21; remedy"
    )
    with pytest.raises(DataError, match=message) as caught:
        new_tasks(store, [task(tmp_path, d="X//2")], KNOWN, labelled_subjects(store, 1.0, 0))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"too few labels; in 50 labelled train.*--label-fraction"):
        new_tasks(STORE, [task(tmp_path, d="X//2")], KNOWN, labelled_subjects(STORE, 0.5, 0))


def test_one_class_in_tuning(tmp_path: Path) -> None:
    message = (
        r"labels of one class in the tuning split; in 20 labelled.*found onsets: e 0; expected at least 1"
    )
    with pytest.raises(DataError, match=message):
        new_tasks(STORE, [task(tmp_path, e="X//3")], KNOWN, labelled_subjects(STORE, 1.0, 0))
