"""What cannot be judged is said in one line per kind; where nothing can be, the command is refused."""

from datetime import datetime
from types import SimpleNamespace

import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.files.provenance import StageRun
from proband.core.schema import RISK
from proband.ehr.labels import labels
from proband.ehr.outcomes import Task, save_task
from proband.evaluate import evaluate
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.notices import report_obstacles, say_cautions, say_extrapolation
from proband.evaluate.tables import METRICS, read_table

UNCOMPARED = EvaluateConfig(bootstrap=0, baselines=("none",))
DIABETES = ("type_2_diabetes",)
NO_CODE = {"codes": "SNOMED//3", "may_be_absent": True}


def said(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("evaluate: ")]


def one_with(lines, text):
    """The only line that has the text."""
    [line] = [line for line in lines if text in line]
    return line


def judged(world, out, *tables, task=None, **options):
    """Evaluate RiskTables with a task, without baselines."""
    save_task(task or world.task, out.parent / "task.yaml")
    risks = [out.parent / f"risk_{number}.parquet" for number in range(len(tables))]
    for path, table in zip(risks, tables, strict=True):
        RISK.write(table, path)
    evaluate(risks, world.meds, out, task=out.parent / "task.yaml", config=UNCOMPARED, **options)


def with_outcomes(world, horizons=(5.0,), **outcomes):
    known = {"type_2_diabetes": {"codes": "SNOMED//1"}, "stroke": {"codes": "SNOMED//2"}}
    return Task.model_validate(
        world.task.model_dump(exclude_none=True)
        | {"outcomes": outcomes or known, "horizons_years": list(horizons)}
    )


def test_of_a_usable_evaluation_nothing_is_said_but_what_it_is(world, tmp_path, capsys):
    tables = [world.risk_table(name, outcomes=DIABETES) for name in "ab"]
    judged(world, tmp_path / "out", *tables)
    sexes, subgroups = said(capsys)
    assert "sex recorded" in sexes
    few = "visits (too few cases or controls in all or all but one)"
    assert subgroups.endswith(f"cases and controls enough: {few}")


def without_periods(world, folder, share):
    """Events of the world, the first ``share`` of whose subjects have no observation period."""
    is_period = pl.col("code").str.starts_with("OBSERVATION_PERIOD")
    for path in (world.meds / "data").rglob("*.parquet"):
        events = pl.read_parquet(path)
        subjects = events["subject_id"].unique().sort()
        some = pl.col("subject_id").is_in(subjects.head(round(share * len(subjects))).implode())
        copy = folder / path.relative_to(world.meds)
        copy.parent.mkdir(parents=True)
        events.filter(~(is_period & some)).write_parquet(copy)
    return folder


@pytest.mark.parametrize(("share", "is_said"), [(0.45, False), (0.55, True)])
def test_follow_up_that_ends_with_the_last_event_is_said_of_most(world, tmp_path, capsys, share, is_said):
    meds = without_periods(world, tmp_path / "meds", share)
    save_task(world.task, tmp_path / "task.yaml")
    RISK.write(world.risk_table("a"), tmp_path / "risk.parquet")
    risks, task = [tmp_path / "risk.parquet"], tmp_path / "task.yaml"
    evaluate(risks, meds, tmp_path / "out", task=task, config=UNCOMPARED)
    lines = [line for line in said(capsys) if "no observation period that ends" in line]
    assert len(lines) == is_said
    assert all("1,100 of 2,000 subjects" in line and "1.25, 1.10 and 1.04 times" in line for line in lines)
    assert all("--follow-up-end DATE" in line for line in lines)


def labelled_task(world, folder, *, known, unknown):
    """A task whose labels are those of held-out subjects, and of people who are not in the events."""
    found = labels(world.meds, world.task, ["held_out"], report=False).filter(outcome="type_2_diabetes")
    mine = found.select(
        "subject_id", "prediction_time", boolean_value=(pl.col("event") == 1) & (pl.col("time_years") <= 5)
    )
    others = mine.head(unknown).with_columns(pl.col("subject_id") + 100_000)
    pl.concat([mine.head(known), others]).write_parquet(folder / "labels.parquet")
    (folder / "given.yaml").write_text(
        "outcomes: {type_2_diabetes: {labels: labels.parquet}}\nhorizons_years: [5]\n"
    )
    table = world.risk_table("a", outcomes=DIABETES).filter(horizon_years=5.0)
    RISK.write(table, folder / "risk.parquet")
    return [folder / "risk.parquet"], folder / "given.yaml"


def test_labels_of_unknown_subjects_are_counted_and_passed_over(world, tmp_path, capsys):
    risks, task = labelled_task(world, tmp_path, known=300, unknown=40)
    evaluate(risks, world.meds, tmp_path / "out", task=task, config=UNCOMPARED)
    first = pl.read_parquet(tmp_path / "labels.parquet")["subject_id"][300]
    assert one_with(said(capsys), "labels of") == (
        f"evaluate: labels of subjects whom {world.meds} does not have are passed over, such as subject "
        f"{first}: type_2_diabetes 40 of 340 subjects; name subjects by the subject_id of the records"
    )
    assert read_table(tmp_path / "out", "metrics")["num_subjects"].unique().to_list() == [300]


def test_labels_of_unknown_subjects_alone_are_refused(world, tmp_path):
    risks, task = labelled_task(world, tmp_path, known=0, unknown=40)
    with pytest.raises(DataError, match=r"no labelled subject is in the records; in .*found labelled \[1000"):
        evaluate(risks, world.meds, tmp_path / "out", task=task, config=UNCOMPARED)
    assert not (tmp_path / "out").exists()


def table_of(world, *outcomes, horizon=5.0):
    """Risks of type 2 diabetes under other names."""
    table = world.risk_table("a", outcomes=DIABETES).filter(horizon_years=5.0)
    return pl.concat(
        table.with_columns(outcome=pl.lit(name), horizon_years=pl.lit(horizon)) for name in outcomes
    )


def test_outcomes_of_one_class_are_said_and_the_others_judged(world, tmp_path, capsys):
    names = [f"none_{number}" for number in range(7)]
    task = with_outcomes(world, type_2_diabetes={"codes": "SNOMED//1"}, **dict.fromkeys(names, NO_CODE))
    judged(world, tmp_path / "out", table_of(world, "type_2_diabetes", *names), task=task)
    line = one_with(said(capsys), "not judged")
    assert line == (
        "evaluate: not judged, no cases by the horizon: none_0 at 5 years, none_1 at 5 years, none_2 at 5 "
        "years, none_3 at 5 years, none_4 at 5 years and 2 more; judge a longer horizon or more subjects, or "
        "look into the codes or labels of the outcome"
    )
    metrics = read_table(tmp_path / "out", "metrics").filter(metric="auroc")
    assert metrics.drop_nulls("value")["outcome"].to_list() == ["type_2_diabetes"]


def test_outcomes_of_one_class_alone_are_refused(world, tmp_path):
    task = with_outcomes(world, none=NO_CODE)
    match = r"no outcome can be judged; in .*found no cases by the horizon: none at 5 years; remedy: judge a "
    with pytest.raises(DataError, match=match):
        judged(world, tmp_path / "out", table_of(world, "none"), task=task)
    assert not (tmp_path / "out").exists()


def test_too_few_labels_are_said(world, tmp_path, capsys):
    judged(world, tmp_path / "out", world.risk_table("a"))
    assert one_with(said(capsys), "not judged").startswith(
        "evaluate: not judged, too few cases by the horizon, at least 5 needed: stroke at 1 years; "
    )


def test_too_few_labels_alone_are_said_and_counted(world, tmp_path, capsys):
    judged(world, tmp_path / "out", world.risk_table("a", outcomes=["stroke"]).filter(horizon_years=1.0))
    assert "too few cases by the horizon, at least 5 needed: stroke" in one_with(said(capsys), "not judged")
    metrics = read_table(tmp_path / "out", "metrics")
    assert metrics["value"].null_count() == metrics.height
    assert 0 < metrics["num_cases"][0] < 5


def test_horizons_that_nobody_reaches_are_said(world, tmp_path, capsys):
    tables = [table_of(world, "type_2_diabetes", horizon=years) for years in (5.0, 40.0)]
    task = with_outcomes(world, (5, 40), type_2_diabetes={"codes": "SNOMED//1"})
    judged(world, tmp_path / "out", pl.concat(tables), task=task)
    assert one_with(said(capsys), "not judged") == (
        "evaluate: not judged, nobody is followed to the horizon: type_2_diabetes at 40 years; judge a "
        "shorter horizon"
    )


def test_a_horizon_that_nobody_reaches_alone_is_refused(world, tmp_path):
    task = with_outcomes(world, (40,), type_2_diabetes={"codes": "SNOMED//1"})
    match = "nobody is followed to the horizon: type_2_diabetes at 40 years; remedy: judge a shorter horizon"
    with pytest.raises(DataError, match=match):
        judged(world, tmp_path / "out", table_of(world, "type_2_diabetes", horizon=40.0), task=task)
    assert not (tmp_path / "out").exists()


def test_risk_tables_of_different_rows_are_said_with_what_is_left(world, tmp_path, capsys):
    whole = world.risk_table("whole", outcomes=DIABETES)
    half = world.risk_table("half", outcomes=DIABETES).filter(pl.col("subject_id") % 2 == 0)
    judged(world, tmp_path / "out", whole, half)
    assert one_with(said(capsys), "different rows") == (
        "evaluate: RiskTables of different rows: judged are predictions that every model makes, at the least "
        "500 of 900 for type_2_diabetes at 1 years (whole 900, half 500); forecast the same subjects with "
        "each model"
    )


def test_models_without_an_outcome_and_outcomes_without_labels_are_said(world, tmp_path, capsys):
    both = world.risk_table("both").filter(horizon_years=5.0)
    one = world.risk_table("one", outcomes=DIABETES).filter(horizon_years=5.0)
    apart = table_of(world, "apart").with_columns(pl.col("subject_id") + 100_000, model=pl.lit("one"))
    known = {"type_2_diabetes": {"codes": "SNOMED//1"}, "stroke": {"codes": "SNOMED//2"}}
    task = with_outcomes(world, **known, apart={"codes": "SNOMED//1"})
    judged(world, tmp_path / "out", both, pl.concat([one, apart]), task=task)
    lines = said(capsys)
    assert "judged without: one of stroke at 5 years; forecast the same task" in one_with(lines, "no risks")
    assert one_with(lines, "no risk goes").endswith(
        "split held_out: apart; forecast the subjects labelled, at their prediction times"
    )


def test_subgroups_that_cannot_be_compared_and_empty_ones_are_said(world, tmp_path, capsys):
    subject = pl.Series("subject_id", range(1, 2001))
    judged_here = pl.Series(world.split == "held_out")
    few = (judged_here.cast(pl.Int64).cum_sum() <= 3) & judged_here
    own = pl.DataFrame({"subject_id": subject}).with_columns(
        empty=pl.lit(None, pl.String),
        one=pl.lit("all"),
        site=pl.when(judged_here).then(pl.when(subject % 2 == 0).then(pl.lit("a")).otherwise(pl.lit("b")))
        .otherwise(pl.lit("north")),
        rare=pl.when(few).then(pl.lit("x")).otherwise(pl.lit("y")),
    )  # fmt: skip
    own.write_csv(tmp_path / "own.csv")
    table = world.risk_table("a", outcomes=DIABETES)
    judged(world, tmp_path / "out", table, subgroups=tmp_path / "own.csv")
    lines = said(capsys)
    assert one_with(lines, "subgroups not compared").endswith(
        "all but one), empty (known of nobody), one (only all), rare (too few cases or "
        "controls in all or all but one)"
    )
    assert one_with(lines, "nobody who is judged") == (
        f"evaluate: nobody who is judged is in these subgroups of {tmp_path / 'own.csv'}: site north"
    )
    assert set(read_table(tmp_path / "out", "subgroups")["dimension"]) >= {"site", "sex"}


def test_a_model_none_of_whose_risks_goes_with_a_label_is_said(world, tmp_path, capsys):
    """As where another program kept the days of the prediction times and left out their hours."""
    first, second = (world.risk_table(name, outcomes=DIABETES) for name in "ab")
    moved = second.with_columns(pl.col("prediction_time") + pl.duration(hours=1))
    judged(world, tmp_path / "out", first, moved)
    assert set(pl.read_parquet(tmp_path / "out" / "metrics.parquet")["model"]) == {"a"}
    line = one_with(said(capsys), "b is not judged")
    subject, time = moved.select("subject_id", "prediction_time").row(0)
    assert (
        f"none of its risks goes with a label of split held_out: it has subject {subject} at {time}," in line
    )
    assert f"labelled is subject {subject} at " in line


def test_a_subject_table_of_dates_with_unknown_subjects_is_said(world, tmp_path, capsys):
    found = labels(world.meds, world.task, ["held_out"], report=False).select("subject_id", "prediction_time")
    dates = pl.concat([found, found.head(7).with_columns(pl.col("subject_id") + 100_000)]).unique()
    dates.write_parquet(tmp_path / "dates.parquet")
    (tmp_path / "dated.yaml").write_text(
        "outcomes: {type_2_diabetes: {codes: SNOMED//1}}\nprediction: {file: dates.parquet}\n"
        "horizons_years: [1, 5]\n"
    )
    RISK.write(world.risk_table("a", outcomes=DIABETES), tmp_path / "risk.parquet")
    risks, task = [tmp_path / "risk.parquet"], tmp_path / "dated.yaml"
    evaluate(risks, world.meds, tmp_path / "out", task=task, config=UNCOMPARED)
    unknown = dates.filter(pl.col("subject_id") > 100_000)["subject_id"].n_unique()
    known = found["subject_id"].n_unique()
    wanted = f"dates of the task {unknown} of {known + unknown:,} subjects"
    assert wanted in one_with(said(capsys), "dates of subjects")


def test_reasons_are_grouped_and_what_can_be_judged_is_not_named(capsys):
    notes = {
        ("a", 1.0): "0 cases by the horizon, at least 5 needed",
        ("a", 5.0): "0 cases by the horizon, at least 5 needed",
        ("b", 1.0): "3 controls by the horizon, at least 5 needed",
        ("c", 1.0): "",
    }
    report_obstacles(notes, "risk")
    assert said(capsys) == [
        "evaluate: not judged, no cases by the horizon: a at 1, 5 years; judge a longer horizon or more "
        "subjects, or look into the codes or labels of the outcome",
        "evaluate: not judged, too few controls by the horizon, at least 5 needed: b at 1 years; judge a "
        "shorter horizon or more subjects, or look into the codes or labels of the outcome",
    ]


def test_predictions_at_ages_of_nobody_in_train_are_counted(tmp_path, capsys):
    """Followed from 40 to 60 years of age; of five predictions those at 39 and 61 are outside, once each."""
    run = StageRun(tmp_path)
    asked = {"subject_id": [1, 1, 2, 3, 4, 5], "age_years": [39.0, 39.0, 40.0, 50.0, 60.0, 61.0]}
    data = SimpleNamespace(
        train=pl.DataFrame({"age_years": [40.0, 55.0], "time_years": [3.0, 5.0]}),
        wanted=pl.DataFrame(asked).with_columns(prediction_time=datetime(2010, 1, 1)),
    )
    say_extrapolation(run, data)
    assert run.counts == {"num_predictions_outside_train_ages": 2}
    assert (
        "2 of 5 predictions are at ages at which nobody in train was followed (40 to 60)" in said(capsys)[0]
    )
    inside = SimpleNamespace(train=data.train, wanted=data.wanted.filter(pl.col("age_years") == 50))
    say_extrapolation(run, inside)
    assert run.counts == {"num_predictions_outside_train_ages": 0}
    assert said(capsys) == []


@pytest.mark.parametrize(("share", "spoken"), [(0.04, False), (0.06, True)])
def test_risks_that_are_mostly_noise_are_named(share, spoken, capsys):
    row = {"outcome": "a", "horizon_years": 5.0, "model": "few paths", "metric": "monte_carlo_share"}
    missing = {name: None for name in METRICS.columns if name not in row}
    frame = pl.DataFrame([row | missing | {"value": share}], schema=dict(METRICS.columns))
    say_cautions({"flow": [], "metrics": [frame]})
    lines = said(capsys)
    assert [("up to 6%" in line, "few paths" in line) for line in lines] == [(True, True)] * spoken
