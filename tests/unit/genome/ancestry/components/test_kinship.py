import gzip
import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.core.errors import DataError
from proband.genome.ancestry.components import kinship as kinship_module
from proband.genome.ancestry.components.kinship import king, pairs_of, read_kinship, related_pairs, unrelated
from proband.genome.ancestry.components.panel import Panel
from proband.genome.genotypes.formats.plink import open_plink
from structured_genotypes import ArrayReader, child, draw_calls, population_frequencies, with_missing

NUM_VARIANTS = 20_000
REFERENCE = Path(__file__).parents[4] / "reference"


def naive_king(one, other):
    """The definition, variant by variant (Manichaikul 2010, equation 11)."""
    called = (one >= 0) & (other >= 0)
    one, other = one[called], other[called]
    both_het = ((one == 1) & (other == 1)).sum()
    opposite = (np.abs(one.astype(int) - other) == 2).sum()
    low, high = sorted([(one == 1).sum(), (other == 1).sum()])
    return (both_het - 2 * opposite) / (2 * low) + 0.5 - 0.25 * (low + high) / low


def test_equal_to_the_definition_with_missing_calls():
    rng = np.random.default_rng(0)
    calls = with_missing(rng, rng.binomial(2, 0.3, (9, 300)), 0.1)
    found = king(calls[:4].clip(-1), calls.clip(-1))
    expected = [[naive_king(one, other) for other in calls] for one in calls[:4]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_equal_to_plink2(tmp_path):
    """All 1,770 pairs of 60 people over 30 variants, an eighth of the calls missing."""
    source = open_plink(REFERENCE / "genome_small" / "calls.pgen")
    rows = source.variants.filter(~pl.col("chrom").is_in(["X", "MT"]))["index"].to_numpy()
    calls = source.reader.read(rows, 0, len(source.sample_ids)).T
    calls = np.where(calls < 0, -1, calls).astype(np.int8)
    found = king(calls, calls)
    packed = (REFERENCE / "ancestry_king" / "king.tsv.gz").read_bytes()
    (tmp_path / "king.kin0").write_bytes(gzip.decompress(packed))
    theirs = read_kinship(tmp_path / "king.kin0")
    row_of = {name: row for row, name in enumerate(source.sample_ids)}
    ours = [found[row_of[one], row_of[other]] for one, other in theirs.select("first", "second").rows()]
    assert theirs.height == 60 * 59 // 2
    np.testing.assert_allclose(ours, theirs["kinship"], rtol=2e-5, atol=1e-9)


def test_people_without_heterozygous_calls_are_nobodys_relatives():
    calls = np.array([[0, 2, 2], [0, 2, 1], [-1, -1, -1]], np.int8)
    found = king(calls, calls)
    assert np.isneginf(found[0]).all()
    assert np.isneginf(found[2]).all()


@pytest.fixture(scope="module")
def family():
    """Two founder couples of different populations, an admixed couple, and their descendants."""
    rng = np.random.default_rng(5)
    frequencies = population_frequencies(rng, NUM_VARIANTS, 2, 0.1)
    founders = draw_calls(rng, frequencies, np.array([0, 0, 1, 1, 0, 1, 0, 0]))
    people = {f"founder{number}": calls for number, calls in enumerate(founders.T)}
    people["son"] = child(rng, people["founder0"], people["founder1"])
    people["daughter"] = child(rng, people["founder0"], people["founder1"])
    people["mixed"] = child(rng, people["daughter"], people["founder2"])
    people["grandchild"] = child(rng, people["son"], people["founder4"])
    people["great_grandchild"] = child(rng, people["grandchild"], people["founder6"])
    people["twin"] = people["son"].copy()
    return {name: calls.astype(np.int8) for name, calls in people.items()}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("son", "twin", 1 / 2),
        ("son", "founder0", 1 / 4),
        ("son", "daughter", 1 / 4),
        ("grandchild", "founder0", 1 / 8),
        ("grandchild", "daughter", 1 / 8),
        ("great_grandchild", "founder1", 1 / 16),
        ("founder0", "founder4", 0),
        ("founder6", "founder7", 0),
    ],
)
def test_kinship_of_relatives_by_class(family, one, other, expected):
    """The standard error at 20,000 variants is about 0.005; the classes are a factor of 2 apart."""
    assert king(family[one][None], family[other][None])[0, 0] == pytest.approx(expected, abs=0.018)


def test_people_of_different_populations_are_no_relatives(family):
    assert king(family["founder0"][None], family["founder2"][None])[0, 0] < 0


def test_related_pairs_over_tiles(family, monkeypatch):
    names = list(family)
    calls = with_missing(np.random.default_rng(1), np.stack(list(family.values()), axis=1), 0.01)
    panel = Panel(ArrayReader(calls), np.arange(NUM_VARIANTS, dtype=np.uint32), np.zeros(NUM_VARIANTS, bool),
                  np.arange(len(names)), 64)  # fmt: skip
    expected = {
        ("founder0", "son"), ("founder0", "daughter"), ("founder0", "twin"), ("founder0", "grandchild"),
        ("founder0", "mixed"), ("founder1", "mixed"), ("founder1", "son"), ("founder1", "daughter"),
        ("founder1", "twin"), ("founder1", "grandchild"), ("founder2", "mixed"), ("founder4", "grandchild"),
        ("founder4", "great_grandchild"), ("founder6", "great_grandchild"), ("son", "daughter"),
        ("son", "mixed"), ("son", "grandchild"), ("son", "great_grandchild"), ("son", "twin"),
        ("daughter", "mixed"), ("daughter", "grandchild"), ("daughter", "twin"),
        ("grandchild", "great_grandchild"), ("mixed", "twin"), ("grandchild", "twin"),
        ("great_grandchild", "twin"),
    }  # fmt: skip
    whole = related_pairs(panel, 0.0884)
    monkeypatch.setattr(kinship_module, "_TILE", 5)
    tiled = related_pairs(panel, 0.0884)
    assert {tuple(pair) for pair in whole.tolist()} == {tuple(pair) for pair in tiled.tolist()}
    # All first and second degrees; mixed ancestry blurs the second, so those with "mixed" are not asked for.
    found = {(names[one], names[other]) for one, other in whole}
    is_mixed = {pair for pair in expected | found if "mixed" in pair}
    assert found - is_mixed == expected - is_mixed


@settings(max_examples=60)
@given(st.integers(1, 12).flatmap(lambda count: st.tuples(
    st.just(count), st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=30)
)))  # fmt: skip
def test_unrelated_is_a_maximal_set_without_pairs(drawn):
    count, drawn_pairs = drawn
    pairs = {tuple(sorted(pair)) for pair in drawn_pairs if pair[0] != pair[1]}
    kept = set(unrelated(count, np.array(sorted(pairs), np.int64).reshape(-1, 2)).tolist())
    assert not any(set(pair) <= kept for pair in pairs)
    for person in set(range(count)) - kept:
        assert any(person in pair and (set(pair) - {person}) <= kept for pair in pairs)


def test_unrelated_takes_out_the_hub_of_a_star():
    star = np.array([[0, other] for other in range(1, 9)])
    assert unrelated(9, star).tolist() == list(range(1, 9))


def test_unrelated_of_all_pairs_is_one_person():
    pairs = np.array(list(itertools.combinations(range(300), 2)))
    assert len(unrelated(300, pairs)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "#FID1\tIID1\tFID2\tIID2\tNSNP\tHETHET\tIBS0\tKINSHIP\n0\ta\t0\tb\t9\t0.1\t0\t0.25\n0\ta\t0\tc\t9\t0.1\t0\t0.01\n",
        "FID1 IID1 FID2 IID2 N_SNP HetHet IBS0 Kinship\n1 a 1 b 9 0.1 0 0.25\n1 a 1 c 9 0.1 0 0.01\n",
        "ID1 ID2 HetHet IBS0 Kinship\na b 0.1 0 0.25\na c 0.1 0 0.01\n",
        "i.s\tj.s\tkin\na\tb\t0.25\na\tc\t0.01\n",
    ],
    ids=["plink2", "KING", "UK Biobank", "All of Us"],
)
def test_tables_of_several_makers(tmp_path, text):
    (tmp_path / "pairs").write_text(text)
    table = read_kinship(tmp_path / "pairs")
    assert table.rows() == [("a", "b", 0.25), ("a", "c", 0.01)]
    assert pairs_of(table, ["c", "b", "a"], 0.0884).tolist() == [[2, 1]]
    assert pairs_of(table, ["b", "c"], 0.0884).tolist() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unreadable kinship table.*no line of column names"),
        ("IID1 IID2 PI_HAT\na b 0.5\n", r"no kinship table.*PI_HAT.*KINSHIP"),
        ("ID1 ID2 Kinship\na b\n", r"unreadable kinship table.*2 values in row 1.*3 column names"),
        ("ID1 ID2 Kinship\na b close\n", r"kinship is no number.*'close'"),
        ("ID1 ID2 Kinship\na b nan\n", r"no usable row.*1 rows without a kinship, first row 1.*'nan'"),
    ],
)
def test_unusable_tables(tmp_path, text, message):
    (tmp_path / "pairs").write_text(text)
    with pytest.raises(DataError, match=message):
        read_kinship(tmp_path / "pairs")


def test_a_missing_table(tmp_path):
    with pytest.raises(DataError, match="missing file"):
        read_kinship(tmp_path / "none")


def test_a_pair_of_a_person_with_themselves_is_none():
    table = pl.DataFrame({"first": ["a"], "second": ["a"], "kinship": [0.5]})
    assert pairs_of(table, ["a"], 0.1).tolist() == []


def test_a_pair_without_kinship_is_left_out_and_counted(tmp_path, capsys):
    (tmp_path / "pairs").write_text('"ID1" "ID2" "Kinship"\n"01" "1" 0.25\n"b" "c" nan\n"d" "e" 0.5\n\n')
    assert read_kinship(tmp_path / "pairs").rows() == [("01", "1", 0.25), ("d", "e", 0.5)]
    assert "1 rows of pairs left out: without a kinship (first: row 2)" in capsys.readouterr().err
