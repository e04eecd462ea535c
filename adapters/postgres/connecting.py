"""One connection to PostgreSQL; every one, of the pool, migrations and wake-ups, is made here."""

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from adapters.tls import check_files, tls_fault

if TYPE_CHECKING:
    from asyncpg import Connection, Record

_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


async def connect(dsn: str | None = None, **options: Any) -> "Connection[Record]":
    """Connect as the URL says, TLS (`sslmode`) included; its files are read each time anew.

    Raises the driver's errors, and OSError in our words for what is wrong with TLS.
    """
    url = dsn or ""
    check_files(url, _FILES)
    try:
        made: Connection[Record] = await asyncpg.connect(dsn, **options)
    except (OSError, asyncpg.PostgresConnectionError) as error:
        fault = tls_fault(error, "the database") if _wants_tls(url) else None
        if fault is None:
            raise
        raise OSError(fault) from error
    return made


def _wants_tls(dsn: str) -> bool:
    modes = parse_qs(urlsplit(dsn).query).get("sslmode", [])
    return bool({*modes} & {"require", "verify-ca", "verify-full"})
