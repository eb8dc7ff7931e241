"""The section on simulated futures: what it shows, and what it holds back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from proband.cli.main import app
from proband.core.errors import DataError
from proband.core.statistics.suppress import HIDDEN, merge_bins
from proband.realism.compare import REALISM
from proband.realism.memorisation import MEMORISATION, NEARNESS
from proband.report import check, report
from proband.report.sections.simulated import may_show, simulated_section

SUBJECTS = 400


def row(statistic: str, item: str, other: str = "", **changes: object) -> dict:
    values = {"real": 0.25, "simulated": 0.35, "standard_error": 0.02, "z": 5.0}
    counts = {"num_real": 100, "num_simulated": 140, "num_subjects": SUBJECTS}
    return {"statistic": statistic, "item": item, "other": other} | values | counts | changes


ROWS = [
    row("rate", "events", real=3.25, simulated=3.5),
    row("rate", "deaths", num_real=7),
    row("prevalence", "<b>A"),
    row("prevalence", "B", real=0.5, simulated=0.5, z=0.0, num_real=200, num_simulated=399, num_subjects=400),
    row("prevalence", "RARE", num_real=20),
    row("prevalence", "NEVER REAL", real=0.0, num_real=0, simulated=0.3),
    row("prevalence", "OFTEN", num_real=385),
    row("prevalence", "C", real=0.1, simulated=0.11, z=None),
    row("pair", "<b>A", "B"),
    row("gap", "0.5", "31.5", real=0.5, simulated=0.6),
    row("gap", "0.9", "1.2e+04", real=0.9, simulated=0.95),
    row("age_rate", "C", "40-50"),
    row("age_rate", "C", "50-60", num_simulated=3),
]
COPIES = [
    {
        "measure": measure,
        "share_nearer": 0.62,
        "standard_error": 0.02,
        "extreme": 9.0,
        "num_real_beyond": 4,
        "num_simulated_beyond": beyond,
        "num_points": 388,
        "num_subjects": 380,
    }
    for measure, beyond in (("longest_run", 12), ("distance", 97))
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "realism"
    out.mkdir()
    counts = {"num_predictions": 401, "num_subjects": 400, "num_trajectories": 1604, "num_cut_short": 160}
    manifest = {"stage": "realism", "counts": counts, "inputs": {"/home/me/futures": "ab" * 32}}
    (out / "manifest.json").write_text(json.dumps(manifest))
    REALISM.write(pl.DataFrame(ROWS, schema=REALISM.empty().schema), out / "realism.parquet")
    MEMORISATION.write(pl.DataFrame(COPIES, schema=MEMORISATION.empty().schema), out / "memorisation.parquet")
    bins = [
        {"measure": measure, "low": float(at), "high": at + 1.0, "num_real": 97, "num_simulated": number}
        for measure in ("longest_run", "distance")
        for at, number in enumerate((150, 5, 150, 83))
    ]
    NEARNESS.write(pl.DataFrame(bins, schema=NEARNESS.empty().schema), out / "nearness.parquet")
    return out


@pytest.fixture
def html(results: Path, folder: Path, tmp_path: Path) -> str:
    report(results, tmp_path / "report.html", realism=folder)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def cells(text: str) -> list[str]:
    return [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", text)]


def test_the_page_has_the_section_only_where_it_is_asked_for(html: str, page: str) -> None:
    assert "Simulated futures</h2>" in html
    assert "Simulated futures" not in page
    link = '<li><a href="#simulated">Simulated futures</a></li>'
    before, after = (text.split('<section>\n<h2 id="methods">')[0] for text in (html, page))
    assert before.replace(link, "").startswith(after.rstrip())
    section = html[html.index('id="simulated"') : html.index('id="methods"')]
    assert section.count("<svg") == 6
    assert "<b>A" not in section
    assert "&lt;b&gt;A" in section
    assert "1,610 simulated futures of 410 predictions for 400 subjects" in section
    assert "10.0% had ended before" in section
    assert "Input futures of simulated futures" in html
    assert "/home/me" not in html


def test_no_number_shows_from_which_a_small_count_follows(html: str) -> None:
    section = html[html.index('id="simulated"') : html.index('id="methods"')]
    shown = cells(section)
    for item in ("events", "&lt;b&gt;A", "NEVER REAL", "C"):
        assert item in shown
    for item in ("deaths", "RARE", "OFTEN", "B"):
        assert item not in shown
    assert HIDDEN in shown
    assert "25.0%" in shown  # 97 of 388 lie beyond
    whole = [int(cell.replace(",", "")) for cell in shown if re.fullmatch(r"[\d,]+", cell) and len(cell) > 2]
    assert all(number % 10 == 0 for number in whole)


def test_rows_are_held_back_for_both_sides_and_for_who_had_it_not() -> None:
    kept = may_show(pl.DataFrame(ROWS, schema=REALISM.empty().schema))
    names = kept.filter(statistic="prevalence")["item"].to_list()
    assert names == ["<b>A", "NEVER REAL", "C"]
    assert kept.filter(statistic="age_rate")["other"].to_list() == ["40-50"]


def test_differences_come_largest_first_with_their_interval(folder: Path) -> None:
    section = simulated_section(folder)
    assert [cells[0] for cells in section.differences.rows] == ["NEVER REAL", "<b>A", "C"]
    assert section.differences.rows[1][1:] == ["0.250", "0.350", "+0.100 (+0.061 to +0.139)", "+5.0"]
    assert section.differences.rows[2][-1] == "–"
    assert section.rates.rows == [["events", "3.250", "3.500", "+0.250 (+0.211 to +0.289)", "+5.0"]]


def test_what_is_said_of_copies(folder: Path) -> None:
    rows = simulated_section(folder).copies.rows
    assert rows[0][1:] == ["390", "0.620 (0.580–0.660)", HIDDEN]  # 388 futures: steps of 0.005
    assert rows[1][1:] == ["390", "0.620 (0.580–0.660)", "25.0%"]


@pytest.mark.parametrize(
    ("nearer", "beyond", "shown"),
    [
        (5, 21, [HIDDEN, "5.5%"]),
        (20.5, 101, [HIDDEN, "26.0%"]),
        (383, 383, ["withheld", "withheld"]),
        (0, 0, ["0.000 (0.000–0.010)", "0.0%"]),
        (388, 388, ["1.000 (0.990–1.000)", "100.0%"]),
    ],
)
def test_shares_of_copies_tell_no_small_count_on_either_side(folder, nearer, beyond, shown) -> None:
    row = COPIES[0] | {"share_nearer": nearer / 388, "standard_error": 0.006, "num_simulated_beyond": beyond}
    MEMORISATION.write(
        pl.DataFrame([row], schema=MEMORISATION.empty().schema), folder / "memorisation.parquet"
    )
    assert simulated_section(folder).copies.rows[0][2:] == shown


@pytest.mark.parametrize(
    ("both", "kept"),
    [
        ({}, True),
        ({"num_real": 93}, False),  # 7 had A alone
        ({"num_simulated": 120}, False),
        ({"num_real": 79}, True),
    ],
)
def test_a_pair_is_held_back_where_few_have_one_code_alone(both, kept) -> None:
    rows = [row("prevalence", "A"), row("prevalence", "B", num_real=200, num_simulated=240)]
    rows.append(row("pair", "A", "B", **both))
    shown = may_show(pl.DataFrame(rows, schema=REALISM.empty().schema))
    assert shown.filter(statistic="pair").height == kept
    assert shown.filter(statistic="prevalence").height == 2


def test_a_pair_is_held_back_where_few_have_neither_code() -> None:
    rows = [row("prevalence", "A", num_real=250), row("prevalence", "B", num_real=240)]
    rows.append(row("pair", "A", "B", num_real=105))  # 145 and 135 had one alone, 15 neither
    assert may_show(pl.DataFrame(rows, schema=REALISM.empty().schema)).filter(statistic="pair").is_empty()


def test_bins_are_merged_until_none_is_small() -> None:
    bins = pl.DataFrame(
        {"low": [0, 1, 2, 3], "high": [1, 2, 3, 4], "a": [21, 20, 21, 3], "b": [40, 40, 40, 0]}
    )
    merged = merge_bins(bins, ["a", "b"])
    assert merged.rows() == [(0, 1, 21, 40), (1, 4, 44, 80)]
    assert merge_bins(bins.with_columns(a=1), ["a", "b"]).is_empty()
    assert merge_bins(bins.head(0), ["a", "b"]).is_empty()


def test_few_futures_make_no_figure(folder: Path) -> None:
    NEARNESS.write(NEARNESS.empty(), folder / "nearness.parquet")
    MEMORISATION.write(MEMORISATION.empty(), folder / "memorisation.parquet")
    section = simulated_section(folder)
    assert section.copies_figures == []
    assert section.copies.rows == []


def test_nothing_may_be_shown(folder: Path) -> None:
    few = pl.DataFrame(ROWS, schema=REALISM.empty().schema).with_columns(num_real=pl.lit(1, pl.Int64))
    REALISM.write(few, folder / "realism.parquet")
    section = simulated_section(folder)
    assert section.rates.rows == []
    assert all(one.svg.startswith("<svg") for one in section.figures)


def test_the_page_passes_its_own_check(html: str, tmp_path: Path) -> None:
    assert check(tmp_path / "report.html") == []


def test_another_stages_folder_is_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"another stage.*stage evaluate.*proband realism"):
        report(results, tmp_path / "report.html", realism=results)
    assert not (tmp_path / "report.html").exists()


def test_on_the_command_line(results: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["report", str(results), str(out), "--realism", str(folder)])
    assert done.exit_code == 0
    assert "Simulated futures</h2>" in out.read_text(encoding="utf-8")
