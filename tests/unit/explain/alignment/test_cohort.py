from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest

from proband.core.schema import ANCESTRY, PCS
from proband.explain.alignment.cohort import read_cohort
from proband.explain.inputs import Asked


@pytest.fixture
def asked():
    """Four subjects of the train split and one held out; the second has no genome."""
    splits = ["train", "train", "train", "held_out", "train"]
    store = SimpleNamespace(
        subjects=pl.DataFrame({"split": splits}), subject_ids=np.array([11, 12, 13, 14, 15])
    )
    table = SimpleNamespace(observed=np.array([True, False, True, True, True]))
    asked = Mock(spec=Asked)  # an instance to the checks of types
    asked.store, asked.tables = store, {"genome": table}
    return asked


def test_without_components_and_ancestry_nothing_is_adjusted_for(asked, tmp_path):
    found = read_cohort(asked, tmp_path, with_all_splits=False)
    assert found.rows.tolist() == [0, 2, 4]
    assert found.components.shape == (3, 0)
    assert found.ancestry == [None] * 3
    assert read_cohort(asked, tmp_path, with_all_splits=True).rows.tolist() == [0, 2, 3, 4]


def test_components_are_standardised_and_one_not_known_counts_as_average(asked, tmp_path):
    PCS.write(
        pl.DataFrame(
            {"subject_id": [15, 11, 14], "is_fitted": True, "PC1": [3.0, 1.0, 50.0], "PC2": [7.0, 7.0, 7.0]},
            schema_overrides={"PC1": pl.Float32, "PC2": pl.Float32},
        ),
        tmp_path / "pcs.parquet",
    )
    ANCESTRY.write(
        pl.DataFrame(
            {"subject_id": [11, 13], "most_similar_population": ["EUR", "AFR"], "low_confidence": False}
        ),
        tmp_path / "ancestry.parquet",
    )
    found = read_cohort(asked, tmp_path, with_all_splits=False)
    root = np.sqrt(2 / 3)  # of values -1, 0 and 1
    np.testing.assert_allclose(found.components[:, 0], np.array([-1, 0, 1]) / root)
    assert (found.components[:, 1] == 0).all()
    assert found.ancestry == ["EUR", "AFR", None]
