"""What the end of the process in which htslib reads means."""

import errno
import os

import pytest

from proband.core.errors import ConfigError, DataError
from proband.genome.genotypes.vcf import process
from proband.genome.genotypes.vcf.open import open_vcf

ROW = "1 5 A G GT 0/0 0/1 1/1"


@pytest.fixture
def serve(monkeypatch):
    """Let another script serve, in a process of its own."""

    def instead(script):
        monkeypatch.setattr(process, "_idle", [])
        monkeypatch.setattr(process, "_SERVE", "import os, sys\nline = sys.stdin.readline()\n" + script)

    return instead


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
def test_a_crash_is_a_damaged_file_and_the_next_file_is_read(vcf, tmp_path, serve, monkeypatch, name):
    path = vcf([ROW])
    with monkeypatch.context():
        script = process._SERVE
        serve(f"import signal; print('free(): bad', file=sys.stderr); os.kill(os.getpid(), signal.{name})")
        with pytest.raises(DataError, match=rf"toy\.vcf; found a crash of htslib \({name}: free\(\): bad\)"):
            open_vcf(path, tmp_path)
        assert not process._idle
    monkeypatch.setattr(process, "_SERVE", script)
    assert open_vcf(path, tmp_path).num_variants == 1


def test_a_killed_process_is_no_damaged_file(vcf, tmp_path, serve):
    serve("os.kill(os.getpid(), 9)")
    with pytest.raises(ConfigError, match=r"a worker process was killed.*toy\.vcf.*SIGKILL.*more memory"):
        open_vcf(vcf([ROW]), tmp_path)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ('{"memory": "no"}', MemoryError),
        (f'{{"disk": [{errno.ENOSPC}, "full", "x.u16"]}}', OSError),
        ('{"header": [], "sam', RuntimeError),
    ],
)
def test_what_is_not_the_files_fault_is_told_as_such(vcf, tmp_path, serve, answer, kind):
    serve(f"print({answer!r}, end='' if {kind is RuntimeError} else None)")
    with pytest.raises(kind) as caught:
        open_vcf(vcf([ROW]), tmp_path)
    if kind is OSError:
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "x.u16")


def test_no_memory_at_the_start(vcf, tmp_path, serve):
    serve("raise MemoryError")
    with pytest.raises(MemoryError):
        open_vcf(vcf([ROW]), tmp_path)


def test_a_full_disk_is_no_damaged_file(vcf, tmp_path):
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full")
    with pytest.raises(OSError, match="No space left"):
        list(process.read_apart(vcf([ROW]), process.Path("/dev/full")))


def test_one_process_serves_files_one_after_the_other(vcf, tmp_path):
    path = vcf([ROW])
    open_vcf(path, tmp_path)
    (first,) = process._idle
    with pytest.raises(DataError):
        open_vcf(vcf([]), tmp_path)
    vcf([ROW])
    open_vcf(path, tmp_path)
    assert process._idle == [first]


def test_a_run_that_stops_in_between_ends_it(vcf, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(process, "_idle", [])
    monkeypatch.setattr(process._Reader, "end", lambda reader: (started.append(reader), end(reader)))
    answers = process.read_apart(vcf([ROW] * 3), tmp_path / "x.u16")
    assert "samples" in next(answers)
    answers.close()
    assert not process._idle
    assert started[0].process.returncode == -9


end = process._Reader.end
