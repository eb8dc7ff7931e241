"""The section on why risks are what they are: what it shows, and what it holds back."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from proband.cli.main import app
from proband.core.errors import DataError
from proband.core.statistics.suppress import HIDDEN
from proband.explain import tables
from proband.report import check, report
from proband.report.disclosure import Disclosure
from proband.report.sections.explained import explained_section

WHEN = datetime.datetime(2020, 1, 2)
OUTCOMES = ("heart_failure", "gout")
SCORES = ("PGS1", "PGS2", "PGS3")
GROUPS = ("below both times", "above only with genome", "above only without", "above both times")


def parts(subjects: int = 60, dates: int = 1) -> pl.DataFrame:
    sizes = {"age_sex": 0.1, "record": 0.04, "genome": -0.02}
    rows = [
        (subject, WHEN + datetime.timedelta(days=date), outcome, horizon, part, 0.1, value * factor)
        for subject in range(subjects)
        for date in range(dates)
        for outcome, factor in (("heart_failure", 1.0), ("gout", 2.0))
        for horizon in (1.0, 5.0)
        for part, value in sizes.items()
    ]
    return pl.DataFrame(rows, schema=dict(tables.PARTS.columns), orient="row")


def population(cases: int = 25, few: int = 7) -> pl.DataFrame:
    def row(view: str, group: str, number: int, cases: int, score: str | None) -> tuple:
        risks = (0.2, 0.1, 0.15, 0.1, 0.2)
        return ("gout", 5.0, view, score, group, number, cases, *risks)

    rows = [row("decile", str(at + 1), 100, cases, "PGS1") for at in range(10)]
    rows += [
        row("decision", group, number, min(cases, number), None)
        for group, number in zip(GROUPS, (500, few, 100, 333), strict=True)
    ]
    return pl.DataFrame(rows, schema=dict(tables.POPULATION.columns), orient="row")


def effects(num_cases: int = 200) -> pl.DataFrame:
    rows = []
    for ancestry in ("all", "population_a"):
        for at, outcome in enumerate(OUTCOMES):
            for number, score in enumerate(SCORES):
                value = 0.3 if number == at else 0.02
                known = (value, 0.05, 0.01, 0.02)
                marks = (number == at, False, value / 2, value / 2)
                name = "<b>score" if score == "PGS1" else None
                published = (0.4, None, "a table") if number == at else (None, None, None)
                rows.append((outcome, score, name, ancestry, *marks, *known, num_cases, *published))
    return pl.DataFrame(rows, schema=dict(tables.EFFECTS.columns), orient="row")


def agreement() -> pl.DataFrame:
    rows = [
        ("all", "correlation_with_cox", 0.5123456789, 0.4, 0.6, 0.0005, 6),
        ("all", "precision_at_5", 0.28, None, None, 0.0005, 4),
        ("gout", "correlation_with_cox", None, None, None, None, 3),
    ]
    return pl.DataFrame(rows, schema=dict(tables.AGREEMENT.columns), orient="row")


def write(out: Path, **frames: pl.DataFrame) -> Path:
    out.mkdir()
    manifest = {
        "stage": "explain", "finished": "2026-11-27T04:00:00+00:00", "config": {"threshold": 0.1},
        "command": ["proband", "explain", "/home/me/model"], "inputs": {"/home/me/model": "ab" * 32},
    }  # fmt: skip
    (out / "manifest.json").write_text(json.dumps(manifest))
    for name, frame in frames.items():
        table = getattr(tables, name.upper())
        table.write(frame, out / f"{name}.parquet")
    return out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    frames = {"parts": parts(), "population": population(), "effects": effects(), "agreement": agreement()}
    return write(tmp_path / "why", **frames)


def section_of(text: str) -> str:
    return text[text.index('id="why"') : text.index('id="methods"')]


def test_explanations_of_other_people_are_refused(results: Path, tmp_path: Path) -> None:
    others = parts().with_columns(pl.col("subject_id") + 10**9)
    folder, out = write(tmp_path / "other", parts=others), tmp_path / "report.html"
    with pytest.raises(DataError, match=r"of other people.*60 subjects, none of them.*remedy"):
        report(results, out, explain=folder)
    assert not out.exists()


def test_the_page_has_the_section_and_passes_its_own_check(
    results: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    report(results, out, explain=folder)
    text = out.read_text(encoding="utf-8")
    section = section_of(text)
    assert check(out) == []
    assert '<a href="#why">' in text
    assert "<b>score" not in section
    assert "&lt;b&gt;score" in section
    assert "60 predictions of 60 subjects" in section
    assert "0.51 (0.40 to 0.60)" in section
    assert section.count("<rect") == 12  # two maps of 3 scores by 2 outcomes
    assert "/home/me" not in text
    assert "Command of explanations" in text


def test_without_it_the_page_has_no_such_section(page: str) -> None:
    assert 'id="why"' not in page


def test_parts_are_means_with_the_largest_genome_first(folder: Path) -> None:
    found = explained_section(folder, Disclosure(synthetic=True), False).parts
    assert found is not None
    assert found.header == ["Outcome", "Risk of age and sex", "Record, by code", "Polygenic scores"]
    assert found.rows == [["Gout", "20.0%", "8.0%", "4.0%"], ["Heart failure", "10.0%", "4.0%", "2.0%"]]


def test_means_of_few_subjects_are_held_back(tmp_path: Path) -> None:
    few = write(tmp_path / "few", parts=parts(20))
    assert explained_section(few, Disclosure(), True).parts is None
    assert explained_section(few, Disclosure(), True).alignment is None
    assert explained_section(few, Disclosure(synthetic=True), True).parts is not None


def test_a_single_small_group_is_hidden_and_another_withheld(folder: Path) -> None:
    decisions = explained_section(folder, Disclosure(), True).decisions
    assert decisions is not None
    counts = {row[1]: row[2] for row in decisions.rows}
    assert counts == dict(zip(GROUPS, ("500", HIDDEN, "withheld", "340"), strict=True))
    assert [row[3] for row in decisions.rows] == ["15.0%", "–", "15.0%", "15.0%"]


def test_groups_of_few_cases_have_no_mean(tmp_path: Path) -> None:
    few = write(tmp_path / "few", parts=parts(), population=population(cases=5))
    found = explained_section(few, Disclosure(), True)
    assert found.decisions is None
    assert found.deciles[0].svg.count('class="bar"') == 2  # 10 deciles of 5 cases, merged until each has 21


def test_several_predictions_of_a_subject_show_no_groups(tmp_path: Path) -> None:
    many = write(tmp_path / "many", parts=parts(dates=2), population=population())
    found = explained_section(many, Disclosure(), True)
    assert found.decisions is None
    assert found.deciles == []


def test_deciles_only_where_the_results_have_none(folder: Path) -> None:
    assert len(explained_section(folder, Disclosure(), True).deciles) == 1
    assert explained_section(folder, Disclosure(), False).deciles == []


def test_effects_of_few_cases_are_left_out(tmp_path: Path) -> None:
    frames = {"parts": parts(), "effects": effects(20), "agreement": agreement()}
    found = explained_section(write(tmp_path / "few", **frames), Disclosure(), True).alignment
    assert found is not None
    assert found.heat == []
    assert found.groups is None
    assert found.own is not None
    assert [row[4] for row in found.own.rows] == ["–", "–"]
    assert [row[5] for row in found.own.rows] == ["+0.40", "+0.40"]


def test_effects_beside_known_ones(folder: Path) -> None:
    found = explained_section(folder, Disclosure(), True).alignment
    assert found is not None
    assert found.own is not None
    assert found.own.rows[1] == [
        "Heart failure", "<b>score", "+0.15", "+0.15", "+0.30 (+0.20 to +0.40)", "+0.40",
    ]  # fmt: skip
    assert found.groups is not None
    assert {row[0] for row in found.groups.rows} == {"population_a"}
    assert len(re.findall("<circle", found.figures[0].svg)) == 4  # two own scores, each known twice


def test_a_heat_map_has_at_most_600_cells() -> None:
    from proband.report.sections.alignment import alignment

    names = [f"o{at}" for at in range(40)]
    one: dict[str, Any] = effects().row(0, named=True)
    values = np.random.default_rng(0).normal(size=40 * 100)
    rows = [
        one | {"outcome": name, "score": f"s{at}", "cox": values[100 * number + at]}
        for number, name in enumerate(names)
        for at in range(100)
    ]
    found = alignment(pl.DataFrame(rows, schema=effects().schema), agreement(), Disclosure())
    assert found is not None
    assert [figure.svg.count("<rect") for figure in found.heat] == [600, 600]


def test_another_stages_folder_is_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"another stage.*stage evaluate.*proband explain"):
        report(results, tmp_path / "report.html", explain=results)
    assert not (tmp_path / "report.html").exists()


def test_on_the_command_line(results: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["report", str(results), str(out), "--explain", str(folder)])
    assert done.exit_code == 0
    assert "Why these risks</h2>" in out.read_text(encoding="utf-8")
