"""The whole step on three populations, as a cohort of its own and beside a reference panel."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.errors import CheckpointError, ConfigError, DataError
from proband.core.schema import ANCESTRY, PCS, SCORES
from proband.genome import AncestryInputs, GenomeConfig, genome
from proband.genome.ancestry import AncestryConfig, run_ancestry
from proband.genome.ancestry.adjustment.scored import Scoring
from proband.genome.ancestry.config import ADJUSTMENTS
from proband.genome.ancestry.model import load_model
from proband.genome.genotypes.formats.plink import open_plink
from structured_genotypes import child, draw_calls, population_frequencies, sites, with_missing, write_pgen

NUM_VARIANTS, NUM_PEOPLE, NUM_PANEL = 6000, 240, 200
POPULATIONS = np.array(["AFR", "EAS", "EUR"])
CONFIG = AncestryConfig(num_pcs=4, adjust_pcs=2, similarity_pcs=2)
FLIP = {"A": "T", "C": "G", "G": "C", "T": "A"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A cohort with two children of its members, a panel spelt otherwise, splits and scores."""
    folder = tmp_path_factory.mktemp("ancestry")
    rng = np.random.default_rng(11)
    frequencies = population_frequencies(rng, NUM_VARIANTS, 3, 0.1)
    population = rng.integers(0, 3, NUM_PEOPLE)
    calls = draw_calls(rng, frequencies, population)
    same = np.flatnonzero(population == 0)[:4]
    for row, (one, other) in enumerate([same[:2], same[2:]]):
        calls[:, -1 - row] = child(rng, calls[:, one], calls[:, other])
        population[-1 - row] = 0
    where = sites(NUM_VARIANTS)
    names = [str(1000 + row) for row in range(NUM_PEOPLE)]
    write_pgen(folder / "cohort.pgen", where, with_missing(rng, calls, 0.01), names)
    _write_panel(folder, rng, where, frequencies)
    samples = pl.DataFrame({"subject_id": np.arange(1000, 1000 + NUM_PEOPLE), "sample_id": names})
    split = np.where(rng.random(NUM_PEOPLE) < 0.7, "train", "held_out")
    split[-2:] = split[same] = "train"
    samples.select("subject_id", split=pl.Series(split)).write_parquet(folder / "splits.parquet")
    own = pl.DataFrame({"IID": names, "SuperPop": POPULATIONS[population]})
    own.write_csv(folder / "populations.tsv", separator="\t")
    _write_scorefiles(folder, rng, where)
    scores = _write_scores(folder, rng, samples, population)
    return {"folder": folder, "samples": samples, "split": split, "population": POPULATIONS[population],
            "family": same, "scores": scores}  # fmt: skip


def _write_panel(folder, rng, where, frequencies):
    """Half of the variants on the other strand, half with alleles swapped, a tenth not there."""
    population = rng.integers(0, 3, NUM_PANEL)
    calls = draw_calls(rng, frequencies, population)
    swap, flip = rng.random((2, NUM_VARIANTS)) < 0.5
    calls[swap] = 2 - calls[swap]
    table = where.with_columns(flip=pl.Series(flip), swap=pl.Series(swap))
    for name in ("ref", "alt"):
        table = table.with_columns(
            pl.when("flip").then(pl.col(name).replace(FLIP)).otherwise(name).alias(name)
        )
    first, second = pl.when("swap").then("alt").otherwise("ref"), pl.when("swap").then("ref").otherwise("alt")
    table = table.with_columns(ref=first, alt=second)
    kept = np.flatnonzero(rng.random(NUM_VARIANTS) < 0.9)
    write_pgen(folder / "panel.pgen", table[kept], calls[kept], [f"P{row}" for row in range(NUM_PANEL)],
               SuperPop=POPULATIONS[population].tolist())  # fmt: skip


def _write_scorefiles(folder, rng, where):
    (folder / "scorefiles").mkdir()
    for number in range(3):
        chosen = where.sample(500, seed=number, shuffle=True)
        rows = chosen.select(chr_name="chrom", chr_position="pos", effect_allele="alt", other_allele="ref")
        rows = rows.with_columns(effect_weight=pl.Series(rng.normal(size=500)))
        text = f"#pgs_id=PGS{number:06d}\n" + rows.write_csv(separator="\t")
        (folder / "scorefiles" / f"PGS{number:06d}.txt").write_text(text)


def _write_scores(folder, rng, samples, population):
    columns = {
        "PGS000000": population * 2 + rng.normal(size=NUM_PEOPLE),
        "PGS000001": rng.normal(size=NUM_PEOPLE) * (1 + population),
        "PGS000002": np.full(NUM_PEOPLE, 0.1),
    }
    scores = samples.select(
        "subject_id", **{name: pl.Series(v.astype(np.float32)) for name, v in columns.items()}
    )
    SCORES.write(scores, folder / "scores.parquet")
    return folder / "scores.parquet"


def run(world, out, config=CONFIG, **inputs):
    out.mkdir()
    inputs.setdefault("source", open_plink(world["folder"] / "cohort.pgen"))
    source, scores = inputs.pop("source"), inputs.pop("scores", world["scores"])
    samples, how = inputs.pop("samples", world["samples"]), Scoring(tuple(inputs.pop("scorefiles", ())))
    return run_ancestry(source, samples, scores, out, config, AncestryInputs(**inputs), how)


@pytest.fixture(scope="module")
def own(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("own") / "out"
    folder = world["folder"]
    counts = run(
        world, out, splits=folder / "splits.parquet", reference_populations=folder / "populations.tsv"
    )
    return out, counts


@pytest.fixture(scope="module")
def beside_panel(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("panel") / "out"
    files = sorted((world["folder"] / "scorefiles").iterdir())
    counts = run(world, out, reference=world["folder"] / "panel.pgen", scorefiles=files)
    return out, counts


def tables(out):
    adjusted = {path.stem: SCORES.read(path) for path in sorted((out / "adjusted").iterdir())}
    return PCS.read(out / "pcs.parquet"), ANCESTRY.read(out / "ancestry.parquet"), adjusted


def test_fitted_on_unrelated_train_subjects(world, own):
    pcs, _, _ = tables(own[0])
    fitted = pcs["is_fitted"].to_numpy()
    assert not fitted[world["split"] != "train"].any()
    # Each child has two parents in train: two children go, or their four parents would.
    left_out = np.flatnonzero(~fitted & (world["split"] == "train"))
    assert left_out.tolist() == [NUM_PEOPLE - 2, NUM_PEOPLE - 1]
    assert own[1]["num_ancestry_fitted"] == fitted.sum()
    assert own[1]["num_ancestry_variants"] > 5000
    assert (own[0] / "pcs.png").read_bytes().startswith(b"\x89PNG")


def test_populations_of_everybody_are_found(world, own, beside_panel):
    for out, counts in (own, beside_panel):
        _, ancestry, _ = tables(out)
        assert (ancestry["most_similar_population"].to_numpy() == world["population"]).all()
        assert counts["num_low_confidence"] == ancestry["low_confidence"].sum() == 0
        assert {"probability_AFR", "probability_EAS", "probability_EUR"} < set(ancestry.columns)


def test_adjusted_scores_of_the_fitted_are_standard(world, own):
    pcs, ancestry, adjusted = tables(own[0])
    fitted = pcs["is_fitted"].to_numpy()
    assert list(adjusted) == ["Z_MostSimilarPop", "Z_norm1", "Z_norm2"]
    for kind, table in adjusted.items():
        values = table.filter(fitted).select("PGS000000", "PGS000001").to_numpy()
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.01)
        np.testing.assert_allclose(values.std(axis=0), 1, atol=0.01)
        assert table["PGS000002"].is_nan().all(), kind
    groups = ancestry.filter(fitted)["most_similar_population"]
    raw = pl.read_parquet(world["scores"]).filter(fitted)["PGS000000"]
    z = adjusted["Z_norm2"].filter(fitted)["PGS000000"]
    centres = [[series.filter(groups == name).mean() for name in POPULATIONS] for series in (raw, z)]
    apart = [max(means) - min(means) for means in centres]
    assert apart[0] > 3
    assert apart[1] < 0.2


def test_apply_gives_the_same_people_the_same_numbers(world, own, tmp_path):
    run(world, tmp_path / "again", model=own[0])
    for name in ("pcs", "ancestry", "adjusted/Z_MostSimilarPop", "adjusted/Z_norm1", "adjusted/Z_norm2"):
        first, second = (pl.read_parquet(out / f"{name}.parquet") for out in (own[0], tmp_path / "again"))
        assert first.equals(second), name


def test_apply_to_other_files_of_the_same_people(world, own, tmp_path):
    """Fewer people, variants in other spelling, more variants: the same components to single precision."""
    rng = np.random.default_rng(0)
    people = np.sort(rng.choice(NUM_PEOPLE, 50, replace=False))
    source = open_plink(world["folder"] / "cohort.pgen")
    calls = source.reader.read(np.arange(NUM_VARIANTS, dtype=np.uint32), 0, NUM_PEOPLE)[:, people].astype(
        np.int8
    )
    swapped = sites(NUM_VARIANTS).select("chrom", "pos", ref="alt", alt="ref")
    calls = np.where(calls < 0, calls, 2 - calls)
    extra = pl.DataFrame({"chrom": ["3"], "pos": [7], "ref": ["A"], "alt": ["G"]})
    order = rng.permutation(NUM_VARIANTS + 1)
    where, calls = pl.concat([swapped, extra])[order], np.concatenate([calls, calls[:1]])[order]
    samples = world["samples"][people]
    other = write_pgen(tmp_path / "other.pgen", where, calls, samples["sample_id"].to_list())
    pl.read_parquet(world["scores"])[people].write_parquet(tmp_path / "scores.parquet")
    run(
        world,
        tmp_path / "out",
        source=other,
        samples=samples,
        scores=tmp_path / "scores.parquet",
        model=own[0],
    )
    for first, second in zip(tables(own[0])[:2], tables(tmp_path / "out")[:2], strict=True):
        numbers = [name for name in first.columns if name.startswith(("PC", "prob"))]
        np.testing.assert_allclose(second.select(numbers), first.select(numbers)[people], atol=2e-6)
        others = [name for name in first.columns if name not in numbers]
        assert second.select(others).equals(first.select(others)[people])
    for kind, table in tables(tmp_path / "out")[2].items():
        expected = tables(own[0])[2][kind][people]
        np.testing.assert_allclose(table.drop("subject_id"), expected.drop("subject_id"), atol=1e-5)


def test_people_of_another_cohort_with_the_same_names_are_not_those_fitted(world, own, tmp_path):
    """They get the components that they have under other names; the people themselves are known again where
    a tenth of the variants is absent."""
    source = open_plink(world["folder"] / "cohort.pgen")
    calls = source.reader.read(np.arange(NUM_VARIANTS, dtype=np.uint32), 0, NUM_PEOPLE).astype(np.int8)
    samples, fitted = world["samples"], pl.read_parquet(own[0] / "pcs.parquet")["is_fitted"]
    names = samples["sample_id"].to_list()
    others = np.roll(calls, 7, axis=1)
    found = {}
    every, most = np.ones(NUM_VARIANTS, bool), np.arange(NUM_VARIANTS) % 10 != 3
    for name, bear, kept, dosages in (
        ("same names", names, every, others),
        ("other names", [f"N{one}" for one in names], every, others),
        ("fewer variants", names, most, calls),
    ):
        where = sites(NUM_VARIANTS).filter(pl.Series(kept))
        file = write_pgen(tmp_path / f"{name}.pgen", where, dosages[kept], bear)
        given = samples.with_columns(sample_id=pl.Series(bear))
        run(world, tmp_path / name, source=file, samples=given, model=own[0])
        found[name] = pl.read_parquet(tmp_path / name / "pcs.parquet")
    assert not found["same names"]["is_fitted"].any()
    assert found["same names"].equals(found["other names"])
    assert found["fewer variants"]["is_fitted"].equals(fitted)
    assert 0 < fitted.sum() < NUM_PEOPLE


@pytest.mark.parametrize("given", ["panel", "model"])
def test_a_subject_does_not_depend_on_who_else_is_in_the_batch(world, tmp_path, given):
    """Half of the subjects alone: equal labels, components and adjusted scores, missing calls and all."""
    folder = world["folder"]
    (tmp_path / "half.txt").write_text("\n".join(world["samples"]["sample_id"].to_list()[1::2]))
    config = GenomeConfig(ancestry=CONFIG)
    score = functools.partial(genome, folder / "cohort.pgen", folder / "scorefiles", config=config)
    whole, splits, populations = tmp_path / "whole", folder / "splits.parquet", folder / "populations.tsv"
    inputs = AncestryInputs(reference=folder / "panel.pgen")
    if given == "model":
        score(whole, ancestry_inputs=AncestryInputs(splits=splits, reference_populations=populations))
        inputs = AncestryInputs(model=whole)
    else:
        score(whole, ancestry_inputs=inputs)
    score(tmp_path / "half", ancestry_inputs=inputs, keep=tmp_path / "half.txt")
    pcs, ancestry, adjusted = tables(whole)
    half_pcs, half_ancestry, half_adjusted = tables(tmp_path / "half")
    assert half_ancestry.height == NUM_PEOPLE // 2
    both = half_ancestry.join(ancestry, on="subject_id")
    for column in ("most_similar_population", "low_confidence"):
        assert (both[column] == both[f"{column}_right"]).all()
    pairs = [(half_pcs, pcs), *((half_adjusted[kind], adjusted[kind]) for kind in ADJUSTMENTS)]
    for half, all_of in pairs:
        names = [name for name in half.columns if half.schema[name].is_float()]
        both = half.join(all_of, on="subject_id", maintain_order="left")
        whole_values = both.select(f"{name}_right" for name in names).to_numpy()
        np.testing.assert_allclose(both.select(names).to_numpy(), whole_values, rtol=0, atol=1e-6)


def test_same_inputs_same_bytes(world, own, tmp_path):
    folder = world["folder"]
    run(
        world,
        tmp_path / "out",
        splits=folder / "splits.parquet",
        reference_populations=folder / "populations.tsv",
    )
    for path in sorted(path for path in own[0].rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "out" / path.relative_to(own[0])).read_bytes(), path.name


def raw_sums(source, table, panel):
    """Sums of one scoring file over the panel's places, missing calls at the panel's mean, in float64."""
    (weights, calls), (_, others) = (effect_calls(item, table, panel.variants) for item in (source, panel))
    return weights @ np.where(np.isnan(calls), np.nanmean(others, axis=1)[:, None], calls)


def effect_calls(source, table, variants):
    """Weights and calls of the effect allele at the given places, NaN where missing."""
    where = source.variants.join(variants, on=["chrom", "pos"], how="semi")
    where = where.join(table, left_on=["chrom", "pos"], right_on=["chr_name", "chr_position"])
    where = where.sort("chrom", "pos")
    calls = source.reader.read(where["index"].to_numpy(), 0, len(source.sample_ids)).astype(float)
    calls[calls < 0] = np.nan
    # The effect allele is ALT, in the panel on either strand or as REF.
    is_alt = np.array(
        [alt in (effect, FLIP[effect]) for alt, effect in where.select("alt", "effect_allele").rows()]
    )
    return where["effect_weight"].to_numpy(), np.where(is_alt[:, None], calls, 2 - calls)


def test_beside_a_panel_scores_are_those_of_shared_variants(world, beside_panel):
    """Z_norm1 by hand: sums over the variants that the panel has too, regressed on its components."""
    out, counts = beside_panel
    assert counts["num_scores_adjusted"] == 3
    assert not (out / "shared_scores").exists()
    pcs, _, adjusted = tables(out)
    assert not pcs["is_fitted"].any()
    model = load_model(out)
    assert len(model.similarity.labels) == NUM_PANEL
    panel, cohort = (open_plink(world["folder"] / f"{name}.pgen") for name in ("panel", "cohort"))
    terms = np.column_stack([np.ones(NUM_PANEL), model.similarity.pcs])
    own = model.standardised(pcs.select("PC1", "PC2", "PC3", "PC4").cast(pl.Float64).to_numpy())[:, :2]
    for path in sorted((world["folder"] / "scorefiles").iterdir()):
        types = {"chr_name": pl.String}
        table = pl.read_csv(path, separator="\t", comment_prefix="#", schema_overrides=types)
        panel_sums, sums = (raw_sums(source, table, panel) for source in (panel, cohort))
        slopes = np.linalg.lstsq(terms, panel_sums, rcond=None)[0]
        spread = (panel_sums - terms @ slopes).std()
        expected = (sums - np.column_stack([np.ones(NUM_PEOPLE), own]) @ slopes) / spread
        np.testing.assert_allclose(adjusted["Z_norm1"][path.stem], expected, atol=1e-4)


def test_beside_a_panel_with_scores_of_the_panel_itself(world, tmp_path):
    """The panel as its own target: adjusted scores are exactly standard among its unrelated, so among all."""
    panel = open_plink(world["folder"] / "panel.pgen")
    names = panel.sample_ids
    samples = pl.DataFrame({"subject_id": np.arange(len(names)), "sample_id": names})
    files = sorted((world["folder"] / "scorefiles").iterdir())
    config = CONFIG.model_copy(update={"correct_shrinkage": False, "relatives": "none"})
    out = tmp_path / "out"
    run(
        world,
        out,
        config,
        source=panel,
        samples=samples,
        reference=world["folder"] / "panel.pgen",
        scorefiles=files,
    )
    for kind, table in tables(out)[2].items():
        values = table.drop("subject_id").to_numpy()
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.01, err_msg=kind)
        np.testing.assert_allclose(values.std(axis=0), 1, atol=0.01, err_msg=kind)


def test_a_panel_without_scoring_files_gives_no_adjusted_scores(world, tmp_path):
    counts = run(world, tmp_path / "out", reference=world["folder"] / "panel.pgen")
    assert "num_scores_adjusted" not in counts
    assert not (tmp_path / "out" / "adjusted").exists()


def test_given_components(world, own, tmp_path):
    """Components of another program, here our own: everything after them is the same."""
    folder = world["folder"]
    inputs = {"pcs": own[0] / "pcs.parquet", "splits": folder / "splits.parquet"}
    (tmp_path / "pairs").write_text("ID1 ID2 Kinship\n" + "".join(
        f"{1000 + NUM_PEOPLE - 1 - row} {1000 + parent} 0.25\n"
        for row, parents in enumerate([world["family"][:2], world["family"][2:]]) for parent in parents
    ))  # fmt: skip
    run(world, tmp_path / "out", source=None, kinship=tmp_path / "pairs", **inputs,
        reference_populations=folder / "populations.tsv")  # fmt: skip
    first, second = tables(own[0]), tables(tmp_path / "out")
    assert first[0].equals(second[0])
    assert first[1]["most_similar_population"].equals(second[1]["most_similar_population"])
    for kind in first[2]:
        np.testing.assert_allclose(
            first[2][kind].drop("subject_id"), second[2][kind].drop("subject_id"), atol=1e-4
        )
    run(world, tmp_path / "again", source=None, pcs=own[0] / "pcs.parquet", model=tmp_path / "out")
    assert tables(tmp_path / "again")[2]["Z_norm2"].equals(second[2]["Z_norm2"])


def test_without_populations_two_adjustments_and_no_populations(world, own, tmp_path, capsys):
    run(world, tmp_path / "out", pcs=own[0] / "pcs.parquet")
    assert sorted(path.stem for path in (tmp_path / "out" / "adjusted").iterdir()) == ["Z_norm1", "Z_norm2"]
    assert not (tmp_path / "out" / "ancestry.parquet").exists()
    assert "no splits given, so ancestry is fitted on all unrelated subjects" in capsys.readouterr().err


def test_only_the_adjustments_asked_for(world, own, tmp_path):
    config = CONFIG.model_copy(update={"adjust": ("Z_norm1",)})
    run(world, tmp_path / "out", config, pcs=own[0] / "pcs.parquet")
    assert [path.stem for path in (tmp_path / "out" / "adjusted").iterdir()] == ["Z_norm1"]


def test_scores_the_model_has_and_the_data_have_not(world, own, tmp_path, capsys):
    pl.read_parquet(world["scores"]).drop("PGS000001").write_parquet(tmp_path / "scores.parquet")
    run(world, tmp_path / "out", scores=tmp_path / "scores.parquet", model=own[0])
    assert tables(tmp_path / "out")[2]["Z_norm2"].columns == ["subject_id", "PGS000000", "PGS000002"]
    assert "1 scores of the ancestry model are not here, first PGS000001" in capsys.readouterr().err


def test_options_that_exclude_each_other(world, own, tmp_path):
    some = Path("some")
    for inputs, message in (
        ({"pcs": some, "reference": some}, "--pcs and --reference exclude"),
        ({"model": some, "reference": some}, "--ancestry-model and --reference exclude"),
        ({"source": None}, "components need genotypes"),
        ({"pcs": own[0] / "pcs.parquet", "model": own[0]}, "fitted on other components.*drop --pcs"),
    ):
        with pytest.raises(ConfigError, match=message):
            run(world, tmp_path / message[:9], **inputs)


def test_an_adjustment_that_needs_populations(world, own, tmp_path):
    config = CONFIG.model_copy(update={"adjust": ("Z_MostSimilarPop",)})
    with pytest.raises(ConfigError, match=r"adjustment cannot be computed.*Z_MostSimilarPop.*--reference"):
        run(world, tmp_path / "out", config, pcs=own[0] / "pcs.parquet")


def test_no_model(world, tmp_path):
    with pytest.raises(CheckpointError, match="no ancestry model"):
        run(world, tmp_path / "out", model=tmp_path)


def test_scores_of_other_people(world, own, tmp_path):
    stranger = pl.read_parquet(world["scores"]).with_columns(pl.col("subject_id") + 5)
    stranger.write_parquet(tmp_path / "scores.parquet")
    with pytest.raises(DataError, match=r"subjects without scores.*5, first 1000"):
        run(world, tmp_path / "out", scores=tmp_path / "scores.parquet", pcs=own[0] / "pcs.parquet")
    with pytest.raises(
        DataError, match=r"scores of people who are not among the samples.*5 subjects.*first 1240"
    ):
        run(world, tmp_path / "two", scores=tmp_path / "scores.parquet", model=own[0])


def test_genotypes_without_the_models_variants(world, own, tmp_path):
    few = open_plink(world["folder"] / "cohort.pgen")
    object.__setattr__(few, "variants", few.variants[:2000])
    with pytest.raises(DataError, match=r"too few variants of the ancestry model.*found \d+ of \d+.*50%"):
        run(world, tmp_path / "out", source=few, model=own[0])


def test_too_little_to_fit(world, tmp_path):
    few = open_plink(world["folder"] / "cohort.pgen")
    object.__setattr__(few, "variants", few.variants[:4])
    with pytest.raises(
        DataError, match=r"too few variants fit for components.*found \d.*at least 5.*--num-pcs"
    ):
        run(world, tmp_path / "out", source=few)


def test_a_panel_of_other_positions(world, tmp_path):
    other = open_plink(world["folder"] / "cohort.pgen")
    object.__setattr__(other, "variants", other.variants.with_columns(pl.col("pos") + 1))
    with pytest.raises(DataError, match=r"hardly a variant shared.*found 0 of.*genome builds"):
        run(world, tmp_path / "out", source=other, reference=world["folder"] / "panel.pgen")


def test_builds_that_differ(world, own, tmp_path):
    other = open_plink(world["folder"] / "cohort.pgen")
    object.__setattr__(other, "build", "GRCh37")
    run(world, tmp_path / "fit", source=other)
    object.__setattr__(other, "build", "GRCh38")
    with pytest.raises(DataError, match=r"wrong genome build.*GRCh38.*expected GRCh37"):
        run(world, tmp_path / "out", source=other, model=tmp_path / "fit")


def test_config_bounds():
    with pytest.raises(ValueError, match="must not exceed num_pcs"):
        AncestryConfig(num_pcs=3, adjust_pcs=4)


def test_components_of_adjustment_and_similarity_follow_those_kept():
    found = [AncestryConfig(num_pcs=number) for number in (3, 10)]
    assert [(one.adjust_pcs, one.similarity_pcs) for one in found] == [(3, 3), (4, 5)]
