from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from proband.core.errors import ConfigError, DataError, ProbandError
from proband.core.files import provenance
from proband.core.files.jsonfiles import read_json, write_json
from proband.core.files.manifest import check_input, check_stage, hash_input, open_output, read_manifest
from proband.core.files.provenance import is_finished, stage_output
from proband.core.files.resume import resumable


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
    assert manifest["inputs"] == {"in": hash_input(source)}
    assert manifest["may_leave"].startswith("no")
    assert manifest["files"]["a.txt"]["bytes"] == 1
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


@pytest.mark.parametrize("blocks", [0, 100])
def test_a_full_disk_is_told_as_such_whatever_a_library_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int
) -> None:
    monkeypatch.setattr(provenance.os, "statvfs", lambda _: SimpleNamespace(f_bavail=blocks))
    kind = RuntimeError if blocks else OSError
    with pytest.raises(kind) as caught, stage_output(tmp_path / "out", stage="tokens", config={}):
        raise RuntimeError("Invalid thrift: transport error")
    if not blocks:
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "out"))
    assert not list(tmp_path.glob("out*"))


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


def test_overwriting_replaces_what_the_stage_wrote_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out)
    (out / "notes").mkdir()
    (out / "notes" / "mine.txt").write_text("years of work")
    for act in (lambda: make(out, "second"), lambda: is_finished(out, "tokens", Settings(), overwrite=True)):
        with pytest.raises(ConfigError, match=r"1 files that are not of stage tokens, first notes/mine\.txt"):
            act()
    assert (out / "a.txt").read_text() == "first"
    shutil.rmtree(out / "notes")
    make(out, "second")
    assert sorted(os.listdir(out)) == ["a.txt", "manifest.json"]
    assert (out / "a.txt").read_text() == "second"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_not_the_stages_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.doc").write_text("years of work")
    with pytest.raises(ConfigError, match=r"in use.*not of a proband stage.*remedy: choose another"):
        is_finished(out, "tokens", Settings(), overwrite)
    with pytest.raises(ConfigError, match="not of a proband stage"):
        make(out)
    assert (out / "chapter.doc").read_text() == "years of work"
    make(tmp_path / "meds", stage="ehr")
    with pytest.raises(ConfigError, match=r"in use.*the output of stage ehr"):
        is_finished(tmp_path / "meds", "tokens", Settings(), overwrite)
    with pytest.raises(ConfigError, match="the output of stage ehr"):
        make(tmp_path / "meds")
    assert sorted(os.listdir(tmp_path)) == ["meds", "thesis"]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_symbolic_link_is_written_through(tmp_path: Path, is_there: bool) -> None:
    volume, link = tmp_path / "volume" / "out", tmp_path / "out"
    volume.parent.mkdir()
    link.symlink_to(volume)
    if is_there:
        make(volume)
    make(link, "second")
    assert link.is_symlink()
    assert (volume / "a.txt").read_text() == "second"
    assert os.listdir(volume.parent) == ["out"]
    assert sorted(os.listdir(tmp_path)) == ["out", "volume"]


def test_outputs_are_the_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        with stage_output(tmp_path / "out", stage="ehr", config={}) as run:
            assert run.folder.stat().st_mode & 0o777 == 0o700
            (run.folder / "data").mkdir()
            (run.folder / "data" / "0.parquet").write_text("rows of people")
    finally:
        os.umask(previous)
    for path in (tmp_path / "out", *(tmp_path / "out").rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


CHANGES = {
    "flip": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "swap": lambda path: path.write_text("f1rst"),
    "lose": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["a.txt", "manifest.json"])
def test_a_file_that_is_not_as_it_was_is_named(tmp_path: Path, change: str, name: str) -> None:
    out = tmp_path / "out"
    make(out)
    assert open_output(out, "tokens")["seed"] == 5
    CHANGES[change](out / name)
    reads = [
        lambda: open_output(out, "tokens"),
        lambda: is_finished(out, "tokens", Settings(), overwrite=False),
    ]
    if name == "a.txt":
        reads += [
            lambda: check_input(out),
            lambda: is_finished(tmp_path / "new", "train", Settings(), False, [out / "a.txt"]),
        ]
    for read in reads:
        with pytest.raises(ProbandError, match=r"remedy") as caught:
            read()
        assert name in str(caught.value) or change == "lose"
        assert "\n" not in str(caught.value)


def test_an_input_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "a.txt"
    source.write_text("first")
    again = r"an input was changed while it was read; in .*in; remedy: run the same command again"
    with (
        pytest.raises(DataError, match=again),
        stage_output(tmp_path / "out", stage="tokens", config={}, inputs=[tmp_path / "in"]),
    ):
        source.write_text("f1rst")
    assert os.listdir(tmp_path) == ["in"]


def test_only_the_files_that_will_be_read_are_checked(tmp_path: Path) -> None:
    with stage_output(tmp_path / "out", stage="tokens", config={}) as run:
        (run.folder / "deep").mkdir()
        for name in ("a", "deep/b"):
            (run.folder / name).write_text(name)
    (tmp_path / "out" / "a").write_text("changed")
    open_output(tmp_path / "out", "tokens", ["deep/b"])
    check_input(tmp_path / "out" / "deep")
    with pytest.raises(DataError, match="not as it was written"):
        check_input(tmp_path / "out")


def test_another_stages_output_is_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path / "out", stage="ehr")
    expected = r"another stage.*found the output of stage ehr.*give the output of `proband tokens`"
    with pytest.raises(DataError, match=expected):
        open_output(tmp_path / "out", "tokens")
    check_stage(tmp_path / "out", ("ehr", "trajectories"))
    with pytest.raises(DataError, match="another stage"):
        check_stage(tmp_path / "out", "genome")
    check_stage(tmp_path, "genome")  # what no stage wrote


def test_what_is_passed_over_may_go_later(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with stage_output(out, stage="x", config={}) as run:
        for name in ("kept", "state", ".run.json"):
            (run.folder / name).write_text(name)
        run.passed_over.add("state")
    assert list(read_manifest(out)["files"]) == ["kept"]
    assert is_finished(out, "x", {}, overwrite=False)
    (out / "state").unlink()
    assert is_finished(out, "x", {}, overwrite=False)


def test_a_manifest_tells_no_paths_and_names_inputs_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [tmp_path / place / "meds" for place in ("a", "b")]
    for path in inputs:
        path.parent.mkdir()
        path.write_text(str(path))
    monkeypatch.setattr(
        sys, "argv", ["/usr/bin/proband", "x", str(inputs[0]), f"pcs={inputs[1]}", "--seed", "1"]
    )
    with stage_output(tmp_path / "out", stage="x", config={}, inputs=inputs):
        pass
    manifest = read_manifest(tmp_path / "out")
    assert manifest["command"] == ["proband", "x", "meds", "pcs=meds", "--seed", "1"]
    assert sorted(manifest["inputs"]) == ["b/meds", "meds"]


@pytest.mark.parametrize("text", ["[1, 2]", "[" * 100_000, "1e999999", "\x00", '{"stage": [}', "{}"])
def test_a_manifest_of_something_else_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path)
    assert "manifest.json" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("config", None),
        ("inputs", []),
        ("inputs", {"a": []}),
        ("passed_over", [1]),
        ("files", "x"),
        ("stage", {}),
    ],
)
def test_a_manifest_of_other_kinds_of_values_is_one_line(tmp_path: Path, name: str, value: object) -> None:
    with stage_output(tmp_path / "out", stage="x", config={}) as run:
        (run.folder / "a").write_text("a")
    path = tmp_path / "out" / "manifest.json"
    content = json.loads(path.read_text()) | {name: value}
    del content["digest"]
    path.write_text(json.dumps(content))
    for act in (lambda: read_manifest(path.parent, "x"), lambda: is_finished(path.parent, "x", {}, False)):
        with pytest.raises(ProbandError, match=rf"unusable {name} of a manifest|output of stage {{}}"):
            act()


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


def test_an_output_within_its_own_input_is_refused_before_any_work(tmp_path: Path) -> None:
    """Written there it would change the input, which is refused only when all is done, again and again."""
    for name in ("foreign", "meds"):
        source = tmp_path / name
        if name == "meds":
            make(source, stage="ehr")
        else:
            source.mkdir()
            (source / "a.txt").write_text("first")
        link = tmp_path / f"link_to_{name}"
        link.symlink_to(source)
        for out in (source / "out", source / "deep" / "out", link / "out"):
            for begin in (
                stage_output(out, stage="x", config={}, inputs=[source]),
                resumable(out, "x", {}, inputs=[source]),
            ):
                with (
                    pytest.raises(ConfigError, match=r"would lie in an input.*remedy: choose"),
                    begin,
                ):
                    pytest.fail("begun")
        assert [path.name for path in source.iterdir() if path.name != "manifest.json"] == ["a.txt"]
        beside = tmp_path / f"{name}_tokens"  # a name that begins as the input's does
        with stage_output(beside, stage="x", config={}, inputs=[source]):
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


def test_hashes_see_content_and_names_but_not_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = hash_input(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    assert hash_input(tmp_path) == before
    (tmp_path / "a").write_text("2")
    assert hash_input(tmp_path) != before
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "b").write_text("1")
    assert hash_input(tmp_path) != before


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


def test_a_path_spelled_otherwise_is_the_same_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(name).mkdir()
    with stage_output(Path("out"), stage="x", config={"risks": ["a", "b"], "meds": "a", "name": "n"}):
        pass
    for meds in ("./a", str(tmp_path / "a"), "b/../a"):
        assert is_finished(Path("out"), "x", {"risks": ["a/", "b"], "meds": meds, "name": "n"}, False)
    for risks, meds, name in ((["a", "b"], "b", "n"), (["b", "a"], "a", "n"), (["a"], "a", "n")):
        with pytest.raises(ConfigError, match="finished with other settings"):
            is_finished(Path("out"), "x", {"risks": risks, "meds": meds, "name": name}, False)
    with pytest.raises(ConfigError, match="name 'n', now 'm'"):
        is_finished(Path("out"), "x", {"risks": ["a", "b"], "meds": "a", "name": "m"}, False)


def test_what_another_process_has_finished_meanwhile_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert not is_finished(out, "tokens", Settings(bins=2), overwrite=False)
    make(out)
    with (
        pytest.raises(ConfigError, match="another process has finished this output meanwhile"),
        stage_output(out, stage="tokens", config=Settings(bins=2), overwrite=False),
    ):
        pytest.fail("written")
    assert (out / "a.txt").read_text() == "first"
    with stage_output(out, stage="tokens", config=Settings(bins=2), overwrite=True) as run:
        (run.folder / "a.txt").write_text("second")
    assert (out / "a.txt").read_text() == "second"
