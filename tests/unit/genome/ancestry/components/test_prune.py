import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.genome.ancestry.components import panel as panel_module
from proband.genome.ancestry.components.panel import Panel
from proband.genome.ancestry.components.prune import candidates, prune, thin
from proband.genome.ancestry.config import AncestryConfig
from structured_genotypes import ArrayReader

_TIE = 1e-9
"""Squared correlations so near the bound may be found on either side of it."""


def linked_calls(rng, num_variants, num_people, copied=0.6):
    """Each variant is, person by person, a copy of the one before with probability ``copied``."""
    calls = np.empty((num_variants, num_people), np.int8)
    calls[0] = rng.binomial(2, 0.4, num_people)
    for row in range(1, num_variants):
        fresh = rng.binomial(2, rng.uniform(0.02, 0.5), num_people)
        calls[row] = np.where(rng.random(num_people) < copied * (rng.random() < 0.8), calls[row - 1], fresh)
    calls[rng.random(calls.shape) < 0.01] = -9
    return calls


def pruned(calls, where, **options):
    panel = Panel(ArrayReader(calls), np.arange(len(calls), dtype=np.uint32), np.zeros(len(calls), bool),
                  np.arange(calls.shape[1]), 64)  # fmt: skip
    return prune(panel, where, AncestryConfig(**options))


def r2_of(calls):
    """Squared correlations, missing calls at the mean, in float64 by numpy."""
    filled = np.where(calls < 0, np.nan, calls).astype(float)
    filled = np.where(calls < 0, np.nanmean(filled, axis=1)[:, None], filled)
    with np.errstate(invalid="ignore"):  # a variant that does not vary correlates with none
        return np.nan_to_num(np.corrcoef(filled) ** 2)


def places(chrom, pos):
    return pl.DataFrame({"chrom": chrom, "pos": np.asarray(pos, np.int64)})


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.2, 0.5]), st.sampled_from([1, 20, 1000]))
def test_no_pair_in_a_window_beyond_the_bound_and_none_left_out_without_cause(seed, max_r2, window_kb):
    rng = np.random.default_rng(seed)
    calls = linked_calls(rng, 60, 80)
    pos = np.sort(rng.integers(1, 60_000, 60))
    chrom = np.where(np.arange(60) < 37, "9", "10")
    kept = pruned(calls, places(chrom, np.where(chrom == "9", pos, pos)), max_r2=max_r2, window_kb=window_kb,
                  max_missing=0.5)  # fmt: skip
    r2 = r2_of(calls)
    near = (np.abs(pos[:, None] - pos) <= 1000 * window_kb) & (chrom[:, None] == chrom)
    among = ((r2 > max_r2 + _TIE) & near)[np.ix_(kept, kept)] & ~np.eye(len(kept), dtype=bool)
    conflict = (r2 > max_r2 - _TIE) & near
    assert not among.any()
    means = np.where(calls < 0, np.nan, calls).astype(float)
    frequency = np.nanmean(means, axis=1) / 2
    for row in set(range(60)) - set(kept.tolist()):
        earlier = kept[kept < row]
        assert min(frequency[row], 1 - frequency[row]) < 0.01 or conflict[row, earlier].any()


def test_blocks_change_nothing(monkeypatch):
    calls = linked_calls(np.random.default_rng(2), 300, 100)
    where = places(["1"] * 300, np.arange(300) * 500)
    whole = pruned(calls, where)
    monkeypatch.setattr(panel_module, "_MOST_ROWS", 7)
    assert pruned(calls, where).tolist() == whole.tolist()
    assert 0 < len(whole) < 250


def test_copies_are_kept_on_other_chromosomes_and_beyond_the_window():
    calls = np.repeat(np.random.default_rng(0).binomial(2, 0.4, (1, 90)).astype(np.int8), 4, axis=0)
    where = places(["1", "1", "1", "2"], [100, 5100, 5101, 5101])
    assert pruned(calls, where, window_kb=5).tolist() == [0, 2, 3]


def test_rare_and_badly_called_variants_go():
    rng = np.random.default_rng(1)
    calls = rng.binomial(2, 0.4, (4, 200)).astype(np.int8)
    calls[1] = 0
    calls[1, :3] = 1  # frequency 0.0075
    calls[2, :11] = -9  # 5.5% missing
    assert pruned(calls, places(list("1234"), [1] * 4)).tolist() == [0, 3]


def test_candidates():
    rows = [
        ("10", 5, "A", "G", False, False), ("2", 9, "A", "G", False, False),
        ("2", 3, "AT", "A", False, False),
        ("X", 4, "A", "G", False, False), ("2", 5, "A", "G", True, False), ("2", 6, "A", "T", False, True),
        ("6", 30_000_000, "C", "T", False, False), ("2", 1, "G", ".", False, False),
    ]  # fmt: skip
    variants = pl.DataFrame(
        rows, schema=["chrom", "pos", "ref", "alt", "is_multiallelic", "is_ambiguous"], orient="row"
    ).with_row_index("index")
    assert candidates(variants, None)["index"].to_list() == [1, 6, 0]
    assert candidates(variants, "GRCh38")["index"].to_list() == [1, 0]
    assert candidates(variants, "GRCh37")["index"].to_list() == [1, 0]


@pytest.mark.parametrize(("count", "most", "expected"), [(5, 9, 5), (5, 5, 5), (1000, 7, 7)])
def test_thinning_keeps_ends_and_spreads(count, most, expected):
    rows = np.arange(count) * 2
    found = thin(rows, most)
    assert len(found) == expected
    assert (found[0], found[-1]) == (rows[0], rows[-1])
    assert np.ptp(np.diff(found)) <= 2
