"""Any text at all: every reader of the stage reads it or refuses it in one line."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proband.core.errors import ProbandError
from proband.genome.ancestry.components.kinship import read_kinship
from proband.genome.ancestry.inputs import read_table as read_people_table
from proband.genome.external import genome_from_scores
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.formats.plink import read_samples, read_variants
from proband.genome.genotypes.keep import keep_samples
from proband.genome.genotypes.samples import identify
from proband.genome.scorefiles.scorefile import read_scorefile, read_sites
from proband.genome.scorefiles.variantlist import read_variant_list

NAMES = """IID #IID FID sample_id subject_id PGS1 SUM sampleset PGS x_SUM x_AVG PRS chr_name chr_position
    effect_allele other_allele effect_weight rsID hm_chr hm_pos is_dominant #CHROM POS REF ALT ID1 ID2 KINSHIP
    #pgs_id=P #weight_type=OR ## #"""
VALUES = """1 2 0 -1 1.0 1e5 1e400 nan inf NA . A G AT G,T " "A" ' é 9223298823261397041 99999999999999999999
    1:5:A:G rs1 <DEL>"""
WORDS = st.sampled_from([*NAMES.split(), *VALUES.split(), "", " ", "\x00", "\ufeff", "\x1b[31m"])
SEPARATORS = st.sampled_from(["\t", ",", ", ", " ", "  ", ";"])


@st.composite
def tables(draw):
    separator, end = draw(SEPARATORS), draw(st.sampled_from(["\n", "\r\n", "\n\n", "\r"]))
    rows = draw(st.lists(st.lists(WORDS, max_size=7), max_size=6))
    return end.join(separator.join(row) for row in rows).encode()


def identified(path):
    return identify(["1", "a", "é"], path, "x")


def kept(path):
    nobody = Genotypes((), pl.DataFrame(), ["1", "a", "é"], np.zeros(3, bool), None)
    return keep_samples([nobody], path)


def scored(path: Path):
    genome_from_scores([path], path.with_suffix(".out"))


READERS = {
    "scoring file": (read_scorefile, ".txt"),
    "scoring file by identifiers": (lambda path: read_scorefile(path, by_id=True), ".txt"),
    "sites": (lambda path: read_sites(path, 3), ".csv"),
    "list of variants": (read_variant_list, ".txt"),
    "samples": (identified, ".tsv"),
    "keep": (kept, ".txt"),
    "external scores": (scored, ".tsv"),
    "bim": (read_variants, ".bim"),
    "pvar with names": (lambda path: read_variants(path, with_ids=True), ".pvar"),
    "fam": (read_samples, ".fam"),
    "people": (read_people_table, ".tsv"),
    "kinship": (read_kinship, ".tsv"),
}


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=200, deadline=2000)
@given(content=tables() | st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@example(content=b"\x1f\x8b\x08\x00 no gzip")
@example(content=b"IID\tPGS1\n")
@example(content=b"\n\n")
def test_read_or_refused(tmp_path_factory, reader, content):
    read, ending = READERS[reader]
    path = tmp_path_factory.mktemp("any") / f"any{ending}"
    path.write_bytes(content)
    try:
        read(path)
    except ProbandError as error:
        lines = str(error).splitlines()
        assert len(lines) == 1 and path.name in lines[0]  # noqa: PT018
