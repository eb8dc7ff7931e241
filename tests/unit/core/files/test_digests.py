from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from proband.core.errors import DataError
from proband.core.files import digests
from proband.core.files.digests import files_below, hash_file


def test_the_middle_of_a_long_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "long"
    content = bytearray(18 * 2**20)
    path.write_bytes(content)
    assert hash_file(path) == hashlib.sha256(content).hexdigest()
    content[9 * 2**20] = 1
    path.write_bytes(content)
    assert hash_file(path) == hashlib.sha256(content).hexdigest()


def test_a_file_is_hashed_again_only_if_its_times_or_inode_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED_NANOSECONDS", -1)
    path, hashed = tmp_path / "a", []
    path.write_text("one")
    real = hashlib.file_digest
    monkeypatch.setattr(
        digests.hashlib, "file_digest", lambda file, name: (hashed.append(1), real(file, name))[1]
    )
    assert hash_file(path) == hash_file(path)
    assert len(hashed) == 1
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    os.utime(tmp_path / "a", ns=(times[0], times[1] + 1))
    hash_file(path)
    assert len(hashed) == 2


def test_a_file_written_a_moment_ago_is_hashed_anew(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for text in ("one", "two", "six"):
        path.write_text(text)
        assert hash_file(path) == hashlib.sha256(text.encode()).hexdigest()


def test_hidden_names_and_those_passed_over_do_not_count(tmp_path: Path) -> None:
    for name in ("a", "state", ".run", "deep/state", "deep/.hidden", ".marks/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files_below(tmp_path, ["state"]) == ["a", "deep/state"]


def test_a_listed_name_that_no_file_system_takes_is_a_missing_file(tmp_path: Path) -> None:
    for name in ("a" * 5000, "a\0b"):
        with pytest.raises(DataError, match="a file of this output is missing"):
            digests.check_digests(tmp_path, {name: {"bytes": 1, "sha256": "0" * 64}}, "make it again")
