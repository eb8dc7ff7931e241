"""Means over seeds that were run apart, against resamples of all of them."""

import contextlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pooled import main, pooled, read
from replicates import by_seed


def table(seed, values, metric="auroc"):
    return pl.DataFrame([{"metric": metric} | row for row in by_seed({seed: values})])


def test_the_mean_has_the_interval_that_resamples_would_give():
    rng = np.random.default_rng(0)
    resampled = {seed: 0.02 * (seed + 1) + 0.004 * rng.normal(size=20_000) for seed in range(3)}
    for values in resampled.values():
        values[0] = values.mean()  # the sample itself
    found = pooled([table(seed, values) for seed, values in resampled.items()])
    assert found["seed"].to_list() == ["0", "1", "2", "mean"]
    expected = by_seed(resampled)[-1]
    row = found.row(3, named=True)
    assert {name: row[name] for name in ("value", "low", "high")} == pytest.approx(
        {name: expected[name] for name in ("value", "low", "high")}, abs=1e-4
    )


def test_rows_of_some_seeds_and_a_seed_given_twice():
    first, second = (table(seed, np.array([0.1, 0.0, 0.2])) for seed in (0, 1))
    alone = table(0, np.array([0.1, 0.0, 0.2]), "auprc")
    assert pooled([pl.concat([first, alone]), second])["metric"].unique().to_list() == ["auroc"]
    again = pooled([pooled([first, second]), table(2, np.array([0.4, 0.3, 0.5]))])
    assert again.filter(seed="mean")["value"].to_list() == pytest.approx([0.2])
    with pytest.raises(ValueError, match="comes twice"):
        pooled([first, first])


def test_numbers_that_name_a_row_may_be_whole_in_one_table() -> None:
    values = np.array([0.1, 0.0, 0.2])
    first = table(0, values).with_columns(horizon_years=pl.lit(10), num_subjects=pl.lit(7))
    second = table(1, values).with_columns(horizon_years=pl.lit(10), num_subjects=pl.lit(8))
    assert pooled([first, second])["seed"].to_list() == ["0", "1", "mean"]


def test_means_over_outcomes_are_the_same_whatever_their_number():
    tables = [
        table(seed, np.array([0.1, 0.0, 0.2])).with_columns(outcomes=pl.lit(f"mean of {20 + seed} outcomes"))
        for seed in (0, 1)
    ]
    assert pooled(tables)["outcomes"].unique().to_list() == ["mean of outcomes"]
    assert pooled(tables).height == 3


TABLES = Path(__file__).parents[3] / "docs" / "results" / "tables"
OF_SEEDS = [path for path in sorted(TABLES.glob("*_seeds_0_1_2.csv")) if "auroc" not in path.stem]


def split(path: Path, out: Path) -> list[Path]:
    """A CSV file of each seed of a table."""
    whole = pl.read_csv(path, infer_schema_length=None, schema_overrides={"seed": pl.String})
    files = []
    for (seed,), part in whole.filter(pl.col("seed") != "mean").group_by("seed", maintain_order=True):
        files.append(out / f"{path.stem}_seed{seed}.csv")
        part.write_csv(files[-1])
    return files


@pytest.mark.parametrize("path", OF_SEEDS, ids=lambda path: path.stem)
def test_tables_on_record_are_pooled_from_their_seeds(path: Path, tmp_path: Path) -> None:
    files = split(path, tmp_path)
    found = pooled([read(one) for one in files])
    whole = pl.concat([read(one) for one in files])
    lost = whole.filter(pl.col("value").is_not_null()).height - found.filter(pl.col("seed") != "mean").height
    # Two outcomes (7 models, 4 metrics) have cases enough on one seed alone.
    assert lost == {"headline_outcomes_seeds_0_1_2": 2 * 7 * 4}.get(path.stem, 0)
    assert found.filter(seed="mean").height == (found.height - found.filter(seed="mean").height) / 3


def test_means_of_values_are_those_of_the_run_of_all_seeds(tmp_path: Path) -> None:
    path = TABLES / "when_genome_matters_seeds_0_1_2.csv"
    found = pooled([read(one) for one in split(path, tmp_path)]).filter(seed="mean")
    expected = pl.read_csv(path).filter(seed="mean").select("dimension", "subgroup", "value")
    both = found.join(expected, on=["dimension", "subgroup"])
    assert both.height == expected.height == found.height
    assert both["value"].to_list() == pytest.approx(both["value_right"].to_list(), abs=2e-5)


def test_bars_are_the_same_whatever_is_remarked_of_them(tmp_path: Path) -> None:
    files = split(TABLES / "headline_bars_seeds_0_1_2.csv", tmp_path)
    found = pooled([read(one) for one in files]).filter(seed="mean")
    assert found.height == 19
    assert found.filter(bar="lowest of EHR - LightGBM among the 8 commonest")["low"].to_list() == [None]
    gain = found.filter(bar="mean AUROC, EHR - LightGBM").row(0, named=True)
    assert (gain["value"], gain["low"]) == (pytest.approx(0.0040, abs=1e-4), pytest.approx(0.0021, abs=6e-4))


MEASURED = {
    "number_of_scores": (["scores", "metric"], ["num_scores", "weights", "train_cpu_seconds"]),
    "fusion": (["model"], ["nats_per_event", "nats_genomes_withheld", "weights", "train_cpu_seconds"]),
    "objectives": (["share", "objective", "metric"], ["num_subjects", "noise"]),
    "estimators": (["estimator", "metric"], ["expected_auroc", "auroc", "cpu_seconds_per_1000"]),
    "few_labels": (["labels", "metric", "method"], ["outcomes"]),
    "ungenotyped": (["horizon_years", "metric"], ["equivalent"]),
    "own_cohort": (["model", "gain"], ["num_outcomes"]),
    "expected_auroc": (["auroc", "difference"], ["num_outcomes"]),
    "calibration_by_value": (["outcome", "measured", "horizon_years", "group", "model"], ["num_subjects"]),
    "onset_panel_metrics": (["outcome", "horizon_years", "model", "metric"], ["num_subjects", "num_cases"]),
    "when_genome_matters": (["dimension", "subgroup"], ["outcomes"]),
    "alignment": (["model", "population", "statistic"], ["p", "number"]),
    "onset_inputs": (["train_subjects", "head_reads", "gain"], ["tasks"]),
    "transfer": (["method", "scores", "labels", "metric"], []),
    "controls": (["model", "metric"], ["expected", "found"]),
}
"""Columns of labels and of what is measured, by script."""


@pytest.mark.parametrize("script", MEASURED)
def test_what_is_measured_does_not_name_a_row(script: str) -> None:
    labels, measured = MEASURED[script]
    tables = []
    for seed in (0, 1):
        rows = [
            dict.fromkeys(labels, "a") | dict.fromkeys(labels[:2], f"b{at}")
            | dict.fromkeys(measured, 100 * seed + at)
            | {"seed": seed, "value": seed + at, "low": seed + at - 1, "high": seed + at + 1}
            for at in range(3)
        ]  # fmt: skip
        tables.append(pl.DataFrame(rows))
    mean = pooled(tables).filter(seed="mean")
    assert mean["value"].to_list() == [0.5, 1.5, 2.5]
    assert set(labels) <= set(mean.columns)
    assert not set(measured) & set(mean.columns)


def test_scores_asked_for_tell_rows_apart_where_nothing_else_does() -> None:
    """Number of scores as it was written before, and transfer."""
    base = pl.read_csv(TABLES / "number_of_scores_seed_0.csv")
    found = pooled([base, base.with_columns(seed=pl.lit(1), train_cpu_seconds=pl.lit(1.0))])
    assert found.filter(seed="mean")["scores"].to_list() == ["10", "100", "300", "3455"]
    arms = pl.read_csv(TABLES / "transfer_seed_2.csv")
    both = pooled([arms, arms.with_columns(seed=pl.lit(3))]).filter(seed="mean")
    assert both.height == arms.height
    assert both["scores"].unique().sort().to_list() == ["no", "yes"]


def test_a_seed_without_a_value_leaves_its_row_out() -> None:
    first, second = (table(seed, np.array([0.1, 0.0, 0.2])) for seed in (0, 1))
    empty = second.with_columns(metric=pl.lit("auprc"), value=pl.lit(None, pl.Float64))
    whole = pooled(
        [pl.concat([first, first.with_columns(metric=pl.lit("auprc"))]), pl.concat([second, empty])]
    )
    assert whole["metric"].unique().to_list() == ["auroc"]


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *arguments: object
) -> tuple[str, str]:
    """What the script prints, and what it says on standard error."""
    monkeypatch.setattr("sys.argv", ["pooled.py", *map(str, arguments)])
    with contextlib.suppress(SystemExit):
        main()
    return capsys.readouterr()


def test_it_says_what_is_left_out_and_what_is_wrong_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    first, second = (table(seed, np.array([0.1, 0.0, 0.2])) for seed in (0, 1))
    more = pl.concat([first, first.with_columns(metric=pl.lit("auprc"))])
    tables = {"a": more, "b": second, "other": second.with_columns(metric=pl.lit("slope"))}
    tables |= {"further": second.with_columns(law=pl.lit("x")), "no_value": second.drop("value", "low")}
    files = {name: tmp_path / f"{name}.csv" for name in tables}
    for name, path in files.items():
        tables[name].write_csv(path)
    (tmp_path / "empty.csv").touch()

    out, error = run(monkeypatch, capsys, files["a"], files["b"])
    assert "| auroc | mean | 0.100" in out
    assert error == "pooled: 1 rows are left out: not every seed has a value of them\n"
    for name, expected in {
        files["other"]: "no row has a value of all 2 seeds; rows are matched by metric",
        files["further"]: "not all tables have the columns law",
        files["no_value"]: "has no column value, low; expected seed, value, low, high",
        files["a"]: "a seed comes twice: 0, 4 rows",
        tmp_path / "empty.csv": "cannot be read as CSV",
        tmp_path / "none.csv": "cannot be read as CSV",
    }.items():
        out, error = run(monkeypatch, capsys, files["a"], name)
        assert not out
        assert expected in error.splitlines()[-1]
        assert "Traceback" not in error
