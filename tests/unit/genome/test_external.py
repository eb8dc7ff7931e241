import gzip
import json

import numpy as np
import polars as pl
import pytest

from proband.core.errors import ConfigError, DataError
from proband.core.schema import MATCH, SAMPLES, SCORES
from proband.genome import AncestryConfig, AncestryInputs, genome_from_scores

LONG = "sampleset\tIID\tPGS\tSUM\tDENOM\tAVG\n"
SSCORE = "#FID\tIID\tALLELE_CT\tNAMED_ALLELE_DOSAGE_SUM\tPGS1_AVG\tPGS1_SUM\tPGS2_SUM\n"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "genome"


@pytest.fixture
def read(tmp_path, out):
    """Writes text to files, takes their scores, returns scores.parquet."""

    def taken(*texts, name="scores{}.sscore", **options):
        paths = [tmp_path / name.format(number) for number, _ in enumerate(texts)]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        genome_from_scores(paths, out, **options)
        return SCORES.read(out / "scores.parquet")

    return taken


def long_of(rows, sampleset="mine"):
    return "".join(f"{sampleset}\t{who}\t{score}\t{total}\t10\t{total / 10}\n" for who, score, total in rows)


ROWS = [(2, "PGS1", 0.5), (1, "PGS1", -1.5), (1, "PGS2", 7), (2, "PGS2", 8)]


@pytest.mark.parametrize("name", ["aggregated_scores{}.txt.gz", "aggregated_scores{}.txt"])
def test_aggregated_file_of_pgsc_calc(read, out, capsys, name):
    found = read(LONG + long_of([(9, "PGS1", 3)], "reference") + long_of(ROWS), name=name)
    assert found.rows() == [(2, 0.5, 8), (1, -1.5, 7)]
    assert found.schema["PGS1"] == pl.Float32
    assert "sample set reference" in capsys.readouterr().err
    assert SAMPLES.read(out / "samples.parquet")["sample_id"].to_list() == ["2", "1"]
    assert MATCH.read(out / "match.parquet").is_empty()
    assert list(json.loads((out / "scores.json").read_text())) == ["PGS1", "PGS2"]


def test_a_long_file_in_many_batches(read, monkeypatch):
    from proband.genome.scorefiles import scoretables

    monkeypatch.setattr(scoretables, "_BATCH_BYTES", 4000)
    rng = np.random.default_rng(0)
    rows = [(who, f"PGS{score}", round(rng.normal(), 4)) for who in range(200) for score in range(7)]
    rng.shuffle(rows)
    rows = [(int(who), str(score), float(total)) for who, score, total in rows]
    found = read(LONG + long_of(rows), name="a{}.txt.gz")
    expected = {(who, score): total for who, score, total in rows}
    for row in found.iter_rows(named=True):
        for score in range(7):
            assert row[f"PGS{score}"] == pytest.approx(expected[row["subject_id"], f"PGS{score}"], abs=1e-6)
    assert found.height == 200


def test_sums_that_are_absent_are_nan(read, capsys):
    found = read(LONG + long_of(ROWS[:3]), name="a{}.txt")
    assert np.isnan(found["PGS2"].to_list()[0])
    assert "1 of 4 sums are not in a0.txt; they are NaN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LONG + long_of(ROWS) + long_of(ROWS[:1]), "repeated sums.*5 rows for 4 pairs"),
        (LONG + "mine\t1\tPGS1\t\t10\t1\n", "without a sum"),
        (LONG + long_of(ROWS) + long_of(ROWS, "yours"), "not one sample set.*mine, yours"),
        (LONG + "mine\t1\tPGS1\tabc\t10\t1\n", "SUM is no finite number.*'abc' in row 1"),
        (LONG, "without rows|not one sample set"),
        ("", "unreadable score table"),
        ("\x00\x01", "unreadable score table|not a table|without rows"),
        ("IID\tPGS1\n1\tx\n", "not a table of scores.*PGS1 of type String"),
        ("IID\n1\n", "not a table of scores.*no column of scores"),
        ("IID\tPGS1\n1\t2\n1\t3\n", "duplicate sample IDs"),
        (",PGS1\n0,0.5\n1,0.25\n", "no column of samples;.*found columns row name 1, PGS1;.*row numbers"),
        ('"PGS1"\n"1" 0.5\n"2" 0.25\n', "no column of samples;.*found columns row name, PGS1"),
        ("PGS1,PGS2\n0.5,1\n0.25,2\n", "no column of samples;.*name the column of samples IID"),
        (",PGS1,PGS2\n1001,1,0.5\n1002,2,0.25\n", "several columns that may hold samples;.*row name 1, PGS1"),
        ("id,eid,PGS1\n1,1001,0.5\n2,1002,0.25\n", "columns of samples that disagree;.*found eid and id;"),
        ("iid,PGS1,eid\nHG1,0.5,1001\n", "columns of samples that disagree;.*found iid and eid;.*subject_id"),
        ("FID,PGS1\nf1,0.5\n", "no column of samples;.*found columns FID, PGS1"),
    ],
)
def test_unusable_files(read, out, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read(text, name="a{}.txt")
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_a_truncated_gzip_file(tmp_path, out):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress((LONG + long_of(ROWS * 2000)).encode())[:-200])
    with pytest.raises(DataError, match=r"unreadable score table.*a\.txt\.gz"):
        genome_from_scores([path], out)


def test_a_missing_file(tmp_path, out):
    for name in ("absent.txt", "absent.parquet"):
        with pytest.raises(DataError, match=rf"unreadable score table.*{name}"):
            genome_from_scores([tmp_path / name], out)


WIDE = "sampleset\tIID\tDENOM\tPGS1_SUM\tPGS2_SUM\tPGS1_AVG\tPGS2_AVG\n"


def test_the_wide_table_of_pgsc_calc_1(read, capsys):
    rows = "reference\tHG1\t4\t9\t9\t1\t1\nmine\t2\t4\t1.5\t2.5\t.1\t.2\nmine\t1\t4\t-1\t\t.1\t.2\n"
    found = read(WIDE + rows, name="aggregated_scores{}.txt.gz")
    assert found.columns == ["subject_id", "PGS1", "PGS2"]
    assert found["subject_id"].to_list() == [2, 1]
    np.testing.assert_array_equal(found.drop("subject_id"), [[1.5, 2.5], [-1, np.nan]])
    said = capsys.readouterr().err
    assert "the rows of the sample set reference in aggregated_scores0.txt.gz are left out" in said
    assert "left out: sampleset, DENOM, PGS1_AVG, PGS2_AVG" in said


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("mine\t1\t4\t1\t1\t1\t1\nyours\t2\t4\t1\t1\t1\t1\n", "mine, yours"),
        ("reference\t1" + "\t1" * 5 + "\n", "reference only"),
    ],
)
def test_sample_sets_of_the_wide_table(read, rows, found):
    with pytest.raises(DataError, match=f"not one sample set.*found {found}; remedy"):
        read(WIDE + rows, name="a{}.txt")


def test_sums_of_plink2(read):
    found = read(SSCORE + "0\t1\t4\t2\t0.5\t2\t-1\n0\t2\t4\t2\t1\t4\t0.25\n")
    assert found.rows() == [(1, 2, -1), (2, 4, 0.25)]


def test_one_file_per_chromosome_is_added(read, capsys):
    rows = "0\t1\t4\t2\t0.5\t2\t-1\n0\t2\t4\t2\t1\t4\t0.25\n"
    found = read(SSCORE + rows, SSCORE + rows.replace("-1", "5"))
    assert found.rows() == [(1, 4, 4), (2, 8, 0.5)]
    assert "2 files hold the same scores" in capsys.readouterr().err


def test_files_of_other_scores_stand_side_by_side(read):
    one, other = "IID\tA\n1\t2\n2\t3\n", "IID\tB\tC\n1\t4\t5\n2\t6\t7\n"
    assert read(one, other).rows() == [(1, 2, 4, 5), (2, 3, 6, 7)]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("IID\tA\tB\n1\t2\t3\n2\t3\t4\n", "a score comes more than once.*found A"),
        ("IID\tB\n2\t2\n1\t3\n", "different samples.*scores1.sscore"),
        (LONG + "mine\t1\tA\t2\t3\t4\n", "several files where one is long"),
    ],
)
def test_files_that_do_not_go_together(read, other, message):
    with pytest.raises(DataError, match=message):
        read("IID\tA\n1\t2\n2\t3\n", other)


def test_averages_are_refused_with_the_reason(read):
    with pytest.raises(DataError, match=r"averages in place of sums.*PGS1_AVG.*_SUM.*cols=\+scoresums"):
        read("#IID\tALLELE_CT\tNAMED_ALLELE_DOSAGE_SUM\tPGS1_AVG\n1\t4\t2\t0.5\n")


@pytest.mark.parametrize("kind", ["tsv", "csv", "parquet"])
def test_wide_tables(tmp_path, out, kind):
    table = pl.DataFrame({"FID": [0, 0], "person": ["b", "a"], "PGS1": [1.5, None], "PGS2": [1, 2]})
    path = tmp_path / f"wide.{kind}"
    table = table.rename({"person": "sample_id"})
    if kind == "parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path, separator="\t" if kind == "tsv" else ",")
    (tmp_path / "map.tsv").write_text("sample_id\tsubject_id\na\t10\nb\t20\n")
    genome_from_scores([path], out, samples=tmp_path / "map.tsv")
    found = SCORES.read(out / "scores.parquet")
    assert found["subject_id"].to_list() == [20, 10]
    assert found["PGS2"].to_list() == [1, 2]
    assert found["PGS1"][0] == 1.5
    assert np.isnan(found["PGS1"].to_numpy()[1])


def test_ancestry_needs_components(read, tmp_path):
    with pytest.raises(ConfigError, match=r"components need genotypes.*--pcs"):
        read("IID\tA\n1\t2\n2\t3\n", ancestry=AncestryConfig(), ancestry_inputs=AncestryInputs())


def test_finished_output_is_left_alone(read, capsys):
    read("IID\tA\n1\t2\n")
    read("IID\tA\n1\t2\n")
    assert "already finished" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="other inputs"):
        read("IID\tA\n1\t3\n")


def test_names_stay_text(read, tmp_path, out):
    (tmp_path / "map.tsv").write_text("sample_id\tsubject_id\n0011\t5011\n0012\t5012\n")
    found = read("IID\tPGS1\n0011\t1\n0012\t2\n", samples=tmp_path / "map.tsv")
    assert found.rows() == [(5011, 1), (5012, 2)]
    assert SAMPLES.read(out / "samples.parquet")["sample_id"].to_list() == ["0011", "0012"]


@pytest.mark.parametrize(
    ("name", "text", "scores"),
    [
        ("T2D.v1.best", "FID IID In_Regression PRS\nf 1 Yes 0.5\nf 2 No 1e-3\n", ["T2D.v1"]),
        ("a.best", "FID IID In_Regression Base Set1\nf 1 Yes 0.5 1\nf 2 No 1e-3 2\n", ["Base", "Set1"]),
        ("b.profile", " FID  IID PHENO CNT CNT2 SCORE\n  f  1  -9  8  3   0.5\n  f  2 -9 8 2 1e-3\n", ["b"]),
        ("c.profile", "FID IID PHENO CNT CNT2 SCORESUM\nf 1 -9 8 3 0.5\nf 2 -9 8 2 0.001\n", ["c"]),
        ("d.all_score", "FID IID Pt_5e-08 Pt_1\nf 1 0.5 1\nf 2 0.001 2\n", ["Pt_5e-08", "Pt_1"]),
        ("e.sscore", "#FID\tIID\tCNT\tx_SUM\nf\t1\t8\t0.5\nf\t2\t8\t0.001\n", ["x"]),
        ("f.txt", '"IID"\t"PGS1"\n"1"\t0.5\n"2"\t0.001\n', ["PGS1"]),
        ("g.csv", "IID, PGS1\n1, 0.5\n2, 0.001\n", ["PGS1"]),
        ("j.csv", ",IID,PGS1\n0,1,0.5\n1,2,0.001\n", ["PGS1"]),
        ("i.tsv", "\ufeffIID\tPGS1\r\n1\t0.5\r\n\r\n2\t0.001\r\n\r\n", ["PGS1"]),
    ],
)  # fmt: skip
def test_tables_as_other_programs_write_them(tmp_path, out, name, text, scores):
    (tmp_path / name).write_bytes(text.encode())
    genome_from_scores([tmp_path / name], out)
    found = SCORES.read(out / "scores.parquet")
    assert found.columns == ["subject_id", *scores]
    assert found["subject_id"].to_list() == [1, 2]
    np.testing.assert_allclose(found[scores[0]].to_numpy(), [0.5, 0.001], rtol=1e-6)


def test_a_parquet_file_of_another_name(tmp_path, out):
    pl.DataFrame({"IID": [7], "PGS1": [0.5]}).write_parquet(tmp_path / "scores.pq")
    genome_from_scores([tmp_path / "scores.pq"], out)
    assert SCORES.read(out / "scores.parquet")["subject_id"].to_list() == [7]
    (tmp_path / "cut.csv").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"unreadable score table; in .*cut\.csv; found Parquet"):
        genome_from_scores([tmp_path / "cut.csv"], tmp_path / "other")


def test_names_that_floats_have_rounded_are_refused(tmp_path, out):
    for name, dtype in ((900719925474099301, pl.Float64), (16777219, pl.Float32)):
        names = pl.Series("IID", [float(name), 7.0], dtype=dtype)
        pl.DataFrame([names, pl.Series("PGS1", [0.5, 1.0])]).write_parquet(tmp_path / "t.parquet")
        with pytest.raises(DataError, match=r"names of samples that were rounded.*\d{8} in IID.*remedy"):
            genome_from_scores([tmp_path / "t.parquet"], out)
    exact = pl.DataFrame({"IID": [2.0**53, 7.0], "PGS1": [0.5, 1.0]})
    exact.write_parquet(tmp_path / "t.parquet")
    genome_from_scores([tmp_path / "t.parquet"], out)
    assert SCORES.read(out / "scores.parquet")["subject_id"].to_list() == [2**53, 7]


def test_an_average_is_said_to_be_one(read, capsys):
    read("FID IID PHENO CNT CNT2 SCORE\nf 1 -9 8 3 0.5\n", name="b{}.profile")
    assert (
        "SCORE of b0.profile (an average per allele, taken as it is) is the score b0"
        in capsys.readouterr().err
    )


def test_every_row_is_used_or_counted(read, out, capsys):
    found = read("IID\tPGS1\n1\t0.5\n\t7\n2\tNA\nNA\t8\n3\t1\n")
    assert found["subject_id"].to_list() == [1, 2, 3]
    assert np.isnan(found["PGS1"][1])
    left_out = json.loads((out / "manifest.json").read_text())["notes"]["rows_left_out"]
    assert left_out == [{"file": "scores0.sscore", "reason": "no IID", "num_rows": 2, "first": "row 2"}]
    assert found.height + 2 == 5


def test_every_row_of_a_long_file_is_used_or_counted(read, out):
    rows = [(1, "PGS1", 1.0), (2, "PGS1", 2.0)]
    odd = "mine\t\tPGS1\t1\t10\t1\nmine\t3\tPGS1\tNA\t10\t1\n"
    found = read(LONG + long_of(rows[:1]) + odd + long_of(rows[1:]))
    assert found["subject_id"].to_list() == [1, 3, 2]
    left_out = json.loads((out / "manifest.json").read_text())["notes"]["rows_left_out"]
    assert [(row["reason"], row["num_rows"], row["first"]) for row in left_out] == [
        ("no sampleset, IID or PGS", 1, "row 2"),
        ("no SUM", 1, "row 3"),
    ]
    assert int(np.isfinite(found["PGS1"].to_numpy()).sum()) + 2 == 4


def test_sums_beyond_float32(read):
    with pytest.raises(DataError, match=r"not a table of scores.*PGS1.*'1e300' in row 2.*finite"):
        read("IID\tPGS1\n1\t1\n2\t1e300\n")


def test_rows_of_other_widths(read):
    with pytest.raises(DataError, match=r"unreadable score table.*3 values on line 3 for 2 columns"):
        read("IID PGS1\n1 1\n2 1 5\n")
    with pytest.raises(DataError, match="unreadable score table"):
        read("IID\tPGS1\n1\t1\n2\t1\t5\n")


@pytest.mark.parametrize(
    ("name", "text", "left_out"),
    [
        ("pandas.csv", ",person_id,PGS1\n0,1001,0.5\n1,1002,0.25\n", "row name 1"),
        ("twice.csv", ",Unnamed: 0,eid,PGS1\n0,0,1001,0.5\n1,1,1002,0.25\n", "row name 1, Unnamed: 0"),
        ("r.csv", '"","eid","PGS1"\n"1",1001,0.5\n"2",1002,0.25\n', "row name 1"),
        ("r.txt", 'eid PGS1\n"1" 1001 0.5\n"2" 1002 0.25\n', "row name"),
        ("bigsnpr.tsv", "family.ID\tsample.ID\tPGS1\n7\t1001\t0.5\n8\t1002\t0.25\n", "family.ID"),
        ("lower.csv", "fid,iid,PGS1\n7,1001,0.5\n8,1002,0.25\n", "fid"),
        ("agree.csv", "f.eid,participant,PGS1\n1001,1001,0.5\n1002,1002,0.25\n", "participant"),
        ("both.csv", "IID,subject_id,PGS1\nHG1,1001,0.5\nHG2,1002,0.25\n", "IID"),
        ("own.csv", ",who,PGS1\n0,1001,0.5\n1,1002,0.25\n", "row name 1"),
    ],
)
def test_samples_are_found_and_what_is_no_score_is_said(tmp_path, out, capsys, name, text, left_out):
    (tmp_path / name).write_text(text)
    genome_from_scores([tmp_path / name], out)
    found = SCORES.read(out / "scores.parquet")
    assert found.columns == ["subject_id", "PGS1"]
    assert found.rows() == [(1001, 0.5), (1002, 0.25)]
    said = capsys.readouterr().err
    assert f"genome: the samples of {name} are those of its column " in said
    assert f"; no scores, left out: {left_out}\n" in said


def test_row_names_that_are_names_are_the_samples(read, capsys):
    assert read('"PGS1"\n"1001" 0.5\n"1002" 0.25\n', name="r{}.txt").rows() == [(1001, 0.5), (1002, 0.25)]
    assert "the samples of r0.txt are those of its column row name" in capsys.readouterr().err


def test_the_index_of_a_parquet_file_is_no_score(tmp_path, out):
    table = {"eid": [1001, 1002], "PGS1": [0.5, 0.25], "__index_level_0__": [3, 7]}
    pl.DataFrame(table).write_parquet(tmp_path / "a.parquet")
    genome_from_scores([tmp_path / "a.parquet"], out)
    assert SCORES.read(out / "scores.parquet").rows() == [(1001, 0.5), (1002, 0.25)]


def test_a_score_that_ends_as_a_sum_is_one_of_the_others(read, capsys):
    found = read("IID,PGS1,PGS2,RISK_SUM\n1,0.5,2,50\n2,0.25,1,60\n", name="a{}.csv")
    assert found.columns == ["subject_id", "PGS1", "PGS2", "RISK_SUM"]
    assert found.rows() == [(1, 0.5, 2, 50), (2, 0.25, 1, 60)]
    assert "left out" not in capsys.readouterr().err


def test_what_a_sscore_holds_beside_its_sums_is_said(read, capsys):
    read(SSCORE + "0\t1\t4\t2\t0.5\t2\t-1\n", name="a{}.tsv")
    said = "no scores, left out: #FID, ALLELE_CT, NAMED_ALLELE_DOSAGE_SUM, PGS1_AVG\n"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a{}.sscore", "#IID\tALLELE_CT\tsubject_id_SUM\n1\t2\t0.5\n"),
        ("subject_id.best", "FID IID In_Regression PRS\nf 1 Yes 0.5\n"),
        ("long{}.txt", LONG + "mine\t1\tsubject_id\t1\t10\t1\n"),
    ],
)
def test_a_score_may_not_be_called_as_the_subjects(read, name, text):
    with pytest.raises(
        DataError, match=r"name of the subjects' column; in .*; found subject_id;.*another name"
    ):
        read(text, name=name)


def test_scores_that_tell_nothing_are_counted(read, capsys):
    read("IID,A,B,C,D\n1,,2,5,\n2,NA,3,5,1\n3,nan,4,5,2\n", name="a{}.csv")
    said = capsys.readouterr().err
    assert "genome: 1 scores are NaN for everybody, first A; they are kept" in said
    assert "genome: 1 scores are the same for everybody, first C; they are kept" in said


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("IID,A\n1,2\n".encode("utf-16"), "text in UTF-16"),
        (b"IID,A\r1,2\r", "lines that end in a carriage return only"),
        (b"PK\x03\x04", "a zip archive"),
    ],
)
def test_tables_that_are_no_plain_text(tmp_path, out, content, found):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"not plain text; in .*a\.csv; found {found};"):
        genome_from_scores([tmp_path / "a.csv"], out)
