import polars as pl
import pytest

from proband.core.errors import DataError
from proband.evaluate.results import below_age_sex, format_headline, headline
from proband.evaluate.tables import read_table


def test_headline_has_a_row_per_outcome_and_model(results):
    table = headline(results, 5.0)
    assert table.filter(outcome="type_2_diabetes")["model"].to_list() == [
        "plain",
        "sharp",
        "age_sex",
        "pgs_logistic",
        "pgs_cox",
    ]
    row = table.filter(outcome="type_2_diabetes", model="sharp").row(0, named=True)
    metrics = read_table(results, "metrics").filter(
        outcome="type_2_diabetes", horizon_years=5.0, model="sharp"
    )
    assert row["auroc"] == metrics.filter(metric="auroc")["value"][0]
    assert row["auprc_high"] == metrics.filter(metric="auprc")["high"][0]
    first = table.filter(outcome="type_2_diabetes", model="plain").row(0, named=True)
    assert row["auroc_difference"] == pytest.approx(row["auroc"] - first["auroc"])
    assert row["auroc_difference_low"] <= row["auroc_difference"] <= row["auroc_difference_high"]
    assert first["auroc_difference"] is None
    assert row["num_cases"] > 0


def test_default_is_the_longest_horizon(results):
    assert headline(results).equals(headline(results, 5.0))


def test_unknown_horizon(results):
    with pytest.raises(DataError, match=r"no horizon of 3.*found 1, 5"):
        headline(results, 3.0)


def without_warning(text):
    """Lines of the tables: of two outcomes one has no cause, so some model is below age and sex there."""
    warning, tables = text.split("\n\n", 1)
    assert warning.startswith("Not above age and sex in AUROC at 5 years: ")
    return tables.splitlines()


def test_text_has_a_row_per_outcome_and_a_column_per_model(results):
    table = headline(results, 5.0)
    lines = without_warning(format_headline(table))
    assert lines[0].split()[:4] == ["AUROC", "at", "5", "years"]
    assert "sharp − plain (95% CI)" in lines[0]
    outcomes = table["outcome"].unique(maintain_order=True).to_list()
    assert [line.split()[0] for line in lines[1 : 1 + len(outcomes)]] == outcomes
    row = table.filter(outcome="type_2_diabetes", model="sharp").row(0, named=True)
    line = lines[1 + outcomes.index("type_2_diabetes")]
    assert f"{row['auroc']:.3f}" in line
    assert f"{row['auroc_difference']:+.3f} ({row['auroc_difference_low']:+.3f} to" in line
    assert len({len(line) for line in lines[: 1 + len(outcomes)]}) == 1


def test_text_compares_the_models_asked_for_with_the_first(results):
    table = headline(results, 5.0)
    first = without_warning(format_headline(table, ["sharp", "age_sex"]))[0]
    assert first.index("sharp − plain (95% CI)") < first.index("age_sex − plain (95% CI)")


def test_text_shows_a_dash_where_cases_are_too_few(results):
    text = format_headline(headline(results, 1.0))
    assert "–" in text
    assert "nan" not in text
    assert "None" not in text


def test_missing_results(tmp_path):
    with pytest.raises(DataError, match="missing file"):
        headline(tmp_path)


def aurocs(**models):
    rows = [
        (outcome, model, value)
        for model, values in models.items()
        for outcome, value in zip("abc", values, strict=True)
    ]
    return pl.DataFrame(rows, schema=["outcome", "model", "auroc"], orient="row")


def test_models_not_above_age_and_sex_are_named_with_their_number_of_outcomes():
    table = aurocs(poor=(0.6, 0.7, 0.5), tied=(0.9, 0.7, 0.9), good=(0.9, 0.8, None), age_sex=(0.7, 0.7, 0.6))
    assert below_age_sex(table, "at 5 years") == (
        "Not above age and sex in AUROC at 5 years: poor in 3 of 3 outcomes, tied in 1 of 3 outcomes."
    )
    alone = aurocs(poor=(0.6, 0.7, 0.5), age=(0.7, 0.7, 0.6))
    assert below_age_sex(alone, "at 5 years") == "Not above age in AUROC at 5 years: poor in 3 of 3 outcomes."
    baselines = aurocs(age_sex=(0.7, 0.7, 0.6), lightgbm=(0.5, 0.5, 0.5), good=(0.9, 0.8, 0.9))
    assert below_age_sex(baselines, "at 5 years") == ""
    assert below_age_sex(aurocs(poor=(0.1, 0.2, 0.3)), "at 5 years") == ""


def test_the_first_line_says_which_model_is_not_above_age_and_sex(results):
    table = headline(results, 5.0)
    worse = pl.when(pl.col("model") == "plain").then(0.4).otherwise("auroc").alias("auroc")
    lines = format_headline(table.with_columns(worse)).splitlines()
    assert lines[0].startswith("Not above age and sex in AUROC at 5 years: plain in ")
    assert lines[2].startswith("AUROC at 5 years")
