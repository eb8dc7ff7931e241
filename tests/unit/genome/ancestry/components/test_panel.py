import numpy as np
import pytest

from proband.genome.ancestry.components import panel as panel_module
from proband.genome.ancestry.components.panel import Panel, frequencies, standardise
from structured_genotypes import ArrayReader

CALLS = np.array([[0, 1, 2, -9, 2], [2, 2, 1, 0, -9], [0, 0, 0, 1, 1], [-9, -9, -9, -9, -9]], np.int8)


def panel(variants=(0, 1, 2, 3), swapped=(), people=(0, 1, 2, 3, 4), memory_mb=64):
    is_swapped = np.isin(np.arange(len(variants)), swapped)
    return Panel(
        ArrayReader(CALLS), np.array(variants, np.uint32), is_swapped, np.array(people, np.int64), memory_mb
    )


def whole(of):
    return np.concatenate([dosages for _, dosages in of.blocks("")])


def test_people_variants_and_swapped_alleles():
    found = whole(panel(variants=(1, 0), swapped=(1,), people=(0, 2, 3)))
    assert found.tolist() == [[2, 1, 0], [2, 0, -9]]


def test_of_variants_and_of_people_keep_the_alleles():
    part = panel(swapped=(0, 2)).of_variants(np.array([1, 2])).of_people(np.array([3, 4]))
    assert whole(part).tolist() == [[0, -9], [1, 1]]


def test_blocks_change_nothing(monkeypatch):
    expected = whole(panel(swapped=(2,)))
    monkeypatch.setattr(panel_module, "_MOST_ROWS", 3)
    parts = list(panel(swapped=(2,)).blocks(""))
    assert [block for block, _ in parts] == [slice(0, 3), slice(3, 6)]
    assert np.array_equal(np.concatenate([dosages for _, dosages in parts]), expected)


def test_a_block_fits_the_memory_given():
    wide = Panel(ArrayReader(np.zeros((100, 1_000_000), np.int8)), np.arange(100, dtype=np.uint32),
                 np.zeros(100, bool), np.arange(1_000_000), 64)  # fmt: skip
    _, dosages = next(wide.blocks(""))
    assert 3 * dosages.nbytes <= 64 * 2**20
    assert len(dosages) > 1


def test_frequencies_by_hand():
    frequency, missing = frequencies(panel(swapped=(1,)))
    np.testing.assert_allclose(frequency, [5 / 8, 3 / 8, 1 / 5, 0])
    np.testing.assert_allclose(missing, [1 / 5, 1 / 5, 0, 1])


def test_standardised_by_hand():
    found = standardise(np.array([[0, 1, 2, -9]], np.float32), np.array([0.5]))
    assert found[0] == pytest.approx([-(2**0.5), 0, 2**0.5, 0])


def test_no_people_no_blocks():
    assert list(panel(people=()).blocks("")) == []
