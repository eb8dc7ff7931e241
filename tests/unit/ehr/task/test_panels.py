from __future__ import annotations

from pathlib import Path

import pytest

from proband.core.errors import ConfigError
from proband.ehr.task.panels import read_panel


def write(tmp_path: Path, text: str, name: str = "panel.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_a_row_per_code_or_prefix(tmp_path: Path) -> None:
    text = "outcome,code,prefix,may_be_absent\nt2d,A//1,,\nt2d,,B//,true\n gout ,C//1,,false\nt2d,A//1,,\n"
    assert read_panel(write(tmp_path, text)) == {
        "t2d": {"codes": ["A//1"], "prefixes": ["B//"], "may_be_absent": True},
        "gout": {"codes": ["C//1"], "prefixes": [], "may_be_absent": False},
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.tsv", "prefix\toutcome\r\nICD10//E11\tt2d\r\n"),
        ("p.CSV", "\ufeffoutcome,prefix\n\nt2d,ICD10//E11\n"),
        ("p.csv", '"outcome","prefix"\n"t2d","ICD10//E11"'),
    ],
)
def test_separators_line_ends_quotes_and_byte_order_marks(tmp_path: Path, name: str, text: str) -> None:
    assert read_panel(write(tmp_path, text, name))["t2d"]["prefixes"] == ["ICD10//E11"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("outcome,code\nt2d,A//1\nt2d,\n", "not one code; in .*panel.csv line 3; found neither"),
        ("outcome,code,prefix\nt2d,A//1,B//\n", "not one code; in .*line 2; found both"),
        ("outcome,code\n\n,A//1\n", "empty outcome; in .*line 3"),
        ("outcome,code\nt2d,A//1,B\n", "wrong number of columns; in .*line 2"),
        ("outcome,code\nt2d\n", "wrong number of columns; in .*line 2"),
        ("outcome,code,may_be_absent\nt2d,A//1,maybe\n", "bad may_be_absent; in .*line 2; found maybe"),
        ("outcome,cod\nt2d,A//1\n", "unknown column 'cod'; in .*line 1.*did you mean code"),
        ("outcome\nt2d\n", "missing columns; in .*line 1; found outcome"),
        ("", "missing columns; in .*line 1; found no header"),
        ("outcome,code\n", "no outcome; in .*panel.csv"),
        ('outcome,code\nt2d,"A', "unreadable panel"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_panel(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_missing_other_kinds_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing panel of outcomes; in .*none.csv; remedy: name it rel"):
        read_panel(tmp_path / "none.csv")
    with pytest.raises(
        ConfigError, match=r"unknown kind of panel; in .*p.xlsx; found .xlsx; expected .csv or"
    ):
        read_panel(tmp_path / "p.xlsx")
    (tmp_path / "bad.csv").write_bytes(b"outcome,code\n\xff,\xfe\n")
    with pytest.raises(ConfigError, match="unreadable panel of outcomes"):
        read_panel(tmp_path / "bad.csv")


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_blanks_and_empty_lines_change_nothing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"panel{suffix}"
    text = 'outcome , code, prefix\r\n "a", "X//1",\r\n\r\nb,, Y// \r\n,,\r\n\r\n'
    path.write_text(text if suffix == ".csv" else text.replace(",", "\t"), newline="")
    found = read_panel(path)
    assert {name: (one["codes"], one["prefixes"]) for name, one in found.items()} == {
        "a": (["X//1"], []),
        "b": ([], ["Y//"]),
    }
