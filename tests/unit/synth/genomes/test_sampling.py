from __future__ import annotations

import numpy as np

from proband.synth.config import POPULATIONS, SynthConfig
from proband.synth.genomes.relatives.pedigree import draw_pedigree
from proband.synth.genomes.sampling import DISCOVERY, sampling, typed_subjects

CONFIG = SynthConfig(subjects=300, related=0.5, discovery_panel=60, reference_panel=7)


def test_every_column_belongs_to_one_person() -> None:
    pedigree = draw_pedigree(CONFIG)
    places = sampling(CONFIG, pedigree)
    everyone = np.concatenate([places.person, places.discovery, places.reference])
    np.testing.assert_array_equal(np.sort(everyone), np.arange(places.num_columns))
    assert places.person[pedigree.founder].max() < places.num_samples
    assert places.person[~pedigree.founder].min() == places.num_samples


def test_samples_come_from_their_own_population() -> None:
    pedigree = draw_pedigree(CONFIG)
    places = sampling(CONFIG, pedigree)
    assert list(places.samples) == list(POPULATIONS)
    origin = np.repeat(list(places.samples), list(places.samples.values()))
    founders = pedigree.founder
    assert (origin[places.person[founders]] == pedigree.population[founders]).all()
    assert (origin[places.discovery] == np.repeat(DISCOVERY, 60)).all()
    assert (origin[places.reference] == places.reference_population).all()
    assert places.reference_population.tolist() == np.repeat(POPULATIONS, 7).tolist()


def test_columns_of_the_born_follow_their_generations() -> None:
    pedigree = draw_pedigree(CONFIG)
    born = np.flatnonzero(~pedigree.founder)
    order = born[np.argsort(sampling(CONFIG, pedigree).person[born])]
    assert (np.diff(pedigree.generation[order]) >= 0).all()


def test_a_few_subjects_are_not_typed() -> None:
    typed = typed_subjects(SynthConfig(subjects=1000, ungenotyped=0.03))
    assert len(typed) == 970
    assert (np.diff(typed) > 0).all()
    assert len(typed_subjects(SynthConfig(subjects=1000, ungenotyped=0))) == 1000
