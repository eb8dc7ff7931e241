from __future__ import annotations

from pathlib import Path

import numpy as np
import pgenlib
import polars as pl
import pytest

from proband.core.errors import ConfigError
from proband.synth import SynthConfig
from proband.synth.config import POPULATIONS
from proband.synth.genomes.genotypes import (
    MIN_FREQUENCY,
    MISSING,
    Genome,
    population_sizes,
    simulate,
    typed_calls,
)


@pytest.fixture(scope="module")
def genome(small_config: SynthConfig) -> Genome:
    return simulate(small_config)


def test_sizes_add_up_to_the_subjects() -> None:
    assert population_sizes(SynthConfig(subjects=21)) == {"EUR": 13, "AFR": 3, "EAS": 2, "AMR": 3}
    for count in range(20, 60):
        assert sum(population_sizes(SynthConfig(subjects=count)).values()) == count


def test_variants_are_common_and_their_alleles_sound(genome: Genome, small_config: SynthConfig) -> None:
    frequency = genome.dosages.mean(axis=1) / 2
    assert frequency.min() >= MIN_FREQUENCY
    assert frequency.max() <= 1 - MIN_FREQUENCY
    assert set(np.unique(genome.dosages)) == {0, 1, 2}
    variants = genome.variants
    assert variants["genotyped"].sum() == small_config.variants
    assert not variants.select("chrom", "pos").is_duplicated().any()
    assert (variants["ref"] != variants["alt"]).all()
    assert variants["chrom"].unique().sort().to_list() == list(range(1, 23))
    pair = variants.select(pl.concat_list("ref", "alt").list.sort().list.join(""))["ref"]
    assert 0.01 < pair.is_in(["AT", "CG"]).mean() < 0.1


def test_neighbours_are_in_ld_and_chromosomes_are_not(genome: Genome) -> None:
    europeans = genome.panels["EUR"].astype(float)
    chrom = genome.variants["chrom"].to_numpy()
    correlation = np.corrcoef(europeans[europeans.std(axis=1) > 0]) ** 2
    chrom = chrom[europeans.std(axis=1) > 0]
    np.fill_diagonal(correlation, 0)
    same = chrom[:, None] == chrom[None, :]
    assert correlation[same].mean() > 5 * correlation[~same].mean()
    # Between chromosomes only sampling noise is left: its expectation is 1 / (samples - 1).
    assert correlation[~same].mean() < 2 / (europeans.shape[1] - 1)


def test_differentiation_follows_the_history(genome: Genome) -> None:
    frequency = {name: genome.dosages[:, genome.population == name].mean(axis=1) / 2 for name in POPULATIONS}

    def apart(one: str, other: str) -> float:
        return float(np.mean((frequency[one] - frequency[other]) ** 2))

    assert apart("EUR", "AMR") < apart("EUR", "AFR")
    assert apart("EAS", "AMR") < apart("EAS", "AFR")


def test_calls_are_missing_at_their_rate(genome: Genome, small_config: SynthConfig) -> None:
    calls, typed = typed_calls(genome, small_config.model_copy(update={"missing_calls": 0.02}))
    assert calls.shape == (small_config.variants, len(typed))
    assert 0.015 < np.mean(calls == MISSING) < 0.025
    truth = genome.dosages[genome.variants["genotyped"].to_numpy()][:, typed]
    assert (calls == truth)[calls != MISSING].all()


def test_too_few_variants_say_what_to_do(small_config: SynthConfig) -> None:
    with pytest.raises(ConfigError, match=r"too few common variants.*raise piece_megabases"):
        simulate(small_config.model_copy(update={"piece_megabases": 0.001}))


def test_plink_files_read_back(biobank: Path, genome: Genome, small_config: SynthConfig) -> None:
    folder = biobank / "genotypes"
    samples = pl.read_csv(folder / "biobank.psam", separator="\t")
    variants = pl.read_csv(folder / "biobank.pvar", separator="\t")
    assert samples.columns == ["#IID", "SEX"]
    assert variants.columns == ["#CHROM", "POS", "ID", "REF", "ALT"]
    calls, typed = typed_calls(genome, small_config)
    found = np.empty(calls.shape, dtype=np.int8)
    with pgenlib.PgenReader(str(folder / "biobank.pgen").encode()) as reader:
        assert (reader.get_variant_ct(), reader.get_raw_sample_ct()) == calls.shape
        reader.read_range(0, len(calls), found)
    np.testing.assert_array_equal(found, calls)
    person = pl.read_parquet(biobank / "omop" / "person.parquet")
    assert samples["#IID"].to_list() == person["person_id"].gather(typed).to_list()
    sex = person["gender_concept_id"].gather(typed).replace_strict({8507: 1, 8532: 2})
    assert samples["SEX"].to_list() == sex.to_list()
