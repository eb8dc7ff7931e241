import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import sparse

from proband.genome.genotypes.formats.plink import open_plink
from proband.genome.matching.weights import Weights
from proband.genome.scoring.checkpoint import Work, fingerprint, load_weights, save_weights, seconds_between
from proband.genome.scoring.score import score_samples

NUM_VARIANTS, NUM_SAMPLES, NUM_SCORES = 600, 60, 5

# Scores slowly, keeping progress after every block, and says so; argument 1 is the folder.
SLOW = """
import sys, time
from pathlib import Path
from proband.genome.scoring import checkpoint as restart
from proband.genome.scoring import score, slices
from proband.genome.genotypes.formats.plink import open_plink
from proband.genome.scoring.checkpoint import Work
from proband.genome.scoring.checkpoint import load_weights
folder = Path(sys.argv[1])
score.plan = lambda *_: (10, int(sys.argv[2]))
slices.seconds_between = lambda _: 0
read = slices._read_block
def read_slowly(*arguments):
    time.sleep(0.02)
    print("block", flush=True)
    return read(*arguments)
slices._read_block = read_slowly
weights = load_weights(Work(folder / "weights"))
list(score.score_samples(open_plink(folder / "calls.pgen"), weights, work=folder / "work"))
"""


@pytest.fixture
def source(pgen):
    rng = np.random.default_rng(0)
    calls = rng.choice([0, 1, 2, -9], (NUM_VARIANTS, NUM_SAMPLES))
    return open_plink(pgen([("1", row + 1, "A", "G") for row in range(NUM_VARIANTS)], calls))


def random_weights(seed=1):
    slopes = np.random.default_rng(seed).normal(size=(NUM_VARIANTS, NUM_SCORES)).astype(np.float32)
    return Weights(
        variants=np.arange(NUM_VARIANTS, dtype=np.uint32),
        bases=np.zeros(NUM_VARIANTS, np.int8),
        slopes=sparse.csr_array(slopes),
        constants=np.arange(NUM_SCORES, dtype=np.float64),
    )


def sums(genotypes, weights, work):
    return np.concatenate([found for _, found in score_samples(genotypes, weights, work=work)], axis=1)


@pytest.mark.parametrize("width", [NUM_SAMPLES, 25])
def test_a_killed_run_goes_on_and_ends_bit_for_bit_equal(source, tmp_path, monkeypatch, capsys, width):
    folder = source.files[0].parent
    source.files[0].rename(folder / "calls.pgen")
    for kind in (".pvar", ".psam"):
        source.files[0].with_suffix(kind).rename(folder / f"calls{kind}")
    genotypes = open_plink(folder / "calls.pgen")
    (folder / "weights").mkdir()
    save_weights(random_weights(), Work(folder / "weights"))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SLOW, str(folder), str(width)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    for _ in range(40):
        assert running.stdout.readline() == "block\n"
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    kept = sorted(path.name for path in (folder / "work").glob("partial-*"))
    assert len(kept) == 1
    monkeypatch.setattr("proband.genome.scoring.score.plan", lambda *_: (10, width))
    read = count_blocks(monkeypatch)
    capsys.readouterr()
    resumed = sums(genotypes, random_weights(), folder / "work")
    assert "scoring goes on after" in capsys.readouterr().err
    num_blocks = -(-NUM_SAMPLES // width) * NUM_VARIANTS // 10
    assert num_blocks - 40 <= len(read) <= num_blocks - 36
    unbroken = sums(genotypes, random_weights(), folder / "another")
    assert resumed.tobytes() == unbroken.tobytes()


def count_blocks(monkeypatch):
    from proband.genome.scoring import slices

    blocks, read = [], slices._read_block
    monkeypatch.setattr(slices, "_read_block", lambda *given: blocks.append(1) or read(*given))
    return blocks


def test_a_finished_run_is_not_done_again(source, tmp_path, monkeypatch):
    first = sums(source, random_weights(), tmp_path / "work")
    blocks = count_blocks(monkeypatch)
    assert (sums(source, random_weights(), tmp_path / "work") == first).all()
    assert blocks == []


def change_weights(source):
    return source, random_weights(2)


def change_data(source):
    content = bytearray(source.files[0].read_bytes())
    content[-1] ^= 1
    source.files[0].write_bytes(content)
    return source, random_weights()


def change_sex(source):
    source.is_male[0] = True
    return source, random_weights()


@pytest.mark.parametrize("change", [change_weights, change_data, change_sex])
def test_a_change_of_what_is_scored_is_noticed(source, tmp_path, monkeypatch, capsys, change):
    sums(source, random_weights(), tmp_path / "work")
    changed = change(source)
    blocks = count_blocks(monkeypatch)
    found = sums(*changed, tmp_path / "work")
    assert blocks
    assert "holds progress on other data, weights or memory; scoring begins anew" in capsys.readouterr().err
    assert (found == sums(*changed, tmp_path / "fresh")).all()


def test_a_change_within_a_large_file_is_noticed_by_its_time(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(20 * 2**20))
    before = fingerprint([path], [], [])
    assert fingerprint([path], [], []) == before
    time.sleep(0.01)
    with open(path, "r+b") as file:
        file.seek(10 * 2**20)
        file.write(b"x")
    assert fingerprint([path], [], []) != before


def test_arrays_of_the_same_bytes_are_told_apart():
    one, other = np.zeros(4, np.int32), np.zeros(2, np.int64)
    assert len({fingerprint([], [array], []) for array in (one, other, one.reshape(2, 2))}) == 3
    assert fingerprint([], [], ["a", "b"]) != fingerprint([], [], ["ab"])


def test_other_files_in_the_folder_are_left_alone(source, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    sums(source, random_weights(), tmp_path)
    sums(source, random_weights(2), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_an_unfinished_write_leaves_the_old_progress(tmp_path, monkeypatch):
    work = Work(tmp_path)
    work.pause(0, 2, np.ones((1, 2), np.float32), np.zeros(1), 7)

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        work.pause(0, 2, np.zeros((1, 2), np.float32), np.zeros(1), 8)
    total, base, done = work.resume(0, 2)
    assert (total.tolist(), base.tolist(), done) == ([[1, 1]], [0], 7)
    assert work.resume(0, 3) is None


def test_progress_is_kept_seldom_enough():
    assert seconds_between(0) == 10
    one_gigabyte = seconds_between(10**9)
    assert 10**9 / 200e6 / one_gigabyte == pytest.approx(0.02)


def test_weights_survive_a_work_folder(tmp_path):
    weights = random_weights()
    save_weights(weights, Work(tmp_path))
    loaded = load_weights(Work(tmp_path))
    for name, values in weights.arrays().items():
        assert (loaded.arrays()[name] == values).all(), name


def test_scores_in_another_order():
    weights = random_weights()
    order = np.array([3, 0, 4, 1, 2])
    found = weights.ordered(order)
    assert (found.slopes.toarray() == weights.slopes.toarray()[:, order]).all()
    assert found.constants.tolist() == [3, 0, 4, 1, 2]
    assert weights.sizes.tolist() == [NUM_VARIANTS] * NUM_SCORES


def test_nothing_is_left_of_a_temporary_folder(source, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert sums(source, random_weights(), None).shape == (NUM_SCORES, NUM_SAMPLES)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("proband-")] == []
