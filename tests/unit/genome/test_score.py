import numpy as np
import polars as pl
import pytest
from scipy import sparse

from proband.genome import score
from proband.genome.plink import open_plink
from proband.genome.score import add_product, mean_dosages, score_samples
from proband.genome.weights import WeightStore

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


def weights_of(hits, kept=None):
    store = WeightStore()
    store.add(hits, np.ones(NUM_SCORES, bool) if kept is None else kept)
    return store.weights(NUM_VARIANTS)


def scored(genotypes, weights):
    parts = dict(score_samples(genotypes, weights))
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


@pytest.mark.parametrize("dense_share", [0.0, 2.0])
def test_blocks_slices_and_density_change_nothing(source, monkeypatch, dense_share):
    genotypes, _ = source
    weights = weights_of(random_hits())
    whole = scored(genotypes, weights)
    monkeypatch.setattr(score, "_BLOCK_ROWS", 13)
    monkeypatch.setattr(score, "_TOTAL_BYTES", 8 * NUM_SCORES * 9)
    monkeypatch.setattr(score, "_DENSE_SHARE", dense_share)
    assert [start for start, _ in score_samples(genotypes, weights)] == [0, 9, 18, 27, 36]
    np.testing.assert_allclose(scored(genotypes, weights), whole, atol=1e-5)


def test_scores_left_out_and_batches_keep_their_order(source):
    genotypes, calls = source
    first, second = random_hits(seed=5), random_hits(seed=6)
    kept = np.array([True, False, True, True, False, True, False])
    store = WeightStore()
    store.add(first, kept)
    store.add(second, ~kept)
    expected = [naive(first, calls, genotypes.is_male)[kept], naive(second, calls, genotypes.is_male)[~kept]]
    np.testing.assert_allclose(
        scored(genotypes, store.weights(NUM_VARIANTS)), np.concatenate(expected), atol=2e-5
    )


def test_a_score_without_rows_is_zero(source):
    genotypes, _ = source
    found = scored(genotypes, weights_of(random_hits().filter(pl.col("score") != 3)))
    assert (found[3] == 0).all()
    assert (np.delete(found, 3, axis=0) != 0).all()


def test_mean_dosages_by_hand(pgen):
    path = pgen(
        [("1", 1, "A", "G"), ("X", 2, "A", "G"), ("1", 3, "A", "G")], [[0, 1, 2, -9], [2, 1, -9, 0], [-9] * 4]
    )
    path.with_suffix(".psam").write_text("#IID\tSEX\na\t1\nb\t2\nc\t1\nd\t2\n")
    means = mean_dosages(open_plink(path), np.array([0, 1, 2], np.uint32))
    # X: one copy of one male with ALT, one of two copies of a woman, none of two of another: 2 * 2 / 5.
    np.testing.assert_allclose(means, [1, 4 / 5, 1])


def test_add_product_by_hand():
    total = np.ones((2, 3))
    slopes = sparse.csr_array(np.array([[1, 0], [0, 2]], np.float32))
    add_product(total, slopes, np.array([[0, 1, 2], [1, 1, 0]], np.float32))
    assert total.tolist() == [[1, 2, 3], [3, 3, 1]]
