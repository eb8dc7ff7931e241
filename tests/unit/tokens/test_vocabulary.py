from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from proband.core.errors import CheckpointError, ProbandError
from proband.tokens.vocabulary import Token, Vocabulary, assemble_tokens
from vocabularies import vocabulary_named

VOCABULARY = vocabulary_named(
    names=(
        "PADDING",
        "MEDS_BIRTH",
        "ICD10//Q21",
        "LAB//1",
        "LAB//1//Q1",
        "LAB//1//Q2",
        "UNKNOWN",
        "MEDS_DEATH",
    ),
    edges={"LAB//1": (4.5,)},
    rolled={"ICD10//Q21.1": "ICD10//Q21"},
    once=(False, True, False, False, False, False, False, True),
    statics=("Gender//F",),
    resolution_minutes=1440,
)


def test_token_order_is_fixed() -> None:
    tokens = assemble_tokens(
        ["Z//1", "A//1", "MEDS_DEATH", "LAB//1"], {"LAB//1": (4.5,)}, {"Z//UNKNOWN", "A//UNKNOWN"}
    )
    assert [token.name for token in tokens] == [
        "PADDING",
        "MEDS_BIRTH",
        "A//1",
        "A//UNKNOWN",
        "LAB//1",
        "LAB//1//Q1",
        "LAB//1//Q2",
        "UNKNOWN",
        "Z//1",
        "Z//UNKNOWN",
        "MEDS_DEATH",
    ]


def test_base_codes_drop_bins_but_not_chapter_q() -> None:
    bases = VOCABULARY.base_codes()
    assert bases[2:6] == ["ICD10//Q21", "LAB//1", "LAB//1", "LAB//1"]
    assert VOCABULARY.death == 7
    assert VOCABULARY.bin_index == {("LAB//1", 1): 4, ("LAB//1", 2): 5}
    assert VOCABULARY.index["LAB//1"] == 3
    assert VOCABULARY.tokens[5] == Token("LAB//1", 2, "LAB", False)
    assert VOCABULARY.tokens[6].is_unknown


def test_a_code_called_like_a_bin_is_another_token() -> None:
    tokens = assemble_tokens(["LAB//1//Q2"], {"LAB//1": (4.5,)}, ())
    assert [token.bin for token in tokens if token.name == "LAB//1//Q2"] == [None, 2]


def test_the_values_of_each_bin() -> None:
    bounds = VOCABULARY.value_bounds()
    assert bounds[4:6].tolist() == [[-np.inf, 4.5], [4.5, np.inf]]
    assert np.isnan(np.delete(bounds, [4, 5], axis=0)).all()


def test_once_means_seen_and_never_twice_but_not_for_unknowns() -> None:
    repeats = np.array([0, 1, 1, 2, 2, 2, 1, 1])
    counted = VOCABULARY.with_repeats(repeats)
    once = {code for code, flag in zip(counted.codes, counted.once, strict=True) if flag}
    assert once == {"MEDS_BIRTH", "ICD10//Q21", "MEDS_DEATH"}
    assert counted.hash != VOCABULARY.hash
    assert counted.alike().tolist() == list(range(8))


def test_value_bins_of_a_code_measured_once_happen_once_among_them() -> None:
    counted = VOCABULARY.with_repeats(np.array([0, 1, 1, 1, 1, 1, 1, 1]))
    assert [counted.codes[token] for token in range(8) if counted.once[token]][2:5] == [
        "LAB//1",
        "LAB//1//Q1",
        "LAB//1//Q2",
    ]
    assert counted.alike().tolist() == [0, 1, 2, 3, 3, 3, 6, 7]


def test_save_and_load(tmp_path: Path) -> None:
    VOCABULARY.save(tmp_path / "v.json")
    again = Vocabulary.load(tmp_path / "v.json")
    assert again == VOCABULARY
    assert again.hash == VOCABULARY.hash


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": (*VOCABULARY.tokens[:-2], Token.of("OTHER"), Token.of("MEDS_DEATH"))},
        {"edges": {"LAB//1": (4.6,)}},
        {"min_subjects": 7},
        {"once": (False,) * 8},
        {"statics": ()},
        {"resolution_minutes": 1},
    ],
)
def test_the_hash_covers_every_field(change: dict) -> None:
    assert replace(VOCABULARY, **change).hash != VOCABULARY.hash


def test_a_models_vocabulary_is_the_same_without_the_names_of_rare_codes() -> None:
    assert VOCABULARY.rolled
    assert VOCABULARY.for_model().rolled == {}
    assert VOCABULARY.for_model().hash == VOCABULARY.hash


def test_a_tampered_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    VOCABULARY.save(path)
    plain = json.loads(path.read_text())
    path.write_text(json.dumps(plain | {"edges": {"LAB//1": [5.0]}}))
    with pytest.raises(CheckpointError, match=r"changed after it was frozen.*v\.json"):
        Vocabulary.load(path)
    path.write_text(json.dumps(plain | {"format_version": 99}))
    with pytest.raises(CheckpointError, match=r"unknown vocabulary version.*found 99.*expected 5"):
        Vocabulary.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": 3},
        {"codes": 3},
        {"codes": ["A"]},
        {"edges": []},
        {"edges": {"A": 1}},
        {"rolled": 1},
        {"resolution_minutes": "x"},
        None,
        [],
    ],
)
def test_a_vocabulary_of_something_else_is_one_line(tmp_path: Path, change: dict | list | None) -> None:
    path = tmp_path / "v.json"
    VOCABULARY.save(path)
    plain = json.loads(path.read_text())
    if isinstance(change, dict):
        plain |= change
    elif change is None:
        del plain["statics"]
    else:
        plain = change
    path.write_text(json.dumps(plain))
    with pytest.raises(ProbandError, match=r"v\.json") as caught:
        Vocabulary.load(path)
    assert "\n" not in str(caught.value)
