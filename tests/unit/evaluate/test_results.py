import pytest

from proband.core.errors import DataError
from proband.evaluate.results import format_headline, headline, read_table


def test_headline_has_a_row_per_outcome_and_model(results):
    table = headline(results, 5.0)
    assert table.filter(outcome="type_2_diabetes")["model"].to_list() == [
        "plain",
        "sharp",
        "age_sex",
        "pgs_logistic",
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


def test_text_has_a_row_per_outcome_and_a_column_per_model(results):
    table = headline(results, 5.0)
    lines = format_headline(table).splitlines()
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
    first = format_headline(table, ["sharp", "age_sex"]).splitlines()[0]
    assert first.index("sharp − plain (95% CI)") < first.index("age_sex − plain (95% CI)")


def test_text_shows_a_dash_where_cases_are_too_few(results):
    text = format_headline(headline(results, 1.0))
    assert "–" in text
    assert "nan" not in text
    assert "None" not in text


def test_missing_results(tmp_path):
    with pytest.raises(DataError, match="missing file"):
        headline(tmp_path)
