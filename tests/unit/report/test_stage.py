import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import polars as pl
import pytest

from manifests import forget_digests
from proband.core.errors import ConfigError, DataError
from proband.core.statistics.suppress import HIDDEN
from proband.evaluate.tables import ALREADY_BEGUN, GAINS, LEAKS, METRICS, MODELS, read_table
from proband.report import check, report
from proband.report.tables import plain


def cells_of(page):
    return [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page)]


def test_page_stands_alone(page):
    assert page.count("<script>") == 1
    assert "<script " not in page
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    assert not re.search(r"@import|url\((?!#)", page)
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<svg") >= 1


def test_page_is_well_formed(page):
    class Balanced(HTMLParser):
        void = frozenset({"meta", "br", "link", "input", "col"})

        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, attrs):
            self.open += [] if tag in self.void else [tag]

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    parser = Balanced()
    parser.feed(page)
    assert parser.open == []


def test_names_are_escaped_everywhere(page):
    assert "<b>ehr" not in page
    assert "&lt;b&gt;ehr" in page
    assert "ehr &amp; pgs" in page


def test_no_path_of_the_machine(page, results):
    assert str(results.parent) not in page
    assert not re.search(r"(?<![\w<:/])/(tmp|work|home|root|usr)/", page)


def test_sections_are_there(page):
    for title in (
        "At a glance",
        "Cohort",
        "Outcomes",
        "Paired differences",
        "TRIPOD+AI",
        "PROBAST+AI",
        "Limits",
    ):
        assert title in page
    for panel in ("ROC", "Precision and recall", "Calibration", "Decision curve", "Risk by PGS decile"):
        assert panel in page
    assert "PGS000001" in page
    assert "Type 2 diabetes" in page


def test_no_small_count_nor_an_exact_one(page, results):
    cohort = read_table(results, "cohort")
    small = cohort.filter(outcome="stroke")["num_events"].to_list()
    assert any(0 < number <= 20 for number in small), "the world must hold a small count"
    cells = cells_of(page[: page.index('id="checklists"')])
    assert HIDDEN in cells
    whole = [int(cell.replace(",", "")) for cell in cells if re.fullmatch(r"[\d,]+", cell)]
    assert whole
    assert all(number == 0 or (number > 20 and number % 10 == 0) for number in whole)


def test_the_page_passes_its_own_check(page, results, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    assert check(file) == []


def test_synthetic_data_say_so_and_hide_nothing(results, page, tmp_path):
    out = tmp_path / "page.html"
    report(results, out, synthetic=True)
    text = out.read_text(encoding="utf-8")
    assert "Synthetic data." in text
    assert "Synthetic data." not in page
    assert HIDDEN not in cells_of(text)
    row = read_table(results, "cohort").filter(split="held_out", outcome="type_2_diabetes")
    assert f"{row['num_subjects'][0]:,}" in cells_of(text)
    assert check(out, synthetic=True) == []
    assert any(line.startswith(("small count", "count that is not rounded")) for line in check(out))


@pytest.mark.parametrize(
    ("number_of", "num_cases", "shown"),
    [
        (47, 47, ["1.000 (0.900)", "50"]),
        (47, 46, ["≥0.9", "50"]),  # a share of 46 / 47 would tell of the one who is no case
        (20, 19, ["–", HIDDEN]),
    ],
)
def test_codes_that_nearly_determine_an_outcome_are_shown_where_there_are_any(
    results, page, tmp_path, number_of, num_cases, shown
):
    assert "nearly determine an outcome</caption>" not in page
    row = {"outcome": "type_2_diabetes", "code": "LAB//<i>1", "who": "having", "label": "case"}
    row |= {"window": "last day", "rule": "predictive value", "value": num_cases / number_of, "low": 0.9125}
    row |= {"share_of_cases": 0.2, "share_of_others": 0.01, "num_subjects": number_of, "num_cases": num_cases}
    rows = [row | {"horizon_years": horizon} for horizon in (1.0, 5.0)]
    rows.append(rows[0] | {"outcome": "stroke"})  # too rare to be shown
    shutil.copytree(results, tmp_path / "results")
    LEAKS.write(
        LEAKS.check(pl.DataFrame(rows, LEAKS.columns), "rows"), tmp_path / "results" / "leaks.parquet"
    )
    forget_digests(tmp_path / "results")
    report(tmp_path / "results", out := tmp_path / "page.html")
    cells = cells_of(out.read_text(encoding="utf-8"))
    at = cells.index("LAB//&lt;i&gt;1")
    assert cells.count("LAB//&lt;i&gt;1") == 1
    assert cells[at - 1 : at + 5] == [
        "Type 2 diabetes", "LAB//&lt;i&gt;1", "on the last day", "having it", "share case", "5 years",
    ]  # fmt: skip
    assert cells[at + 5 : at + 7] == shown
    assert check(out) == []


def test_results_with_a_truth_are_known_to_be_synthetic(results, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    manifest = tmp_path / "results" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["notes"]["synthetic"] = True
    manifest.write_text(json.dumps(content))
    forget_digests(tmp_path / "results")
    report(tmp_path / "results", tmp_path / "report.html")
    assert "Synthetic data." in (tmp_path / "report.html").read_text(encoding="utf-8")


def with_config(results, folder, **changes):
    """The page of the results as if evaluated with other options."""
    shutil.copytree(results, folder / "results")
    manifest = folder / "results" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["config"] |= changes
    manifest.write_text(json.dumps(content))
    forget_digests(folder / "results")
    report(folder / "results", folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("split", "lead", "banner"),
    [
        ("train", "foretold new onset in the people it was fitted to, with", "Train split."),
        (
            "tuning",
            "foretold new onset in the people on whom its settings were chosen, with",
            "Tuning split.",
        ),
    ],
)
def test_the_page_says_in_whom_models_were_judged(results, page, tmp_path, split, lead, banner):
    assert "foretold new onset in people it had not seen, with" in page
    assert "banner" not in page[page.index("<body>") :]
    text = with_config(results, tmp_path, split=split)
    assert lead in text
    assert f'<p class="banner" role="note"><strong>{banner}</strong>' in text
    assert "had not seen" not in text
    assert check(tmp_path / "report.html") == []


def test_a_page_of_results_without_resamples_promises_no_intervals(results, page, tmp_path):
    before, text = (
        one[one.index("<main>") : one.index('id="methods"')]
        for one in (page, with_config(results, tmp_path, bootstrap=0))
    )
    for said in ("With 95% intervals, at the longest", "95% bands", "pointwise 95% band"):
        assert said in before
        assert said not in text
    assert "Without intervals, since there were no resamples, at the longest" in text


def test_the_first_screen_answers_three_questions(results, page, tmp_path):
    assert "No two models are known to differ by the genome alone" in page
    shutil.copytree(results, tmp_path / "results")
    known = pl.when(model="ehr & pgs").then(True).when(model="<b>ehr").then(False)
    file = tmp_path / "results" / "models.parquet"
    MODELS.write(MODELS.read(file).with_columns(known.otherwise("reads_genome").alias("reads_genome")), file)
    gain = (5.0, "ehr & pgs", "<b>ehr", "auroc", 0.0912, 0.05, 0.13, 1, 30)
    table = pl.DataFrame([gain], schema=dict(GAINS.columns), orient="row")
    GAINS.write(table, tmp_path / "results" / "gains.parquet")
    forget_digests(tmp_path / "results")
    report(tmp_path / "results", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    said = "The genome added 0.091 to the AUROC of 5-year risk, mean over 1 outcomes (95% interval 0.050 to"
    assert said in text
    assert "above 0 in 1 and below 0 in 0 of 1 outcomes" in text
    assert text.index(said) < text.index('id="gain"') < text.index("Mean over outcomes")


def test_rare_outcome_shows_no_metric(page):
    section = page[page.index(">Stroke <") : page.index(">Type 2 diabetes <")]
    assert "Not shown: 1, 5 years" in section
    assert "<td" not in section


def test_metrics_shown_are_those_of_the_results(page, results):
    row = read_table(results, "metrics").filter(
        outcome="type_2_diabetes", horizon_years=5.0, model="ehr & pgs", metric="auroc"
    )
    text = f"{row['value'][0]:.3f} ({row['low'][0]:.3f}–{row['high'][0]:.3f})"
    assert text in page


def test_differences_are_turned_the_way_they_are_named(page, results):
    row = read_table(results, "differences").filter(
        outcome="type_2_diabetes",
        horizon_years=5.0,
        metric="auroc",
        model_a="<b>ehr",
        model_b="ehr & pgs",
    )
    shown = page[page.index("ehr &amp; pgs − &lt;b&gt;ehr") :]
    first = re.findall(r"<td[^>]*>(.*?)</td>", shown)[0]
    assert first.startswith(f"{-row['difference'][0]:+.3f}")


def test_same_results_same_page(results, page, tmp_path):
    report(results, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_a_finished_page_is_nothing_to_do(results, page, tmp_path, capsys):
    report(results, tmp_path / "report.html")
    written = (tmp_path / "report.html").stat()
    report(results, tmp_path / "report.html")
    assert "already finished" in capsys.readouterr().err
    assert (tmp_path / "report.html").stat().st_mtime_ns == written.st_mtime_ns


def test_existing_file_is_kept_without_overwrite(results, page, tmp_path):
    out = tmp_path / "report.html"
    mine = page.replace("How it was made", "How I made it")
    out.write_text(mine, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"output file exists.*--overwrite"):
        report(results, out)
    assert out.read_text(encoding="utf-8") == mine
    report(results, out, overwrite=True)
    assert out.read_text(encoding="utf-8") == page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("content", ["outcomes: {x: {codes: X}}", "<!DOCTYPE html><title>mine</title>"])
def test_what_is_no_page_of_ours_is_never_replaced(results, tmp_path, content):
    out = tmp_path / "task.yaml"
    out.write_text(content)
    with pytest.raises(ConfigError, match="no page of ours and is not replaced"):
        report(results, out, overwrite=True)
    assert out.read_text() == content


def test_a_page_within_the_results_is_refused(results):
    """It would be a file that is not of the stage."""
    for out in (results / "report.html", results / "pages" / "report.html"):
        with pytest.raises(ConfigError, match="would lie in the results folder"):
            report(results, out)
        assert not out.exists()


def test_output_is_a_folder(results, tmp_path):
    with pytest.raises(ConfigError, match="output is a folder"):
        report(results, tmp_path, overwrite=True)


def test_no_results(tmp_path):
    with pytest.raises(DataError, match="no finished output"):
        report(tmp_path, tmp_path / "report.html")


def test_another_stages_output(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"stage": "synth"}))
    with pytest.raises(DataError, match=r"another stage.*synth.*proband evaluate"):
        report(tmp_path, tmp_path / "report.html")


def test_damaged_results_leave_nothing(results, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    (tmp_path / "results" / "roc.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"not as it was written.*roc\.parquet"):
        report(tmp_path / "results", tmp_path / "report.html")
    forget_digests(tmp_path / "results")
    with pytest.raises(DataError, match="unreadable Parquet"):
        report(tmp_path / "results", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_model_not_above_age_and_sex_is_said_first(results, page, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    file = tmp_path / "results" / "metrics.parquet"
    worse = pl.when((pl.col("metric") == "auroc") & (pl.col("model") == "ehr & pgs")).then(0.4)
    METRICS.write(METRICS.read(file).with_columns(worse.otherwise("value").alias("value")), file)
    forget_digests(tmp_path / "results")
    report(tmp_path / "results", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    warnings = re.findall(r'<p class="warning">(.*?)</p>', text)
    said = warnings[0]
    assert said.startswith("Not above age and sex in AUROC at the longest horizon shown: ")
    assert all("perfect calibration" in other for other in warnings[1:])
    assert "ehr &amp; pgs in 1 of 1 outcomes" in said  # the other outcome is too rare to be shown
    assert text.index("<h1>") < text.index(said) < text.index('id="overview"')
    assert "ehr &amp; pgs in 1 of" not in page


def test_share_already_begun_is_told_beside_the_outcome(results, page, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    begun = pl.DataFrame(
        {
            "outcome": ["type_2_diabetes", "stroke"],
            "horizon_years": [5.0, 5.0],
            "num_cases": [100, 3],
            "share_already_begun": [0.34, 0.6666],
        }
    )
    ALREADY_BEGUN.write(begun, tmp_path / "results" / "already_begun.parquet")
    forget_digests(tmp_path / "results")
    report(tmp_path / "results", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "cases by 5 years, 34.0% had begun before the prediction time" in text
    assert text.count("had begun before") == 1  # the other outcome is too rare to be shown
    assert "had begun" not in page


def test_a_page_that_another_process_writes_is_not_written_twice(results, tmp_path):
    held = """
import sys, time
from pathlib import Path
from proband.core.files.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
    out = tmp_path / "page.html"
    command = [sys.executable, "-c", held, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(ConfigError, match=f"being written.*found process {holder.pid} on"):
                report(results, out)
            assert not out.exists()
        finally:
            holder.kill()
    report(results, out)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_an_outcome_that_a_model_has_no_risks_of(results, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    metrics = read_table(results, "metrics")
    name = metrics.filter(metric="auroc").drop_nulls("low")["outcome"][0]
    own = (pl.col("outcome") == name) & (pl.col("model") == "<b>ehr")
    for table in ("roc", "pr", "decision", "calibration", "utility"):
        rows = pl.read_parquet(results / f"{table}.parquet")
        assert rows.filter(own).height
        rows.filter(~own).write_parquet(tmp_path / "results" / f"{table}.parquet")
    none = (
        pl.when(own & (pl.col("metric") == "auroc"))
        .then(None)
        .otherwise(pl.col("value", "low", "high"))
        .name.keep()
    )
    metrics.with_columns(none).write_parquet(tmp_path / "results" / "metrics.parquet")
    forget_digests(tmp_path / "results")
    report(tmp_path / "results", tmp_path / "page.html")
    assert plain(name) in (tmp_path / "page.html").read_text()
