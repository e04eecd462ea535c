"""What can go wrong at the database, said once, without passwords; the driver's error is kept."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg


class PostgresError(Exception):
    """The database could not do what was asked."""


class DatabaseUnavailable(PostgresError):
    """The database cannot be reached, went away or is overloaded; nothing of the step is certain.

    Every step may be run again: wait a little, then do so.
    """


class UnusableUrl(PostgresError):
    """The database's URL cannot be used as it is. Mend SPARTOO_SYNC_DATABASE_URL."""


class Conflict(PostgresError):
    """Another step got there first; nothing of this one was kept. Run the step again."""


class StaleVersion(PostgresError):
    """Somebody changed it since it was read. Nothing was changed: read it again, then retry."""


class UnknownConnection(PostgresError):
    """No connection has this id. `spartoo-sync connections list` names those there are."""


class SchemaOutdated(PostgresError):
    """The database is older than this program. Run `spartoo-sync db upgrade`."""


class SchemaNewer(PostgresError):
    """The database is newer than this program. Upgrade the program; the database is untouched."""


_UNAVAILABLE = (
    OSError,  # refused, reset, no such socket
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement time-out
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,  # the role lacks a right: it may be granted any moment
    asyncpg.PostgresSystemError,  # its disk fails, or is read-only
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database accepts no connections
    asyncpg.ReadOnlySQLTransactionError,  # a standby, after a failover
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,  # the connection was cut while it changed hands
    asyncpg.DataCorruptedError,  # its disk lost something: a backup or a standby may take over
    asyncpg.IndexCorruptedError,
)
_CONFLICT = (
    asyncpg.TransactionRollbackError,  # serialization, deadlock
    asyncpg.InvalidCachedStatementError,  # the schema was upgraded meanwhile
    asyncpg.LockNotAvailableError,
    asyncpg.UniqueViolationError,
)
_GONE = ("is closed", "connection was closed", "released back to the pool", "is closing")


@contextmanager
def translated() -> Iterator[None]:
    """Raise DatabaseUnavailable and Conflict for the driver's errors; pass the others on."""
    try:
        yield
    except PostgresError:
        raise
    except _CONFLICT as error:
        raise Conflict(f"another step got there first ({error}); run the step again") from error
    except asyncpg.exceptions.ClientConfigurationError as error:
        raise UnusableUrl(f"SPARTOO_SYNC_DATABASE_URL: {error}") from error
    except _UNAVAILABLE as error:
        raise _unavailable(error) from error
    except asyncpg.InterfaceError as error:
        if not any(sign in str(error) for sign in _GONE):
            raise
        raise _unavailable(error) from error


def _unavailable(error: BaseException) -> DatabaseUnavailable:
    kind = "no answer in time" if isinstance(error, asyncio.TimeoutError) else str(error)
    return DatabaseUnavailable(
        f"the database is not available ({kind}); check that it runs and that"
        " SPARTOO_SYNC_DATABASE_URL names it"
    )
