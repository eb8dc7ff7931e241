"""BigQuery itself is out of reach of tests: every expression is compiled to its SQL, and parsed."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import ibis
import pytest
import sqlglot

from proband.core.errors import ConfigError, DataError
from proband.ehr.omop import accounts, births, concepts, typed
from proband.ehr.omop import events as conversion
from proband.ehr.omop.engines.bigquery import open_bigquery
from proband.ehr.omop.sources import Address, open_omop, open_source
from proband.ehr.omop.tables import sources

ONE_OF_EACH_KIND = ("person", "concept", "measurement", "visit_occurrence", "observation_period")
GOLDEN = Path(__file__).with_name("bigquery_drug_events.sql")


class Found:
    """What a query gave: no rows, and nothing counted."""

    def to_pylist(self) -> list[Any]:
        return [defaultdict(int)]

    def as_py(self) -> int:
        return 0


@pytest.fixture
def unbound(tables: dict, omop: Callable, tmp_path: Path) -> dict[str, ibis.Table]:
    opened = open_omop(omop(tables), tmp_path / "work")
    return {name: ibis.table(table.schema(), name=name) for name, table in opened.items()}


def in_types(tables: dict[str, ibis.Table]) -> dict[str, ibis.Table]:
    return tables | {source.table: typed.in_types(tables[source.table], source) for source in sources(tables)}


@pytest.mark.parametrize("of_text", [False, True])
@pytest.mark.parametrize("dialect", ["bigquery", "postgres", "pyspark"])
def test_every_expression_is_sql_of_the_engine(
    unbound: dict[str, ibis.Table], monkeypatch: pytest.MonkeyPatch, dialect: str, of_text: bool
) -> None:
    if dialect == "pyspark":
        spark = pytest.importorskip("ibis.backends.pyspark", reason="Spark: pip install 'proband[spark]'")
        spark.Backend.register_options()
    if of_text:
        texts = {name: dict.fromkeys(unbound[name].columns, "string") for name in ONE_OF_EACH_KIND}
        unbound = {name: ibis.table(columns, name=name) for name, columns in texts.items()}
    queries: list[str] = []

    def compiled(expression: Any, **_: Any) -> Found:
        queries.append(str(ibis.to_sql(expression, dialect=dialect, pretty=False)))
        return Found()

    monkeypatch.setattr("ibis.expr.types.Table.to_pyarrow", compiled)
    monkeypatch.setattr("ibis.expr.types.Scalar.to_pyarrow", compiled)
    tables = in_types(unbound)
    accounts.accounts(tables, sources(tables))
    births.mended_births(tables["person"])
    names = concepts.concept_names(tables)
    assert names is not None
    parts = conversion.convert(tables)
    for expression in (names, conversion.events(parts, tables["person"], after=7)):
        compiled(expression)
    assert len(queries) > len(sources(unbound))
    for query in queries:
        (parsed,) = sqlglot.parse(query, read=dialect)
        assert parsed.find(sqlglot.exp.Select) is not None


def test_events_of_a_table_are_as_they_were(unbound: dict[str, ibis.Table]) -> None:
    part = next(part for part in conversion.convert(in_types(unbound)) if part.table == "drug_exposure")
    assert str(ibis.to_sql(part.rows, dialect="bigquery")) == GOLDEN.read_text().rstrip("\n")


def test_without_a_client_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ibis.backends.bigquery", None)
    address = Address("bigquery", host="project", database="cdr")
    with pytest.raises(
        ConfigError, match=r"client is lacking; in bigquery://project/cdr.*proband\[bigquery\]"
    ):
        open_source(address, tmp_path)


ADDRESS = Address("bigquery", host="project", database="cdr")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Google's client with two tables, in the place of the real one; what it is asked is kept."""
    kept = SimpleNamespace(asked={}, is_open=True, error=None)

    class Backend:
        def do_connect(self, **asked: Any) -> None:
            kept.asked = asked
            if kept.error:
                raise kept.error

        def list_tables(self) -> list[str]:
            return ["PERSON", "cost"]

        def table(self, name: str) -> ibis.Table:
            return ibis.table({"person_id": "int64"}, name=name)

        def disconnect(self) -> None:
            kept.is_open = False

    auth = ModuleType("google.auth")
    auth.default = lambda scopes: (f"credentials for {scopes[0]}", None)
    google, backend = ModuleType("google"), ModuleType("ibis.backends.bigquery")
    google.auth, backend.Backend = auth, Backend
    for name, module in (("google", google), ("google.auth", auth), ("ibis.backends.bigquery", backend)):
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("GOOGLE_CLOUD_PROJECT", "GOOGLE_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return kept


def google_error(name: str) -> Exception:
    return type(name, (Exception,), {"__module__": "google.api_core.exceptions"})("403 no\nmore")


def test_tables_are_found_in_any_case_and_jobs_billed_to_the_environments_project(
    client: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = open_bigquery(ADDRESS, ("person", "death"), tmp_path)
    assert {name: table.get_name() for name, table in engine.tables.items()} == {"person": "PERSON"}
    assert client.asked["project_id"] == "project"
    assert client.asked["dataset_id"] == "project.cdr"
    assert client.asked["credentials"] == "credentials for https://www.googleapis.com/auth/cloud-platform"
    assert engine.about == {"engine": "BigQuery", "database": "project", "schemas": ["cdr"]}
    engine.close()
    assert not client.is_open
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "workspace")
    open_bigquery(ADDRESS, ("person",), tmp_path)
    assert client.asked["project_id"] == "workspace"


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        (
            "Forbidden",
            ConfigError,
            r"refused the login; in bigquery://project/cdr; found 403 no; .*gcloud",
        ),
        (
            "BadGateway",
            DataError,
            r"broke off; in bigquery://project/cdr; found 403 no; .*same command",
        ),
    ],
)
def test_what_google_says_becomes_one_line(
    client: SimpleNamespace, tmp_path: Path, name: str, kind: type[Exception], said: str
) -> None:
    client.error = google_error(name)
    with pytest.raises(kind, match=said):
        open_bigquery(ADDRESS, ("person",), tmp_path)


def test_a_fault_that_is_not_googles_is_not_turned_into_a_line(
    client: SimpleNamespace, tmp_path: Path
) -> None:
    client.error = ZeroDivisionError("ours")
    with pytest.raises(ZeroDivisionError, match="ours"):
        open_bigquery(ADDRESS, ("person",), tmp_path)
