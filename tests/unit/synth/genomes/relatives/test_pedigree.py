from __future__ import annotations

import numpy as np
import pytest

from proband.synth.config import POPULATIONS, SynthConfig
from proband.synth.genomes.relatives.kinship import kinship_table
from proband.synth.genomes.relatives.pedigree import Pedigree, draw_pedigree, population_sizes, subjects_of


@pytest.fixture(scope="module")
def pedigree() -> Pedigree:
    return draw_pedigree(SynthConfig(subjects=3000, seed=5, related=0.3))


def test_sizes_add_up_to_the_subjects() -> None:
    expected = {"EUR": 53, "AFR": 4, "EAS": 6, "AMR": 17, "AFA": 20}
    assert population_sizes(SynthConfig(subjects=100)) == expected
    for count in range(20, 60):
        assert sum(population_sizes(SynthConfig(subjects=count)).values()) == count


def test_every_row_of_the_biobank_is_one_person(pedigree: Pedigree) -> None:
    assert np.array_equal(np.sort(pedigree.subject[pedigree.subject >= 0]), np.arange(3000))
    assert np.array_equal(pedigree.subject[pedigree.people], np.arange(3000))
    assert (pedigree.entry[pedigree.subject < 0] == 0).all()
    sizes = {name: int(np.sum(subjects_of(pedigree).population == name)) for name in POPULATIONS}
    assert sizes == population_sizes(SynthConfig(subjects=3000))


def test_parents_are_before_their_children_and_of_one_family(pedigree: Pedigree) -> None:
    born = np.flatnonzero(~pedigree.founder)
    for parent, male in ((pedigree.father, True), (pedigree.mother, False)):
        assert (parent[born] >= 0).all()
        assert (parent[born] < born).all()
        assert (pedigree.male[parent[born]] == male).all()
        assert (pedigree.family[parent[born]] == pedigree.family[born]).all()
        assert (pedigree.population[parent[born]] == pedigree.population[born]).all()
        assert (pedigree.birth[parent[born]] < pedigree.birth[born]).all()
        assert (pedigree.generation[parent[born]] < pedigree.generation[born]).all()
    assert (pedigree.generation == 0).sum() == pedigree.founder.sum()


def test_the_share_with_relatives_is_the_one_asked_for(pedigree: Pedigree) -> None:
    table = kinship_table(pedigree)
    related = len(np.unique(table.select("subject_id_1", "subject_id_2").to_numpy()))
    assert related / 3000 == pytest.approx(0.3, abs=0.01)


def test_nobody_is_related_when_nobody_shall_be() -> None:
    pedigree = draw_pedigree(SynthConfig(subjects=60, related=0))
    assert pedigree.founder.all()
    assert kinship_table(pedigree).height == 0
    assert len(pedigree.father) == 60


def test_order_tells_neither_population_nor_family(pedigree: Pedigree) -> None:
    people = subjects_of(pedigree)
    same = (people.population[1:] == people.population[:-1]).mean()
    shares = np.array(list(population_sizes(SynthConfig(subjects=3000)).values())) / 3000
    assert same == pytest.approx((shares**2).sum(), abs=0.04)
    assert (people.family[1:] == people.family[:-1]).mean() < 0.01


def test_the_seed_decides() -> None:
    config = SynthConfig(subjects=80)
    first, again = draw_pedigree(config), draw_pedigree(config)
    other = draw_pedigree(config.model_copy(update={"seed": 1}))
    np.testing.assert_array_equal(first.birth, again.birth)
    assert not np.array_equal(subjects_of(first).birth, subjects_of(other).birth)
