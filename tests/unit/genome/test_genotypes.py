import polars as pl
import pytest

from proband.core.errors import DataError
from proband.genome.genotypes import find_genotypes, per_allele


def test_a_file_or_its_prefix(tmp_path):
    for name in ("biobank.pgen", "chip.v2.bed", "wgs.vcf.gz", "both.bed", "both.pgen"):
        (tmp_path / name).touch()
    assert find_genotypes(tmp_path / "biobank").name == "biobank.pgen"
    assert find_genotypes(tmp_path / "biobank.pgen").name == "biobank.pgen"
    assert find_genotypes(tmp_path / "chip.v2").name == "chip.v2.bed"
    assert find_genotypes(tmp_path / "wgs").name == "wgs.vcf.gz"
    assert find_genotypes(tmp_path / "both").name == "both.pgen"


@pytest.mark.parametrize(
    ("name", "found"), [("absent", "nothing"), ("", "a folder"), ("notes.txt", "another kind")]
)
def test_no_genotype_file(tmp_path, name, found):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=rf"no genotype file.*found {found}.*\.pgen"):
        find_genotypes(tmp_path / name)


def test_one_row_per_alt_allele():
    rows = pl.DataFrame({"chrom": ["1", "1"], "pos": [5, 6], "ref": ["a", "C"], "alt": ["G", "g,<DEL>"]})
    assert per_allele(rows).rows() == [
        (0, "1", 5, "A", "G", False, False),
        (1, "1", 6, "C", "G", True, True),
        (1, "1", 6, "C", "<DEL>", True, False),
    ]
