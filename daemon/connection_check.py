"""Whether an API key works: one cheap call, and what its answer means."""

from adapters.ports import AccountRejected, Marketplace, MarketplaceError, Throttled
from daemon.accounts import Accounts, BudgetSpent
from statemachine.connection import ConnectionSettings
from statemachine.facts import Refused
from statemachine.model import ConnectionId


async def check_connection(accounts: Accounts, connection: ConnectionId) -> None:
    """Try the stored key. Raises Refused with what is wrong, UnknownConnection."""
    try:
        account = await accounts.get(connection)
    except AccountRejected as error:
        raise Refused(error.reason, error.message) from error
    await _check(connection, account.for_actions)


async def check_key(accounts: Accounts, settings: ConnectionSettings, api_key: str) -> None:
    """Try a key before it is stored. Raises Refused with what is wrong."""
    await _check(ConnectionId(settings.id), accounts.trial(settings, api_key))


async def _check(connection: ConnectionId, marketplace: Marketplace) -> None:
    try:
        await marketplace.test()
    except AccountRejected as error:
        raise Refused(error.reason, f"connection {connection}: {error.message}") from error
    except Throttled as error:
        why = f"connection {connection}: {error.message}; the key may be right, try again later"
        raise Refused("throttled", why) from error
    except BudgetSpent as error:
        raise Refused("throttled", f"connection {connection}: {error}; nothing was sent") from error
    except MarketplaceError as error:
        why = f"connection {connection}: not reachable, or not Spartoo: {error.message}"
        raise Refused("not_reachable", why) from error
