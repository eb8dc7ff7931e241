import gzip

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.errors import DataError
from proband.genome.scorefile import list_scorefiles, read_scorefile

AUTHOR = ["rsID", "chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight"]
HARMONISED = [*AUTHOR, "hm_chr", "hm_pos", "hm_inferOtherAllele"]


def only(folder):
    return next(iter(folder.iterdir()))


def test_author_file_with_positions(scores):
    item = read_scorefile(
        only(scores("PGS000009.txt", [["rs1", "chr1", 5, "a", "G", 0.5]], AUTHOR, genome_build="hg19"))
    )
    assert item.pgs_id == "PGS000009"
    assert item.build == "GRCh37"
    assert item.rows.rows() == [("1", 5, "A", "G", 0.0, 0.5, 1.0, True)]


def test_harmonised_columns_win_even_when_empty(scores):
    rows = [["rs1", "1", 5, "A", "G", 1, "2", 7, None], ["rs2", "1", 6, "A", "G", 1, None, None, None]]
    item = read_scorefile(only(scores("PGS1_hmPOS_GRCh38.txt.gz", rows, HARMONISED, genome_build="GRCh37")))
    assert item.build == "GRCh38"
    assert item.rows.select("chrom", "pos").rows() == [("2", 7), (None, None)]


def test_inferred_other_allele_only_where_none_is_given(scores):
    alleles = [("C", "T"), (None, "T"), (None, "A/T"), (None, None)]
    rows = [["rs", "1", 5, "G", other, 1, "1", 5, inferred] for other, inferred in alleles]
    item = read_scorefile(only(scores("a.txt", rows, HARMONISED)))
    assert item.rows["other_allele"].to_list() == ["C", "T", None, None]


def test_dominant_recessive_and_dosage_weights(scores):
    columns = ["chr_name", "chr_position", "effect_allele", "effect_weight", "is_dominant", "is_recessive"]
    rows = [
        ["1", 1, "A", 3, "True", "False"],
        ["1", 2, "A", 3, "False", "True"],
        ["1", 3, "A", 3, "True", "True"],
    ]
    item = read_scorefile(only(scores("a.txt", rows, columns)))
    assert item.rows.select("at_0", "at_1", "at_2", "is_scorable").rows()[:2] == [
        (0, 3, 3, True),
        (0, 0, 3, True),
    ]
    assert not item.rows["is_scorable"][2]


def test_dosage_weights_stand_in_for_a_missing_effect_weight(scores):
    columns = [
        "chr_name",
        "chr_position",
        "effect_allele",
        "dosage_0_weight",
        "dosage_1_weight",
        "dosage_2_weight",
    ]
    item = read_scorefile(only(scores("a.txt", [["1", 1, "A", -1, 0.5, 4]], columns)))
    assert item.rows.select("at_0", "at_1", "at_2").rows() == [(-1, 0.5, 4)]


@pytest.mark.parametrize("column", ["is_haplotype", "is_diplotype", "is_interaction"])
def test_complex_rows_are_not_scorable(scores, column):
    columns = ["chr_name", "chr_position", "effect_allele", "effect_weight", column]
    item = read_scorefile(
        only(scores("a.txt", [["1", 1, "A", 1, "True"], ["1", 2, "A", 1, "False"]], columns))
    )
    assert item.rows["is_scorable"].to_list() == [False, True]


def test_hla_and_empty_alleles_are_not_scorable(scores):
    rows = [["6", 1, allele, None, 1] for allele in ("P", "N", None, "ACGT")]
    assert read_scorefile(only(scores("a.txt", rows))).rows["is_scorable"].to_list() == [
        False,
        False,
        False,
        True,
    ]


def test_windows_line_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(
        b"#pgs_id=PGS7\r\nchr_name\tchr_position\teffect_allele\teffect_weight\r\n1\t5\tA\t0.5\r\n"
    )
    item = read_scorefile(path)
    assert (item.pgs_id, item.rows["at_1"].to_list(), item.rows["pos"].to_list()) == ("PGS7", [0.5], [5])


def test_name_of_the_file_stands_in_for_a_missing_pgs_id(tmp_path):
    path = tmp_path / "my_score.txt"
    path.write_text("chr_name\tchr_position\teffect_allele\teffect_weight\n1\t5\tA\t0.5\n")
    assert read_scorefile(path).pgs_id == "my_score"


ALLELE = st.text("ACGT", min_size=1, max_size=3)
ROW = st.tuples(
    st.sampled_from(["1", "22", "X"]),
    st.integers(1, 2**31 - 1),
    ALLELE,
    st.none() | ALLELE,
    st.floats(-1e6, 1e6, allow_nan=False),
)


@given(rows=st.lists(ROW, min_size=1, max_size=20), packed=st.booleans(), harmonised=st.booleans())
def test_what_is_written_is_read(tmp_path_factory, rows, packed, harmonised):
    names = ["hm_chr", "hm_pos"] if harmonised else ["chr_name", "chr_position"]
    lines = ["#pgs_id=PGS1", "\t".join([*names, "effect_allele", "other_allele", "effect_weight"])]
    lines += ["\t".join("" if cell is None else repr(cell).strip("'") for cell in row) for row in rows]
    path = tmp_path_factory.mktemp("scores") / ("a.txt.gz" if packed else "a.txt")
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    read = read_scorefile(path).rows
    assert read.select("chrom", "pos", "effect_allele", "other_allele", "at_1").rows() == rows
    assert read["at_2"].equals(2 * read["at_1"])


@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused_with_one_line(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("scores") / "a.txt"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(DataError) as caught:
        read_scorefile(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        (["rsID", "effect_allele", "effect_weight"], ["rs1", "A", 1], "without positions.*hmPOS"),
        (["rsID", "chr_name", "effect_allele", "effect_weight"], ["rs1", "1", "A", 1], "without positions"),
        (["chr_name", "chr_position", "effect_weight"], ["1", 5, 1], "no effect_allele column"),
        (["chr_name", "chr_position", "effect_allele", "OR"], ["1", 5, "A", 1], "no weights.*effect_weight"),
        (None, ["1", 5, "A", "G", "abc"], "no finite number.*'abc' in effect_weight of row 1"),
        (None, ["1", 5, "A", "G", "inf"], "no finite number.*'inf'"),
        (None, ["1", 5, "A", "G", "nan"], "no finite number.*'nan'"),
        (None, ["1", 5, "A", "G", "1e999"], "no finite number"),
    ],
)
def test_unusable_files(scores, columns, row, message):
    folder = scores("bad.txt", [row], columns) if columns else scores("bad.txt", [row])
    with pytest.raises(DataError, match=message) as caught:
        read_scorefile(only(folder))
    assert "bad.txt" in str(caught.value)


def test_the_row_of_an_empty_weight_is_named(scores):
    rows = [["1", 5, "A", "G", 1], ["1", 6, "A", "G", None]]
    with pytest.raises(DataError, match="nothing in effect_weight of row 2"):
        read_scorefile(only(scores("a.txt", rows)))


def test_weights_that_are_all_empty(scores):
    with pytest.raises(DataError, match="nothing in effect_weight of row 1"):
        read_scorefile(only(scores("a.txt", [["1", 5, "A", "G", None]])))


def test_a_truncated_gzip_file(scores):
    path = only(scores("a.txt.gz", [["1", pos, "A", "G", pos / 7] for pos in range(5000)]))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(DataError, match=r"unreadable scoring file.*a\.txt\.gz"):
        read_scorefile(path)


def test_a_file_that_is_no_gzip(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match="unreadable scoring file"):
        read_scorefile(path)


@pytest.mark.parametrize(
    "text", ["", "#pgs_id=PGS1\n", "chr_name\tchr_position\teffect_allele\teffect_weight\n"]
)
def test_files_without_rows(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match="without rows"):
        read_scorefile(tmp_path / "a.txt")


def test_scoring_files_of_a_folder(tmp_path):
    for name in ("b.txt.gz", "a.txt", "notes.md"):
        (tmp_path / name).touch()
    assert [path.name for path in list_scorefiles(tmp_path)] == ["a.txt", "b.txt.gz"]
    assert list_scorefiles(tmp_path / "a.txt") == [tmp_path / "a.txt"]


@pytest.mark.parametrize("name", ["empty", "absent"])
def test_no_scoring_files(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"no scoring files.*{name}"):
        list_scorefiles(tmp_path / name)


def test_rows_have_one_schema(scores):
    columns = ["chr_name", "chr_position", "effect_allele", "effect_weight"]
    without_other = read_scorefile(only(scores("a.txt", [["1", 1, "A", 1]], columns)))
    assert without_other.rows.schema["other_allele"] == pl.String
