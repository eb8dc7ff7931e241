from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.errors import ConfigError
from proband.synth.config import SynthConfig
from proband.synth.genomes import chromosome
from proband.synth.genomes.chromosome import simulate_chromosome
from proband.synth.genomes.plink import MISSING, read_calls
from proband.synth.genomes.polygenic.liability import CHROMOSOMES, chromosome_folder
from proband.synth.genomes.relatives.kinship import kinship_table
from proband.synth.genomes.relatives.pedigree import draw_pedigree, subjects_of
from proband.synth.genomes.sampling import typed_subjects
from synthetic_genomes import Genomes


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_variants_are_common_and_their_alleles_sound(genomes: Genomes) -> None:
    variants = pl.concat([genomes.variants(chrom) for chrom in CHROMOSOMES])
    config = genomes.config
    assert variants["genotyped"].sum() == config.variants
    assert variants.height == config.variants + round(config.variants * config.hidden_variants)
    assert variants["chrom"].unique().sort().to_list() == list(CHROMOSOMES)
    assert not variants.select("chrom", "pos").is_duplicated().any()
    assert not variants["rsid"].is_duplicated().any()
    assert (variants["ref"] != variants["alt"]).all()
    assert variants.filter("in_hapmap")["genotyped"].all()
    assert variants.filter("genotyped")["in_discovery"].all()
    pair = variants.select(pl.concat_list("ref", "alt").list.sort().list.join(""))["ref"]
    assert 0.01 < pair.is_in(["AT", "CG"]).mean() < 0.1
    calls = genomes.calls()
    frequency = np.ma.masked_equal(calls, MISSING).mean(axis=1) / 2
    # The bound of 1% holds among founders; among 200 subjects a variant at the bound varies by 0.5%.
    assert frequency.min() > 0
    assert frequency.max() < 1
    assert np.mean((frequency < 0.01) | (frequency > 0.99)) < 0.1
    assert set(np.unique(calls)) == {0, 1, 2, MISSING}


def test_sample_files_name_the_subjects_in_order(genomes: Genomes) -> None:
    typed, subjects = typed_subjects(genomes.config), subjects_of(genomes.pedigree)
    for chrom in CHROMOSOMES:
        samples = pl.read_csv(genomes.out / "genotypes" / f"biobank_chr{chrom}.psam", separator="\t")
        assert samples.columns == ["#IID", "SEX"]
        assert samples["#IID"].to_list() == (1001 + typed).tolist()
        assert samples["SEX"].to_list() == np.where(subjects.male[typed], 1, 2).tolist()
        variants = pl.read_csv(genomes.out / "genotypes" / f"biobank_chr{chrom}.pvar", separator="\t")
        assert variants.columns == ["#CHROM", "POS", "ID", "REF", "ALT"]
        calls = read_calls(genomes.out / "genotypes" / f"biobank_chr{chrom}.pgen")
        assert calls.shape == (variants.height, len(typed))
        assert variants["POS"].to_list() == genomes.variants(chrom).filter("genotyped")["pos"].to_list()


def test_the_reference_panel_is_labelled_and_apart(genomes: Genomes) -> None:
    samples = pl.read_csv(genomes.out / "reference" / "reference_chr7.psam", separator="\t")
    assert samples.columns == ["#IID", "SEX", "SuperPop"]
    assert samples["SuperPop"].value_counts()["count"].to_list() == [8] * 5
    assert not samples["#IID"].is_duplicated().any()
    assert set(samples["SEX"]) <= {1, 2}
    calls = genomes.calls("reference/reference")
    assert calls.shape == (genomes.config.variants, 40)
    assert MISSING not in calls
    mean = {
        name: calls[:, (samples["SuperPop"] == name).to_numpy()].mean(axis=1)
        for name in ("EUR", "EAS", "AFR")
    }
    assert np.std(mean["EUR"] - mean["AFR"]) > 1.2 * np.std(mean["EUR"] - mean["EAS"])


def test_calls_are_missing_at_their_rate(genomes: Genomes) -> None:
    share = np.mean(genomes.calls() == MISSING)
    calls = genomes.config.variants * len(typed_subjects(genomes.config))
    assert share == pytest.approx(0.02, abs=5 * np.sqrt(0.02 / calls) + 2e-4)


def test_no_parent_and_child_are_opposite_homozygotes(genomes: Genomes) -> None:
    table = kinship_table(genomes.pedigree)
    calls = np.full((genomes.config.variants, genomes.config.subjects), MISSING, dtype=np.int8)
    calls[:, typed_subjects(genomes.config)] = genomes.calls()

    def opposite(pairs: pl.DataFrame) -> np.ndarray:
        one, other = (calls[:, pairs[name].to_numpy() - 1001] for name in ("subject_id_1", "subject_id_2"))
        known = (one != MISSING) & (other != MISSING)
        return ((np.abs(one - other) == 2) & known).sum(axis=0)

    parents = table.filter(pl.col("relationship") == "parent_child")
    assert parents.height >= 5
    assert (opposite(parents) == 0).all()
    assert opposite(table.filter(pl.col("relationship") == "first_cousins")).mean() > 10


def test_a_trio_obeys_mendel() -> None:
    """Where both parents are in the biobank, no child has an allele that neither has."""
    # No kind of family enrols both parents; the rule is checked on the haplotypes of a pass itself.
    config = SynthConfig(subjects=60, related=1.0, variants=440, piece_megabases=0.25, discovery_panel=50)
    pedigree = draw_pedigree(config)
    places = chromosome.sampling(config, pedigree)
    tree = chromosome._common_variants(config, pedigree, places, 1)
    meioses = chromosome.draw_meioses(
        pedigree, places.person, tree.sequence_length, 1e-6, np.random.default_rng(1)
    )
    assert len(meioses.position) > 5
    born = np.flatnonzero(~pedigree.founder)
    for _, haplotypes in chromosome._runs(tree, places, meioses):
        pairs = haplotypes.reshape(len(haplotypes), -1, 2)
        for side, parent in enumerate((pedigree.mother, pedigree.father)):
            from_parent = pairs[:, places.person[parent[born]]]
            passed = pairs[:, places.person[born], side]
            assert ((passed == from_parent[..., 0]) | (passed == from_parent[..., 1])).all()


def test_a_chromosome_made_again_is_the_same_bytes(genomes: Genomes, tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    for _ in range(2):  # the second call replaces what the first one left, as after a crash
        simulate_chromosome(genomes.config, genomes.pedigree, 5, work, out)
    for folder, made in (
        (out, genomes.out),
        (chromosome_folder(work, 5), chromosome_folder(genomes.work, 5)),
    ):
        again = contents(folder)
        assert len(again) >= 5
        whole = contents(made)
        assert all(whole[name] == content for name, content in again.items())


def test_the_size_of_a_run_changes_no_genotype(
    genomes: Genomes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromosome, "_RUN_BYTES", 2**15)
    config = genomes.config.model_copy(update={"missing_calls": 0.0})
    simulate_chromosome(config, genomes.pedigree, 5, tmp_path, tmp_path)
    found = read_calls(tmp_path / "genotypes" / "biobank_chr5.pgen")
    known = read_calls(genomes.out / "genotypes" / "biobank_chr5.pgen")
    np.testing.assert_array_equal(found[known != MISSING], known[known != MISSING])
    sums = [np.load(chromosome_folder(folder, 5) / "own_subjects.npy") for folder in (tmp_path, genomes.work)]
    np.testing.assert_allclose(*sums, atol=1e-4)


def test_sums_are_genotypes_times_effects(genomes: Genomes, tmp_path: Path) -> None:
    everything = {"missing_calls": 0.0, "hidden_variants": 0.0, "ungenotyped": 0.0}
    config = genomes.config.model_copy(update=everything)
    simulate_chromosome(config, genomes.pedigree, 4, tmp_path, tmp_path)
    folder = chromosome_folder(tmp_path, 4)
    effects = np.load(folder / "own_effects.npy")
    assert np.count_nonzero(effects) > 0
    calls = read_calls(tmp_path / "genotypes" / "biobank_chr4.pgen")
    np.testing.assert_allclose(np.load(folder / "own_subjects.npy"), calls.T @ effects, atol=1e-5)
    panel = read_calls(folder / "discovery.pgen")[:, : config.discovery_panel]
    np.testing.assert_allclose(np.load(folder / "own_panel.npy"), panel.T @ effects, atol=1e-5)


def test_neighbours_are_in_ld_and_chromosomes_are_not(genomes: Genomes) -> None:
    panel = [
        read_calls(chromosome_folder(genomes.work, chrom) / "discovery.pgen")[:, :150] for chrom in (1, 2)
    ]
    values = np.concatenate(panel).astype(float)
    chrom = np.repeat([1, 2], [len(part) for part in panel])[values.std(axis=1) > 0]
    correlation = np.corrcoef(values[values.std(axis=1) > 0]) ** 2
    np.fill_diagonal(correlation, 0)
    same = chrom[:, None] == chrom[None, :]
    assert correlation[same].mean() > 5 * correlation[~same].mean()
    # Between chromosomes only sampling noise is left: its expectation is 1 / (samples - 1).
    assert correlation[~same].mean() < 2 / 149


def test_too_few_variants_say_what_to_do(genomes: Genomes, tmp_path: Path) -> None:
    config = genomes.config.model_copy(update={"piece_megabases": 0.001})
    with pytest.raises(ConfigError, match=r"too few common variants.*chromosome 3.*raise piece_megabases"):
        simulate_chromosome(config, genomes.pedigree, 3, tmp_path, tmp_path)
