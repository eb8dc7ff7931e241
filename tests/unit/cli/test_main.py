from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from proband import __version__
from proband.cli import main as cli
from proband.cli.demo import DemoConfig, demo
from proband.core.errors import CheckpointError, ConfigError, DataError

HEAVY = ("torch", "polars", "numpy", "pyarrow", "matplotlib", "sklearn", "ibis", "msprime", "scipy")


def ending(monkeypatch: pytest.MonkeyPatch, error: BaseException, command: str = "x") -> int | str | None:
    """Run main with a command that raises; return its exit status."""
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command(command)
    def _fail() -> None:
        raise error

    @app.callback()
    def _root() -> None:
        pass

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(cli, "_leave", sys.exit)  # it ends the process
    monkeypatch.setattr(sys, "argv", ["proband", command])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code


@pytest.mark.parametrize("kind", [DataError, ConfigError, CheckpointError])
def test_a_users_mistake_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: type[Exception]
) -> None:
    assert ending(monkeypatch, kind("wrong\nthing")) == 2
    streams = capsys.readouterr()
    assert streams.err == "proband: wrong thing\n"
    assert streams.out == ""


def test_the_version_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["proband", "--version"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert (caught.value.code or 0, capsys.readouterr().out) == (0, f"proband {__version__}\n")


def test_ctrl_c_is_one_line_and_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(monkeypatch, KeyboardInterrupt()) == 130
    expected = (
        "proband: interrupted; no partial output was left in place; a resumable stage keeps OUT.partial\n"
    )
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("stop", [cli._interrupt, cli._terminate])
@pytest.mark.parametrize("error", [ImportError("initialization failed"), DataError("unreadable")])
def test_a_library_that_is_interrupted_tells_of_a_failure_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stop: Any, error: Exception
) -> None:
    monkeypatch.setattr(cli, "_stopped", 0)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        stop(0, None)
    assert ending(monkeypatch, error) == (130 if stop is cli._interrupt else 143)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EFBIG])
def test_a_disk_that_takes_nothing_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    assert ending(monkeypatch, OSError(number, os.strerror(number), "out/x")) == 2
    assert capsys.readouterr().err == (
        f"proband: cannot write; in out/x; found {os.strerror(number)}; "
        "remedy: free space or choose another output folder\n"
    )


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "", "meds/data/0.parquet"),
        OSError(errno.EIO, "", "meds/data/0.parquet"),
        FileNotFoundError("meds/data/0.parquet is not there"),
    ],
)
def test_an_input_that_is_gone_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    assert ending(monkeypatch, error) == 2
    line = capsys.readouterr().err
    assert line.startswith("proband: cannot read; in ")
    assert line.count("\n") == 1
    assert "meds/data/0.parquet" in line
    assert "put it back and run the same again" in line


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (RuntimeError("bug"), OSError(errno.EBADF, "bug")):
        with pytest.raises(type(error), match="bug"):
            _run(monkeypatch, error)


def _run(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    ending(monkeypatch, error)


def proband(*arguments: str, script: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script or "from proband.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_help_imports_nothing_heavy() -> None:
    script = f"""
import sys
from proband.cli import main
sys.argv = ["proband", "--help"]
try:
    main.main()
finally:
    print("HEAVY", [name for name in {HEAVY!r} if name in sys.modules])
"""
    ended = proband(script=script)
    assert ended.returncode == 0, ended.stderr
    assert "HEAVY []" in ended.stdout
    for name in ("tokens", "train", "finetune", "forecast", "embed", "likelihood"):
        assert name in ended.stdout


@pytest.mark.parametrize("command", ["tokens", "train", "finetune", "forecast", "embed", "likelihood"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    ended = proband(command, "--help")
    assert ended.returncode == 0
    assert f"Example: proband {command}" in " ".join(ended.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tokens", "none", "out"], "no MEDS shards; in none"),
        (["tokens", "none", "out", "--num-bins", "1"], "unusable --num-bins; found 1"),
        (["train", "none", "out"], "no finished output of a proband stage; in none"),
        (["train", "none", "out", "--fusion", "prefix"], "found fusion prefix with no modality"),
        (["train", "none", "out", "--modality", "x"], "unusable --modality; found x; expected NAME=FILE"),
        (["train", "none", "out", "--modality", "x=a", "--modality", "x=b"], "--modality names x twice"),
        (["train", "none", "out", "--encoder", "x=set,hidden"], "unusable --encoder; found hidden; expected"),
        (["train", "none", "out", "--encoder", "x=rnn"], "unusable --encoder; found 'rnn'"),
        (
            ["train", "none", "out", "--genome-encoder", "x"],
            "found 'x'; expected one of mlp, set",
        ),
        (["forecast", "a", "b", "out", "--task", "t", "--modality", "x="], "unusable --modality; found x="),
        (["likelihood", "a", "b", "--modality", "=x"], "unusable --modality; found =x"),
        (
            ["genome", "a", "b", "out", "--ancestry", "--adjust", "Z_norm3"],
            "unusable --adjust; found 'Z_norm3'",
        ),
        (["genome", "a", "b", "out", "--ancestry", "--similarity", "nearest"], "unusable --similarity"),
        (["genome", "a", "b", "out", "--ancestry", "--num-pcs", "0"], "unusable --num-pcs"),
        (["train", "none", "out", "--token-budget", "7"], "unusable --token-budget; found 7"),
        (["train", "none", "out", "--preset", "huge"], "unusable --preset; found 'huge'"),
        (["forecast", "none", "none", "out", "--task", "no.yaml"], "missing task file; in no.yaml"),
        (["forecast", "none", "none", "out", "--task", "t", "--estimator", "x"], "unusable --estimator"),
        (["forecast", "none", "none", "out", "--task", "t", "--precision", "2%%"], "in --precision"),
        (["finetune", "none", "none", "out", "--task", "no.yaml"], "in no.yaml; remedy: check the path"),
        (
            ["finetune", "none", "none", "out", "--task", "t", "--mode", "x"],
            "unusable --mode; found 'x'; expected one of row, adapters, lora, full",
        ),
        (["finetune", "a", "b", "out", "--task", "t", "--label-fraction", "0"], "unusable --label-fraction"),
        (["embed", "none", "none", "out"], "no finished output of a proband stage; in none"),
        (["embed", "none", "none", "out", "--split", "x"], "unusable --split; found 'x'"),
        (["likelihood", "none", "none"], "no finished output of a proband stage; in none"),
    ],
)
def test_unusable_input_ends_in_one_line_and_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["proband", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("proband: ")
    assert message in line
    assert os.listdir(tmp_path) == []


def test_an_empty_argument_is_refused(tmp_path: Path) -> None:
    """It would name the current folder: an unset variable of the shell is an empty one."""
    ended = proband("tokens", "", str(tmp_path / "out"))
    assert (ended.returncode, list(tmp_path.iterdir())) == (2, [])
    assert ended.stderr.startswith("proband: an empty argument; remedy: ")


def test_an_output_below_a_file_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(monkeypatch, FileExistsError(errno.EEXIST, "File exists", "a/file")) == 2
    assert capsys.readouterr().err == (
        "proband: a file where a folder is expected; in a/file; remedy: choose another output folder\n"
    )


def test_the_shell_sees_the_same(tmp_path: Path) -> None:
    ended = proband("tokens", str(tmp_path / "none"), str(tmp_path / "out"))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["forecast", "model", "tokens", "out", "--task", "task.yaml"],
        ["realism", "a", "b", "c"],
        ["tokens", "a", "b"],
    ],
)
def test_fewer_than_one_worker_is_refused(words: list[str], tmp_path: Path) -> None:
    """A negative number would share the memory among negative processes."""
    command = [sys.executable, "-m", "proband", *words, "--workers", "-1"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.returncode == 2
    assert "--workers" in found.stderr
    assert "Traceback" not in found.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [
        OSError("11441 requested and 4064 written"),
        RuntimeError("IO Error: Could not write file: No space left on device"),
        ValueError("No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line_whoever_finds_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    assert ending(monkeypatch, error) == 2
    assert capsys.readouterr().err == (
        "proband: cannot write; in the output; found No space left on device; "
        "remedy: free space or choose another output folder\n"
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 8 TiB"),
        RuntimeError("can't start new thread"),
        OSError("OS can't spawn worker thread: Resource temporarily unavailable (os error 11)"),
        ImportError("libx.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_no_memory_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    assert ending(monkeypatch, error) == 2
    assert capsys.readouterr().err.startswith(f"proband: not enough memory; found {error}; remedy: fewer")


def test_memory_that_ran_out_in_a_reader_is_no_damaged_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = DataError(
        "unreadable OMOP source",
        where="omop",
        found="Out of Memory Error: Failed to allocate block of 9 bytes (bad allocation)",
        remedy="export the table again",
    )
    assert ending(monkeypatch, error) == 2
    said = capsys.readouterr().err
    assert said.startswith("proband: not enough memory; found unreadable OMOP source; in omop; found Out of")
    assert said.endswith("remedy: fewer --workers, or a larger machine\n")


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("genome", "--memory"),
        ("train", "--token-budget"),
        ("finetune", "--batch-subjects"),
        ("forecast", "--memory"),
        ("tokens", "--workers"),
    ],
)
def test_the_option_that_lowers_memory_is_named_and_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, flag: str
) -> None:
    options = typer.main.get_command(cli.app).commands[command].params  # type: ignore[attr-defined]
    assert ending(monkeypatch, RuntimeError("DefaultCPUAllocator: can't allocate memory"), command) == 2
    said = capsys.readouterr().err
    assert f"lower {flag}" in said or f"fewer {flag}" in said
    assert flag in [name for option in options for name in option.opts]


_TERMINATED = """
import os, signal, sys
from pathlib import Path
import typer
from proband.cli import main as cli
from proband.cli.demo import DemoConfig, demo
from proband.core.files.provenance import stage_output

cli.app = typer.Typer()

@cli.app.command()
def stop_at(out: Path) -> None:
    with stage_output(out, stage="x", config={}) as run:
        (run.folder / "rows").write_text("of people")
        os.kill(os.getpid(), signal.SIGTERM)

cli.main()
"""


_INTERRUPTED = """
import os, signal, sys, threading, time
import typer
from proband.cli import main as cli
from proband.cli.demo import DemoConfig, demo

cli.app = typer.Typer()

@cli.app.command()
def stop(times: int) -> None:
    threading.Thread(target=time.sleep, args=(60,)).start()
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    finally:
        if times == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

cli.main()
"""


@pytest.mark.parametrize(("times", "status"), [(1, 130), (2, -signal.SIGINT)])
def test_an_interrupt_waits_for_no_thread_and_a_second_for_nothing(times: int, status: int) -> None:
    command = [sys.executable, "-c", _INTERRUPTED, str(times)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert ended.returncode == status
    assert "Traceback" not in ended.stderr
    assert (times == 1) == ended.stderr.startswith("proband: interrupted; ")


def test_sigterm_leaves_no_temporary_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _TERMINATED, str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 143, ended.stderr
    assert ended.stderr.startswith("proband: terminated; no partial output")
    assert os.listdir(tmp_path) == []


def test_a_demo_is_not_mixed_into_the_output_of_a_stage(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"the output folder is that of a stage.*choose another"):
        demo(tmp_path, DemoConfig())
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
