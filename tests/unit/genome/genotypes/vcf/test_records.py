from __future__ import annotations

import numpy as np
import pytest

from proband.genome.genotypes.vcf.records import COLUMNS, read
from proband.genome.genotypes.vcf.units import MISSING_UNITS


def read_all(path, dosages):
    """What came after the last header, by column, and the number of headers."""
    headers, columns = 0, {name: [] for name in COLUMNS}
    for answer in read(path, dosages):
        if "header" in answer:
            headers, columns = headers + 1, {name: [] for name in COLUMNS}
        else:
            for name, values in zip(COLUMNS, answer["records"], strict=True):
                columns[name] += values
    return columns, headers


def test_records_of_declared_contigs_come_after_one_header(vcf, tmp_path):
    path = vcf(["1 5 A G GT 0/0 0/1 ./.", "22 6 C T GT 1/1 0/1 0/0"])
    columns, headers = read_all(path, tmp_path / "dosages")
    assert headers == 1
    assert (columns["chrom"], columns["pos"]) == (["1", "22"], [5, 6])
    units = np.fromfile(tmp_path / "dosages", np.uint16).reshape(2, 3)
    assert units[0, 2] == MISSING_UNITS
    assert (units[[0, 0, 1, 1, 1], [0, 1, 0, 1, 2]] / 2**14).tolist() == [0, 1, 2, 1, 0]


def test_a_contig_not_declared_has_the_file_read_again_from_its_first_record(vcf, tmp_path):
    path = vcf(["1 5 A G GT 0/0 0/1 1/1", "HLA-A*01:01 6 A G GT 0/1 0/1 1/1"])
    columns, headers = read_all(path, tmp_path / "dosages")
    assert headers == 2
    assert columns["chrom"] == ["1", "HLA-A*01:01"]
    assert np.fromfile(tmp_path / "dosages", np.uint16).size == 6


def test_more_records_than_a_batch_come_in_order(vcf, tmp_path, monkeypatch):
    monkeypatch.setattr("proband.genome.genotypes.vcf.records._BATCH", 2)
    path = vcf([f"1 {pos} A G GT 0/0 0/1 1/1" for pos in range(1, 6)])
    assert [len(answer["records"][0]) for answer in read(path, tmp_path / "d") if "records" in answer] == [
        2,
        2,
        1,
    ]
    assert read_all(path, tmp_path / "d")[0]["pos"] == [1, 2, 3, 4, 5]


def test_a_record_without_chromosome_is_no_record(vcf, tmp_path):
    path = vcf(["GL1 5 A G GT 0/0 0/1 1/1"])
    path.write_text(f"{path.read_text()}\t6\t.\tA\tG\t.\t.\t.\tGT\t0/0\t0/1\t1/1\n")
    with pytest.raises(Exception, match="a line without chromosome"):
        read_all(path, tmp_path / "dosages")
