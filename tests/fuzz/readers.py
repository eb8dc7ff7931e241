"""How each kind of file is read: a function of the folder it lies in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl


def genotypes(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        from proband.genome.genotypes.open import open_genotypes

        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            found = open_genotypes(folder / name, Path(scratch), with_ids=True)
            rows = np.arange(found.num_variants, dtype=np.uint32)
            found.reader.read(rows, 0, len(found.sample_ids))

    return read


def scorefile(name: str, by_id: bool = False) -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        from proband.genome.scorefiles.scorefile import read_scorefile, read_sites

        read_sites(folder / name, 9)
        read_scorefile(folder / name, by_id=by_id)

    return read


def variant_list(folder: Path) -> Any:
    from proband.genome.scorefiles.variantlist import read_variant_list

    return read_variant_list(folder / "list.txt").needs_ids


def samples(folder: Path) -> Any:
    from proband.genome.genotypes.samples import identify

    return identify(["a", "b", "c"], folder / "map.tsv", "toy.pgen")


def people(folder: Path) -> Any:
    from proband.genome.ancestry.inputs import read_pcs, read_populations

    read_populations(folder / "people.tsv", ["a", "b"], None)
    who = pl.DataFrame({"subject_id": [1, 2], "sample_id": ["a", "b"]})
    return read_pcs(folder / "people.tsv", who, 2)


def kinship(folder: Path) -> Any:
    from proband.ehr.meds.kinship import read_families

    return read_families(folder / "kin.tsv", 0.1)


def external(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        from proband.genome.external import genome_from_scores

        try:
            genome_from_scores([folder / name], folder / "out")
        finally:
            shutil.rmtree(folder / "out", ignore_errors=True)

    return read


def ehr(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        from proband.ehr import ehr

        try:
            ehr(folder / name, folder / "out", workers=1)
        finally:
            shutil.rmtree(folder / "out", ignore_errors=True)

    return read


def omop_tables(where: str, *names: str) -> Callable[[Path], Any]:
    """Tables of OMOP read in their types, with what cannot be read; the rest of a conversion reads those.

    Args:
        where: Their folder or zip file.
        names: Of the tables; all if none is named.
    """

    def read(folder: Path) -> None:
        from proband.ehr.omop.sources import open_source
        from proband.ehr.omop.tables import sources
        from proband.ehr.omop.typed import typed

        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            engine = open_source(folder / where, Path(scratch), 1)
            with engine.at_work() as tables:
                declared = [one for one in sources(tables) if one.table in (names or tables)]
                found = typed(tables, declared, Path(scratch, "typed"))
                for source in declared:
                    found[source.table].to_pyarrow()

    return read


def task(folder: Path) -> Any:
    from proband.ehr.outcomes import load_task, save_task, task_files

    task = load_task(folder / "task.yaml")
    task_files(folder / "task.yaml")
    save_task(task, folder / "again.yaml")
    for outcome in task.outcomes.values():
        for step in outcome.steps:
            step.select(["A//1", "SNOMED//1"])
    assert load_task(folder / "again.yaml") == task


def aces(folder: Path) -> Any:
    import polars as pl

    from proband.ehr.aces.cohort import cohort
    from proband.ehr.aces.config import load_aces
    from proband.ehr.aces.stage import task_of
    from proband.ehr.meds.dataset import EVENTS

    asked = load_aces(folder / "aces.yaml")
    cohort(pl.DataFrame(schema=EVENTS), asked)
    task_of(asked, ["MEDS_DEATH"])


def shard(folder: Path) -> Any:
    from proband.ehr.meds.clean import tidy
    from proband.ehr.meds.dataset import read_shard

    return tidy(read_shard(folder / "0.parquet"), True)


def splits(folder: Path) -> Any:
    from proband.ehr.meds.splits import read_splits

    return read_splits(folder)


def risk(folder: Path) -> Any:
    from proband.ehr.outcomes import load_task
    from proband.evaluate.inputs import read_risks

    return read_risks([folder / "risk.parquet"], load_task(folder / "task.yaml"), True)


def labels(folder: Path) -> Any:
    from proband.core.schema import LABELS

    return LABELS.read(folder / "labels.parquet")


def vocabulary(folder: Path) -> Any:
    from proband.tokens.vocabulary import Vocabulary

    found = Vocabulary.load(folder / "vocabulary.json")
    return found.base_codes(), found.value_bounds(), found.alike(), found.kinds(), found.index, found.death


def manifest(folder: Path) -> Any:
    from proband.core.files.manifest import check_input, open_output
    from proband.core.files.provenance import is_finished

    is_finished(folder, "tokens", {"a": 1}, False, [])
    check_input(folder / "x.npy")
    return open_output(folder, "tokens")


def model(folder: Path) -> Any:
    from proband.model.checkpoint import load_model

    return load_model(folder)


def ancestry(folder: Path) -> Any:
    from proband.genome.ancestry.model import load_model

    return load_model(folder / "ancestry_model.npz")


def array(folder: Path) -> Any:
    from proband.tokens.dataset import _map

    return _map(folder / "tokens.npy", 1, 100)
