"""OMOP tables in a dataset of BigQuery, such as All of Us' CDR.

Credentials are Google's application default ones (https://cloud.google.com/docs/authentication). Queries are
billed to GOOGLE_CLOUD_PROJECT or GOOGLE_PROJECT where one is set, else to the project of the dataset. The
expressions are compiled and parsed in tests; they have not been run on BigQuery.
"""

from __future__ import annotations

import os
from pathlib import Path

from proband.core.errors import ConfigError, DataError, ProbandError, first_line
from proband.ehr.omop.engines.address import Address
from proband.ehr.omop.engines.engine import Engine

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LOGIN = ("DefaultCredentialsError", "RefreshError", "Unauthorized", "Forbidden")


def open_bigquery(address: Address, names: tuple[str, ...], work: Path) -> Engine:
    """Connect, and find the tables.

    Args:
        address: Of the dataset.
        names: Tables looked for, in lower case.
        work: Not used: rows come as a stream.

    Raises:
        ConfigError: There is no client library, or the login is refused.
        DataError: The dataset cannot be read.
    """
    try:
        import google.auth
        from ibis.backends.bigquery import Backend
    except ImportError as error:
        found, remedy = first_line(error), "pip install 'proband[bigquery]'"
        raise ConfigError("BigQuery's client is lacking", where=address, found=found, remedy=remedy) from None
    billed = os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("GOOGLE_PROJECT") or address.host
    backend = Backend()
    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE])  # Ibis' own would ask in a browser
        dataset = f"{address.host}.{address.database}"
        backend.do_connect(project_id=billed, dataset_id=dataset, credentials=credentials)
        found_tables = {
            own.lower(): backend.table(own) for own in backend.list_tables() if own.lower() in names
        }
    except Exception as error:
        raise _complaint(error, address) or error from None
    about: dict[str, object] = {"engine": "BigQuery", "database": address.host, "schemas": [address.database]}
    return Engine(found_tables, lambda error: _complaint(error, address), about, backend.disconnect)


def _complaint(error: Exception, address: Address) -> ProbandError | None:
    """One line for what Google's libraries say."""
    if not type(error).__module__.startswith("google."):
        return None
    found = first_line(error)
    if type(error).__name__ in _LOGIN:
        remedy = "gcloud auth application-default login, and the right to read the dataset and to run jobs"
        return ConfigError("BigQuery refused the login", where=address, found=found, remedy=remedy)
    remedy = "run the same command again: it goes on with what it has"
    return DataError("BigQuery broke off", where=address, found=found, remedy=remedy)
