"""Tables of text: however a table is spelt, the same values are read."""

import gzip

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.errors import DataError
from proband.core.text.texttable import open_text
from proband.core.text.textvalues import clean, whole_numbers
from proband.genome.genotypes.alleles import allele_codes, row_sites
from proband.genome.scorefiles.scorefile import read_scorefile, read_sites
from proband.genome.scorefiles.text import open_score_text
from proband.genome.scorefiles.variantlist import read_variant_list

COLUMNS = ["chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight"]
ROW = st.tuples(
    st.sampled_from(["1", "22", "X"]),
    st.integers(1, 2**31 - 1),
    st.text("ACGT", min_size=1, max_size=3),
    st.text("ACGT", min_size=1, max_size=3),
    st.floats(-1e6, 1e6, allow_nan=False),
)
SPELLING = st.fixed_dictionaries({
    "separator": st.sampled_from(["\t", ",", ", ", ";", "; ", " ", "   ", " \t "]),
    "quoted": st.booleans(),
    "padded": st.integers(0, 12),
    "row_names": st.booleans(),
    "blank_lines": st.integers(0, 3),
    "end": st.sampled_from(["\n", "\r\n"]),
    "mark": st.sampled_from(["", "\ufeff"]),
    "packed": st.booleans(),
    "position": st.sampled_from(["{}", "{}.0", "{:.12e}"]),
})  # fmt: skip


def spelt(rows, how, columns=COLUMNS):
    """The bytes of a table: quotes as of R, blanks as of Excel, positions as of a data frame of floats."""
    quote = (lambda text: f'"{text}"') if how["quoted"] else str
    pad = how["padded"] if how["separator"].strip(",;") else 0  # blanks in a plain CSV go beside the comma
    lines = [how["separator"].join(map(quote, columns))]
    for number, (chrom, pos, effect, other, weight) in enumerate(rows, 1):
        cells = [quote(chrom), how["position"].format(pos), quote(effect), quote(other), repr(weight)]
        cells = [quote(str(number)), *cells] if how["row_names"] else cells
        lines.append(how["separator"].join(cell.ljust(pad) for cell in cells))
    lines += [""] * how["blank_lines"]
    text = how["mark"] + how["end"].join(lines) + how["end"]
    return gzip.compress(text.encode()) if how["packed"] else text.encode()


@given(rows=st.lists(ROW, min_size=1, max_size=8), how=SPELLING)
def test_however_a_scoring_file_is_spelt(tmp_path_factory, rows, how):
    path = tmp_path_factory.mktemp("spelt") / "a.b0.5.txt"
    path.write_bytes(spelt(rows, how))
    item = read_scorefile(path)
    assert item.pgs_id == "a.b0.5"
    chrom, pos, effect, other, weight = (list(column) for column in zip(*rows, strict=True))
    np.testing.assert_array_equal(item.rows.sites, row_sites(pl.Series(chrom), pl.Series(pos)))
    np.testing.assert_array_equal(item.rows.effect, allele_codes(pl.Series(effect)))
    np.testing.assert_array_equal(item.rows.other, allele_codes(pl.Series(other)))
    assert item.rows.at[1].tolist() == weight
    np.testing.assert_array_equal(read_sites(path, 5)[0], item.rows.sites[:5])


@given(rows=st.lists(ROW, min_size=1, max_size=8, unique_by=lambda row: row[:4]), how=SPELLING)
def test_however_a_list_of_variants_is_spelt(tmp_path_factory, rows, how):
    path = tmp_path_factory.mktemp("spelt") / "a.txt"
    path.write_bytes(spelt(rows, how))
    found = read_variant_list(path).rows
    assert found.select("chrom", "pos", "effect_allele", "other_allele").rows() == [row[:4] for row in rows]


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_stay_whole(number):
    texts = [str(number), f" {number}", f'"{number}.0"', f"{number}.5", f"x{number}", f"{number:.25e}"]
    small = number if abs(number) <= 2**53 else None
    assert whole_numbers(pl.Series(texts)).to_list() == [number, number, number, None, None, small]


@given(st.lists(st.text(), max_size=5))
def test_cleaned_values_stay_clean(texts):
    once = clean(pl.Series(texts, dtype=pl.String))
    assert clean(once).equals(once)
    assert not any(text.startswith((" ", '"')) or text.endswith((" ", '"')) for text in once.drop_nulls())


@pytest.mark.parametrize(
    ("begin", "said"), [(b"PAR1\x15", "a Parquet file"), ("a,b\n".encode("utf-16"), "UTF-16")]
)
def test_what_is_no_text_in_utf_8_is_named(tmp_path, begin, said):
    path = tmp_path / "table.csv"
    path.write_bytes(begin)
    with pytest.raises(DataError, match=said):
        open_text(path)


def test_blank_lines_are_no_rows_and_counted(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\t".join(COLUMNS) + "\n\n1\t5\tA\tG\t1\n\t\t\t\t\n1\t6\tA\tG\t2\n  \n\n")
    item = read_scorefile(path)
    assert (len(item.rows), item.num_blank) == (2, 4)
    assert item.rows.at[1].tolist() == [1, 2]


def test_an_empty_value_between_two_blanks(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(" ".join(COLUMNS) + "\n1 5 A  0.5\n1 6 A G 1.5\n")
    item = read_scorefile(path)
    assert item.rows.other.tolist() == allele_codes(pl.Series([None, "G"], dtype=pl.String)).tolist()
    assert item.rows.at[1].tolist() == [0.5, 1.5]


@pytest.mark.parametrize("row", ["1  6  A  G", "1  6  A  G  1  2"])
def test_blank_separated_rows_of_other_widths(tmp_path, row):
    path = tmp_path / "a.txt"
    path.write_text(" ".join(COLUMNS) + f"\n1  5  A  G  1\n{row}\n")
    with pytest.raises(DataError, match=r"unreadable scoring file.*a\.txt.*values in row 2.*5 column names"):
        read_scorefile(path)


@pytest.mark.parametrize("mark", [",", ";"])
def test_separators_within_quotes(tmp_path, mark):
    path = tmp_path / "a.csv"
    path.write_text(f'trait{mark}chr_name\n"height{mark} adult"{mark}01\n')
    _, table = open_score_text(path)
    assert table.read(["trait", "chr_name"], {}).rows() == [(f"height{mark} adult", "01")]
