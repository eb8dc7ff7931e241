"""OMOP tables in a PostgreSQL database, read in one read-only transaction.

Who logs in, and with what, is libpq's: PGUSER, PGPASSWORD, PGPASSFILE or ~/.pgpass, PGSERVICE, certificates
(https://www.postgresql.org/docs/current/libpq-envars.html). All queries see one state of the database,
whatever others write meanwhile, and nothing is created in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from proband.core.errors import ConfigError, DataError, ProbandError, first_line
from proband.ehr.omop.engines.address import Address
from proband.ehr.omop.engines.engine import Engine

if TYPE_CHECKING:
    import psycopg

_TABLES = """
select n.nspname, c.relname, has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT')
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'v', 'm', 'p', 'f') and lower(c.relname) = any(%s)
  and case when %s::text[] = '{}' then n.nspname !~ '^(pg_|information_schema$)' else n.nspname = any(%s) end
order by n.nspname, c.relname
"""
_LOGIN = ("password", "authentication", "pg_hba", "role ", "no such user")
_LOST = "the database broke off"
_AGAIN = "run the same command again: it goes on with what it has"


def open_postgres(address: Address, names: tuple[str, ...], work: Path) -> Engine:
    """Connect, and find the tables.

    Args:
        address: Of the database; without ``?schema=`` every schema is looked through.
        names: Tables looked for, in lower case.
        work: Not used: rows come as a stream.

    Raises:
        ConfigError: There is no client library, the database is out of reach or refuses the login.
        DataError: A table is there twice, or may not be read.
    """
    try:
        import ibis.backends.postgres as backend
        import psycopg
    except ImportError as error:
        remedy = "pip install 'proband[postgres]', and libpq (apt-get install libpq5)"
        found = first_line(error)
        raise ConfigError(
            "PostgreSQL's client is lacking", where=address, found=found, remedy=remedy
        ) from None
    connection = _connect(address)
    try:
        engine = backend.Backend.from_connection(connection)
        connection.execute("select 1")  # begins the transaction whose state of the database all queries see
        places = _find(connection, address, names)
        tables = {name: engine.table(own, database=schema) for name, (schema, own) in places.items()}
        version = connection.info.server_version
    except psycopg.Error as error:
        connection.close()
        raise _complaint(error, address) or error from None
    except BaseException:
        connection.close()
        raise
    about: dict[str, object] = {"engine": f"PostgreSQL {version // 10000}.{version % 10000}"}
    about |= {
        "database": connection.info.dbname,
        "schemas": sorted({schema for schema, _ in places.values()}),
    }
    return Engine(tables, lambda error: _complaint(error, address), about, connection.close)


def _connect(address: Address) -> psycopg.Connection[Any]:
    import psycopg

    named = {"host": address.host, "port": address.port, "user": address.user, "dbname": address.database}
    given: dict[str, Any] = {name: value for name, value in named.items() if value}
    try:
        connection = psycopg.connect(**given, application_name="proband")
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    except psycopg.Error as error:
        found = first_line(error)
        if any(word in found for word in _LOGIN):
            remedy = "give PGUSER, and PGPASSWORD or a line of ~/.pgpass, for a user who may read the tables"
            what = "the database refused the login"
        else:
            remedy = "check host, port and database (PGHOST, PGPORT), and that the server accepts connections"
            what = "the database is out of reach"
        raise ConfigError(what, where=address, found=found, remedy=remedy) from None
    return connection


def _find(
    connection: psycopg.Connection[Any], address: Address, names: tuple[str, ...]
) -> dict[str, tuple[str, str]]:
    """Schema and own name of each table that is there."""
    schemas = list(address.schemas)
    found: dict[str, tuple[str, str]] = {}
    for schema, own, readable in connection.execute(_TABLES, (list(names), schemas, schemas)).fetchall():
        name = own.lower()
        if name in found:
            listed = f"{'.'.join(found[name])}, {schema}.{own}"
            remedy = "name one schema, or several between commas: ?schema=NAME"
            raise DataError(f"table {name} is there twice", where=address, found=listed, remedy=remedy)
        if not readable:
            raise _no_right(f"{schema}.{own}", address)
        found[name] = (schema, own)
    return found


def _no_right(table: str, address: Address) -> DataError:
    remedy = "have its owner grant usage on the schema and select on the table"
    return DataError("no right to read a table", where=address, found=table, remedy=remedy)


def _complaint(error: Exception, address: Address) -> ProbandError | None:
    """One line for what the database or its client says."""
    import psycopg

    if not isinstance(error, psycopg.Error):
        return None
    found = first_line(error)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return _no_right(found, address)
    if isinstance(error, psycopg.OperationalError):
        return DataError(_LOST, where=address, found=found, remedy=_AGAIN)
    remedy = "correct the column or export the tables to files"
    return DataError("the database could not run a query", where=address, found=found, remedy=remedy)
