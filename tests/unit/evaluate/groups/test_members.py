from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.schema import ANCESTRY, PCS, SCORES
from proband.ehr.labels import labels
from proband.evaluate.cohort import with_age_and_sex
from proband.evaluate.groups.distance import genetic_distance
from proband.evaluate.groups.members import members_of, read_own
from proband.evaluate.inputs import read_subjects

THIRDS = {"lowest third", "middle third", "highest third"}


@pytest.fixture
def rows(world):
    found = with_age_and_sex(labels(world.meds, world.task, report=False), read_subjects(world.meds))
    return found.filter(split="held_out")


def test_one_row_for_each_moment_with_every_dimension(world, rows):
    found = members_of(rows, world.meds, world.genome)
    assert found.height == rows.unique(["subject_id", "prediction_time"]).height
    assert set(found["sex"]) <= {"female", "male"}
    by_hand = rows.unique(["subject_id"], maintain_order=True)
    expected = ["under 40", "40 to 54", "55 to 69", "70 and over"]
    at = np.searchsorted([40, 55, 70], by_hand["age_years"].to_numpy(), side="right")
    assert found["age"].to_list() == [expected[place] for place in at]
    assert set(found["visits"]) <= THIRDS
    assert found["record_years"].unique().to_list() == ["lowest third"]  # two years each: ties stay together
    assert found["genotyped"].unique().sort().to_list() == ["no", "yes"]


def test_visits_are_days_with_events_in_the_year_before(tmp_path, world, rows, monkeypatch):
    one = rows.head(1)
    subject, asked = one["subject_id"][0], one["prediction_time"][0]
    ago = [-1, 0, 0, 10, 364, 366, 900]
    times = [asked - timedelta(days=days, hours=1) for days in ago]
    events = pl.DataFrame({"subject_id": [subject] * len(ago), "time": times}).with_columns(
        pl.col("time").cast(pl.Datetime("us")), code=pl.lit("A"), numeric_value=pl.lit(None, pl.Float32)
    )
    entry = asked - timedelta(days=1000)
    spans = pl.DataFrame({"subject_id": [subject], "entry_time": [entry]}).with_columns(
        pl.col("entry_time").cast(pl.Datetime("us"))
    )
    monkeypatch.setattr("proband.evaluate.groups.record.read_shards", lambda meds: iter([(events, spans)]))
    monkeypatch.setattr("proband.evaluate.groups.members.thirds", pl.col)
    found = members_of(one, world.meds).row(0, named=True)
    assert found["visits"] == 3
    assert found["record_years"] == pytest.approx(1000 / 365.25)


INDEX = "OBSERVATION//deprivation_index"


def recorded(rows, value, code, days_before, number=None):
    """A value of each subject, so many days before the prediction."""
    asked = rows.unique("subject_id", maintain_order=True).head(number or rows.height)
    return asked.select(
        "subject_id",
        time=(pl.col("prediction_time") - pl.duration(days=days_before)).cast(pl.Datetime("us")),
        code=pl.lit(code),
        numeric_value=pl.Series(value(np.arange(asked.height)), dtype=pl.Float32),
    )


def record_with(monkeypatch, rows, *parts):
    entry = rows.unique("subject_id").select(
        "subject_id", entry_time=pl.col("prediction_time").dt.offset_by("-9y")
    )
    shard = (pl.concat(parts), entry)
    monkeypatch.setattr("proband.evaluate.groups.record.read_shards", lambda meds: iter([shard]))


def test_deprivation_is_the_newest_number_by_the_prediction_time(world, rows, monkeypatch, capsys):
    rows = rows.unique("subject_id", maintain_order=True)
    record_with(
        monkeypatch, rows,
        recorded(rows, lambda at: -at, INDEX, 30),
        recorded(rows, lambda at: at, INDEX, 0),
        recorded(rows, lambda at: -at, INDEX, -1),
        recorded(rows, lambda at: np.full(len(at), np.nan), INDEX, 0),
        recorded(rows, lambda at: -at, "MEASUREMENT//1", 0),
    )  # fmt: skip
    found = members_of(rows, world.meds)["deprivation"].to_list()
    assert (found[0], found[len(found) // 2], found[-1]) == ("lowest third", "middle third", "highest third")
    assert capsys.readouterr().err == ""


def test_of_two_codes_of_deprivation_that_of_most_people_is_used(world, rows, tmp_path, monkeypatch, capsys):
    rows = rows.unique("subject_id", maintain_order=True)
    described = pl.DataFrame({"code": ["OBSERVATION//715996"], "description": ["Townsend Deprivation score"]})
    (tmp_path / "metadata").mkdir()
    described.write_parquet(tmp_path / "metadata" / "codes.parquet")
    record_with(
        monkeypatch, rows,
        recorded(rows, lambda at: at, "OBSERVATION//715996", 5),
        recorded(rows, lambda at: -at, INDEX, 5, 3),
    )  # fmt: skip
    found = members_of(rows, tmp_path)["deprivation"]
    assert found[0] == "lowest third"
    assert f"by OBSERVATION//715996, which most people have, not by {INDEX}" in capsys.readouterr().err


def test_without_a_number_of_deprivation_there_is_no_such_dimension(world, rows, monkeypatch):
    record_with(monkeypatch, rows, recorded(rows, lambda at: at, "CONDITION//sleep", 5))
    assert "deprivation" not in members_of(rows, world.meds).columns


def test_a_column_of_ones_own_stands_in_the_place_of_recorded_deprivation(world, rows, tmp_path, monkeypatch):
    rows = rows.unique("subject_id", maintain_order=True)
    record_with(monkeypatch, rows, recorded(rows, lambda at: at, INDEX, 5))
    table = tmp_path / "own.tsv"
    table.write_text("subject_id\tdeprivation\n" + "".join(f"{one}\tband 1\n" for one in rows["subject_id"]))
    assert set(members_of(rows, world.meds, own=table)["deprivation"]) == {"band 1"}


def test_race_is_no_dimension(world, rows, monkeypatch):
    record_with(monkeypatch, rows, recorded(rows, lambda at: at, "Race//White", 5))
    found = set(members_of(rows, world.meds, world.genome).columns)
    assert found - {"ancestry", "genetic_distance"} == {
        "subject_id", "prediction_time", "sex", "age", "record_years", "visits", "genotyped"
    }  # fmt: skip


def test_ancestry_and_distance_come_from_the_genome_folder(world, rows, tmp_path):
    subjects = rows["subject_id"].unique().sort()
    size = len(subjects)
    uncertain = np.arange(size) < 3
    ANCESTRY.write(
        pl.DataFrame({
            "subject_id": subjects, "most_similar_population": (["EUR", "AFR"] * size)[:size],
            "low_confidence": uncertain,
        }),
        tmp_path / "ancestry.parquet",
    )  # fmt: skip
    components = {
        "subject_id": subjects,
        "is_fitted": [True] * size,
        "PC1": np.arange(size, dtype=np.float32),
    }
    PCS.write(pl.DataFrame(components), tmp_path / "pcs.parquet")
    genotype(tmp_path, subjects[:-1])
    distance = genetic_distance(tmp_path)
    found = members_of(rows, world.meds, tmp_path, distance=distance).sort("subject_id")
    assert found["ancestry"].to_list()[:5] == ["uncertain"] * 3 + ["AFR", "EUR"]
    assert found["genotyped"].to_list()[-2:] == ["yes", "no"]
    middle = found["genetic_distance"].to_list()[size // 2]
    assert (middle, found["genetic_distance"][0]) == ("lowest third", "highest third")


def test_distance_is_from_the_people_trained_on(world, rows, tmp_path):
    subjects = rows["subject_id"].unique().sort()
    size = len(subjects)
    first = np.arange(size, dtype=np.float32)
    components = {"subject_id": subjects, "is_fitted": [False] * size, "PC1": first, "PC2": -first}
    PCS.write(pl.DataFrame(components), tmp_path / "pcs.parquet")
    genotype(tmp_path, subjects)
    distance = genetic_distance(tmp_path, subjects[:9])
    found = members_of(rows, world.meds, tmp_path, distance=distance).sort("subject_id")
    thirds = found["genetic_distance"].to_list()
    assert (thirds[0], thirds[size // 2], thirds[-1]) == ("lowest third", "middle third", "highest third")


def genotype(folder, subjects):
    score = pl.zeros(len(subjects), pl.Float32, eager=True)
    SCORES.write(pl.DataFrame({"subject_id": subjects, "PGS1": score}), folder / "scores.parquet")


def test_a_table_of_ones_own(world, rows, tmp_path, capsys):
    table = tmp_path / "own.tsv"
    ids = rows["subject_id"].unique().sort().to_list()
    table.write_text(
        "subject_id\tsite\n" + "".join(f"{one}.0\tsite {one % 2}\n" for one in ids[1:]) + "x\ta\n"
    )
    found = members_of(rows, world.meds, own=table).sort("subject_id")
    assert found["site"].to_list()[:3] == [None, f"site {ids[1] % 2}", f"site {ids[2] % 2}"]
    assert "1 rows of" in capsys.readouterr().err


def test_what_stands_for_no_subgroup_is_none_however_it_is_spelt(tmp_path):
    """pandas turns missing values into the text nan, which is no subgroup of people."""
    spelt = ["a", "nan", "NaN", "<NA>", "null", "NULL", "NA", "", "b"]
    lines = [f"{row},{100 + row},{value}\n" for row, value in enumerate(spelt)]
    (tmp_path / "own.csv").write_text(",subject_id,site\n" + "".join(lines))  # with pandas's index in front
    found = read_own(tmp_path / "own.csv", ["subject_id"])
    assert found.columns == ["subject_id", "site"]
    assert found.rows() == [(100, "a"), *((101 + row, None) for row in range(7)), (108, "b")]


def test_a_table_of_other_people(world, rows, tmp_path):
    table = tmp_path / "own.tsv"
    table.write_text("subject_id\tsite\n900001\ta\n900002\tb\n")
    with pytest.raises(DataError, match=r"nobody who is judged.*\[900001, 900002\], judged"):
        members_of(rows, world.meds, own=table)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty table of subgroups"),
        ("subject_id\n1\n", "columns missing"),
        ("person,site\n1,a\n", "columns missing"),
        ("subject_id,sex\n1,a\n", "name of a subgroup is taken"),
        ("subject_id,site\n1,a\n1,b\n", "subject with two subgroups"),
        ("subject_id,site,site\n1,a,b\n", "column names come more than once"),
        ("subject_id,site\n" + "".join(f"{i},{i}\n" for i in range(30)), "too many subgroups"),
    ],
)
def test_unusable_tables(tmp_path, text, what):
    table = tmp_path / "own.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=what):
        read_own(table, ["subject_id", "sex"])
