import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.schema import SCORES
from proband.genome import genome
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.keep import keep_samples
from proband.genome.genotypes.samples import identify
from proband.genome.leftout import LeftOut


def mapping(tmp_path, text):
    (tmp_path / "map.tsv").write_text(text)
    return tmp_path / "map.tsv"


def test_integer_names_are_the_subjects(capsys):
    assert identify(["7", "12"], None, "x")["subject_id"].to_list() == [7, 12]
    assert capsys.readouterr().err == ""


def test_other_names_join_to_no_record_and_one_line_says_so(capsys):
    found = identify(["HG1", "7"], None, "x")
    assert found["subject_id"].to_list() == [-1, 7]
    assert found["sample_id"].to_list() == ["HG1", "7"]
    assert "1 of 2 samples have no subject_id" in capsys.readouterr().err


def test_a_mapping_wins_and_leaves_the_rest_negative(tmp_path, capsys):
    path = mapping(tmp_path, "subject_id\tsample_id\n5\tb\n9\tc\n")
    assert identify(["a", "b", "c"], path, "x")["subject_id"].to_list() == [-1, 5, 9]
    assert identify(["b", "c"], path, "x")["subject_id"].to_list() == [5, 9]
    assert capsys.readouterr().err.count("1 of 3 samples") == 1


@pytest.mark.parametrize("names", [["1", "2", "1"], ["a", "a"]])
def test_duplicate_names(names):
    with pytest.raises(
        DataError, match=f"duplicate sample IDs.*x.*{names[0]}.*FID_IID, by plink2 --update-ids"
    ):
        identify(names, None, "x")


def test_two_samples_of_one_subject(tmp_path):
    with pytest.raises(DataError, match=r"two samples of one subject.*'7' and '007'.*= 7.*--keep"):
        identify(["7", "007"], None, "x")
    with pytest.raises(DataError, match=r"two samples of one subject.*subject_id = 5"):
        identify(["a", "b"], mapping(tmp_path, "sample_id\tsubject_id\na\t5\nb\t5\n"), "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample\tsubject_id\na\t5\n", "missing column"),
        ("sample_id\tsubject_id\na\tfive\n", "no integer.*'five' for sample 'a'"),
        ("sample_id\tsubject_id\na\t-5\n", "no integer"),
        ("sample_id\tsubject_id\na\t5\na\t6\n", "duplicate sample IDs.*'a'"),
        ("", "unreadable"),
    ],
)
def test_unusable_mapping(tmp_path, text, message):
    with pytest.raises(DataError, match=f"{message}.*remedy"):
        identify(["a"], mapping(tmp_path, text), "x")


def test_missing_mapping(tmp_path):
    with pytest.raises(DataError, match="unreadable table of samples"):
        identify(["a"], tmp_path / "absent.tsv", "x")


def test_subjects_of_64_bits():
    first = 9223298823261397041
    assert identify([str(first), str(2**63 - 1)], None, "x")["subject_id"].to_list() == [first, 2**63 - 1]


@pytest.mark.parametrize("name", ["9223372036854775808", "1e5", "-7", "7.0", " 7", "007x"])
def test_a_name_that_is_no_whole_number_is_judged_by_itself(name, capsys):
    assert identify(["12", name, "13"], None, "x")["subject_id"].to_list() == [12, -2, 13]
    assert "1 of 3 samples have no subject_id" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        '"sample_id"\t"subject_id"\n"0011"\t9223298823261397041\n"0012"\t5\n',
        "sample_id, subject_id\n0011, 9223298823261397041\n0012, 5.0\n",
        "\ufeffsample_id   subject_id\r\n 0011   9223298823261397041\r\n 0012   5e0\r\n\r\n",
        '"sample_id" "subject_id"\n"1" "0011" 9223298823261397041\n"2" "0012" 5\n',
        "subject_id,name,sample_id\n9223298823261397041,x,0011\n5,y,0012\n5,y,0012\n",
    ],
    ids=["quoted", "comma and blank", "padded", "row names of R", "repeated row"],
)
def test_however_a_mapping_is_spelt(tmp_path, text):
    found = identify(["0012", "0011"], mapping(tmp_path, text), "x")
    assert found["subject_id"].to_list() == [5, 9223298823261397041]
    assert found["sample_id"].to_list() == ["0012", "0011"]


def test_every_row_of_a_mapping_is_used_or_counted(tmp_path, capsys):
    rows = ["a\t1", "b\t", "c\tNA", "d\tfive", "e\t-5", "\t6", "f\t2.5", "a\t1", "g\t7.0", "h"]
    path = mapping(tmp_path, "sample_id\tsubject_id\n" + "\n".join(rows) + "\n\n")
    left_out = LeftOut()
    found = identify(list("abcdefgh"), path, "x", left_out)
    assert found["subject_id"].to_list() == [1, -2, -3, -4, -5, -6, 7, -8]
    assert {row["reason"]: (row["num_rows"], row["first"]) for row in left_out.rows} == {
        "no sample_id": (1, "line 7"),
        "no subject_id": (3, "line 3"),
        "subject_id is no integer of 0 or more": (3, "line 5"),
        "the same row again": (1, "line 9"),
    }
    assert sum(row["num_rows"] for row in left_out.rows) + 2 == len(rows)
    said = capsys.readouterr().err
    assert "3 rows of map.tsv left out: no subject_id (first: line 3)" in said
    assert "d" not in [word for word in said.split() if len(word) == 1]  # no name of a person


def test_two_subjects_of_a_sample(tmp_path):
    with pytest.raises(DataError, match=r"duplicate sample IDs.*two subjects of 'a'.*give each sample once"):
        identify(["a"], mapping(tmp_path, "sample_id\tsubject_id\na\t5\na\t6\n"), "x")


def test_the_remedy_for_two_samples_of_a_subject(pgen, scores, tmp_path):
    """One is left out with --keep, whose list may be quoted, and the rest is scored."""
    path = pgen([("1", 10, "A", "G")], [[0, 1, 2]], ["a", "b", "c"])
    folder = scores("S.txt", [["1", 10, "G", "A", 1]])
    names = mapping(tmp_path, "sample_id\tsubject_id\na\t5\nb\t5\nc\t6\n")
    with pytest.raises(DataError, match=r"'a' and 'b' with subject_id = 5.*out with --keep"):
        genome(path, folder, tmp_path / "out", samples=names)
    (tmp_path / "keep.txt").write_text('"FID" "IID"\n"f" "b"\n"f" "c"\n')
    genome(path, folder, tmp_path / "out", samples=names, keep=tmp_path / "keep.txt")
    assert SCORES.read(tmp_path / "out" / "scores.parquet").rows() == [(5, 1.0), (6, 2.0)]


def kept(tmp_path, text, names="123456"):
    """Which of some samples a list keeps."""
    (tmp_path / "keep.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    people = Genotypes((), pl.DataFrame(), list(names), np.zeros(len(names), bool), None)
    return "".join(keep_samples([people], tmp_path / "keep.txt")[0].sample_ids)


@pytest.mark.parametrize(
    "text",
    [
        "1\n2\n",
        "4 1\n5 2\n",
        "IID FID\n1 4\n2 5\n",
        "#IID SEX\n1 5\n2 6\n",
        "#FID\tIID\tSEX\n4\t1\t5\n4\t2\t6\n",
        "# people of 2024\nIID,age\n1,5\n2,6\n",
        "# people of 2024\n1\n2\n# end\n",
        "eid\n1\n2\n",
        '"family.ID" "sample.ID"\n"5" "1"\n"6" "2"\n',
    ],
)
def test_a_list_of_samples_is_read_by_its_column_names(tmp_path, text):
    assert kept(tmp_path, text) == "12"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n", "found rows of 3 columns without column names"),
        ("1\n2 3\n", "found rows of 1 and 2 columns without"),
        ("FID SEX\n1 2\n", "found columns FID SEX"),
        ("SEX IID\n1 2\n1\n", "found a row of 1 columns below SEX IID"),
        ("#IID\n", "found no names"),
    ],
)
def test_an_unclear_list_of_samples(tmp_path, text, message):
    with pytest.raises(DataError, match=rf"not a list of samples; in .*keep\.txt; {message}.*expected .*IID"):
        kept(tmp_path, text)


def test_a_list_of_samples_in_utf_16(tmp_path):
    with pytest.raises(DataError, match=r"not plain text; in .*keep\.txt; found text in UTF-16"):
        kept(tmp_path, "1\n2\n".encode("utf-16"))


def test_a_mapping_of_other_samples(tmp_path):
    path = mapping(tmp_path, "sample_id\tsubject_id\nA\t5\nB\t6\n")
    message = r"no sample is in the table.*map\.tsv; found 2 names, first 'A'; expected names such as 'a'"
    with pytest.raises(DataError, match=message):
        identify(["a", "b"], path, "x")
    assert identify(["a", "B"], path, "x")["subject_id"].to_list() == [-1, 6]


def test_a_mapping_in_parquet(tmp_path):
    pl.DataFrame({"sample_id": ["a"], "subject_id": [5]}).write_parquet(tmp_path / "map.parquet")
    message = r"not plain text; in .*map\.parquet; found a Parquet file; expected text in UTF-8"
    with pytest.raises(DataError, match=message):
        identify(["a"], tmp_path / "map.parquet", "x")
