from __future__ import annotations

import numpy as np
import pytest

from proband.synth.config import SynthConfig
from proband.synth.genomes.relatives.kinship import kinship_table
from proband.synth.genomes.relatives.pedigree import Pedigree, draw_pedigree

# Expected kinship by relationship: textbook values (Lange 2002, Mathematical and Statistical Methods for
# Genetic Analysis, chapter 5).
TEXTBOOK = {
    "parent_child": 1 / 4,
    "full_sibs": 1 / 4,
    "half_sibs": 1 / 8,
    "grandparent": 1 / 8,
    "avuncular": 1 / 8,
    "first_cousins": 1 / 16,
}


def made(father: list[int], mother: list[int], subject: list[int]) -> Pedigree:
    count = len(father)
    zeros = np.zeros(count, dtype=np.int64)
    columns = np.array(father), np.array(mother), zeros.astype(bool), zeros, zeros, np.array(subject), zeros
    return Pedigree(np.full(count, "EUR"), *columns)


def test_relationships_have_their_textbook_kinship() -> None:
    table = kinship_table(draw_pedigree(SynthConfig(subjects=3000, related=0.5)))
    assert set(table["relationship"]) == set(TEXTBOOK)
    for name, kinship in table.select("relationship", "kinship").unique().iter_rows():
        assert kinship == TEXTBOOK[name]
    assert (table["subject_id_1"] < table["subject_id_2"]).all()
    assert not table.select("subject_id_1", "subject_id_2").is_duplicated().any()
    assert table["subject_id_1"].min() >= 1001
    assert table["subject_id_2"].max() <= 4000


def test_double_cousins_and_inbreeding_add_up() -> None:
    # 0 and 1, 2 and 3 are couples; two sibs (4, 5) marry two sibs (6, 7); 8 and 9 are double first cousins,
    # and 10 is the child of both.
    father = [-1, -1, -1, -1, 1, 1, 3, 3, 6, 7, 8]
    mother = [-1, -1, -1, -1, 0, 0, 2, 2, 4, 5, 9]
    table = kinship_table(made(father, mother, list(range(11))))
    kinship = {(one - 1001, two - 1001): value for one, two, value, _ in table.iter_rows()}
    assert kinship[8, 9] == pytest.approx(1 / 8)
    # A parent who is also the other parent's cousin: 1/4 + 1/2 x 1/8.
    assert kinship[8, 10] == pytest.approx(1 / 4 + 1 / 16)


def test_distant_and_absent_people_are_left_out() -> None:
    # Second cousins (kinship 1/64) in the biobank, their ancestors absent.
    father = [-1, -1, 1, 1, -1, -1, 4, 2, -1, -1, 8, 7]
    mother = [-1, -1, 0, 0, -1, -1, 3, 5, -1, -1, 6, 9]
    subject = [-1] * 10 + [0, 1]
    assert kinship_table(made(father, mother, subject)).height == 0
    everyone = kinship_table(made(father, mother, list(range(12))))
    pairs = {(one - 1001, two - 1001): name for one, two, _, name in everyone.iter_rows()}
    assert pairs[6, 7] == "first_cousins"
    assert (10, 11) not in pairs
