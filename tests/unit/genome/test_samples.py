import pytest

from proband.core.errors import DataError
from proband.genome.samples import identify


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
    with pytest.raises(DataError, match=f"duplicate sample IDs.*x.*{names[0]}"):
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
