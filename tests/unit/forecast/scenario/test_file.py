"""The scenario file: what it may say, and what is said of a fault."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.core.errors import ConfigError, DataError
from proband.forecast.config import ForecastConfig
from proband.forecast.scenario.file import Scenarios, load_scenarios

DATES = st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1))
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
TIMES = st.one_of(
    st.just({}),
    st.builds(lambda day: {"date": day}, DATES),
    st.builds(lambda days: {"days_before": days}, st.floats(0, 50_000)),
)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=8)
CODES = st.lists(WORDS, min_size=1, max_size=3)
REMOVED = st.builds(lambda codes, time: {"remove": {"codes": codes, **time}}, CODES, TIMES)
ADDED = st.builds(
    lambda code, time, value: {"add": {"code": code, **time, **value}},
    WORDS,
    TIMES.filter(bool),
    st.one_of(st.just({}), st.builds(lambda value: {"value": value}, NUMBERS)),
)
SHIFTED = st.builds(
    lambda code, aim, value, time: {"shift": {"code": code, aim: value, **time}},
    WORDS,
    st.sampled_from(["by", "to"]),
    NUMBERS,
    TIMES,
)
GENOMES = st.one_of(
    st.builds(lambda name, rank: {"genome": {"score": name, "percentile": rank}}, WORDS, st.floats(0, 100)),
    st.builds(lambda subject: {"genome": {"subject": subject}}, st.integers(-(2**62), 2**62)),
    st.just({"genome": {"absent": True}}),
)
LEAVES = st.none() | st.integers() | st.text(max_size=5)
ANYTHING = st.recursive(
    LEAVES, lambda one: st.lists(one) | st.dictionaries(st.text(max_size=9), one), max_leaves=8
)
CHANGES = st.lists(st.one_of(REMOVED, ADDED, SHIFTED, GENOMES), min_size=1, max_size=4)


@settings(max_examples=40)
@given(st.dictionaries(WORDS, CHANGES, min_size=1, max_size=3))
def test_every_valid_file_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, named: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "some_scenarios.yaml"
    content = {"scenarios": {name: {"changes": changes} for name, changes in named.items()}}
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    found = load_scenarios(path)
    assert found == Scenarios.model_validate(content)
    assert list(found.scenarios) == sorted(named)
    again = found.model_dump(exclude_none=True, exclude_defaults=True)
    assert Scenarios.model_validate(again) == found


@given(ANYTHING)
def test_anything_else_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "no_scenarios.yaml"
    path.write_text(yaml.safe_dump({"scenarios": {"one": {"changes": content}}}), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_scenarios(path)
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenarios: {}", "no scenario; in"),
        ("[]", "no scenario; in"),
        (
            "scenarios: {a: {changes: [{genome: {absent: true}}]}, a: {changes: [{remove: {codes: X}}]}}",
            "found a stands twice in",
        ),
        (
            "scenarios: {a: {changes: [{remove: {code: X}}]}}",
            "changes item 1.remove.code; ",
        ),
        ("scenarios: {a: {changes: [{remov: {codes: X}}]}}", "did you mean remove?"),
        ("scenarios: {a: {changes: [{remove: {prefixes: []}}]}}", "names no code"),
        ("scenarios: {a: {changes: [{}]}}", "needs exactly one of remove, add, shift, genome, found none"),
        (
            "scenarios: {a: {changes: [{add: {code: X}}]}}",
            "exactly one of date, days_before, found none",
        ),
        ("scenarios: {a: {changes: [{add: {code: X, days_before: -1}}]}}", "greater than or equal to 0"),
        (
            "scenarios: {a: {changes: [{add: {code: X, days_before: 1, date: 2000-01-01}}]}}",
            "needs one of date and days_before, found both",
        ),
        ("scenarios: {a: {changes: [{shift: {code: X}}]}}", "needs exactly one of by, to, found none"),
        ("scenarios: {a: {changes: [{genome: {score: P}}]}}", "score and percentile go together"),
        ("scenarios: {a: {changes: [{genome: {score: P, percentile: 101}}]}}", "less than or equal to 100"),
        ("scenarios: {a: {changes: [{genome: {absent: false}}]}}", "false is none"),
        ("scenarios: {a: {changes: []}}", "at least 1 item"),
        ("scenarios: {a: {changes: [{add: {code: X, date: 2001-02-30}}]}}", "unreadable scenario file"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_scenarios(tmp_path / "s.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing scenario file"):
        load_scenarios(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"remove": {"codes": "X//E"}},
            "unknown code; in scenario other of scenario.yaml, change 1; found X",
        ),
        ({"remove": {"codes": "X//AA"}}, "did you mean X//A"),
        ({"remove": {"codes": "MEDS_DEATH"}}, "other than birth and death"),
        ({"remove": {"prefixes": "Y//"}}, "no code begins so"),
        ({"add": {"code": "X//C", "days_before": 1, "value": 2.0}}, "values of this code have no bins"),
        ({"add": {"code": "X//B", "days_before": 1, "value": 2.0, "unit": "kg"}}, "which unit"),
        ({"shift": {"code": "X//C", "by": 1.0}}, "values of this code have no bins"),
        (
            {"remove": {"codes": "X//A", "date": datetime.date(2050, 1, 1)}},
            "a date after the prediction time",
        ),
        ({"shift": {"code": "X//B", "by": 0.01}}, "a change that changes nobody"),
        ({"shift": {"code": "X//B", "by": -0.01}}, "a change that changes nobody"),
        ({"add": {"code": "X//A", "days_before": 50_000}}, "a change that changes nobody"),
        ({"genome": {"score": "PGS11", "percentile": 5}}, "did you mean PGS1"),
        ({"genome": {"subject": 10**12}}, "subjects who are not in the tokens"),
    ],
)
def test_what_the_data_lack_is_named(run: Callable, change: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, DataError)) as error:
        run(change)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_another_genome_needs_one(run: Callable, world: Path) -> None:
    with pytest.raises(ConfigError, match="another genome, and the model reads none"):
        run({"genome": {"absent": True}}, model="model")
    with pytest.raises(ConfigError, match=r"another genome, and none is given; .*--genome"):
        run({"genome": {"absent": True}}, genome=None)


def test_subjects_are_in_the_tokens_and_have_a_prediction(run: Callable) -> None:
    change = {"remove": {"codes": "X//A"}}
    with pytest.raises(DataError, match=r"subjects who are not in the tokens; in scenario other"):
        run(change, scenario={"subjects": [10**12]})
    others = run(change)["subject_id"]
    with pytest.raises(ConfigError, match=r"subjects without a prediction; .* remedy: name subjects of"):
        run(change, scenario={"subjects": [others[0]]}, config=ForecastConfig(split="held_out"), out="b")
