"""Scores do not depend on where they are computed."""

import importlib.util
import shutil
import threading
import time

import numpy as np
import pytest
from scipy import sparse

from proband.core.errors import DataError
from proband.genome.genotypes.dataset import DataSetReader
from proband.genome.genotypes.formats.plink import open_plink
from proband.genome.matching.weights import Weights
from proband.genome.scoring.score import score_samples

NUM_VARIANTS, NUM_SAMPLES, NUM_SCORES = 300, 64, 9

needs_spark = pytest.mark.skipif(
    not importlib.util.find_spec("pyspark") or not shutil.which("java"),
    reason="Spark: pip install 'proband[spark]', and a Java runtime (apt-get install default-jre-headless)",
)


@pytest.fixture
def source(pgen):
    rng = np.random.default_rng(0)
    calls = rng.choice([0, 1, 2, -9], (NUM_VARIANTS, NUM_SAMPLES))
    return open_plink(pgen([("1", row + 1, "A", "G") for row in range(NUM_VARIANTS)], calls))


def random_weights():
    rng = np.random.default_rng(1)
    slopes = rng.normal(size=(NUM_VARIANTS, NUM_SCORES)) * (rng.random((NUM_VARIANTS, NUM_SCORES)) < 0.2)
    return Weights(
        variants=np.arange(NUM_VARIANTS, dtype=np.uint32),
        bases=np.repeat([0, 1, 2], NUM_VARIANTS // 3).astype(np.int8),
        slopes=sparse.csr_array(slopes.astype(np.float32)),
        constants=np.arange(NUM_SCORES, dtype=np.float64),
    )


def sums(genotypes, **options):
    found = list(score_samples(genotypes, random_weights(), **options))
    return [start for start, _ in found], np.concatenate([part for _, part in found], axis=1)


@pytest.mark.slow  # tokens are compared on Spark among the fast tests
@needs_spark
def test_spark_gives_what_this_process_gives(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    starts, on_spark = sums(source, spark="local[2]", workers=3, work=tmp_path / "work")
    assert starts == [0, 22, 44]
    np.testing.assert_allclose(on_spark, sums(source)[1], atol=1e-5)
    monkeypatch.setattr("proband.genome.scoring.score.plan", lambda *_: (2048, 22))
    _, here = sums(source, work=tmp_path / "other")
    assert here.tobytes() == on_spark.tobytes()
    # What Spark has done is not done again, here or there.
    monkeypatch.setattr("proband.genome.scoring.slices.group_scores", None)
    assert sums(source, work=tmp_path / "work")[1].tobytes() == on_spark.tobytes()


@pytest.mark.slow  # tokens are compared on Spark among the fast tests
@needs_spark
def test_a_damaged_file_on_spark_is_one_line(source, tmp_path):
    source.files[0].write_bytes(source.files[0].read_bytes()[:-40])
    with pytest.raises(DataError, match=r"unreadable genotype file|counts do not fit"):
        sums(source, spark="local[2]", workers=2, work=tmp_path / "work")


def test_a_damaged_file_in_a_thread_is_one_line(source):
    source.files[0].write_bytes(source.files[0].read_bytes()[:-40])
    with pytest.raises(DataError, match=r"unreadable genotype file|counts do not fit"):
        sums(source, workers=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_slices_take_the_frequencies_of_all_samples(source, monkeypatch, workers):
    whole = sums(source)[1]
    monkeypatch.setattr("proband.genome.scoring.score.plan", lambda *_: (50, 7))
    monkeypatch.setattr("proband.genome.scoring.score._MEANS_JOBS", 5)
    monkeypatch.setattr("proband.genome.scoring.score._MOST_BLOCK_ROWS", 11)
    starts, sliced = sums(source, workers=workers)
    assert len(starts) == 10
    np.testing.assert_allclose(sliced, whole, atol=1e-5)


def test_a_reader_is_used_by_one_thread_at_a_time(source, monkeypatch):
    lock = threading.Lock()

    class Watched(DataSetReader):
        def read_calls(self, indices, start, stop):
            assert lock.acquire(blocking=False), "two threads read at once"
            try:
                time.sleep(0.01)
                return super().read_calls(indices, start, stop)
            finally:
                lock.release()

    whole = sums(source)[1]
    monkeypatch.setattr("proband.genome.scoring.slices.DataSetReader", Watched)
    monkeypatch.setattr("proband.genome.scoring.score.plan", lambda *_: (50, 64))
    np.testing.assert_allclose(sums(source, workers=3)[1], whole, atol=1e-5)
