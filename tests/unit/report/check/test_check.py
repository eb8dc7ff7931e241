"""A finished page is scanned for what may not leave: each kind, planted, is found; a clean page passes."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from proband.cli.main import app
from proband.core.errors import ConfigError, DataError
from proband.report.check import check

HEAD = (
    '<!DOCTYPE html>\n<html lang="en"><head><title>t</title><style>p { color: red; }</style></head>\n<body>\n'
)
CLEAN = """
<p>1,240 subjects at risk, 80 onsets seen; counts of 1 to 20 are not shown. EHR in 1 of 15 outcomes.</p>
<p class="made-on">2026-11-27T00:38:27+00:00</p>
<table><tr><th>Outcome</th><th>Subjects</th><th>Female</th><th>Male</th><th>AUROC</th></tr>
<tr><td>Gout</td><td>1,240</td><td>≤20</td><td>withheld</td><td>0.712 (0.650–0.771)</td></tr>
<tr><td>Asthma</td><td>900</td><td>500</td><td>410</td><td>0.5</td></tr></table>
<svg viewBox="0 0 300 200" xmlns="http://www.w3.org/2000/svg"><path d="M10.5 20.1L30 40"/></svg>
<svg width="100%"><circle cx="3.25%" r="3"/></svg>
<a href="#top">top</a><a href="https://doi.org/10.1136/bmj-2023-078378">source</a>
<script>document.querySelectorAll("tr").forEach(row => row.hidden = false);</script>
"""
TABLE = "<table><tr><th>Outcome</th><th>{}</th></tr><tr><td>Gout</td><td>{}</td></tr></table>"
TWO = "<table><tr><th>Female</th><th>Male</th></tr><tr><td>{}</td><td>{}</td></tr></table>"
TOTAL = "<table><tr><th>Split</th><th>Subjects</th></tr>{}<tr><td>Total</td><td>540</td></tr></table>"
ROWS = "<tr><td>train</td><td>500</td></tr><tr><td>tuning</td><td>≤20</td></tr>"
PLANTED = {
    "small count in a table": (TABLE.format("Onsets", "7"), "small count"),
    "exact count": (TABLE.format("Subjects", "1,243"), "not rounded to tens"),
    "small count in a sentence": ("<p>Of these, 17 subjects died.</p>", "small count in a sentence"),
    "share of many in a sentence": ("<p>17 of 400 subjects died.</p>", "small count in a sentence"),
    "share of many without a noun": ("<p>17 of 400 died.</p>", "small count in a sentence"),
    "count after a colon": ("<p>Deaths: 7</p>", "small count in a sentence"),
    "n of a sentence": ("<p>Women (n = 12)</p>", "small count in a sentence"),
    "count before a verb": ("<p>only 7 had an onset</p>", "small count in a sentence"),
    "count with its percentage": (TABLE.format("Subjects (n)", "7 (2%)"), "small count"),
    "exact count with its percentage": (TABLE.format("Subjects (n)", "347 (2%)"), "not rounded to tens"),
    "count over a total": (TABLE.format("Cases", "7/340"), "small count"),
    "exact total of a fraction": (TABLE.format("Cases", "40/343"), "not rounded to tens"),
    "onsets by years": (TABLE.format("Onsets by 5 years", "7"), "small count"),
    "number at risk": (TABLE.format("Number at risk", "7"), "small count"),
    "marked count": (TABLE.format("Cases", "7*"), "small count"),
    "count of a total": (TABLE.format("Cases", "7 of 500 (1%)"), "small count"),
    "bound below 20": (TABLE.format("Cases", "&lt;10"), "small count"),
    "bound in words": (TABLE.format("Cases", "fewer than 5"), "small count"),
    "exact count with a space": (TABLE.format("Cases", "1\u2009234"), "not rounded to tens"),
    "bold number": ("<p><b>12</b> cases died</p>", "small count in a sentence"),
    "number in a span": ("<p><span>12</span> patients</p>", "small count in a sentence"),
    "bold number after a title": ("<p>Cases:\n<b>12</b></p>", "small count in a sentence"),
    "label of a figure in parts": (
        "<svg><text>n = <tspan>7</tspan></text></svg>",
        "small count in a sentence",
    ),
    "wide title": (
        "<table><tr><th colspan=2>Outcome</th><th>Cases</th></tr>"
        "<tr><td>a</td><td>b</td><td>7</td></tr></table>",
        "small count",
    ),
    "two rows of titles": (
        "<table><tr><th rowspan=2>Outcome</th><th colspan=2>Train</th></tr>"
        "<tr><th>Cases</th><th>AUROC</th></tr><tr><td>Gout</td><td>7</td><td>0.5</td></tr></table>",
        "small count",
    ),
    "title of two columns": (
        "<table><tr><th></th><th colspan=2>Cases</th></tr><tr><th></th><th>Train</th><th>Test</th></tr>"
        "<tr><td>Gout</td><td>500</td><td>7</td></tr></table>",
        "small count",
    ),
    "hidden below two rows of titles": (
        "<table><tr><th colspan=2>Sex</th></tr><tr><th>Female</th><th>Male</th></tr>"
        "<tr><td>≤20</td><td>500</td></tr></table>",
        "follows from its total",
    ),
    "count in a script": ("<script>var d={cases:7}</script>", "small count in a script"),
    "counts in a script": ('<script>var d={"numCases":\n[100, 7]}</script>', "small count in a script"),
    "count in an attribute": ("<p data-cases='7'>x</p>", "small count"),
    "exact count in an attribute": ("<p data-num_cases='1243'>x</p>", "not rounded to tens"),
    "hint of a field": ("<input placeholder='7 cases'>", "small count in a sentence"),
    "content of a field": ("<input value='7 cases'>", "small count in a sentence"),
    "table of rows": ("<table><tr><td>Cases</td><td>7</td></tr></table>", "small count"),
    "table of rows with titles": (
        "<table><tr><th>Item</th><th>Value</th></tr><tr><td>Deaths</td><td>7</td></tr></table>",
        "small count",
    ),
    "count beside its percentage": (TABLE.format("Cases (%)", "12 (3%)"), "small count"),
    "row of several groups": (
        "<table><tr><th></th><th>Train</th><th>Test</th></tr>"
        "<tr><td>Cases, n (%)</td><td>120 (3%)</td><td>7 (2%)</td></tr></table>",
        "small count",
    ),
    "row below a row of text": (
        "<table><tr><td>Split</td><td>test</td></tr><tr><td>Subjects</td><td>12</td></tr></table>",
        "small count",
    ),
    "share with its percentage in a sentence": (
        "<p>7 (2%) of 300 patients died.</p>",
        "small count in a sentence",
    ),
    "count in brackets": ("<p>Cases (12)</p>", "small count in a sentence"),
    "list of terms": ("<dl><dt>Cases</dt><dd>7</dd></dl>", "small count"),
    "small count in a label": ('<svg aria-label="3 cases"></svg>', "small count in a sentence"),
    "hidden part of a row": (TWO.format("≤20", "480"), "follows from its total"),
    "hidden part of a column": (TOTAL.format(ROWS), "follows from its total"),
    "long coordinate": ('<svg><path d="M10.482913 2"/></svg>', "coordinate with too many digits"),
    "long percent": ('<i style="left:12.48291%"></i>', "coordinate with too many digits"),
    "long number": ("<p>AUROC 0.7128391</p>", "number with too many digits"),
    "long number in a script": ("<script>const a = [0.7128391];</script>", "number with too many digits"),
    "mark for each person": (f"<svg>{'<circle/>' * 601}</svg>", "a mark for each person"),
    "subject identifier": (TABLE.format("subject_id", "100123"), "subject identifier"),
    "subject number": ("<p>Subject 100123 had it first.</p>", "subject identifier"),
    "universal identifier": ("<p>123e4567-e89b-12d3-a456-426614174000</p>", "universal identifier"),
    "date": ("<p>born 1961-04-17</p>", "date"),
    "date in words": ("<p>seen 17 April 1961</p>", "date"),
    "host name": ("<p>made on node17.cluster.local</p>", "host name"),
    "user and host": ("<p>alice@gpu07:</p>", "user and host name"),
    "absolute path": ("<p>read /home/alice/results</p>", "absolute path"),
    "Windows path": (r"<p>read C:\Users\alice\results</p>", "absolute path"),
    "address of a file": ('<a href="file:///x/y">here</a>', "address of a file"),
    "one person": ("<p>1 patient was left out</p>", "small count in a sentence"),
    "count in words": ("<p>Three patients were left out</p>", "small count in a sentence"),
    "one person in words": ("<p>only one woman died</p>", "small count in a sentence"),
    "share in words": ("<p>seven of 340 had an onset</p>", "small count in a sentence"),
    "count in brackets after its share": ("<p>3% (7) of the cases</p>", "small count in a sentence"),
    "share of many who had it": ("<p>12 of 340 had an onset</p>", "small count in a sentence"),
    "number of a person": ("<p>NHS number 943 476 5919</p>", "number of a person"),
    "number of an insured person": ("<p>078-05-1120</p>", "number of a person"),
    "telephone": ("<p>Call +44 20 7946 0958</p>", "telephone number"),
    "script in an address": ('<a href="javascript:x()">x</a>', "script in an address"),
    "bucket": ("<p>gs://fc-secure/cohort</p>", "address of a file"),
    "network address": ("<p>10.20.30.40</p>", "network address"),
    "e-mail": ("<p>Ask alice.b@example.org</p>", "e-mail address"),
    "remote image": ('<img src="https://example.org/pixel.png" alt="">', "address that is loaded"),
    "remote style": ('<link rel="stylesheet" href="//example.org/a.css">', "address that is loaded"),
    "remote script": ('<script src="https://example.org/a.js"></script>', "remote script"),
    "local file": ('<img src="figures/roc.png" alt="">', "file that is loaded"),
    "script that loads": ("<script>fetch('x')</script>", "script that loads or sends"),
    "style that loads": ("<style>@import 'a.css';</style>", "style that loads"),
    "frame": ('<iframe srcdoc="x"></iframe>', "frame, form or embedded object"),
    "refresh": ('<meta http-equiv="refresh" content="0;url=x">', "page that loads another"),
    "handler": ('<p onclick="x()">a</p>', "event handler in a tag"),
    "embedded file": ('<a href="data:application/octet-stream;base64,AAAA">a</a>', "embedded data"),
    "Parquet": ("<script>const a = 'PAR1';</script>", "embedded Parquet file"),
    "base64": (f"<script>const a = '{'QUJD' * 60}';</script>", "embedded data"),
    "array": (f"<script>const a = [{'1, ' * 201}1];</script>", "row of 200 numbers or more"),
    "data in a script": ('<script type="application/json">{}</script>', "data in a script"),
    "comment": ("<!-- cohort of the pilot -->", "comment"),
}


HARMLESS = [
    "<p>Seven of 12 outcomes; twenty-one patients; one man's risk; at least one case; 3% (7) of models</p>",
    "<p>People with type 2 had it by 5 years; 7 of 20 outcomes were missed, 3 of 12 diseases shown.</p>",
    "<p>7 of 20 outcomes had an event; rates per 1 person and 1 person-year; 21 of 340 had an onset</p>",
    "<p>+0.023 (+0.016 to +0.029), 10-20-3000 steps, 1,240-1,250; the 1 control model</p>",
    "<p>Deaths: 70. AUROC of 7 models; n = 1,240; women: 20%; cases: 0.7</p>",
    TABLE.format("Years of follow-up per person", "7"),
    TABLE.format("Median years to onset", "7"),
    TABLE.format("Incidence by 5 years", "7"),
    TABLE.format("Cases", "40/340"),
    TABLE.format("Cases", "≤20*") + TABLE.format("Cases", "&lt;21") + TABLE.format("Cases", "1 230†"),
    TABLE.format("Cases", "40 of 340 (12%)") + TABLE.format("Models", "7*"),
    "<table><tr><th></th><th colspan=2>Cases</th></tr><tr><th></th><th>Number</th><th>Mean age</th></tr>"
    "<tr><td>Gout</td><td>500</td><td>7</td></tr></table>",
    "<table><tr><th>Outcome</th><th colspan=2>Onsets</th></tr><tr><th></th><th>1</th><th>5</th></tr>"
    "<tr><td>Gout</td><td>50</td><td>70</td></tr></table>",
    "<table><tr><th rowspan=2>Outcome</th><th>Horizon</th></tr><tr><th>Years</th></tr></table>",
    "<p data-order='7' data-name='Type 2 diabetes' title='7 models'>Type <b>2</b>, n = <i>120</i></p>",
    "<script>const showcases = 7, cases = 120, women = 7.5; on('events', 7);</script>",
    TABLE.format("Women, years", "2"),
    TABLE.format("Number of scores", "5"),
    TABLE.format("Cases (%)", "3"),
    "<p>n = 10 replicates; of 20 outcomes, 6 had an interval; day 5 had none. Events: 1-5, female: 1</p>",
    "<table><tr><th>Subgroup</th><th>Horizon</th></tr><tr><td>Women</td><td>5</td></tr></table>",
    "<dl><dt>Horizon, years</dt><dd>5</dd></dl>",
]


def write(folder, body):
    file = folder / "page.html"
    file.write_text(f"{HEAD}{CLEAN}\n{body}\n</body></html>\n", encoding="utf-8")
    return file


def test_a_clean_page_passes(tmp_path):
    assert check(write(tmp_path, "")) == []


@pytest.mark.parametrize("name", PLANTED)
def test_each_planted_kind_is_found_with_its_line(tmp_path, name):
    body, expected = PLANTED[name]
    found = check(write(tmp_path, body))
    assert any(expected in line.partition(";")[0] for line in found), found
    assert all("\n" not in line and "in page.html, line " in line for line in found)


@pytest.mark.parametrize("body", HARMLESS)
def test_numbers_that_count_nobody_pass(tmp_path, body):
    assert check(write(tmp_path, body)) == []


def test_all_kinds_at_once(tmp_path):
    body = "\n".join(body for body, _ in PLANTED.values())
    kinds = {line.partition(";")[0] for line in check(write(tmp_path, body))}
    assert len(kinds) >= 20
    assert all(any(expected in kind for kind in kinds) for _, expected in PLANTED.values())


def test_counts_of_synthetic_data_are_no_secret_but_the_rest_is(tmp_path):
    body = PLANTED["small count in a table"][0] + PLANTED["e-mail"][0]
    kinds = [line.partition(";")[0] for line in check(write(tmp_path, body), synthetic=True)]
    assert kinds == ["e-mail address"]


def test_the_name_of_this_machine_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "enclave-7.hospital")
    found = check(write(tmp_path, "<p>on enclave-7</p>"))
    assert [line.partition(";")[0] for line in found] == ["user or host name of this machine"]


@given(st.integers(1, 20))
def test_every_small_count_is_found(tmp_path_factory, number):
    folder = tmp_path_factory.mktemp("page")
    [line] = check(write(folder, TABLE.format("Cases", number)))
    assert f"found {number} in column Cases" in line


@given(st.text(max_size=60))
def test_any_text_is_read(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("page")
    file = folder / "page.html"
    file.write_text(f"{HEAD}{text}", encoding="utf-8", errors="replace")
    check(file)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"no tags"])
def test_what_is_no_page_is_said(tmp_path, content):
    file = tmp_path / "page.html"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"no page to check.*page\.html"):
        check(file)


def run(*words):
    return CliRunner().invoke(app, ["report", *map(str, words)])


def test_the_command_line_prints_a_line_per_violation_and_ends_with_status_2(tmp_path):
    done = run("--check", write(tmp_path, PLANTED["e-mail"][0] + "\n" + PLANTED["remote script"][0]))
    assert done.exit_code == 2
    lines = done.stderr.splitlines()
    assert [line.partition(";")[0] for line in lines] == ["proband: e-mail address", "proband: remote script"]
    done = run("--check", write(tmp_path, ""))
    assert (done.exit_code, done.stderr) == (0, "")
    assert "nothing found" in done.stdout


def test_every_page_that_is_named_is_checked(tmp_path):
    for name in ("bad", "good"):
        (tmp_path / name).mkdir()
    bad, good = write(tmp_path / "bad", "write to me@example.org"), write(tmp_path / "good", "")
    done = run("--check", bad, "--check", good)
    assert done.exit_code == 2
    assert "e-mail address" in done.stderr
    assert "nothing found" in done.stdout


def test_a_check_takes_no_results_and_a_report_needs_them(tmp_path):
    with pytest.raises(ConfigError, match="--check takes no results"):
        raise run(tmp_path, "--check", write(tmp_path, "")).exception
    with pytest.raises(ConfigError, match=r"no results or no file.*RESULTS OUT, or --check FILE"):
        raise run(tmp_path).exception
