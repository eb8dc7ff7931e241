from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import fsspec
import pytest

from proband.core.errors import ConfigError, DataError
from proband.ehr import ehr

T = datetime(2001, 1, 1)


def content(out: Path) -> dict[str, bytes]:
    files = list(out.rglob("*.parquet"))
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.fixture
def source(meds: Callable, events: Callable) -> Path:
    shards = {
        f"{split}/0": events((at, T, "MEDS_BIRTH"), (at, T, "A"))
        for at, split in enumerate(("train", "held_out"))
    }
    return meds(shards)


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_dataset_of_a_store_is_that_of_a_folder(source: Path, tmp_path: Path, scheme: str) -> None:
    address = f"file://{source}"
    if scheme == "memory":
        address = f"memory://{tmp_path.name}/meds"
        store = fsspec.filesystem("memory")
        for path in source.rglob("*.parquet"):
            store.pipe_file(f"/{tmp_path.name}/meds/{path.relative_to(source)}", path.read_bytes())
    ehr(source, tmp_path / "of_folder", workers=1)
    ehr(address, tmp_path / "of_store", workers=1)
    assert content(tmp_path / "of_store") == content(tmp_path / "of_folder")
    assert len(content(tmp_path / "of_store")) == 4


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("memory://nothing/here", DataError, "no MEDS shards; in memory://nothing/here"),
        ("ftpx://a/b", ConfigError, "unusable address; in ftpx://a/b"),
        ("https://x.org/meds?sig=hunter2", ConfigError, "a login in an address; in https"),
        ("s3://key:hunter2@bucket/meds", ConfigError, "a login in an address; in s3"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, address: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        ehr(address, tmp_path / "out")
    assert "hunter2" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_package_that_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(address: str) -> None:
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec.core, "url_to_fs", lacking)
    with pytest.raises(
        ConfigError, match="package is not installed; in gs://b/m; found Please install gcsfs"
    ):
        ehr("gs://b/m", tmp_path / "out")
