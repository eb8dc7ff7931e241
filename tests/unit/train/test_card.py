from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from proband.model.folder import CARD
from proband.tokens.modalities.modality import ModalityTable
from proband.train.card import write_card
from proband.train.config import TrainConfig
from proband.train.log_likelihood import Likelihood
from small_world import DAY, HandStore, Record, random_model

TUNING = Likelihood(30.0, 60.0, 10.0, 40, 0, {}, {}, {})


def store_of(num_women: int, num_men: int, num_dead: int, num_tuning: int) -> HandStore:
    """Records of two events each, followed up from 40 to 60."""
    total = num_women + num_men + num_tuning
    return HandStore(
        [
            Record(
                [2, 3],
                [10_000 * DAY, 20_000 * DAY],
                entry=14_610 * DAY,
                exit=21_915 * DAY,
                died=number < num_dead,
                split="train" if number < num_women + num_men else "tuning",
                statics=(1 if number < num_women else 2,),
            )
            for number in range(total)
        ]
    )


def card_of(store: HandStore, folder: Path, num_genotyped: int = 0) -> str:
    tables = {}
    if num_genotyped:
        offsets = np.minimum(np.arange(len(store) + 1), num_genotyped)
        values = np.zeros((num_genotyped, 1), dtype=np.float32)
        tables["genome"] = ModalityTable(values, np.zeros(num_genotyped, dtype=np.int64), offsets, ("PGS1",))
    write_card(folder, random_model(), store, tables, TrainConfig(), TUNING)
    return (folder / CARD).read_text(encoding="utf-8")


def cell(card: str, name: str) -> list[str]:
    """The cells of a row of the card."""
    (row,) = [line for line in card.splitlines() if line.startswith(f"| {name} |")]
    return [part.strip() for part in row.split("|")[2:-1]]


def test_the_card_says_what_the_model_is_and_was_trained_on(tmp_path: Path) -> None:
    card = card_of(store_of(200, 111, 42, 300), tmp_path)
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["library_name"] == "proband"
    assert cell(card, "subjects") == ["320", "300"]
    assert cell(card, "events") == ["630", "600"]
    assert cell(card, "Gender//F") == ["200", "0"]
    assert cell(card, "died")[0] == "50"
    assert cell(card, "alive at exit")[0] == "270"
    assert cell(card, "person-years of follow-up")[0] == "6,200"  # 311 of 20 years
    assert cell(card, "age at entry, years: 10th, 50th, 90th percentile")[0] == "40, 40, 40"
    assert cell(card, "total") == ["2.500"]
    for words in ("Not for", "memorised", "Licence", "arXiv 2510.23639"):
        assert words in card


def test_small_counts_and_what_would_tell_them_are_hidden(tmp_path: Path) -> None:
    card = card_of(store_of(200, 7, 3, 15), tmp_path, num_genotyped=190)
    assert cell(card, "subjects") == ["210", "≤20"]
    assert cell(card, "events")[1] == cell(card, "person-years of follow-up")[1] == "withheld"
    assert cell(card, "Gender//M")[0] == cell(card, "died")[0] == "≤20"
    # Total less the large part would be the small one.
    assert cell(card, "alive at exit")[0] == cell(card, "Gender//F")[0] == "withheld"
    assert cell(card, "without genome")[0] == "≤20"
    assert cell(card, "with genome")[0] == "withheld"
    table = card.split("## Training data")[1].split("## Model")[0]
    numbers = [int(number.replace(",", "")) for number in re.findall(r"(?<![≤\d,])\b\d[\d,]*\b", table)]
    assert not [number for number in numbers if 0 < number <= 20 and number not in (10, 90)]


@pytest.mark.parametrize("number", [20, 209])
def test_percentiles_need_more_than_twenty_beyond_them(tmp_path: Path, number: int) -> None:
    card = card_of(store_of(number, 0, 0, 210), tmp_path)
    assert cell(card, "age at exit, years: 10th, 50th, 90th percentile") == ["withheld", "60, 60, 60"]


def test_every_kind_of_static_code_divides_the_subjects_anew(tmp_path: Path) -> None:
    store = store_of(300, 10, 30, 300)
    codes = ("Gender//F", "Gender//M", "Race//A", "Race//B")
    store.vocabulary = replace(store.vocabulary, statics=codes)
    race = np.zeros(len(store), dtype=np.int32)
    race[:120], race[120:270] = 3, 4
    store.statics = np.column_stack([store.statics[:, 0], race])
    card = card_of(store, tmp_path)
    assert [cell(card, name)[0] for name in codes[2:]] == ["120", "150"]
    assert cell(card, "no Race") == ["40", "300"]
    # A hidden sex is guarded by the other sex, not by the smallest group of another kind.
    assert [cell(card, name)[0] for name in codes[:2]] == ["withheld", "≤20"]
    assert cell(card, "no Gender")[0] == "0"
