"""`spartoo-sync connections test`: whether the API key works."""

from adapters.ports import AccountRejected, MarketplaceError, Throttled
from daemon.accounts import BudgetSpent
from daemon.cli.command import Invocation
from daemon.cli.connection_names import ConnectionName
from daemon.cli.output import note, print_json
from daemon.wiring import Parts
from statemachine.facts import Refused
from statemachine.model import ConnectionId


async def check_connection(
    invocation: Invocation,
    connection: ConnectionName,
) -> None:
    """Make one cheap call: says whether the key works, is wrong, or the site is not reachable."""
    async with invocation.parts() as parts:
        await _try(parts, ConnectionId(connection))
    if invocation.as_json:
        print_json({"connection": connection, "result": "works"})
    else:
        note(f"connection {connection} works: the site knows the API key")


async def _try(parts: Parts, connection: ConnectionId) -> None:
    """Raises Refused with what is wrong, UnknownConnection."""
    account = await parts.accounts.get(connection)
    try:
        await account.for_actions.test()
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
