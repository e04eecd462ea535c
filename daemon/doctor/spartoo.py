"""Each active connection: one cheap call within its budget, as `connections test` makes it."""

import asyncio
from collections.abc import AsyncIterator

from adapters.ports import AccountRejected, MarketplaceError, Throttled
from adapters.postgres.connections import Connection
from adapters.postgres.errors import PostgresError
from daemon.accounts import Accounts, BudgetSpent
from daemon.doctor.finding import Finding, failed, ok, warning

SPARTOO = "spartoo"
_AT_ONCE = 16
_SECONDS = 15.0


async def check_connections(
    accounts: Accounts, connections: list[Connection]
) -> AsyncIterator[Finding]:
    """One finding a connection, each as it comes."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def tried(connection: Connection) -> Finding:
        async with turns:
            return await _tried(accounts, connection)

    active = [connection for connection in connections if connection.settings.active]
    if not active:
        yield ok(SPARTOO, "no connection is active")
    asked = [asyncio.create_task(tried(connection)) for connection in active]
    try:
        for answered in asyncio.as_completed(asked):
            yield await answered
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _tried(accounts: Accounts, connection: Connection) -> Finding:
    name = f"connection {connection.id}"
    if connection.suspended_at is not None:
        remedy = f"mend it, then: spartoo-sync connections activate {connection.id}"
        return warning(SPARTOO, f"{name}: suspended, {connection.suspended_message}", remedy)
    try:
        async with asyncio.timeout(_SECONDS):
            account = await accounts.get(connection.id)
            await account.for_actions.test()
    except TimeoutError:
        remedy = "see whether this machine reaches the site"
        return failed(SPARTOO, f"{name}: no answer within {_SECONDS:g} s", remedy)
    except AccountRejected as error:
        remedy = f"spartoo-sync connections set {connection.id} --api-key"
        return failed(SPARTOO, f"{name}: {error.message}", remedy)
    except Throttled as error:
        remedy = "wait: it goes on by itself; lower max_calls_per_hour if it comes often"
        return warning(SPARTOO, f"{name}: {error.message}", remedy)
    except BudgetSpent as error:
        remedy = "wait, or raise max_calls_per_hour if Spartoo allows more"
        return warning(SPARTOO, f"{name}: {error}; nothing was sent", remedy)
    except MarketplaceError as error:
        remedy = "see whether this machine reaches the site, and the connection's base_url"
        return failed(SPARTOO, f"{name}: not reachable, or not Spartoo: {error.message}", remedy)
    except PostgresError as error:
        return failed(SPARTOO, f"{name}: not tried, {error}", "mend the database first")
    return ok(SPARTOO, f"{name}: works, the site knows the API key")
