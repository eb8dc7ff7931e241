from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.errors import ConfigError
from proband.core.files.manifest import read_manifest
from proband.ehr.labels import onset_times
from proband.ehr.outcomes import Task
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from proband.tokens.history.outcomes import outcome_tokens
from small_world import ENTRY, EXIT, frame, write_splits

CONFIG = TokensConfig(num_bins=4, min_values=4, min_subjects=2)
GLUCOSE, LOCAL = "LOINC//2345-7", "LAB//X"
SUBJECTS = range(24)


def glucose(subject: int) -> float:
    return 70.0 + 4 * subject


def world(code: str, unit_of: dict[int, str | None], factor: float = 1.0) -> pl.DataFrame:
    """Each subject has one value, in mg/dL or times ``factor`` in another unit; by subject modulo 3."""
    rows, units = [], []
    for subject in SUBJECTS:
        unit = unit_of[subject % 3]
        value = glucose(subject) * (factor if unit == "mmol/L" else 1)
        rows += [(subject, "1950-01-01", "MEDS_BIRTH"), (subject, "1950-01-01", ENTRY)]
        rows += [(subject, "1952-01-01", code, value), (subject, "1960-01-01", EXIT)]
        units.append((subject, code, unit))
    table = pl.DataFrame(units, schema=["subject_id", "code", "unit"], orient="row")
    return frame(*rows).drop("unit").join(table, on=["subject_id", "code"], how="left", maintain_order="left")


def store_of(events: pl.DataFrame, folder: Path, workers: int = 1) -> TokenStore:
    meds = write_splits(folder / "meds", train=events)
    tokens(meds, folder / "tokens", config=CONFIG, workers=workers)
    return TokenStore(folder / "tokens")


def task(**step: object) -> Task:
    return Task.model_validate(
        {"outcomes": {"x": step}, "prediction": {"years_after_entry": 2}, "horizons_years": [1]}
    )


PLAIN, MIXED = {0: "mg/dL", 1: "mg/dL", 2: "mg/dL"}, {0: "mg/dL", 1: "MG/DL", 2: "mmol/L"}


def test_two_units_give_the_bins_and_tokens_of_one(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    one = store_of(world(GLUCOSE, PLAIN), tmp_path / "one")
    capsys.readouterr()
    two = store_of(world(GLUCOSE, MIXED, 10 / 180.156), tmp_path / "two")
    assert len(one.vocabulary.edges[GLUCOSE]) == 3
    assert two.vocabulary.edges == one.vocabulary.edges
    assert two.tokens.tolist() == one.tokens.tolist()
    assert two.vocabulary.units == {GLUCOSE: (("mg/dL", "mmol/L"),)}
    assert read_manifest(tmp_path / "two" / "tokens")["counts"]["num_values_converted"] == 8
    assert "8 were converted, 0 have bins of their own, 0 are not used" in capsys.readouterr().err


def test_units_that_do_not_convert_stay_apart(tmp_path: Path) -> None:
    store = store_of(world(LOCAL, MIXED, 10 / 180.156), tmp_path)
    apart = f"{LOCAL}//unit=mmol/L"
    assert set(store.vocabulary.edges) == {LOCAL, apart}
    assert max(store.vocabulary.edges[apart]) < 10 < 70 < min(store.vocabulary.edges[LOCAL])
    assert read_manifest(tmp_path / "tokens")["counts"]["num_values_unit_apart"] == 8
    found = outcome_tokens(store.vocabulary, task(codes=LOCAL))["x"][0]
    assert {code for code, is_in in zip(store.vocabulary.codes, found, strict=True) if is_in} == {
        code for code in store.vocabulary.codes if code.startswith(LOCAL)
    }


def test_values_without_a_unit(tmp_path: Path) -> None:
    only = store_of(world(GLUCOSE, {0: "mg/dL", 1: "mg/dL", 2: None}), tmp_path / "only")
    assert set(only.vocabulary.edges) == {GLUCOSE}
    counts = read_manifest(tmp_path / "only" / "tokens")["counts"]
    assert counts["num_values_unit_assumed"] == 8
    several = store_of(world(GLUCOSE, {0: "mg/dL", 1: "mmol/L", 2: None}, 0.05), tmp_path / "several")
    assert set(several.vocabulary.edges) == {GLUCOSE, f"{GLUCOSE}//unit=none"}


def test_a_frozen_vocabulary_converts_to_its_unit(tmp_path: Path) -> None:
    first = store_of(world(GLUCOSE, PLAIN), tmp_path)
    other = world(GLUCOSE, dict.fromkeys(range(3), "mmol/L"), 10 / 180.156)
    new = write_splits(tmp_path / "new", held_out=other)
    tokens(new, tmp_path / "again", vocabulary=tmp_path / "tokens", config=CONFIG, workers=1)
    assert TokenStore(tmp_path / "again").tokens.tolist() == first.tokens.tolist()


def test_bounds_are_converted_for_labels_and_tokens_alike(tmp_path: Path) -> None:
    events = world(GLUCOSE, MIXED, 10 / 180.156)
    store = store_of(events, tmp_path)
    edge = store.vocabulary.edges[GLUCOSE][1]
    for unit, bound in (("mg/dL", edge), ("mmol/L", edge * 10 / 180.156)):
        asked = task(codes=GLUCOSE, above=bound - 1e-4, unit=unit)
        found = onset_times(events, asked.outcomes["x"], [[GLUCOSE]])["subject_id"].sort().to_list()
        assert found == [subject for subject in SUBJECTS if glucose(subject) > edge]
    members = outcome_tokens(
        store.vocabulary, task(codes=GLUCOSE, below=edge * 10 / 180.156 + 1e-5, unit="mmol/L")
    )
    names = [store.vocabulary.codes[token] for token in np.flatnonzero(members["x"][0])]
    assert names == [f"{GLUCOSE}//Q1", f"{GLUCOSE}//Q2"]
    with pytest.raises(ConfigError, match=r"bound without a unit.*write unit: mg/dL"):
        outcome_tokens(store.vocabulary, task(codes=GLUCOSE, above=100))
