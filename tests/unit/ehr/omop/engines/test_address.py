from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.errors import ConfigError
from proband.ehr.omop.engines.address import is_address, parse_address


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://h/d", "postgres://h/d"),
        ("postgresql://me@h:5433/d?schema=a,b", "postgres://h:5433/d?schema=a,b"),
        ("postgres:///d", "postgres:///d"),
        ("postgres://", "postgres://"),
        ("spark:local[2]?schema=cdm&catalog=c", "spark:local[2]?catalog=c&schema=cdm"),
        ("spark:yarn", "spark:yarn"),
        ("spark://h:7077?schema=cdm", "spark://h:7077?schema=cdm"),
        ("bigquery://My-Project/cdr_v8", "bigquery://My-Project/cdr_v8"),
    ],
)
def test_forms(text: str, shown: str) -> None:
    assert str(parse_address(text)) == shown


def test_parts() -> None:
    address = parse_address("postgres://first%40last@db.org:5433/my%20cdm?schema=omop,vocabulary")
    assert (address.user, address.host, address.port) == ("first@last", "db.org", 5433)
    assert (address.database, address.schemas) == ("my cdm", ("omop", "vocabulary"))
    assert parse_address("spark://h:7077").host == "spark://h:7077"
    assert parse_address("bigquery://P/d").host == "P"


@pytest.mark.parametrize("text", ["biobank/omop", "postgres", "a.zip", "C:/omop", Path("postgres://h/d")])
def test_what_is_a_path(text: object) -> None:
    assert not is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgres://me:hunter2@h/d",
        "postgres://me:hunter2@h:port/d",
        "postgres://h/d?password=hunter2",
        "postgres://h/d?sslpassword=hunter2",
        "spark://me:hunter2@h:7077",
        "bigquery://me:hunter2@p/d",
    ],
)
def test_a_password_is_refused_and_not_told(text: str) -> None:
    with pytest.raises(ConfigError, match=r"a password in an address|unusable address") as caught:
        parse_address(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "postgres:h/d",
            "postgres://h/d/e",
            "postgres://h:x/d",
            "postgres://h/d?schema=",
            "postgres://h/d?s=1",
        ),
        *(
            "postgres://h/d?catalog=c",
            "spark:",
            "bigquery://p",
            "bigquery://p/d?x=1",
            "postgres://h/d?schema=a&schema=b",
        ),
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"unusable (address|option)"):
        parse_address(text)


@given(st.text(max_size=30), st.sampled_from(["postgres://", "spark:", "bigquery://", "postgres://h/d?"]))
def test_any_text_is_an_address_or_one_line(text: str, scheme: str) -> None:
    told = ""
    try:
        parse_address(scheme + text)
    except ConfigError as error:
        told = str(error)
    assert "\n" not in told


def test_the_command_line_ends_with_one_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "proband",
        "ehr",
        "postgres://me:hunter2@127.0.0.1:1/d",
        str(tmp_path / "out"),
    ]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "hunter2" not in ended.stdout + ended.stderr
    assert not list(tmp_path.iterdir())
