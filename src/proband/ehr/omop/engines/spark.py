"""OMOP tables in a catalog of Spark: a cluster's, this machine's, or that of a notebook's session.

Catalogs and credentials are Spark's own (spark-defaults.conf). A session that is there is used, and stays.
Spark sorts and writes a result as Parquet files below the output, which its executors must reach; they are
read from there as a stream and removed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proband.core.errors import DataError, ProbandError, first_line
from proband.core.running.engine import spark_session
from proband.ehr.omop.engines.address import Address
from proband.ehr.omop.engines.engine import Engine

if TYPE_CHECKING:
    import ibis
    import pyarrow as pa

_SETTINGS = {
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
}
_TIME_ZONE = "spark.sql.session.timeZone"
_GROUP = re.compile(r"\\(\d)")


def open_spark(address: Address, names: tuple[str, ...], work: Path) -> Engine:
    """Start Spark or take the session that is there, and find the tables.

    Args:
        address: Master, and ``catalog`` and ``schema``; default the session's current ones.
        names: Tables looked for, in lower case.
        work: Folder below which Spark writes what is then read.

    Raises:
        ConfigError: Spark is not installed or does not start.
        DataError: A schema is not there, or a table is there twice.
    """
    session, is_ours = spark_session(address.host)
    before = {name: session.conf.get(name, None) for name in (*_SETTINGS, _TIME_ZONE)}
    for name, value in _SETTINGS.items():
        session.conf.set(name, value)

    def release() -> None:
        if is_ours:
            session.stop()
        else:
            _put_back(session, before)

    try:
        backend = _backend(session, work / "spark")
        tables, schemas = _find(backend, address, names)
    except Exception as error:
        release()
        raise _complaint(error, address) or error from None
    about: dict[str, object] = {"engine": f"Spark {session.version}", "schemas": schemas}

    def close() -> None:
        shutil.rmtree(work / "spark", ignore_errors=True)
        release()

    return Engine(tables, lambda error: _complaint(error, address), about, close)


def _put_back(session: Any, settings: Mapping[str, str | None]) -> None:
    """Settings of a session that others go on with, as they were; ibis sets its time zone to UTC."""
    for name, value in settings.items():
        if value is None:
            session.conf.unset(name)
        else:
            session.conf.set(name, value)


def _find(backend: Any, address: Address, names: tuple[str, ...]) -> tuple[dict[str, ibis.Table], list[str]]:
    catalog = address.options.get("catalog")
    tables: dict[str, ibis.Table] = {}
    schemas = list(address.schemas or (backend.current_database,))
    for schema in schemas:
        place = (catalog, schema) if catalog else schema
        for own in backend.list_tables(database=place):
            name = own.lower()
            if name not in names:
                continue
            if name in tables:
                remedy = "name one schema, or several between commas: schema=NAME"
                raise DataError(f"table {name} is there twice", where=address, found=schema, remedy=remedy)
            tables[name] = backend.table(own, database=place)
    return tables, schemas


def _backend(session: Any, scratch: Path) -> Any:
    """Ibis' backend of Spark, with results as Arrow tables and streams instead of whole pandas frames."""
    import ibis.backends.pyspark as pyspark

    class Backend(pyspark.Backend):
        """Results without pandas, whose times end in 2262."""

        compiler = _compiler()

        def to_pyarrow(self, expr: Any, /, **_: Any) -> Any:
            """A small result, whole."""
            table = expr.as_table()
            found = session.sql(self.compile(table)).toArrow()
            return expr.__pyarrow_result__(found.cast(table.schema().to_pyarrow()))

        def to_pyarrow_batches(
            self, expr: Any, /, *, chunk_size: int = 100_000, **_: Any
        ) -> pa.RecordBatchReader:
            """A result in its order, by way of files."""
            import pyarrow as pa

            schema = expr.schema().to_pyarrow()
            return pa.RecordBatchReader.from_batches(schema, self._written(expr, schema, chunk_size))

        def _written(self, expr: Any, schema: Any, rows: int) -> Iterator[Any]:
            import pyarrow.parquet as pq

            folder = scratch.absolute()
            session.sql(self.compile(expr)).write.mode("overwrite").parquet(folder.as_uri())
            for path in sorted(folder.glob("part-*.parquet")):
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(batch_size=rows):
                        yield batch.cast(schema)
                path.unlink()

    Backend.register_options()
    backend = Backend()
    backend.do_connect(session)
    return backend


def _compiler() -> Any:
    """Ibis' compiler for Spark, which spells some functions otherwise."""
    import ibis.backends.pyspark as pyspark
    import sqlglot.expressions as sge

    class Compiler(type(pyspark.Backend.compiler)):  # type: ignore[misc]
        """Spells what Ibis spells in a way that Spark reads otherwise."""

        __slots__ = ()

        def visit_RegexReplace(self, op: Any, *, arg: Any, pattern: Any, replacement: Any) -> Any:  # noqa: N802
            """Java's groups are $1, not \\1."""
            spelled = _GROUP.sub(r"$\1", op.replacement.value)
            return self.f.regexp_replace(arg, pattern, sge.convert(spelled))

        def visit_RegexSearch(self, op: Any, *, arg: Any, pattern: Any) -> Any:  # noqa: N802
            """Java's $ matches before a last line end, too; \\z does not."""
            spelled = op.pattern.value
            if spelled.endswith("$"):
                spelled = spelled.removesuffix("$") + r"\z"
            return self.f.regexp_like(arg, sge.convert(spelled))

        def visit_Strip(self, op: Any, *, arg: Any) -> Any:  # noqa: N802
            """In a literal of Spark, \\v and \\f are the letters."""
            return self.f.regexp_replace(arg, sge.convert(r"^\s+|\s+$"), sge.convert(""))

    return Compiler()


def _complaint(error: Exception, address: Address) -> ProbandError | None:
    """One line for what Spark says, without the page of Java behind it."""
    if isinstance(error, ProbandError) or not type(error).__module__.startswith(("pyspark", "py4j")):
        return None
    condition = getattr(error, "getCondition", lambda: "")() or ""
    found = next((line for line in str(error).splitlines() if line.strip()), first_line(error))
    if condition.startswith(("SCHEMA_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND", "CATALOG_NOT_FOUND")):
        remedy = "name the catalog and schema of the tables: ?catalog=NAME&schema=NAME"
        return DataError("no such table or schema", where=address, found=found, remedy=remedy)
    remedy = "see Spark's log; then run the same command again: it goes on with what it has"
    return DataError("Spark broke off", where=address, found=found, remedy=remedy)
