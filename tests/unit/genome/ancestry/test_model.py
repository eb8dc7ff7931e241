from dataclasses import fields

import numpy as np
import polars as pl
import pytest

from proband.core.errors import CheckpointError
from proband.genome.ancestry.components.pca import Loadings
from proband.genome.ancestry.config import AncestryConfig
from proband.genome.ancestry.model import Adjustment, AncestryModel, Axes, load_model, sample_key, save_model
from proband.genome.ancestry.population import Similarity


def model():
    rng = np.random.default_rng(0)
    sites = pl.DataFrame({"chrom": ["1", "22"], "pos": [5, 6], "ref": ["A", "C"], "alt": ["G", "T"]})
    loadings = Loadings(
        np.array([0.2, 0.5]), rng.normal(size=(2, 4)).astype(np.float32), np.arange(4.0) + 1, 2
    )
    terms = [rng.normal(size=(3, 2)) for _ in range(3)]
    adjustment = Adjustment(["PGS1", "PGS2"], ["AFR"], np.ones((1, 2)), np.ones((1, 2)), terms[0],
                            np.array([1.0, np.nan]), terms[1], terms[2])  # fmt: skip
    return AncestryModel(
        AncestryConfig(num_pcs=2, adjust_pcs=2, similarity_pcs=2),
        Axes(sites, "GRCh38", loadings, np.sort(sample_key(["x", "y"])), rng.normal(size=(2, 2))),
        np.zeros(2), np.ones(2), Similarity(rng.normal(size=(2, 2)), ["AFR", "AFR"], "forest", 3), adjustment,
    )  # fmt: skip


def same(one, other):
    if isinstance(one, pl.DataFrame):
        return one.equals(other)
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return one == other


def test_read_back_unchanged_from_file_and_folder(tmp_path):
    path = tmp_path / "ancestry_model.npz"
    save_model(model(), path)
    assert same(load_model(path), model())
    assert same(load_model(tmp_path), model())


def test_parts_that_are_not_there_stay_away(tmp_path):
    bare = AncestryModel(AncestryConfig(), None, np.zeros(10), np.ones(10), None, None)
    save_model(bare, tmp_path / "ancestry_model.npz")
    assert same(load_model(tmp_path), bare)


def test_the_file_is_the_same_every_time_and_holds_no_sample_name(tmp_path):
    save_model(model(), tmp_path / "a.npz")
    save_model(model(), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        kinds = {name: stored[name].dtype.kind for name in stored.files}
    assert set(kinds.values()) <= set("fiuU")
    assert kinds["fitted"] == "u"


def test_leaving_scores_out():
    less = model().adjustment.without(["PGS1", "other"])
    assert less.names == ["PGS2"]
    assert less.mean.tolist() == model().adjustment.mean[:, [1]].tolist()
    assert same(model().adjustment.without([]), model().adjustment)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half", b"not a zip"])
def test_damaged_files(tmp_path, content):
    (tmp_path / "ancestry_model.npz").write_bytes(content)
    with pytest.raises(CheckpointError, match="unreadable ancestry model"):
        load_model(tmp_path)


def test_a_truncated_file(tmp_path):
    path = tmp_path / "ancestry_model.npz"
    save_model(model(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="unreadable ancestry model"):
        load_model(tmp_path)


def test_another_format_and_none(tmp_path):
    np.savez(tmp_path / "ancestry_model.npz", meta=np.array('{"format": 99}'))
    with pytest.raises(CheckpointError, match=r"another version.*format 2"):
        load_model(tmp_path)
    with pytest.raises(CheckpointError, match="no ancestry model"):
        load_model(tmp_path / "elsewhere")
