import errno
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import fresh_process
from proband.cli.main import app
from proband.core.errors import ConfigError, DataError
from proband.core.schema import MATCH, SAMPLES, SCORES
from proband.genome import AncestryConfig, AncestryInputs, GenomeConfig, genome, stage
from proband.genome.genotypes.builds import build_name

REFERENCE = Path(__file__).parents[2] / "reference" / "genome_small"
SITES = [("1", 10, "A", "G"), ("1", 20, "C", "T"), ("2", 30, "A", "T")]
CALLS = [[0, 1, 2], [2, -9, 1], [1, 1, 1]]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "genome"


def run(*words):
    return CliRunner().invoke(app, ["genome", *map(str, words)])


def sums(folder):
    return SCORES.read(folder / "scores.parquet")


def test_scores_by_hand(pgen, scores, out):
    scores(
        "PGS1_hmPOS_GRCh38.txt.gz",
        [["1", 10, "G", "A", 0.5], ["1", 20, "C", "T", 2]],
        pgs_name="toy",
        trait_reported="T2D",
    )
    folder = scores("PGS2.txt", [["1", 10, "T", "C", 1]])
    genome(pgen(SITES, CALLS), folder, out)
    # C has 2 - dosage copies; its missing call counts 2 - (2 + 1) / 2 = 0.5.
    assert sums(out).rows() == [(1, 0.0, 2.0), (2, 0.5 + 1.0, 1.0), (3, 1.0 + 2.0, 0.0)]
    assert SAMPLES.read(out / "samples.parquet").rows() == [(1, "1"), (2, "2"), (3, "3")]
    match = MATCH.read(out / "match.parquet")
    assert match.select("pgs_id", "num_rows", "num_matched", "num_flipped", "kept").rows() == [
        ("PGS1", 2, 2, 0, True), ("PGS2", 1, 1, 1, True),
    ]  # fmt: skip
    about = json.loads((out / "scores.json").read_text())
    assert list(about) == ["PGS1", "PGS2"]
    assert (about["PGS1"]["name"], about["PGS1"]["trait"], about["PGS1"]["genome_build"]) == (
        "toy",
        "T2D",
        "GRCh38",
    )
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"]["num_scores"] == 2
    assert len(manifest["inputs"]) == 4
    assert sorted(path.name for path in out.iterdir()) == [
        "manifest.json", "match.parquet", "match.png", "match.tsv", "samples.parquet", "scores.json",
        "scores.parquet",
    ]  # fmt: skip


def test_dominant_recessive_and_dosage_weights(pgen, scores, out):
    columns = [
        "hm_chr",
        "hm_pos",
        "effect_allele",
        "other_allele",
        "effect_weight",
        "is_dominant",
        "is_recessive",
    ]
    scores("D.txt", [["1", 10, "G", "A", 1, "True", "False"]], columns)
    scores("DR.txt", [["1", 10, "A", "G", 1, "True", "False"]], columns)
    scores("R.txt", [["1", 10, "G", "A", 1, "False", "True"]], columns)
    columns = [*columns[:4], "dosage_0_weight", "dosage_1_weight", "dosage_2_weight"]
    folder = scores("W.txt", [["1", 10, "A", "G", 0.5, -1, 4]], columns)
    genome(pgen(SITES, CALLS), folder, out)
    assert sums(out).drop("subject_id").to_dict(as_series=False) == {
        "D": [0, 1, 1], "DR": [1, 1, 0], "R": [0, 0, 1], "W": [4, -1, 0.5],
    }  # fmt: skip


def test_a_badly_matched_score_is_left_out_by_name_with_reasons(pgen, scores, out, capsys):
    scores("GOOD.txt", [["1", 10, "G", "A", 1]])
    folder = scores(
        "BAD.txt",
        [["1", 10, "G", "A", 1], ["2", 30, "A", "T", 1], ["3", 1, "A", "G", 1], ["3", 2, "A", "G", 1]],
    )
    genome(pgen(SITES, CALLS), folder, out)
    assert sums(out).columns == ["subject_id", "GOOD"]
    assert MATCH.read(out / "match.parquet").select("pgs_id", "kept").rows() == [
        ("BAD", False),
        ("GOOD", True),
    ]
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "genome: BAD left out: 1 of 4 rows matched (25.0%, below 75%); "
        "2 no variant at the position, 1 strand-ambiguous; "
        "remedy: the genotypes hold no chromosome 3: give all files, as a pattern such as 'chr{chrom}.pgen'",
        "genome: 2 rows of scoring files not used: no variant at the position (first: row 3 of BAD.txt)",
        "genome: 1 rows of scoring files not used: strand-ambiguous (first: row 2 of BAD.txt)",
    ]
    assert list(json.loads((out / "scores.json").read_text())) == ["GOOD"]


def test_lower_match_rate_and_ambiguous_variants_by_choice(pgen, scores, out):
    folder = scores("PGS1.txt", [["2", 30, "T", "A", 3], ["3", 1, "A", "G", 1]])
    genome(pgen(SITES, CALLS), folder, out, config=GenomeConfig(min_match_rate=0.5, keep_ambiguous=True))
    assert sums(out)["PGS1"].to_list() == [3, 3, 3]


def test_sample_mapping(vcf, scores, out, tmp_path, capsys):
    folder = scores("PGS1.txt", [["1", 10, "G", "A", 1]])
    path = vcf(["1 10 A G GT 0/0 0/1 1/1"], ["a", "b", "c"])
    (tmp_path / "map.tsv").write_text("sample_id\tsubject_id\na\t10\nc\t30\n")
    genome(path, folder, out, samples=tmp_path / "map.tsv")
    assert sums(out).rows() == [(10, 0), (-2, 1), (30, 2)]
    assert "1 of 3 samples" in capsys.readouterr().err


def test_several_files_and_a_list_of_samples(vcf, scores, out, tmp_path):
    for chrom, pos in (("2", 30), ("10", 40)):
        vcf([f"{chrom} {pos} A G GT 0/0 0/1 1/1"], name=f"calls_chr{chrom}.vcf")
    (tmp_path / "keep.txt").write_text("0 3\n0 1\n")
    folder = scores("PGS1.txt", [["2", 30, "G", "A", 1], ["10", 40, "A", "G", 10]])
    genome(tmp_path / "calls_chr{chrom}", folder, out, keep=tmp_path / "keep.txt", workers=2)
    assert sums(out).rows() == [(1, 20), (3, 2)]


KILLED = """
import os, signal, sys
from pathlib import Path
from proband.genome import genome, stage
stage.write_scores = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
genome(*map(Path, sys.argv[1:]))
"""


@pytest.fixture
def killed(pgen, scores, out, tmp_path):
    """A run that a SIGKILL ended after matching; its arguments."""
    path, folder = pgen(SITES, CALLS), scores("PGS1.txt", [["1", 10, "G", "A", 1]])
    assert fresh_process.python(KILLED, tmp_path / "said.txt", [str(path), str(folder), str(out)]) == -9
    return path, folder, out


def test_a_killed_run_goes_on_without_matching_again(killed, monkeypatch, capsys):
    path, folder, out = killed
    assert not out.exists()
    monkeypatch.setattr(stage, "collect", lambda *_, **__: pytest.fail("matched again"))
    genome(path, folder, out)
    assert "going on with the interrupted run" in capsys.readouterr().err
    assert sums(out).rows() == [(1, 0), (2, 1), (3, 2)]
    assert sorted(path.name for path in out.iterdir()) == [
        "manifest.json", "match.parquet", "match.png", "match.tsv", "samples.parquet", "scores.json",
        "scores.parquet",
    ]  # fmt: skip
    assert not out.with_name("genome.partial").exists()


@pytest.mark.parametrize("change", ["settings", "scores", "overwrite"])
def test_a_killed_run_of_other_inputs_begins_anew(killed, scores, capsys, change):
    path, folder, out = killed
    if change == "scores":
        scores("PGS1.txt", [["1", 10, "G", "A", 2]])
    config = GenomeConfig(keep_ambiguous=change == "settings")
    genome(path, folder, out, config=config, overwrite=change == "overwrite")
    assert "interrupted" not in capsys.readouterr().err
    assert sums(out)["PGS1"].to_list() == ([0, 2, 4] if change == "scores" else [0, 1, 2])


def test_a_killed_run_matches_again_where_alleles_were_changed(killed):
    """The .pvar may be mended in between, while the .pgen stays."""
    path, folder, out = killed
    (table,) = path.parent.glob("*.pvar")
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    names = [name.strip("#") for name in lines[0]]
    ref, alt = names.index("REF"), names.index("ALT")
    for line in lines[1:]:
        line[ref], line[alt] = line[alt], line[ref]
    table.write_text("".join("\t".join(line) + "\n" for line in lines))
    genome(path, folder, out)
    assert sums(out)["PGS1"].to_list() == [2, 1, 0]


def test_a_full_disk_keeps_progress_and_a_later_run_ends_well(pgen, scores, out, monkeypatch):
    path, folder = pgen(SITES, CALLS), scores("PGS1.txt", [["1", 10, "G", "A", 1]])
    write = stage.write_scores

    def full(*arguments, **options):
        write(*arguments, **options)
        raise OSError(errno.ENOSPC, "No space left on device", str(out))

    monkeypatch.setattr(stage, "write_scores", full)
    with pytest.raises(OSError, match="No space left"):
        genome(path, folder, out)
    assert not out.exists()
    monkeypatch.setattr(stage, "write_scores", write)
    genome(path, folder, out)
    assert sums(out)["PGS1"].to_list() == [0, 1, 2]


def test_a_score_that_does_not_vary_is_kept_and_said(pgen, scores, out, capsys):
    scores("PGS2.txt", [["1", 20, "T", "C", 1]])
    genome(pgen(SITES, [[1, 1, 1], *CALLS[1:]]), scores("PGS1.txt", [["1", 10, "G", "A", 1]]), out)
    assert sums(out)["PGS1"].to_list() == [1, 1, 1]
    assert "1 scores are the same for everybody, first PGS1" in capsys.readouterr().err


def test_ancestry_with_given_components(pgen, scores, out, tmp_path):
    rng = np.random.default_rng(0)
    calls = rng.integers(0, 3, (2, 80))
    path = pgen(SITES[:2], calls)
    names = "\t".join(f"PC{number}" for number in range(1, 11))
    rows = ["\t".join([str(who), *map(str, rng.normal(size=10).round(3))]) for who in range(1, 81)]
    (tmp_path / "pcs.tsv").write_text("\n".join([f"IID\t{names}", *rows]) + "\n")
    folder = scores("PGS1.txt", [["1", 10, "G", "A", 1], ["1", 20, "T", "C", 1]])
    inputs = AncestryInputs(pcs=tmp_path / "pcs.tsv")
    genome(path, folder, out, config=GenomeConfig(ancestry=AncestryConfig()), ancestry_inputs=inputs)
    adjusted = SCORES.read(out / "adjusted" / "Z_norm1.parquet")
    assert adjusted.height == 80
    assert adjusted["PGS1"].std(ddof=0) == pytest.approx(1, abs=0.01)
    with pytest.raises(ConfigError, match=r"without the step.*pcs\.tsv.*--ancestry"):
        genome(path, folder, out, ancestry_inputs=inputs)


@pytest.mark.parametrize(
    ("kind", "genotypes"), [("additive", "calls.pgen"), ("additive", "calls.bed"), ("dosage", "dosages.vcf")]
)
def test_sums_of_plink2(tmp_path, scores, out, kind, genotypes):
    weights = pl.read_csv(REFERENCE / "weights.tsv", separator="\t", infer_schema=False)
    folder = scores("PGS1.txt", weights.drop("id").rows())
    genome(REFERENCE / genotypes, folder, out, config=GenomeConfig(min_match_rate=0.5))
    assert_sums_are(out, kind)


@pytest.mark.parametrize("genotypes", ["calls.pgen", "calls.bed", "calls.vcf"])
@pytest.mark.parametrize("kind", ["dominant", "recessive"])
def test_dominant_and_recessive_sums_of_plink2(scores, out, kind, genotypes):
    weights = pl.read_csv(REFERENCE / "weights.tsv", separator="\t", infer_schema=False)
    autosomal = weights.filter(pl.col("chrom").is_in(["1", "22"])).with_columns(flag=pl.lit("True"))
    columns = ["hm_chr", "hm_pos", "effect_allele", "other_allele", "effect_weight", f"is_{kind}"]
    genome(REFERENCE / genotypes, scores("PGS1.txt", autosomal.drop("id").rows(), columns), out)
    assert_sums_are(out, kind)


def assert_sums_are(out, kind):
    frozen = pl.read_csv(REFERENCE / "sums.tsv", separator="\t")
    found = sums(out).join(frozen, left_on="subject_id", right_on="sample_id")
    assert found.height == frozen.height == 60
    assert frozen[kind].std() > 1
    np.testing.assert_allclose(found["PGS1"], found[kind], atol=1e-4)


def test_finished_output_is_left_alone_and_other_settings_are_refused(pgen, scores, out, capsys):
    path, folder = pgen(SITES, CALLS), scores("PGS1.txt", [["1", 10, "G", "A", 1]])
    genome(path, folder, out)
    before = (out / "manifest.json").stat().st_mtime_ns
    genome(path, folder, out)
    assert "already finished" in capsys.readouterr().err
    assert (out / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="min_match_rate"):
        genome(path, folder, out, config=GenomeConfig(min_match_rate=0.1))
    genome(path, folder, out, config=GenomeConfig(min_match_rate=0.1), overwrite=True)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [["5", 10, "G", "A", 1]],
            "no row of any score matches.*1 no variant at the position.*genome builds agree.*GRCh38",
        ),
        (
            [["1", 10, "G", "C", 1]],
            "no row of any score.*1 other alleles at the position.*effect_allele and other_allele",
        ),
        (
            [["1", 10, "G", "A", 1], ["2", 30, "A", "T", 1]],
            "no score matches.*1 of 2 rows.*1 strand-ambiguous.*at least one",
        ),
    ],
)
def test_nothing_left_says_why_and_leaves_nothing(pgen, scores, out, tmp_path, rows, message):
    path, folder = pgen(SITES, CALLS), scores("PGS1.txt", rows)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=message):
        genome(path, folder, out)
    assert sorted(tmp_path.iterdir()) == before


def test_wrong_build(vcf, scores, out):
    path = vcf(["1 10 A G GT 0/0 0/1 1/1"], header="##contig=<ID=22,length=51304566>")
    scores("A.txt", [["1", 10, "G", "A", 1]], HmPOS_build="GRCh37")
    genome(path, scores("B.txt", [["1", 10, "G", "A", 1]], HmPOS_build="NR"), out)
    folder = scores("C.txt", [["1", 10, "G", "A", 1]])
    with pytest.raises(DataError, match=r"wrong genome build.*C\.txt.*found GRCh38.*expected GRCh37"):
        genome(path, folder, out, overwrite=True)


@pytest.mark.parametrize("told", ["hg18", "NCBI36", "NCBI35", "hg17", "T2T-CHM13"])
def test_a_scoring_file_of_an_older_or_newer_build(vcf, scores, out, told):
    path = vcf(["1 10 A G GT 0/0 0/1 1/1"], header="##contig=<ID=22,length=50818468>")
    columns = ["chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight"]
    folder = scores("A.txt", [["1", 10, "G", "A", 1]], columns, genome_build=told)
    message = (
        rf"wrong genome build; in .*A\.txt; found {build_name(told)}; expected GRCh38; .*harmonised to GRCh38"
    )
    with pytest.raises(DataError, match=message):
        genome(path, folder, out)


@pytest.mark.parametrize(
    ("header", "build"),
    [
        ("##contig=<ID=1,length=248387328>", "T2T-CHM13"),
        ("##reference=chm13v2.0.fa", "T2T-CHM13"),
        ("##contig=<ID=1,length=247249719>", "NCBI36"),
    ],
)
def test_genotypes_of_an_older_or_newer_build(vcf, scores, out, header, build):
    """At a position that only GRCh37 of the two harmonised builds has, too."""
    path = vcf(["1 10 A G GT 0/0 0/1 1/1", "19 59000000 A G GT 0/0 0/1 1/1"], header=header)
    folder = scores("A.txt", [["1", 10, "G", "A", 1]])
    message = rf"wrong genome build; in .*found GRCh38; expected {build}; remedy: lift the genotypes over"
    with pytest.raises(DataError, match=message):
        genome(path, folder, out)
    folder = scores("A.txt", [["1", 10, "G", "A", 1]], HmPOS_build="NR")
    genome(path, folder, out)
    assert SCORES.read(out / "scores.parquet")["A"].to_list() == [0, 1, 2]


def test_two_files_of_one_score(pgen, scores, out):
    scores("PGS1_hmPOS_GRCh37.txt", [["1", 10, "G", "A", 1]])
    folder = scores("PGS1_hmPOS_GRCh38.txt", [["1", 10, "G", "A", 1]])
    with pytest.raises(DataError, match=r"two scoring files of one score.*PGS1_hmPOS_GRCh38\.txt"):
        genome(pgen(SITES, CALLS), folder, out)


def test_duplicate_samples(pgen, scores, out):
    with pytest.raises(DataError, match=r"duplicate sample IDs.*toy\.psam.*'b'"):
        genome(pgen(SITES, CALLS, ["a", "b", "b"]), scores("PGS1.txt", [["1", 10, "G", "A", 1]]), out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--min-match-rate", "1.5"],
            "unusable --min-match-rate; found 1.5; expected less than or equal to 1",
        ),
        (["--match-by", "name"], "unusable --match-by; found 'name'; expected 'position' or 'id'"),
        (["--num-pcs", "0"], "unusable --num-pcs; found 0; expected greater than or equal to 1"),
        (["--num-pcs", "5"], "settings of ancestry without the step; remedy: give --ancestry"),
    ],
)
def test_options_out_of_range(words, message, tmp_path, out):
    assert str(run(tmp_path, tmp_path, out, *words).exception) == message


def test_command_line(pgen, scores, out, tmp_path):
    folder = scores("PGS1.txt", [["1", 10, "G", "A", 1], ["2", 30, "A", "T", 1]])
    (tmp_path / "map.tsv").write_text("sample_id\tsubject_id\n1\t5\n")
    options = ["--keep-ambiguous", "--min-match-rate", "0.9", "--samples", str(tmp_path / "map.tsv")]
    result = run(pgen(SITES, CALLS).with_suffix(""), folder, out, *options)
    assert result.exit_code == 0, result.output
    assert sums(out).rows() == [(5, 1), (-2, 2), (-3, 3)]


def test_a_score_without_positions_stops_the_run(pgen, scores, out):
    scores("PGS1.txt", [["1", 10, "G", "A", 1]])
    folder = scores("rsids.txt", [["rs1", "G", 1]], ["rsID", "effect_allele", "effect_weight"])
    with pytest.raises(DataError, match=r"without positions.*rsids\.txt.*harmonised"):
        genome(pgen(SITES, CALLS), folder, out)
    assert not out.exists()


def test_command_line_takes_scores_computed_elsewhere(out, tmp_path, capsys):
    (tmp_path / "a.tsv").write_text("IID\tPGS1\n4\t0.5\n")
    result = run(out, "--from-scores", tmp_path / "a.tsv")
    assert result.exit_code == 0, result.output
    assert sums(out).rows() == [(4, 0.5)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["a", "b"], "GENOTYPES SCOREFILES OUT"), (["a", "--from-scores", "s", "b"], "OUT")],
)
def test_wrong_number_of_arguments(arguments, expected):
    result = run(*arguments)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).endswith(f"found a b; expected {expected}")


def test_identifiers_and_a_panel_exclude_each_other(pgen, scores, out, tmp_path):
    inputs = AncestryInputs(reference=tmp_path)
    with pytest.raises(ConfigError, match=r"--match-by id and --reference exclude each other"):
        genome(
            pgen(SITES, CALLS), scores("PGS1.txt", [["1", 10, "G", "A", 1]]), out,
            config=GenomeConfig(match_by="id", ancestry=AncestryConfig()), ancestry_inputs=inputs,
        )  # fmt: skip
