"""A VCF that htslib refuses: the message says what stands in it, and what to do."""

import gzip

import pytest

from proband.core.errors import DataError
from proband.genome.genotypes.vcf.causes import cause_of
from proband.genome.genotypes.vcf.open import open_vcf

CALLS = "1 5 A G GT 0/0 0/1 1/1"


def refused(path, tmp_path):
    """The one line of the error."""
    with pytest.raises(DataError, match="unreadable genotype file; in ") as caught:
        open_vcf(path, tmp_path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("calls", ["/0/0 |0|1 |1|1", "0/0 |0|1 1/1", "|0 /1 ."])
def test_the_phase_in_front(vcf, tmp_path, calls):
    path = vcf([CALLS, f"1 6 A G GT {calls}"])
    path.write_text(path.read_text().replace("VCFv4.3", "VCFv4.4"))
    message = refused(path, tmp_path)
    assert "found a genotype with its phase in front, as of VCF 4.4 (" in message
    assert " at 1:6); remedy: write genotypes without it" in message


def test_a_byte_order_mark(vcf, tmp_path):
    path = vcf([CALLS])
    path.write_text("\ufeff" + path.read_text())
    assert "found a byte order mark before ##fileformat; remedy: take it off" in refused(path, tmp_path)


@pytest.mark.parametrize("name", ["toy.vcf", "toy.vcf.gz"])
def test_samples_of_one_name(vcf, tmp_path, name):
    text = vcf([CALLS], ["a", "b", "a"]).read_bytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    message = refused(path, tmp_path)
    assert "found 1 sample names that come more than once, first 'a'; remedy: give each sample" in message


def test_fractions_of_an_integer(vcf, tmp_path):
    path = vcf(["1 5 A G GT:DS 0/0:0 ./.:1 1/1:2", "1 6 A G GT:DS 0/0:0 ./.:0.25 1/1:2"])
    path.write_text(path.read_text().replace("ID=DS,Number=A,Type=Float", "ID=DS,Number=1,Type=Integer"))
    message = refused(path, tmp_path)
    assert "found a fraction in DS at 1:6, which the header declares an Integer; remedy: declare" in message


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"PAR1", b"\x1f\x8b\x08", b"##fileformat=VCFv4.3\n"])
def test_no_cause_is_known(tmp_path, content):
    (tmp_path / "a.vcf").write_bytes(content)
    assert cause_of(tmp_path / "a.vcf") == ("", "")
    assert "remedy: the file is truncated, damaged or no VCF" in refused(tmp_path / "a.vcf", tmp_path)


def test_a_whole_file_has_no_cause(vcf):
    assert cause_of(vcf([CALLS, "1 6 A G GT:DS 0/0:0.5 ./.:1 1/1:2", "1 7 A G GT 0 1"])) == ("", "")
