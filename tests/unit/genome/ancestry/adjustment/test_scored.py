"""Scores summed over the variants of a fit are the raw ones, whatever a later file has of these variants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.genome.ancestry.adjustment.scored import Scoring, collect_as, score_bounded, scored_variants
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.scoring.score import write_scores
from structured_genotypes import MISSING, sites, write_pgen

NUM_VARIANTS, NUM_PEOPLE, NUM_CONSTANT = 120, 30, 20
CONSTANT = np.arange(NUM_VARIANTS) < NUM_CONSTANT
SUBJECTS = pl.Series("subject_id", range(NUM_PEOPLE))
PEOPLE = [str(person) for person in SUBJECTS]


class World:
    """A file whose first sites nobody varies at, two scores of all sites, and the fit's variants.

    Of the constant sites the effect allele is now the one that all have, now one that nobody has. One row in
    three of the second score counts heterozygotes alone by a weight of their own.
    """

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(3)
        self.folder, self.where = folder, sites(NUM_VARIANTS)
        self.calls = rng.binomial(2, 0.4, (NUM_VARIANTS, NUM_PEOPLE)).astype(np.int8)
        self.calls[CONSTANT] = 0
        of_ref = np.arange(NUM_VARIANTS) % 2 == 0
        effect = np.where(of_ref, self.where["ref"], self.where["alt"])
        other = np.where(of_ref, self.where["alt"], self.where["ref"])
        self.weights = rng.uniform(0.5, 1.5, NUM_VARIANTS)
        rows = self.where.select(chr_name="chrom", chr_position="pos").with_columns(
            effect_allele=pl.Series(effect),
            other_allele=pl.Series(other),
            effect_weight=pl.Series(self.weights),
        )
        is_recessive = np.arange(NUM_VARIANTS) % 3 == 0
        for name, more in (("A", {}), ("B", {"is_recessive": pl.Series(is_recessive)})):
            text = f"#pgs_id={name}\n" + rows.with_columns(**more).write_csv(separator="\t")
            (folder / f"{name}.txt").write_text(text)
        self.how = Scoring((folder / "A.txt", folder / "B.txt"))
        self.source = self.file("own", self.calls, CONSTANT)
        collected = collect_as(self.how, self.source)
        assert collected.match["match_rate"].to_list() == [1.0, 1.0]
        write_scores(self.source, collected.weights, collected.kept, SUBJECTS, folder / "raw.parquet")
        self.raw = read(folder / "raw.parquet")
        self.scored = scored_variants(self.source, collected.weights.variants, memory_mb=64, workers=1)

    def file(
        self, name: str, calls: np.ndarray, constant: np.ndarray, kept: np.ndarray | None = None
    ) -> Genotypes:
        """A file of some of the sites, of which some have no ALT allele."""
        where = self.where.with_columns(
            alt=pl.when(pl.Series(constant)).then(pl.lit(".")).otherwise(pl.col("alt"))
        )
        rows = np.arange(NUM_VARIANTS) if kept is None else np.flatnonzero(kept)
        return write_pgen(self.folder / f"{name}.pgen", where[rows], calls[rows], PEOPLE)

    def scores(self, source: Genotypes, how: Scoring | None = None) -> np.ndarray:
        """Of a file, by the variants of the fit."""
        path = self.folder / "again.parquet"
        names = score_bounded(source, self.scored, SUBJECTS, path, how or self.how, 64)
        assert names == ["A", "B"]
        return read(path)


def read(path: Path) -> np.ndarray:
    return pl.read_parquet(path).select("A", "B").to_numpy()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_people_of_the_fit_have_their_raw_scores_again(world: World) -> None:
    assert world.scores(world.source) == pytest.approx(world.raw, abs=1e-4)


def test_a_site_where_somebody_varies_now_counts_for_its_carriers_alone(world: World) -> None:
    calls = world.calls.copy()
    calls[4, :5] = 1  # the effect allele is the one that all had
    calls[5, 5:9] = 2  # the effect allele is the one that nobody had
    found = world.scores(world.file("now", calls, np.zeros(NUM_VARIANTS, bool)))[:, 0] - world.raw[:, 0]
    expected = np.zeros(NUM_PEOPLE)
    expected[:5] -= world.weights[4]
    expected[5:9] += 2 * world.weights[5]
    assert found == pytest.approx(expected, abs=1e-4)


def test_the_one_allele_of_a_constant_site_may_be_alt_elsewhere(world: World) -> None:
    """Of a file that names REF and ALT the other way round."""
    where = world.where.select("chrom", "pos", ref="alt", alt="ref")
    source = write_pgen(world.folder / "swapped.pgen", where, 2 - world.calls, PEOPLE)
    assert world.scores(source) == pytest.approx(world.raw, abs=1e-4)


def test_a_variant_that_is_absent_counts_as_one_that_nobody_is_called_for(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = np.arange(NUM_VARIANTS) % 10 == 7
    calls = np.where(absent[:, None], MISSING, world.calls).astype(np.int8)
    missing = world.scores(world.file("missing", calls, CONSTANT))
    capsys.readouterr()
    found = world.scores(world.file("fewer", world.calls, CONSTANT, ~absent))
    assert found == pytest.approx(missing, abs=1e-4)
    assert abs((found - world.raw).mean()) < 0.1 * world.raw.std()
    said = capsys.readouterr().err
    assert (
        f"12 of {NUM_VARIANTS} variants behind the adjusted scores are not here and count their means" in said
    )


def test_scores_of_which_too_little_is_here_are_left_out(world: World) -> None:
    few = np.arange(NUM_VARIANTS) % 2 == 0
    with pytest.raises(DataError, match="too few of the variants behind the adjusted scores"):
        world.scores(world.file("few", world.calls, CONSTANT, few))
    lax = Scoring(world.how.scorefiles, min_match_rate=0.4)
    assert world.scores(world.file("few", world.calls, CONSTANT, few), lax).shape == (NUM_PEOPLE, 2)
