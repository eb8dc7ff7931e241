from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.schema import ANCESTRY, PCS, SCORES
from proband.ehr.labels import labels
from proband.evaluate.cohort import with_age_and_sex
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
    events = pl.DataFrame(
        {"subject_id": [subject] * len(ago), "time": [asked - timedelta(days=days, hours=1) for days in ago]}
    ).with_columns(pl.col("time").cast(pl.Datetime("us")))
    entry = asked - timedelta(days=1000)
    spans = pl.DataFrame({"subject_id": [subject], "entry_time": [entry]}).with_columns(
        pl.col("entry_time").cast(pl.Datetime("us"))
    )
    monkeypatch.setattr("proband.evaluate.groups.members.read_shards", lambda meds: iter([(events, spans)]))
    monkeypatch.setattr("proband.evaluate.groups.members.thirds", pl.col)
    found = members_of(one, world.meds).row(0, named=True)
    assert found["visits"] == 3
    assert found["record_years"] == pytest.approx(1000 / 365.25)


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
    found = members_of(rows, world.meds, tmp_path).sort("subject_id")
    assert found["ancestry"].to_list()[:5] == ["uncertain"] * 3 + ["AFR", "EUR"]
    assert found["genotyped"].to_list()[-2:] == ["yes", "no"]
    middle = found["genetic_distance"].to_list()[size // 2]
    assert (middle, found["genetic_distance"][0]) == ("lowest third", "highest third")


def test_distance_is_from_the_origin_where_a_reference_panel_made_the_components(world, rows, tmp_path):
    """Nobody of the panel is in the folder; its mean is the origin."""
    subjects = rows["subject_id"].unique().sort()
    size = len(subjects)
    first = np.arange(size, dtype=np.float32)
    components = {"subject_id": subjects, "is_fitted": [False] * size, "PC1": first, "PC2": -first}
    PCS.write(pl.DataFrame(components), tmp_path / "pcs.parquet")
    genotype(tmp_path, subjects)
    found = members_of(rows, world.meds, tmp_path).sort("subject_id")["genetic_distance"].to_list()
    assert (found[0], found[size // 2], found[-1]) == ("lowest third", "middle third", "highest third")


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
        ("subject_id,site\n" + "".join(f"{i},{i}\n" for i in range(30)), "too many subgroups"),
    ],
)
def test_unusable_tables(tmp_path, text, what):
    table = tmp_path / "own.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=what):
        read_own(table, ["subject_id", "sex"])
