from __future__ import annotations

import builtins
from types import ModuleType

import numpy as np
import pytest

from proband.core.errors import ConfigError
from proband.core.seeds import generator
from proband.synth.config import POPULATIONS
from proband.synth.genomes.coalescent import common_sites, demography, import_msprime, simulate_piece


def test_common_sites_are_those_the_genotypes_say() -> None:
    tree = simulate_piece({"EUR": 30, "AFR": 30}, demography(), 0.2, generator(1))
    chosen = np.concatenate([np.arange(40), np.arange(80, 120)])
    share = tree.genotype_matrix()[:, chosen].mean(axis=1)
    once = np.bincount(tree.tables.mutations.site, minlength=tree.num_sites) == 1
    for least in (0.01, 0.1):
        expected = np.flatnonzero(once & (share >= least) & (share <= 1 - least))
        np.testing.assert_array_equal(common_sites(tree, chosen, least), expected)
    assert len(common_sites(tree, chosen, 0.1)) > 20


def test_the_history_holds_every_population_and_its_admixtures() -> None:
    history = demography()
    assert {population.name for population in history.populations} >= set(POPULATIONS)
    mixtures = {event.derived: event for event in history.events if type(event).__name__ == "Admixture"}
    assert set(mixtures) == {"AMR", "AFA"}
    assert mixtures["AFA"].proportions == [0.8, 0.2]
    assert sum(mixtures["AMR"].proportions) == pytest.approx(1)
    history.validate()


def test_a_missing_msprime_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: object, **named: object) -> ModuleType:
        if name == "msprime":
            raise ImportError(name)
        return real(name, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"needs msprime.*pip install 'proband\[synth\]'"):
        import_msprime()
