from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from proband.core import provenance
from proband.core.errors import ConfigError, DataError
from proband.core.provenance import (
    hash_file,
    hash_input,
    is_finished,
    read_json,
    read_manifest,
    stage_output,
    write_json,
)


class Settings(BaseModel):
    bins: int = 3


def make(out: Path, text: str = "first", stage: str = "tokens", bins: int = 3) -> None:
    with stage_output(out, stage=stage, config=Settings(bins=bins), seed=5) as run:
        (run.folder / "a.txt").write_text(text)
        run.counts["num_rows"] = 7


def test_a_finished_output_has_its_files_and_a_manifest(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "x").write_text("1")
    with stage_output(
        tmp_path / "deep" / "out", stage="tokens", config=Settings(), inputs=[source], seed=5
    ) as run:
        (run.folder / "a.txt").write_text("a")
        run.counts["num_rows"] = 7
    manifest = read_manifest(tmp_path / "deep" / "out")
    assert manifest["stage"] == "tokens"
    assert manifest["config"] == {"bins": 3}
    assert manifest["seed"] == 5
    assert manifest["counts"] == {"num_rows": 7}
    assert manifest["inputs"] == {str(source): hash_input(source)}
    assert "proband" in manifest["versions"]
    assert os.listdir(tmp_path / "deep") == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_when_a_stage_fails(tmp_path: Path, error: type[BaseException]) -> None:
    with (  # noqa: PT012
        pytest.raises(error),
        stage_output(tmp_path / "out", stage="tokens", config={}) as run,
    ):
        (run.folder / "half.txt").write_text("half")
        raise error
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_overwrite_leaves_the_old_output(tmp_path: Path, error: type[BaseException]) -> None:
    make(tmp_path / "out")
    with (  # noqa: PT012
        pytest.raises(error),
        stage_output(tmp_path / "out", stage="tokens", config={}) as run,
    ):
        (run.folder / "a.txt").write_text("second")
        raise error
    assert (tmp_path / "out" / "a.txt").read_text() == "first"
    assert os.listdir(tmp_path) == ["out"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(provenance.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        make(tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_failed_last_rename_brings_the_old_output_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "out")
    replace, done = os.replace, []

    def fail_once(source: Path, target: Path) -> None:
        if Path(target) == tmp_path / "out" and not done:
            done.append(1)
            raise OSError(errno.EACCES, "no")
        replace(source, target)

    monkeypatch.setattr(provenance.os, "replace", fail_once)
    with pytest.raises(OSError, match="no"):
        make(tmp_path / "out", "second")
    assert done
    assert (tmp_path / "out" / "a.txt").read_text() == "first"


def test_a_given_work_folder_outlives_failure_and_becomes_the_output(tmp_path: Path) -> None:
    work = tmp_path / "out.partial"
    with (  # noqa: PT012
        pytest.raises(ValueError, match="stop"),
        stage_output(tmp_path / "out", stage="train", config={}, work=work) as run,
    ):
        (run.folder / "state").write_text("1")
        raise ValueError("stop")
    assert os.listdir(tmp_path) == ["out.partial"]
    with stage_output(tmp_path / "out", stage="train", config={}, work=work):
        pass
    assert (tmp_path / "out" / "state").read_text() == "1"
    assert os.listdir(tmp_path) == ["out"]


def test_overwriting_replaces_all_files(tmp_path: Path) -> None:
    make(tmp_path / "out")
    (tmp_path / "out" / "stale").write_text("x")
    make(tmp_path / "out", "second")
    assert sorted(os.listdir(tmp_path / "out")) == ["a.txt", "manifest.json"]
    assert (tmp_path / "out" / "a.txt").read_text() == "second"


def test_an_output_over_its_own_input_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "meds", stage="ehr")
    for out in (tmp_path / "meds", tmp_path):
        with (
            pytest.raises(ConfigError, match="would replace an input"),
            stage_output(out, stage="tokens", config={}, inputs=[tmp_path / "meds"]),
        ):
            pass
    assert (tmp_path / "meds" / "a.txt").read_text() == "first"
    with stage_output(tmp_path / "meds2", stage="tokens", config={}, inputs=[tmp_path / "meds"]):
        pass


def test_is_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert not is_finished(out, "tokens", Settings(), overwrite=False)
    out.mkdir()
    assert not is_finished(out, "tokens", Settings(), overwrite=False)
    make(out)
    assert is_finished(out, "tokens", Settings(), overwrite=False)
    assert "nothing to do" in capsys.readouterr().err
    assert not is_finished(out, "tokens", Settings(), overwrite=True)
    with pytest.raises(ConfigError, match=r"other settings.*bins 3, now 4"):
        is_finished(out, "tokens", Settings(bins=4), overwrite=False)
    with pytest.raises(ConfigError, match=r"in use.*the output of stage tokens"):
        is_finished(out, "train", Settings(), overwrite=False)


def test_a_foreign_folder_or_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    for out in (tmp_path, tmp_path / "thesis.doc"):
        with pytest.raises(ConfigError, match=r"the output folder is in use.*an empty or new folder"):
            is_finished(out, "tokens", Settings(), overwrite=False)


def test_json_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    content: dict = {}
    content["self"] = content
    with pytest.raises(ValueError, match="Circular"):
        write_json(path, content)
    assert read_json(path) == {"x": 1}


def test_unusable_json_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing file"):
        read_json(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(DataError, match="unreadable JSON"):
        read_json(tmp_path / "cut.json")
    with pytest.raises(DataError, match="no finished output"):
        read_manifest(tmp_path)


def test_hashes_see_content_and_names_but_not_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("1")
    before = hash_input(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    assert hash_input(tmp_path) == before
    (tmp_path / "a").write_text("2")
    assert hash_input(tmp_path) != before
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "b").write_text("1")
    assert hash_input(tmp_path) != before
    monkeypatch.setattr(provenance, "_WHOLE_FILE_BYTES", 8)
    (tmp_path / "long").write_text("0123456789")
    first = hash_file(tmp_path / "long")
    (tmp_path / "long").write_text("012345678X")
    assert hash_file(tmp_path / "long") != first


def test_the_manifest_is_valid_json(tmp_path: Path) -> None:
    with stage_output(tmp_path / "out", stage="x", config={"path": Path("a"), "n": (1, 2)}):
        pass
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["config"] == {
        "path": "a",
        "n": [1, 2],
    }


def test_finished_with_other_inputs_is_refused(tmp_path: Path) -> None:
    source, out = tmp_path / "source.txt", tmp_path / "out"
    source.write_text("one")
    with stage_output(out, stage="x", config={}, inputs=[source]) as run:
        (run.folder / "file").write_text("done")
    assert is_finished(out, "x", {}, overwrite=False, inputs=[source])
    moved = source.rename(tmp_path / "moved.txt")
    assert is_finished(out, "x", {}, overwrite=False, inputs=[moved])
    moved.write_text("two")
    with pytest.raises(ConfigError, match="finished with other inputs"):
        is_finished(out, "x", {}, overwrite=False, inputs=[moved])
