from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.synth import SynthConfig
from proband.synth.genomes.liability import NULL_CHROMOSOMES
from proband.synth.genomes.scores import METHODS, clump, plan_scores
from proband.synth.traits import TRAITS


def read_scorefile(path: Path) -> tuple[dict[str, str], pl.DataFrame]:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    pairs = [line.lstrip("#").split("=", 1) for line in lines if line.startswith("#") and "=" in line]
    return dict(pairs), pl.read_csv(
        path, separator="\t", comment_prefix="#", schema_overrides={"hm_chr": pl.Int32}
    )


def test_a_fifth_are_nulls_and_every_trait_comes_round() -> None:
    plans = plan_scores(SynthConfig(scores=130))
    traits = Counter(plan.trait for plan in plans)
    assert traits[-1] == 26
    assert all(traits[trait] == 8 for trait in range(len(TRAITS)))
    assert {plan.method for plan in plans} == set(METHODS)
    assert {plan.discovery for plan in plans} == {"EUR", "EAS"}
    assert Counter(plan.discovery for plan in plans)["EUR"] > 0.7 * len(plans)
    assert len({plan.pgs_id for plan in plans}) == 130


def test_no_nulls_when_none_are_wanted() -> None:
    assert all(plan.trait >= 0 for plan in plan_scores(SynthConfig(scores=40, null_scores=0)))


def test_clumping_keeps_the_strongest_and_drops_its_neighbours() -> None:
    linkage = np.eye(5)
    linkage[0, 1] = linkage[1, 0] = 0.5
    linkage[2, 3] = linkage[3, 2] = 0.4
    linkage[3, 4] = linkage[4, 3] = 0.3
    estimates = np.array([0.3, -0.4, 0.2, 0.25, 0.05])
    np.testing.assert_array_equal(clump(linkage, estimates), [0, -0.4, 0.0, 0.25, 0.05])


def test_files_are_harmonised_pgs_catalog_files(biobank: Path, small_config: SynthConfig) -> None:
    truth = pl.read_parquet(biobank / "truth" / "scores.parquet")
    assert truth["is_null"].sum() == 2
    for row in truth.iter_rows(named=True):
        header, rows = read_scorefile(biobank / "scorefiles" / f"{row['pgs_id']}_hmPOS_GRCh38.txt.gz")
        assert header["format_version"] == "2.0"
        assert header["pgs_id"] == row["pgs_id"]
        assert header["HmPOS_build"] == header["genome_build"] == "GRCh38"
        assert int(header["variants_number"]) == rows.height > 0
        assert rows.columns[:6] == [
            "rsID", "chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight",
        ]  # fmt: skip
        assert set(rows["effect_allele"]) | set(rows["other_allele"]) <= set("ACGT")
        assert rows["effect_weight"].is_finite().all()
        assert not row["is_null"] or set(rows["chr_name"]) <= set(NULL_CHROMOSOMES)


def test_most_rows_match_the_genotypes_and_some_do_not(biobank: Path) -> None:
    variants = pl.read_csv(biobank / "genotypes" / "biobank.pvar", separator="\t")
    _, rows = read_scorefile(biobank / "scorefiles" / "SYN000001_hmPOS_GRCh38.txt.gz")
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
