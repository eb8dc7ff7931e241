from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.synth.genomes.polygenic.liability import CHROMOSOMES, NULL_CHROMOSOMES, chromosome_folder
from proband.synth.genomes.polygenic.methods import finish
from proband.synth.genomes.polygenic.plans import DISCOVERIES, METHODS, plan_scores
from proband.synth.genomes.polygenic.scores import write_scorefiles
from synthetic_genomes import Genomes, read_scorefile, weights_by_alt


def test_files_are_harmonised_pgs_catalog_files(scores: pl.DataFrame, scorefiles: list[Path]) -> None:
    assert scores["is_null"].sum() == 6
    assert set(scores["method"]) <= set(METHODS)
    for row, path in zip(scores.iter_rows(named=True), scorefiles, strict=True):
        header, rows = read_scorefile(path)
        assert header["format_version"] == "2.0"
        assert header["pgs_id"] == row["pgs_id"]
        assert header["HmPOS_build"] == header["genome_build"] == "GRCh38"
        assert int(header["variants_number"]) == rows.height > 0
        assert rows.columns == [
            *("rsID", "chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight"),
            *("hm_source", "hm_rsID", "hm_chr", "hm_pos", "hm_inferOtherAllele"),
        ]
        assert set(rows["effect_allele"]) | set(rows["other_allele"]) <= set("ACGT")
        assert rows["effect_weight"].is_finite().all()
        assert not row["is_null"] or set(rows["chr_name"]) <= set(NULL_CHROMOSOMES)


def test_most_rows_match_the_genotypes_and_some_do_not(genomes: Genomes, scorefiles: list[Path]) -> None:
    variants = pl.concat(
        pl.read_csv(genomes.out / "genotypes" / f"biobank_chr{chrom}.pvar", separator="\t")
        for chrom in CHROMOSOMES
    )
    rows = pl.concat(read_scorefile(path)[1].select(pl.exclude("hm_inferOtherAllele")) for path in scorefiles)
    joined = rows.join(
        variants, left_on=["chr_name", "chr_position"], right_on=["#CHROM", "POS"], how="left", coalesce=False
    )
    found = joined.filter(pl.col("REF").is_not_null())
    assert 0 < joined.height - found.height < 0.05 * joined.height
    pair = [
        pl.concat_list(a, b).list.sort().list.join("")
        for a, b in (("effect_allele", "other_allele"), ("REF", "ALT"))
    ]
    same = found.select((pair[0] == pair[1]).alias("same"))["same"]
    assert 0.97 < same.mean() < 1
    assert 0 < (rows["hm_pos"].is_null()).mean() < 0.02
    swapped = (found.filter(same)["effect_allele"] == found.filter(same)["REF"]).mean()
    assert swapped == pytest.approx(0.5, abs=0.1)


def test_rows_hold_the_weights_per_allele(genomes: Genomes, scorefiles: list[Path]) -> None:
    typed = genomes.typed()
    # A strand flip of an A/T or C/G variant cannot be told from a swap of its alleles.
    pair = typed.select(pl.concat_list("ref", "alt").list.sort().list.join(""))["ref"]
    clear = ~pair.is_in(["AT", "CG"]).to_numpy()
    folders = [chromosome_folder(genomes.work, chrom) for chrom in CHROMOSOMES]
    visible = np.concatenate(
        [genomes.variants(chrom).filter("in_discovery")["genotyped"].to_numpy() for chrom in CHROMOSOMES]
    )
    sd = np.concatenate([np.load(folder / "sd.npy") for folder in folders], axis=1)
    for number, (plan, path) in enumerate(zip(plan_scores(genomes.config), scorefiles, strict=True)):
        stored = np.concatenate([np.load(folder / "weights.npy")[number] for folder in folders])
        expected = finish(stored, plan, genomes.config.variants) / sd[list(DISCOVERIES).index(plan.discovery)]
        found = weights_by_alt(read_scorefile(path)[1], typed)
        np.testing.assert_allclose(found[clear], expected[visible][clear], atol=1e-8)


def test_files_made_again_in_other_portions_are_the_same_bytes(
    genomes: Genomes, scorefiles: list[Path], tmp_path: Path
) -> None:
    for first, last in ((10, 14), (14, 24)):
        write_scorefiles(genomes.config, genomes.work, tmp_path, first, last)
    made = sorted((tmp_path / "scorefiles").iterdir())
    assert [path.name for path in made] == [path.name for path in scorefiles[10:]]
    for path, known in zip(made, scorefiles[10:], strict=True):
        assert path.read_bytes() == known.read_bytes()
