from __future__ import annotations

from pathlib import Path

import pytest

from proband.core.errors import ConfigError
from proband.core.text.yamlfile import read_mapping


def test_a_mapping_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("one: {two: [3]}\nfour: 5\n")
    assert read_mapping(tmp_path / "a.yaml", "task", ["one"]) == {"one": {"two": [3]}, "four": 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "unreadable task file; .* a stands twice"),
        ("a: {b: 1, c: 2, b: 3}", "b stands twice"),
        ("a: [", "unreadable task file"),
        ("a: " + 20_000 * "[", "nested too deeply"),
        ("a: " + 201 * "{b: ", "nested too deeply"),
        ("- 1", "no task; .* expected keys one, two"),
        ('a: {b: ["c\\0d"]}', "unreadable task file; .* NUL"),
        ('"a\\0": 1', "unreadable task file; .* NUL"),
        ("2: x", "unknown key 2; .* expected keys one, two"),
    ],
)
def test_what_is_no_mapping_of_keys_that_stand_once_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        read_mapping(tmp_path / "a.yaml", "task", ["one", "two"])
    assert "\n" not in str(error.value)
