import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.genome.ancestry.inputs import read_pcs, read_populations, read_table, train_samples

SAMPLES = pl.DataFrame({"subject_id": [7, 8, 9], "sample_id": ["a", "b", "c"]})


@pytest.mark.parametrize(
    "text",
    [
        "#FID\tIID\tPC1\tPC2\n0\tc\t5\t6\n0\ta\t1\t2\n0\tb\t3\t4\n0\tz\t9\t9\n",
        "IID,PC1,PC2\nc,5,6\na,1,2\nb,3,4\n",
        "subject_id PC1 PC2 PC3\n9 5 6 0\n7 1 2 0\n8 3 4 0\n",
        "sample_id\tpc1\tpc2\na\t1\t2\nb\t3\t4\nc\t5\t6\n",
    ],
    ids=["plink2", "comma", "subjects", "small letters"],
)
def test_components_in_the_samples_order(tmp_path, text):
    (tmp_path / "pcs").write_text(text)
    assert read_pcs(tmp_path / "pcs", SAMPLES, 2).tolist() == [[1, 2], [3, 4], [5, 6]]


FEATURES = "research_id\tancestry_pred\tprobabilities\tpca_features\tancestry_pred_other\n"


@pytest.mark.parametrize(
    "text",
    [
        FEATURES + "".join(f"{name}\teur\t[0.0, 1.0]\t{pcs}\teur\n" for name, pcs in (
            ("c", "[5.0, 6.0, 0]"), ("a", "[1.0,2.0,0]"), ("b", "[3e0, 4, 0]"),
        )),
        "eid,PC1,PC2\nc,5,6\na,1,2\nb,3,4\n",
        "eid,22009-0.1,22009-0.2\nc,5,6\na,1,2\nb,3,4\n",
        "participant.eid,participant.p22009_a2,participant.p22009_a1\nc,6,5\na,2,1\nb,4,3\n",
        "f.eid\tf.22009.0.1\tf.22009.0.2\nc\t5\t6\na\t1\t2\nb\t3\t4\n",
        "s\tPC1\tPC2\nc\t5\t6\na\t1\t2\nb\t3\t4\n",
        "sampleset\tIID\tPC1\tPC2\tMostSimilarPop\nme\tc\t5\t6\tEUR\nme\ta\t1\t2\tEUR\nme\tb\t3\t4\tAFR\n",
        "IID\tPC1\tPC2\t\t\nc\t5\t6\na\t1\t2\t\nb\t3\t4\n",
        "IID\tPC1\tPC2\nc\t5\t6\t\na\t1\t2\t\nb\t3\t4\t\n",
    ],
    ids=[
        "All of Us", "UK Biobank", "field 22009", "platform", "old names", "Hail", "pgsc_calc",
        "tabs at the end", "tabs at the end of rows",
    ],
)  # fmt: skip
def test_components_as_programs_and_biobanks_write_them(tmp_path, text):
    (tmp_path / "pcs").write_text(text)
    assert read_pcs(tmp_path / "pcs", SAMPLES, 2).tolist() == [[1, 2], [3, 4], [5, 6]]


def test_lists_of_components_in_parquet(tmp_path):
    path = tmp_path / "pcs.parquet"
    table = {"research_id": ["c", "a", "b"], "pca_features": [[5.5, 6.0], [1.0, 2.0], [3.0, 4.0]]}
    pl.DataFrame(table).write_parquet(path)
    assert read_pcs(path, SAMPLES, 2).tolist() == [[1, 2], [3, 4], [5.5, 6]]
    pl.DataFrame(table | {"pca_features": [[5.5, 6.0], [1.0, 2.0], [None, 4.0]]}).write_parquet(path)
    with pytest.raises(DataError, match=r"component is no number.*1 samples with one, first 'b'"):
        read_pcs(path, SAMPLES, 2)
    pl.DataFrame(table | {"pca_features": [[b"1"]] * 3}).write_parquet(path)
    with pytest.raises(DataError, match=r"wrong type of pca_features"):
        read_pcs(path, SAMPLES, 2)


def test_components_from_parquet(tmp_path):
    path = tmp_path / "pcs.parquet"
    pl.DataFrame({"subject_id": [9, 7, 8], "is_fitted": True, "PC1": [5.5, 1, 3]}).write_parquet(path)
    assert read_pcs(path, SAMPLES, 1).tolist() == [[1], [3], [5.5]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("IID PC1 PC2\na 1 2\n", r"samples without a row.*2 of 3 samples missing, first 'b'.*--keep"),
        ("IID PC1\na 1\nb 1\nc 1\n", r"missing components.*1 of 2, first missing PC2.*--num-pcs"),
        ("IID PC1 PC2\na 1 2\nb 1 x\nc 1 inf\n", r"component is no number.*2 samples with one, first 'b'"),
        ("IID PC1 PC2\na 1 2\na 1 2\nb 1 2\nc 1 2\n", r"sample twice.*'a'"),
        ("name PC1 PC2\na 1 2\n", r"missing column.*NAME PC1 PC2.*sample_id"),
        ("research_id\tpca_features\na\t[1]\n", r"missing components.*1 of 2, first missing PC2"),
        ("IID PC1 PC2\na 1\n", r"uneven table.*row 2.*3 columns"),
        ("", "empty table"),
    ],
)
def test_unusable_components(tmp_path, text, message):
    (tmp_path / "pcs").write_text(text)
    with pytest.raises(DataError, match=message):
        read_pcs(tmp_path / "pcs", SAMPLES, 2)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="unreadable table"):
        read_pcs(tmp_path / "none.tsv", SAMPLES, 2)


@pytest.mark.parametrize(
    "text",
    [
        "#IID\tSEX\tSuperPop\tPopulation\nb\t1\tEUR\tGBR\na\t2\tAFR\tYRI\nz\t2\tEAS\tCHB\n",
        "##made by somebody\n#IID SuperPop\na AFR\nb EUR\nc NA\n",
        "ID_1 ID_2 missing sex SuperPop\n0 0 0 D D\n0 a 0 1 AFR\n0 b 0 2 EUR\n",
        "sample_id,ancestry_pred\na,AFR\nb,EUR\nc,\n",
        "research_id\tancestry_pred\tpca_features\na\tAFR\t[1, 2]\nb\tEUR\t[1, 2]\n",
        "Sample name\tSex\tPopulation code\tSuperpopulation code\na\tmale\tYRI\tAFR\nb\tmale\tGBR\tEUR\n",
        "sample\tpop\tsuper_pop\tgender\t\t\na\tYRI\tAFR\tmale\nb\tGBR\tEUR\tfemale\n",
        "sampleset\tIID\tPC1\tMostSimilarPop\nreference\tHG1\t1\tEAS\nme\ta\t1\tAFR\nme\tb\t1\tEUR\n",
    ],
    ids=["psam", "comment line", "Oxford", "All of Us", "lists", "IGSR", "1000 Genomes panel", "pgsc_calc"],
)
def test_populations(tmp_path, text):
    (tmp_path / "table").write_text(text)
    assert read_populations(tmp_path / "table", ["a", "b", "c"], None) == ["AFR", "EUR", None]


def test_populations_of_a_named_column(tmp_path):
    (tmp_path / "table").write_text("IID SuperPop Region\na AFR west\nb EUR north\n")
    assert read_populations(tmp_path / "table", ["b", "a"], "region") == ["north", "west"]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("IID SEX\na 1\n", None, r"missing column of populations.*IID SEX.*SUPERPOP.*--population-column"),
        ("IID Regions\na 1\n", "Region", r"missing column of populations.*did you mean REGIONS"),
        ("IID Pop\nz 1\n", None, r"unusable populations.*none of 2 samples"),
        ("IID Pop\na 1\na 2\n", None, r"unusable populations.*'a' twice"),
    ],
)
def test_unusable_populations(tmp_path, text, column, message):
    (tmp_path / "table").write_text(text)
    with pytest.raises(DataError, match=message):
        read_populations(tmp_path / "table", ["a", "b"], column)


def test_train_samples_by_folder_and_by_file(tmp_path):
    path = tmp_path / "meds" / "metadata" / "subject_splits.parquet"
    path.parent.mkdir(parents=True)
    pl.DataFrame({"subject_id": [9, 7, 1], "split": ["train", "held_out", "train"]}).write_parquet(path)
    for splits in (path, tmp_path / "meds"):
        assert train_samples(splits, SAMPLES).tolist() == [False, False, True]
    assert np.all(train_samples(None, SAMPLES))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"subject_id": [1], "split": ["train"]},
            r"no train subject is genotyped.*none of 3.*1 train.*--samples",
        ),
        ({"subject_id": [1], "fold": [1]}, r"missing column.*subject_id, split"),
    ],
)
def test_unusable_splits(tmp_path, columns, message):
    pl.DataFrame(columns).write_parquet(tmp_path / "splits.parquet")
    with pytest.raises(DataError, match=message):
        train_samples(tmp_path / "splits.parquet", SAMPLES)


@pytest.mark.parametrize(
    "text",
    [
        '"IID"\t"PC1"\t"PC2"\n"c"\t5\t6\n"a"\t1\t2\n"b"\t3\t4\n',
        "IID, PC1, PC2\nc, 5, 6\na, 1, 2\nb, 3, 4\n\n",
        "\ufeff IID  PC1  PC2\r\n   c    5    6\r\n   a    1    2\r\n   b    3    4\r\n\r\n",
        '"IID" "PC1" "PC2"\n"1" "c" 5 6\n"2" "a" 1 2\n"3" "b" 3 4\n',
        "subject_id,PC1,PC2\n9.0,5,6\n7.0,1,2\n8e0,3,4\n",
    ],
    ids=["quoted", "comma and blank", "padded", "row names of R", "subjects as floats"],
)
def test_however_a_table_is_spelt(tmp_path, text):
    (tmp_path / "pcs").write_bytes(text.encode())
    assert read_pcs(tmp_path / "pcs", SAMPLES, 2).tolist() == [[1, 2], [3, 4], [5, 6]]


def test_names_of_samples_are_text(tmp_path):
    (tmp_path / "labels.csv").write_text('"IID", "SuperPop"\n"011", "EUR"\n"11", "AFR"\n')
    assert read_populations(tmp_path / "labels.csv", ["11", "011", "0011"], None) == ["AFR", "EUR", None]


def test_two_columns_of_parquet_that_differ_in_case_alone(tmp_path):
    path = tmp_path / "pcs.parquet"
    pl.DataFrame({"subject_id": [9], "PC1": [5.5], "pc1": [1.0]}).write_parquet(path)
    with pytest.raises(DataError, match=r"column names come more than once; in .*'PC1'"):
        read_table(path)
