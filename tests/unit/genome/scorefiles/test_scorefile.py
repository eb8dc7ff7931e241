import gzip

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.errors import DataError
from proband.genome.genotypes.alleles import NO_ALLELE, NO_SITE, allele_codes, split_sites
from proband.genome.genotypes.builds import CHROMOSOMES
from proband.genome.scorefiles.scorefile import list_scorefiles, name_of, read_scorefile
from proband.genome.scorefiles.text import header_fields, open_score_text

AUTHOR = ["rsID", "chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight"]
HARMONISED = [*AUTHOR, "hm_chr", "hm_pos", "hm_inferOtherAllele"]


def only(folder):
    return next(iter(folder.iterdir()))


def places(rows):
    """Chromosome and position of every row."""
    numbers, positions = split_sites(rows.sites)
    return [
        (None, None) if site == NO_SITE else (CHROMOSOMES[number], int(position))
        for site, number, position in zip(rows.sites, numbers, positions, strict=True)
    ]


def coded(*alleles):
    return allele_codes(pl.Series(alleles, dtype=pl.String)).tolist()


def test_author_file_with_positions(scores):
    item = read_scorefile(
        only(scores("PGS000009.txt", [["rs1", "chr1", 5, "a", "G", 0.5]], AUTHOR, genome_build="hg19"))
    )
    assert item.pgs_id == "PGS000009"
    assert item.build == "GRCh37"
    assert places(item.rows) == [("1", 5)]
    assert [item.rows.effect.tolist(), item.rows.other.tolist()] == [coded("A"), coded("G")]
    assert item.rows.at.tolist() == [[0.0], [0.5], [1.0]]
    assert item.rows.is_scorable.all()


def test_harmonised_columns_win_even_when_empty(scores):
    rows = [["rs1", "1", 5, "A", "G", 1, "2", 7, None], ["rs2", "1", 6, "A", "G", 1, None, None, None]]
    item = read_scorefile(only(scores("PGS1_hmPOS_GRCh38.txt.gz", rows, HARMONISED, genome_build="GRCh37")))
    assert item.build == "GRCh38"
    assert places(item.rows) == [("2", 7), (None, None)]


def test_inferred_other_allele_only_where_none_is_given(scores):
    alleles = [("C", "T"), (None, "T"), (None, "A/T"), (None, None)]
    rows = [["rs", "1", 5, "G", other, 1, "1", 5, inferred] for other, inferred in alleles]
    item = read_scorefile(only(scores("a.txt", rows, HARMONISED)))
    assert item.rows.other.tolist() == [*coded("C", "T"), NO_ALLELE, NO_ALLELE]


def test_dominant_recessive_and_dosage_weights(scores):
    columns = ["chr_name", "chr_position", "effect_allele", "effect_weight", "is_dominant", "is_recessive"]
    rows = [
        ["1", 1, "A", 3, "True", "False"],
        ["1", 2, "A", 3, "False", "True"],
        ["1", 3, "A", 3, "True", "True"],
    ]
    item = read_scorefile(only(scores("a.txt", rows, columns)))
    assert item.rows.at.T.tolist()[:2] == [[0, 3, 3], [0, 0, 3]]
    assert item.rows.is_scorable.tolist() == [True, True, False]


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
    assert item.rows.at.T.tolist() == [[-1, 0.5, 4]]


@pytest.mark.parametrize("column", ["is_haplotype", "is_diplotype", "is_interaction"])
def test_complex_rows_are_not_scorable(scores, column):
    columns = ["chr_name", "chr_position", "effect_allele", "effect_weight", column]
    item = read_scorefile(
        only(scores("a.txt", [["1", 1, "A", 1, "True"], ["1", 2, "A", 1, "False"]], columns))
    )
    assert item.rows.is_scorable.tolist() == [False, True]


def test_hla_and_empty_alleles_are_not_scorable(scores):
    rows = [["6", 1, allele, None, 1] for allele in ("P", "N", None, "ACGT")]
    found = read_scorefile(only(scores("a.txt", rows))).rows.is_scorable
    assert found.tolist() == [False, False, False, True]


def test_windows_line_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(
        b"#pgs_id=PGS7\r\nchr_name\tchr_position\teffect_allele\teffect_weight\r\n1\t5\tA\t0.5\r\n"
    )
    item = read_scorefile(path)
    assert (item.pgs_id, item.rows.at[1].tolist(), places(item.rows)) == ("PGS7", [0.5], [("1", 5)])


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
    assert places(read) == [row[:2] for row in rows]
    assert read.effect.tolist() == coded(*(row[2] for row in rows))
    assert read.other.tolist() == coded(*(row[3] for row in rows))
    assert read.at[1].tolist() == [row[4] for row in rows]
    np.testing.assert_array_equal(read.at[2], 2 * read.at[1])


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


def test_columns_may_be_missing(scores):
    columns = ["chr_name", "chr_position", "effect_allele", "effect_weight"]
    without_other = read_scorefile(only(scores("a.txt", [["1", 1, "A", 1]], columns)))
    assert without_other.rows.other.tolist() == [NO_ALLELE]


OLD = """### PGS CATALOG SCORING FILE
## POLYGENIC SCORE (PGS) INFORMATION
# PGS ID = PGS000009
# Reported Trait = Breast cancer
# Original Genome Build = hg19
# Number of Variants = 1
rsID\tchr_name\tchr_position\teffect_allele\treference_allele\teffect_weight
rs1\t1\t5\tA\tG\t0.5
"""


def test_format_1(tmp_path):
    (tmp_path / "a.txt").write_text(OLD)
    item = read_scorefile(tmp_path / "a.txt")
    assert (item.pgs_id, item.build) == ("PGS000009", "GRCh37")
    assert item.metadata["trait_reported"] == "Breast cancer"
    assert item.rows.other.tolist() == coded("G")


@pytest.mark.parametrize("separator", ["\t", ",", " "])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_own_files_without_header_lines(tmp_path, separator, bom):
    lines = [
        ["chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight"],
        ["chr1", "5", "A", "G", "0.5"],
    ]
    path = tmp_path / "mine.csv"
    path.write_text(bom + "\n".join(separator.join(line) for line in lines) + "\n", encoding="utf-8")
    item = read_scorefile(path)
    assert (item.pgs_id, places(item.rows), item.rows.at[1].tolist()) == ("mine", [("1", 5)], [0.5])


def test_quoted_commas(tmp_path):
    (tmp_path / "a.csv").write_text(
        '"chr_name","chr_position","effect_allele","effect_weight"\n"1","5","A","-1"\n'
    )
    assert read_scorefile(tmp_path / "a.csv").rows.at[1].tolist() == [-1]


def test_gzip_by_content_whatever_the_name(tmp_path):
    (tmp_path / "a.txt").write_bytes(gzip.compress(OLD.encode()))
    assert read_scorefile(tmp_path / "a.txt").pgs_id == "PGS000009"


def test_a_position_that_is_no_number_is_none(scores):
    rows = [["1", 5, "A", "G", 1], ["1", "five", "A", "G", 1], ["1", "7.0", "A", "G", " 2 "]]
    item = read_scorefile(only(scores("a.txt", rows)))
    assert places(item.rows) == [("1", 5), (None, None), ("1", 7)]
    assert item.rows.at[1].tolist() == [1, 1, 2]


def test_unsorted_and_empty_chromosomes(scores):
    rows = [[chrom, 5, "A", "G", 1] for chrom in ("2", None, None, "1", "2", "", "HLA", "23")]
    found = places(read_scorefile(only(scores("a.txt", rows))).rows)
    none = (None, None)
    assert found[:6] == [("2", 5), none, none, ("1", 5), ("2", 5), none]
    assert found[6][0] == ""  # another contig
    assert found[7] == ("X", 5)


def test_identifiers_in_place_of_positions(scores):
    columns = ["rsID", "effect_allele", "effect_weight"]
    path = only(scores("a.txt", [["rs1", "A", 1], [None, "A", 2]], columns))
    item = read_scorefile(path, by_id=True)
    assert item.ids.to_list() == ["rs1", None]
    assert (item.rows.sites == NO_SITE).all()


def test_no_identifiers(scores):
    with pytest.raises(DataError, match=r"without identifiers.*hm_rsID or rsID"):
        read_scorefile(only(scores("a.txt", [["1", 5, "A", "G", 1]])), by_id=True)


CELL = st.sampled_from(
    ["1", "X", "5", "A", "G", "A/T", "", "NA", "-0.5", "1e999", "nan", "true", '"', "é", "\x00"]
) | st.text(max_size=6)


@given(
    header=st.lists(st.text(max_size=20), max_size=2),
    columns=st.lists(
        st.sampled_from(
            [
                *HARMONISED,
                "is_dominant",
                "is_haplotype",
                "dosage_0_weight",
                "dosage_1_weight",
                "dosage_2_weight",
            ]
        ),
        max_size=10,
    ),
    rows=st.lists(st.lists(CELL, max_size=9), max_size=4),
    separator=st.sampled_from(["\t", ",", " "]),
)
def test_any_table_is_read_or_refused(tmp_path_factory, header, columns, rows, separator):
    lines = [
        *(f"#{line}" for line in header),
        separator.join(columns),
        *(separator.join(row) for row in rows),
    ]
    path = tmp_path_factory.mktemp("scores") / "a.txt"
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    try:
        read = read_scorefile(path)
    except DataError:
        return
    assert len(read.rows) > 0
    assert np.isfinite(read.rows.at).all()


OWN = ["chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight"]


@pytest.mark.parametrize("kind", ["OR", "HR", "OR/HR", "Odds ratio", "Hazard Ratio (HR)", "odds_ratio"])
def test_of_ratios_the_logarithm_is_taken(scores, kind):
    rows = [["1", 5, "A", "G", 2], ["1", 6, "A", "G", "0.5"], ["1", 7, "A", "G", 1]]
    item = read_scorefile(only(scores("a.txt", rows, OWN, weight_type=kind)))
    assert item.log_of == kind
    np.testing.assert_allclose(item.rows.at[1], [np.log(2), -np.log(2), 0])
    np.testing.assert_allclose(item.rows.at[2], 2 * item.rows.at[1])


@pytest.mark.parametrize(
    "kind", ["log(OR)", "logOR", "ln(HR)", "beta", "NR", "", "Log Odds Ratio", "inverse"]
)
def test_other_weights_are_taken_as_they_stand(scores, kind):
    item = read_scorefile(only(scores("a.txt", [["1", 5, "A", "G", -2]], OWN, weight_type=kind)))
    assert (item.log_of, item.rows.at[1].tolist()) == (None, [-2])


@pytest.mark.parametrize("weight", [0, -0.1])
def test_a_ratio_not_above_0(scores, weight):
    folder = scores("a.txt", [["1", 5, "A", "G", 2], ["1", 6, "A", "G", weight]], OWN, weight_type="OR")
    with pytest.raises(
        DataError, match=r"type OR is not above 0.*a\.txt.*in effect_weight of row 2.*weight_type"
    ) as caught:
        read_scorefile(only(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "pgs_id"),
    [
        ("lipids_b0.5_phi1e-02.txt", "lipids_b0.5_phi1e-02"),
        ("PGS1_hmPOS_GRCh38.txt.gz", "PGS1_hmPOS_GRCh38"),
        ("a.b.csv", "a.b"),
        ("weights.v2", "weights.v2"),
    ],
)
def test_a_file_without_name_is_called_as_the_file_up_to_its_ending(tmp_path, name, pgs_id):
    assert name_of(tmp_path / name) == pgs_id


@pytest.mark.parametrize(
    "kind",
    [
        "Odds ratio (logistic regression)", "OR (per-allele, log-additive model)", "exp(beta)",
        "ORs from logistic regression", "or", "or/hr", "RR (log-binomial regression)", "Relative risk", "aOR",
        "exponentiated beta", "OR = exp(beta)", "exp(log(OR))",
    ],
)  # fmt: skip
def test_ratios_in_free_text(scores, kind):
    item = read_scorefile(only(scores("a.txt", [["1", 5, "A", "G", 2]], OWN, weight_type=kind)))
    assert item.log_of == kind
    np.testing.assert_allclose(item.rows.at[:, 0], [0, np.log(2), np.log(4)])


@pytest.mark.parametrize(
    "kind",
    [
        "posterior effects or weights", "log(OR) from logistic regression", "OR (log-transformed)", "log_OR",
        "logarithm of the hazard ratio", "beta; OR = exp(beta)", "ln HR", "log10(OR)", "Beta or log-odds",
    ],
)  # fmt: skip
def test_free_text_without_ratios(scores, kind):
    item = read_scorefile(only(scores("a.txt", [["1", 5, "A", "G", 2]], OWN, weight_type=kind)))
    assert (item.log_of, item.rows.at[1].tolist()) == (None, [2])


@pytest.mark.parametrize(
    ("kinds", "weight"), [(["OR", "OR"], 0.5), (["OR", "HR"], 0.5), (["beta", "beta"], 2), ([None, "NR"], 2)]
)
def test_a_column_of_weight_types(scores, kinds, weight):
    rows = [["1", 5 + row, "A", "G", 2, kind] for row, kind in enumerate(kinds)]
    item = read_scorefile(only(scores("a.txt", rows, [*OWN, "weight_type"])))
    expected = np.log(2) if weight < 1 else 2
    np.testing.assert_allclose(item.rows.at[1], [expected, expected])


@pytest.mark.parametrize(
    ("kinds", "header", "found"),
    [
        (["OR", "beta"], {}, "OR and beta"),
        (["OR", None], {}, "OR and nothing"),
        (["OR", "OR"], {"weight_type": "beta"}, "OR and beta"),
        (["NR", "NR"], {"weight_type": "OR"}, "OR and NR"),
    ],
)
def test_weights_of_mixed_kinds(scores, kinds, header, found):
    rows = [["1", 5 + row, "A", "G", 2, kind] for row, kind in enumerate(kinds)]
    message = (
        rf"weights of mixed kinds; in .*a\.txt; found weight_type {found}; expected one.*remedy: .*split"
    )
    with pytest.raises(DataError, match=message):
        read_scorefile(only(scores("a.txt", rows, [*OWN, "weight_type"], **header)))


def test_a_header_of_ratios_over_an_empty_column(scores):
    rows = [["1", 5, "A", "G", 2, None]]
    item = read_scorefile(only(scores("a.txt", rows, [*OWN, "weight_type"], weight_type="OR")))
    assert item.log_of == "OR"


@pytest.mark.parametrize(
    "line",
    ["#Weight_Type=OR", "# weight_type: OR", "#WEIGHT TYPE = OR", "##weight_type=OR", "#weight_type:OR"],
)
def test_header_fields_however_they_are_spelt(tmp_path, line):
    (tmp_path / "a.txt").write_text(f"{line}\n" + "\t".join(OWN) + "\n1\t5\tA\tG\t2\n")
    np.testing.assert_allclose(read_scorefile(tmp_path / "a.txt").rows.at[1], [np.log(2)])


def test_comments_are_no_header_fields():
    lines = ["# Note: the weight_type: OR was turned round", "## a = b", "# see https://x.org?weight_type=OR"]
    assert header_fields(lines) == {}
    assert header_fields(["#HmPOS_build=GRCh38", "#hmpos_BUILD: GRCh37"]) == {"HmPOS_build": "GRCh37"}


def test_flags_however_they_are_spelt(scores):
    yes, no = ["1.0", "T", "yes", "Y", "TRUE", "1"], ["0.0", "f", "No", "n", "FALSE", "0", None, "nan"]
    rows = [["1", 5 + row, "A", "G", 3, flag] for row, flag in enumerate(yes + no)]
    item = read_scorefile(only(scores("a.txt", rows, [*OWN, "is_dominant"])))
    assert item.rows.at[2].tolist() == [3] * len(yes) + [6] * len(no)
    complex_rows = read_scorefile(only(scores("a.txt", rows, [*OWN, "is_haplotype"]))).rows
    assert complex_rows.is_scorable.tolist() == [False] * len(yes) + [True] * len(no)


@pytest.mark.parametrize("flag", ["is_dominant", "is_recessive", "is_haplotype", "is_interaction"])
def test_a_flag_of_another_value(scores, flag):
    rows = [["1", 5, "A", "G", 1, "1"], ["1", 6, "A", "G", 1, "perhaps"]]
    with pytest.raises(DataError, match=rf"{flag} is not .*'perhaps' in {flag} of row 2; expected true or"):
        read_scorefile(only(scores("a.txt", rows, [*OWN, flag])))


def test_effect_types_of_pygscatalog(scores):
    kinds = ["additive", "dominant", "Recessive", None]
    rows = [["1", 5 + row, "A", "G", 3, kind, "PGS1"] for row, kind in enumerate(kinds)]
    item = read_scorefile(only(scores("a.txt", rows, [*OWN, "effect_type", "accession"])))
    assert item.rows.at.T.tolist() == [[0, 3, 6], [0, 3, 3], [0, 0, 3], [0, 3, 6]]


def test_weights_by_dosage_are_nonadditive(scores):
    columns = ["chr_name", "chr_position", "effect_allele", "effect_type"]
    columns += [f"dosage_{dosage}_weight" for dosage in range(3)]
    item = read_scorefile(only(scores("a.txt", [["1", 1, "A", "nonadditive", -1, 0.5, 4]], columns)))
    assert item.rows.at.T.tolist() == [[-1, 0.5, 4]]


@pytest.mark.parametrize("kind", ["overdominant", "nonadditive"])
def test_an_effect_type_that_is_not_known(scores, kind):
    rows = [["1", 5, "A", "G", 1, "additive"], ["1", 6, "A", "G", 1, kind]]
    message = (
        rf"effect_type is not .*'{kind}' in effect_type of row 2; expected additive, dominant, recessive"
    )
    with pytest.raises(DataError, match=message):
        read_scorefile(only(scores("a.txt", rows, [*OWN, "effect_type"])))


def test_several_scores_in_one_file(scores):
    rows = [["1", 5, "A", "G", 1, f"PGS{row}"] for row in (1, 1, 2)]
    message = r"several scores in one file; in .*a\.txt; found accession PGS1, PGS2;.*split the file by acc"
    with pytest.raises(DataError, match=message):
        read_scorefile(only(scores("a.txt", rows, [*OWN, "accession"])))


def test_a_score_may_not_be_called_as_the_subjects(scores, tmp_path):
    (tmp_path / "subject_id.txt").write_text("\t".join(OWN) + "\n1\t5\tA\tG\t2\n")
    with pytest.raises(
        DataError, match=r"name of the subjects' column; in .*found subject_id;.*#pgs_id=NAME"
    ):
        read_scorefile(tmp_path / "subject_id.txt")


TABLE = "\t".join(OWN) + "\n1\t5\tA\tG\t2\n1\t6\tC\tT\t3\n"


@pytest.mark.parametrize("comments", ["", "#pgs_id=P\n"])
def test_column_names_behind_a_hash(tmp_path, comments):
    (tmp_path / "a.txt").write_text(f"{comments}#{TABLE}")
    item = read_scorefile(tmp_path / "a.txt")
    assert (places(item.rows), item.rows.at[1].tolist()) == ([("1", 5), ("1", 6)], [2, 3])
    assert item.pgs_id == ("P" if comments else "a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TABLE.replace("\n", "\r").encode(), "found lines that end in a carriage return only;.*tr "),
        (("#pgs_id=P\n" + TABLE).replace("\n", "\r").encode(), "found lines that end in a carriage return"),
        (TABLE.encode("utf-16"), "found text in UTF-16; expected .*UTF-8;.*iconv"),
        (gzip.compress(TABLE.encode("utf-16")), "found text in UTF-16"),
        (b"PAR1 and more", "found a Parquet file"),
        (b"PK\x03\x04 and more", "found a zip archive;.*unpack it"),
    ],
)
def test_files_that_are_no_plain_text(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=rf"not plain text; in .*a\.txt; {message}") as caught:
        read_scorefile(tmp_path / "a.txt")
    assert "\n" not in str(caught.value)


def test_scoring_files_in_any_case_and_what_else_the_folder_holds(tmp_path, capsys):
    for name in ("P1.txt", "P2.TXT", "P4.tsv.GZ", "P5.txt.zip", "notes.md", ".DS_Store", "._P1.txt"):
        (tmp_path / name).write_text(TABLE)
    blocks = [gzip.compress(part.encode()) for part in (TABLE, "2\t7\tC\tT\t4\n")]
    (tmp_path / "P3.txt.bgz").write_bytes(b"".join(blocks))
    (tmp_path / "sub.txt").mkdir()
    files = list_scorefiles(tmp_path)
    assert [path.name for path in files] == ["P1.txt", "P2.TXT", "P3.txt.bgz", "P4.tsv.GZ"]
    assert [name_of(path) for path in files] == ["P1", "P2", "P3", "P4"]
    assert read_scorefile(files[2]).rows.at[1].tolist() == [2, 3, 4]
    said = capsys.readouterr().err
    assert "3 of 7 items of" in said
    assert (
        "are not read: P5.txt.zip, notes.md, sub.txt/ (scoring files end in .txt, .txt.gz, .txt.bgz" in said
    )


def test_a_folder_without_scoring_files_names_what_it_holds(tmp_path):
    for number in range(7):
        (tmp_path / f"P{number}.zip").touch()
    with pytest.raises(DataError, match=r"no scoring files.*found P0.zip, .*P4.zip and 2 more only;"):
        list_scorefiles(tmp_path)


def test_a_line_of_names_that_begins_with_a_hash_and_cannot_be_split_is_unreadable(tmp_path):
    path = tmp_path / "score.txt"
    path.write_text(f"#pgs_id=P\n#effect_allele,chr_name,chr_position,{'x' * 200_000}\n1,2,3,4\n")
    with pytest.raises(DataError, match=r"unreadable scoring file.*field larger than field limit"):
        open_score_text(path)


NAMES, ROWS = (
    ["chr_name", "chr_position", "effect_allele", "effect_weight"],
    [["1", "5", "A", "2"], ["1", "6", "C", "3"]],
)


@pytest.mark.parametrize("separator", ["\t", ","])
@pytest.mark.parametrize("before", ["", "#"])
def test_a_separator_at_the_end_of_rows_is_no_value(tmp_path, separator, before):
    lines = [before + separator.join(NAMES), *(separator.join([*row, ""]) for row in ROWS)]
    (tmp_path / "a.txt").write_text("\n".join(lines) + "\n")
    rows = read_scorefile(tmp_path / "a.txt").rows
    assert places(rows) == [("1", 5), ("1", 6)]
    assert rows.effect.tolist() == coded("A", "C")
    assert rows.at[1].tolist() == [2, 3]


def test_a_value_behind_the_last_column(tmp_path):
    lines = ["\t".join(NAMES), "1\t5\tA\t2\t", "1\t6\tC\tx\t3"]
    (tmp_path / "a.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"unreadable scoring file; .*found 5 values in row 2 under 4 column"):
        read_scorefile(tmp_path / "a.txt")
