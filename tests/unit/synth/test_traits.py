from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from proband.core.errors import ConfigError
from proband.synth.genomes.polygenic.liability import genetic_correlation
from proband.synth.traits import (
    BIOMARKERS,
    DISEASES,
    ENVIRONMENT,
    MORTALITY,
    OURS,
    TABLE,
    TRAITS,
    TREATMENTS,
    read_table,
    table_hash,
)

REFERENCES = read_table().references
ROWS = (*BIOMARKERS, *DISEASES, *TREATMENTS, MORTALITY)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_names_a_paper(row) -> None:
    dois = [REFERENCES[key].doi for key in row.sources.values() if key != OURS]
    assert dois
    assert all(re.fullmatch(r"10\.\d{4,9}/\S+", doi) for doi in dois)


def test_no_reference_is_idle() -> None:
    used = {key for row in (*ROWS, ENVIRONMENT) for key in row.sources.values()} - {OURS}
    assert set(REFERENCES) == used


def test_the_correlation_of_liabilities_is_one() -> None:
    root = np.sqrt([trait.heritability for trait in TRAITS])
    genetic = genetic_correlation(TRAITS)
    np.testing.assert_array_equal(np.diag(genetic), 1)
    matrix = genetic * np.outer(root, root)
    np.fill_diagonal(matrix, 1)
    assert np.linalg.eigvalsh(matrix).min() > 0.1


def test_values_in_units_by_hand() -> None:
    bmi = BIOMARKERS[0]
    found = bmi.values(np.array([0.0, 1.0]), np.array([False, True]), np.array([50.0, 60.0]))
    np.testing.assert_allclose(found, [27.0, 27.6 + 0.4 + 4.9])
    crp = next(marker for marker in BIOMARKERS if marker.name == "crp")
    one = crp.values(np.array([1.0]), np.array([False]), np.array([50.0]))
    np.testing.assert_allclose(one, [np.exp(0.4 + 1.0)])


def changed(folder: Path, old: str, new: str) -> Path:
    text = TABLE.read_text()
    assert old in text
    path = folder / "traits.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("shared: {bmi: 0.35, hba1c", "shared: {bmj: 0.35, hba1c", "name bmj; in type_2_diabetes.shared"),
        ("shared: {bmi: 0.35, hba1c", "shared: {bmj: 0.35, hba1c", "did you mean bmi"),
        ("comorbidity: {asthma: 2.5}", "comorbidity: {asthmma: 2.5}", "did you mean asthma"),
        ("comorbidity: {asthma: 2.5}", "comorbidity: {copd: 2.5}", "expected another disease"),
        ("shifts: {hba1c: 2.4}", "shifts: {hba1: 2.4}", "did you mean hba1c"),
        ("diseases: [gout]", "diseases: [goat]", "did you mean gout"),
        ("biomarkers: {urate: 2.6", "biomarkers: {rate: 2.6", "did you mean urate"),
        ("ratios: hart2007", "ratios: heart2007", "did you mean hart2007"),
        ("delay_years: harris1992,", "", "without a source; in type_2_diabetes.sources; found delay_years"),
        ("biomarkers.crp: erfc2010crp", "biomarkers.tsh: erfc2010crp", "did you mean biomarkers."),
        ("    score_ratio: 1.9\n", "    score_ration: 1.9\n", "did you mean score_ratio"),
        ("    missed: 0.1\n", "    missed: 1.1\n", "diseases.type_2_diabetes.missed"),
        ("incidence: [[0.5, 1.5,", "incidence: [[1.5,", "found 7 rates"),
        ("heritability: 0.25, stable: 0.9", "heritability: 0.95, stable: 0.9", "above the stable share"),
        ("doi: 10.2337/dc08-0577", "doi: www.doi.org", "references.pani2008.doi"),
        ("references:\n", "references: [\n", "not a YAML file"),
    ],
)  # fmt: skip
def test_a_slip_in_the_table_is_one_clear_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as error:
        read_table(changed(tmp_path, old, new))
    assert "\n" not in str(error.value)


def test_the_hash_follows_the_law_and_nothing_else(tmp_path: Path) -> None:
    assert table_hash(read_table()) == table_hash()
    worded = read_table(changed(tmp_path, "label: Gout", "label: Podagra"))
    assert table_hash(worded) == table_hash()
    lived = read_table(changed(tmp_path, "score_ratio: 1.9", "score_ratio: 1.91"))
    assert table_hash(lived) != table_hash()
