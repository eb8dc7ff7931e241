from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.genomes.plink import read_calls
from proband.synth.genomes.polygenic import linkage
from proband.synth.genomes.polygenic.liability import chromosome_folder
from proband.synth.genomes.polygenic.linkage import Linkage, Panel, blocks, find_components, read_panel
from proband.synth.genomes.polygenic.plans import DISCOVERIES
from synthetic_genomes import Genomes


def test_blocks_hold_every_variant_once_and_are_short() -> None:
    position = np.sort(generator(1).integers(0, 3_000_000, 400))
    found = blocks(pl.DataFrame({"pos": position}))
    np.testing.assert_array_equal(np.concatenate(found), np.arange(400))
    assert max(np.ptp(position[rows]) for rows in found) < linkage.BLOCK_BASES
    assert len(found) == 6
    assert blocks(pl.DataFrame({"pos": np.array([], dtype=int)})) == []


def test_ld_is_the_correlation_and_its_decomposition_gives_it_back() -> None:
    values = generator(2).standard_normal((6, 40)).cumsum(axis=0).astype(np.float32)
    standardised = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
    found = Panel(standardised, np.ones(6)).block(np.array([0, 2, 5]))
    np.testing.assert_allclose(found.correlation, np.corrcoef(values[[0, 2, 5]]), atol=1e-5)
    again = found.vectors @ np.diag(found.values) @ found.vectors.T
    np.testing.assert_allclose(again, found.correlation, atol=1e-5)


def test_eigenvalues_are_never_negative() -> None:
    singular = np.ones((4, 4), dtype=np.float32)
    assert Linkage.of(singular).values.min() >= 0


@pytest.mark.parametrize("discovery", list(DISCOVERIES))
def test_panels_are_standardised(genomes: Genomes, scores: pl.DataFrame, discovery: str) -> None:
    calls = read_calls(chromosome_folder(genomes.work, 2) / "discovery.pgen")
    panel = read_panel(genomes.config, genomes.work, calls, discovery)
    assert panel.genotypes.shape == (len(calls), genomes.config.discovery_panel)
    varies = panel.genotypes.std(axis=1) > 0
    assert varies.mean() > 0.2
    np.testing.assert_allclose(panel.genotypes[varies].std(axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(panel.genotypes.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_array_equal(panel.sd[~varies], 1)


def test_components_are_taken_out_of_pooled_panels(genomes: Genomes, scores: pl.DataFrame) -> None:
    calls = read_calls(chromosome_folder(genomes.work, 2) / "discovery.pgen")
    with np.load(genomes.work / linkage.COMPONENTS) as file:
        components = {name: file[name] for name in file.files}
    assert {name: part.shape[1] for name, part in components.items()} == {"MULTI": 2}
    for name, leading in components.items():
        panel = read_panel(genomes.config, genomes.work, calls, name)
        assert np.abs(panel.genotypes @ leading).max() < 1e-3


def test_components_are_the_same_again(genomes: Genomes, scores: pl.DataFrame) -> None:
    before = (genomes.work / linkage.COMPONENTS).read_bytes()
    find_components(genomes.config, genomes.work)
    with np.load(genomes.work / linkage.COMPONENTS) as again:
        assert set(again.files) == {"MULTI"}
    assert (genomes.work / linkage.COMPONENTS).read_bytes() == before


def test_a_mixture_takes_its_shares_of_each_panel() -> None:
    config = SynthConfig(discovery_panel=100)
    origin = np.repeat(np.arange(4), 100)[None, :]  # EUR, EAS, AFA, AMR
    found = linkage._of_discovery(origin, "MULTI", config)
    np.testing.assert_array_equal(np.bincount(found[0]), [50, 15, 20, 15])
