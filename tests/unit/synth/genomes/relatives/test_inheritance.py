from __future__ import annotations

import numpy as np
import pytest

from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.genomes.relatives.inheritance import Meioses, dosages, draw_meioses, transmit
from proband.synth.genomes.relatives.pedigree import draw_pedigree


def test_a_child_switches_strands_at_a_crossover_and_a_grandchild_sees_it() -> None:
    positions = np.arange(10.0) * 10
    haplotypes = np.zeros((10, 10), dtype=np.int8)
    haplotypes[:, :6] = [0, 1, 2, 3, 4, 5]
    # Person 3 (columns 6, 7) is the child of 0 and 1, person 4 (columns 8, 9) of 3 and 2.
    meioses = Meioses(
        generation=np.array([1, 1, 2, 2]),
        child=np.array([6, 7, 8, 9]),
        parent=np.array([0, 2, 6, 4]),
        strand=np.array([0, 1, 0, 1]),
        crossing=np.array([0, 2, 0]),
        position=np.array([25.0, 45.0, 65.0]),
    )
    whole, runs = haplotypes.copy(), haplotypes.copy()
    transmit(whole, meioses, positions)
    assert whole[:, 6].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]
    assert whole[:, 7].tolist() == [3] * 10
    # The grandchild begins on the child's first haplotype and goes over to its second at 45.
    assert whole[:, 8].tolist() == [0, 0, 0, 1, 1, 3, 3, 3, 3, 3]
    assert whole[:, 9].tolist() == [5] * 10
    for first, last in ((0, 3), (3, 4), (4, 10)):
        transmit(runs[first:last], meioses, positions[first:last])
    np.testing.assert_array_equal(runs, whole)


def test_crossovers_come_at_their_rate() -> None:
    pedigree = draw_pedigree(SynthConfig(subjects=4000, related=0.8))
    person = np.empty(len(pedigree.father), dtype=np.int64)
    person[np.argsort(pedigree.generation, kind="stable")] = np.arange(len(person))
    meioses = draw_meioses(pedigree, person, 1e6, 1e-6, generator(1))
    count = 2 * (~pedigree.founder).sum()
    assert len(meioses.strand) == count
    assert len(meioses.position) / count == pytest.approx(1, abs=4 / np.sqrt(count))
    assert meioses.strand.mean() == pytest.approx(0.5, abs=2 / np.sqrt(count))
    assert (np.diff(meioses.child) == 1).all()
    assert (np.diff(meioses.position) >= 0).all()


def test_dosages_add_both_haplotypes() -> None:
    haplotypes = np.array([[0, 1, 1, 1, 0, 0], [1, 0, 0, 0, 1, 1]], dtype=np.int8)
    assert dosages(haplotypes, np.array([2, 0, 1, 1])).tolist() == [[0, 1, 2, 2], [2, 1, 0, 0]]
