import dataclasses

import numpy as np
import pgenlib
import polars as pl
import pytest
from scipy import sparse

from proband.core.errors import ConfigError, DataError
from proband.core.schema import SCORES
from proband.genome.genotypes.formats.plink import open_plink
from proband.genome.matching.collect import collect
from proband.genome.matching.weights import Weights, WeightStore
from proband.genome.scoring import product as kernels
from proband.genome.scoring import score
from proband.genome.scoring.score import plan, score_samples, write_scores
from structured_genotypes import write_pgen

NUM_VARIANTS, NUM_SAMPLES, NUM_SCORES = 150, 41, 7
CHROMOSOMES = ["1"] * 100 + ["X"] * 30 + ["MT"] * 20


@pytest.fixture
def source(pgen):
    """Random calls, a tenth missing, one variant never called; the sexes are known."""
    rng = np.random.default_rng(3)
    calls = rng.binomial(2, rng.uniform(0.01, 0.6, (NUM_VARIANTS, 1)), (NUM_VARIANTS, NUM_SAMPLES))
    calls[rng.random(calls.shape) < 0.1] = -9
    calls[17] = -9
    path = pgen([(chrom, row + 1, "A", "G") for row, chrom in enumerate(CHROMOSOMES)], calls)
    rows = [f"{name}\t{1 + name % 2}" for name in range(NUM_SAMPLES)]
    path.with_suffix(".psam").write_text("\n".join(["#IID\tSEX", *rows]) + "\n")
    return open_plink(path), calls


def random_hits(num_rows=500, seed=4):
    """Matched rows of all kinds: additive, dominant, recessive and free."""
    rng = np.random.default_rng(seed)
    weight, kind = rng.normal(size=num_rows), rng.integers(0, 4, num_rows)
    shapes = np.array([[0, 1, 2], [0, 1, 1], [0, 0, 1], [0.3, -1, 0.5]])[kind] * weight[:, None]
    cells = rng.choice(NUM_SCORES * NUM_VARIANTS, num_rows, replace=False)
    index = (cells % NUM_VARIANTS).astype(np.uint32)
    return pl.DataFrame({
        "score": (cells // NUM_VARIANTS).astype(np.int32), "index": index,
        "chrom": np.array(CHROMOSOMES)[index], "is_haploid": np.array(CHROMOSOMES)[index] == "MT",
        "is_reversed": rng.random(num_rows) < 0.5,
        "at_0": shapes[:, 0], "at_1": shapes[:, 1], "at_2": shapes[:, 2],
    })  # fmt: skip


def naive(hits, calls, is_male):
    """The sums row by row and sample by sample in float64, straight from the definitions."""
    sums = np.zeros((NUM_SCORES, NUM_SAMPLES))
    for row in hits.iter_rows(named=True):
        dosage = calls[row["index"]].astype(float)
        called = dosage >= 0
        copies = np.where(is_male & (row["chrom"] == "X"), 1.0, 2.0)
        alt_frequency = (copies * dosage)[called].sum() / (2 * copies[called].sum()) if called.any() else 0.5
        frequency = 1 - alt_frequency if row["is_reversed"] else alt_frequency
        effect = 2 - dosage if row["is_reversed"] else dosage
        at_0, at_1, at_2 = row["at_0"], row["at_1"], row["at_2"]
        if row["chrom"] == "MT":
            # Counted 0 or 1; calls of 1 among the random ones are half a copy.
            value = at_0 + (at_1 - at_0) * effect / 2
            fill = at_0 + (at_1 - at_0) * frequency
        else:
            value = np.choose(np.where(called, effect, 0).astype(int), [at_0, at_1, at_2])
            fill = at_0 + frequency * (at_1 - at_0) + frequency * (at_2 - at_1)
        sums[row["score"]] += np.where(called, value, fill)
    return sums


def add(store, hits, kept):
    for number in np.flatnonzero(kept):
        rows = hits.filter(pl.col("score") == number)
        at = rows.select("at_0", "at_1", "at_2").to_numpy().T
        flags = (rows[name].to_numpy() for name in ("is_reversed", "is_haploid"))
        store.add(rows["index"].to_numpy(), at, *flags)


def weights_of(hits, kept=None):
    store = WeightStore()
    add(store, hits, np.ones(NUM_SCORES, bool) if kept is None else kept)
    return store.weights(NUM_VARIANTS)


def scored(genotypes, weights, **options):
    parts = dict(score_samples(genotypes, weights, **options))
    assert list(parts) == sorted(parts)
    return np.concatenate(list(parts.values()), axis=1)


def test_equal_to_a_naive_sum(source):
    genotypes, calls = source
    hits = random_hits()
    expected = naive(hits, calls, genotypes.is_male)
    np.testing.assert_allclose(scored(genotypes, weights_of(hits)), expected, atol=2e-5)


def test_naive_sum_notices_a_changed_call(source):
    genotypes, calls = source
    hits = random_hits()
    changed = calls.copy()
    changed[hits["index"][0], 0] = 2 if calls[hits["index"][0], 0] == 0 else 0
    difference = naive(hits, changed, genotypes.is_male) - scored(genotypes, weights_of(hits))
    assert np.abs(difference).max() > 1e-3


@pytest.mark.parametrize("dense_share", [-1.0, 2.0])
def test_blocks_slices_tiles_and_density_change_nothing(source, monkeypatch, dense_share):
    genotypes, _ = source
    weights = weights_of(random_hits())
    whole = scored(genotypes, weights)
    monkeypatch.setattr(score, "plan", lambda *_: (13, 9))
    monkeypatch.setattr(kernels, "TILE_SAMPLES", 4)
    monkeypatch.setattr(kernels, "_DENSE_SHARE", dense_share)
    assert [start for start, _ in score_samples(genotypes, weights)] == [0, 9, 18, 27, 36]
    np.testing.assert_allclose(scored(genotypes, weights), whole, atol=1e-5)


def test_threads_change_no_bit(source, monkeypatch):
    genotypes, _ = source
    weights = weights_of(random_hits())
    monkeypatch.setattr(score, "plan", lambda *_: (13, 21))
    monkeypatch.setattr(kernels, "TILE_SAMPLES", 4)
    one, three = (scored(genotypes, weights, workers=workers) for workers in (1, 3))
    assert one.tobytes() == three.tobytes()


def test_memory_decides_the_slices():
    for num_samples, num_scores, memory_mb in ((5000, 3481, 1024), (500_000, 3481, 1024), (500_000, 1, 128)):
        step, width = plan(num_samples, num_scores, memory_mb)
        # The totals of the slice and one block of its float32 dosages, with room for as much again.
        assert width * (4 * num_scores + 4 * step) < memory_mb * 2**20 / 1.4
        assert 1 <= width <= num_samples
    assert plan(1_000_000, 3481, 1024) == plan(1_000_000, 3481, 1024, 20)
    assert plan(100, 10, 1024, 3)[1] == 34
    assert plan(2, 10, 1024, 8)[1] == 1
    assert plan(1, 50_000, 64)[1] == 1


def test_scores_left_out_and_batches_keep_their_order(source):
    genotypes, calls = source
    first, second = random_hits(seed=5), random_hits(seed=6)
    kept = np.array([True, False, True, True, False, True, False])
    store = WeightStore()
    add(store, first, kept)
    add(store, second, ~kept)
    expected = [naive(first, calls, genotypes.is_male)[kept], naive(second, calls, genotypes.is_male)[~kept]]
    np.testing.assert_allclose(
        scored(genotypes, store.weights(NUM_VARIANTS)), np.concatenate(expected), atol=2e-5
    )


def test_a_score_without_rows_is_zero(source):
    genotypes, _ = source
    found = scored(genotypes, weights_of(random_hits().filter(pl.col("score") != 3)))
    assert (found[3] == 0).all()
    assert (np.delete(found, 3, axis=0) != 0).all()


def test_one_sample_and_one_variant(pgen):
    genotypes = open_plink(pgen([("1", 1, "A", "G")], [[2]]))
    hits = (
        random_hits()
        .head(1)
        .with_columns(
            index=pl.lit(0, pl.UInt32), score=pl.lit(0, pl.Int32), is_haploid=False, is_reversed=False
        )
    )
    hits = hits.with_columns(at_0=0.0, at_1=0.25, at_2=0.5)
    store = WeightStore()
    add(store, hits, np.ones(1, bool))
    assert scored(genotypes, store.weights(1)).tolist() == [[0.5]]


def test_a_variant_nobody_varies_at_gives_everyone_the_same(pgen):
    calls = [[1] * 700, [2, -9] * 350, [-9] * 700]
    genotypes = open_plink(pgen([("1", row + 1, "A", "G") for row in range(3)], calls))
    weights = Weights(
        variants=np.arange(3, dtype=np.uint32),
        bases=np.zeros(3, np.int8),
        slopes=sparse.csr_array(np.array([[0.3], [0.7], [0.1]], np.float32)),
        constants=np.zeros(1),
    )
    sums = scored(genotypes, weights)
    assert (sums == sums[0, 0]).all()
    np.testing.assert_allclose(sums[0, 0], 0.3 + 2 * 0.7 + 0.1, rtol=1e-6)


def test_dosages_of_a_file_with_some_are_not_rounded(tmp_path):
    path = tmp_path / "dosages.pgen"
    dosages = np.array([[0.125, 1.5, 2, -9], [0, 1, 2, 1]], np.float32)
    with pgenlib.PgenWriter(
        str(path).encode(), 4, variant_ct=2, nonref_flags=False, dosage_present=True
    ) as file:
        for row in dosages:
            file.append_dosages(row)
    path.with_suffix(".pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n1\t1\t.\tA\tG\n1\t2\t.\tA\tG\n")
    path.with_suffix(".psam").write_text("#IID\n" + "".join(f"s{n}\n" for n in range(4)))
    genotypes = open_plink(path)
    read = genotypes.reader.read_calls(np.array([0, 1], np.uint32), 0, 4)
    assert read.dtype == np.float32
    assert genotypes.reader.count(np.array([0, 1], np.uint32)) is None
    np.testing.assert_allclose(read, dosages)
    weights = Weights(
        np.arange(2, dtype=np.uint32),
        np.zeros(2, np.int8),
        sparse.csr_array(np.eye(2, dtype=np.float32)),
        np.zeros(2),
    )
    filled = np.where(dosages < 0, np.float32((0.125 + 1.5 + 2) / 3), dosages)
    np.testing.assert_allclose(scored(genotypes, weights), filled, atol=1e-6)


@pytest.mark.parametrize("subset", [None, [3, 4, 11, 40]])
def test_hard_calls_are_read_as_the_dosages_are(source, subset):
    genotypes, calls = source
    if subset:
        genotypes = dataclasses.replace(
            genotypes, parts=(dataclasses.replace(genotypes.parts[0], subset=np.array(subset, np.uint32)),)
        )
    rows = np.array([149, 3, 17], np.uint32)
    counts = genotypes.reader.read_calls(rows, 1, 3)
    assert counts.dtype == np.int8
    expected = (calls[:, subset] if subset else calls)[rows, 1:3]
    assert (counts == expected).all()
    assert (genotypes.reader.read(rows, 1, 3) == expected).all()
    everyone = (calls[:, subset] if subset else calls)[rows]
    numbers = np.stack([(everyone == call).sum(axis=1) for call in (0, 1, 2, -9)], axis=1)
    assert (genotypes.reader.count(rows) == numbers).all()


def test_parts_are_one_data_set(source, pgen):
    genotypes, calls = source
    (part,) = genotypes.parts
    second = dataclasses.replace(part, first=NUM_VARIANTS)
    twice = dataclasses.replace(
        genotypes,
        parts=(part, second),
        variants=pl.concat(
            [genotypes.variants, genotypes.variants.with_columns(pl.col("index") + NUM_VARIANTS)]
        ),
    )
    hits = random_hits()
    moved = hits.with_columns(index=(pl.col("index") + NUM_VARIANTS * (pl.col("index") % 2)).cast(pl.UInt32))
    store = WeightStore()
    add(store, moved, np.ones(NUM_SCORES, bool))
    np.testing.assert_allclose(
        scored(twice, store.weights(2 * NUM_VARIANTS)), naive(hits, calls, genotypes.is_male), atol=2e-5
    )


@pytest.mark.parametrize("has_work", [True, False])
def test_scores_are_written_in_the_order_named(source, tmp_path, has_work):
    genotypes, calls = source
    work = tmp_path / "work" if has_work else None
    hits = random_hits()
    names = [f"PGS{number}" for number in range(NUM_SCORES)]
    subjects = pl.Series(range(100, 100 + NUM_SAMPLES), dtype=pl.Int64)
    write_scores(genotypes, weights_of(hits), names, subjects, tmp_path / "scores.parquet", work=work)
    frame = SCORES.read(tmp_path / "scores.parquet")
    assert frame.columns == ["subject_id", *names]
    assert frame["subject_id"].to_list() == subjects.to_list()
    expected = naive(hits, calls, genotypes.is_male)
    np.testing.assert_allclose(frame.drop("subject_id").to_numpy().T, expected, atol=2e-5)
    assert [path.name for path in tmp_path.glob(".*")] == []
    assert (tmp_path / "work").exists() == has_work


def test_nothing_is_left_of_scores_that_failed(source, tmp_path):
    genotypes, _ = source
    genotypes.files[0].write_bytes(genotypes.files[0].read_bytes()[:-40])
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError):
        write_scores(
            genotypes, weights_of(random_hits()), [f"P{n}" for n in range(NUM_SCORES)],
            pl.Series(range(NUM_SAMPLES)), tmp_path / "out" / "scores.parquet",
        )  # fmt: skip
    assert list((tmp_path / "out").iterdir()) == []


def test_a_cluster_needs_a_work_folder(source):
    genotypes, _ = source
    with pytest.raises(ConfigError, match="needs a work folder; in yarn; remedy: name a work folder"):
        next(score_samples(genotypes, weights_of(random_hits()), spark="yarn"))


@pytest.mark.parametrize(
    ("chromosome", "expected"), [("X", 2 * 12 / 30), ("PAR1", 2 * 18 / 40), ("25", 2 * 18 / 40)]
)
def test_on_what_x_and_y_share_men_count_as_women_do(tmp_path, chromosome, expected):
    """A missing call counts the mean: 10 men and 10 women, 6 men and 3 women with two copies of ALT."""
    calls = np.array([[2] * 6 + [0] * 4 + [2] * 3 + [0] * 7 + [-9]], np.int8)
    where = pl.DataFrame({"chrom": [chromosome], "pos": [70_000], "ref": ["A"], "alt": ["G"]})
    names = [str(number) for number in range(21)]
    genotypes = write_pgen(tmp_path / "x.pgen", where, calls, names, SEX=["1"] * 10 + ["2"] * 11)
    row = pl.DataFrame({"chr_name": ["X"], "chr_position": [70_000], "effect_allele": ["G"]})
    text = row.with_columns(other_allele=pl.lit("A"), effect_weight=pl.lit(1.0)).write_csv(separator="\t")
    (tmp_path / "score.txt").write_text("#pgs_id=A\n" + text)
    weights = collect(genotypes, [tmp_path / "score.txt"], min_match_rate=1.0).weights
    assert scored(genotypes, weights)[0, -1] == pytest.approx(expected, abs=1e-6)
