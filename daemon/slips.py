"""Delivery slips: Spartoo's PDF for the parcel, asked for once and kept."""

from collections.abc import Callable
from datetime import datetime

from adapters.ports import NotFound, Throttled
from adapters.postgres import slips
from adapters.postgres.database import Database
from daemon.accounts import Account, Accounts
from statemachine.facts import Refused
from statemachine.model import Order, OrderState

# Before, address and items may still change; a cancelled order is not sent.
_WITHOUT_SLIP = {OrderState.NEW, OrderState.PENDING_MANUAL, OrderState.CANCELLED}


async def delivery_slip(
    database: Database, accounts: Accounts, order: Order, clock: Callable[[], datetime]
) -> bytes:
    """The PDF, kept or asked for now, within the connection's calls.

    Raises Refused, BudgetSpent, MarketplaceError, PostgresError; nothing is kept then.
    """
    async with database.connection() as conn:
        known = await slips.find(conn, order.connection, order.id)
    if known is not None:
        return known
    if order.state in _WITHOUT_SLIP:
        states = ", ".join(state for state in OrderState if state not in _WITHOUT_SLIP)
        raise Refused(
            "wrong_state",
            f"order {order.id} is {order.state}; a delivery slip is there for: {states}",
        )
    async with accounts.using(order.connection) as account:
        pdf = await _fetch(accounts, account, order)
    async with database.connection() as conn:
        await slips.keep(conn, order.connection, order.id, pdf, clock())
    return pdf


async def _fetch(accounts: Accounts, account: Account, order: Order) -> bytes:
    if not account.settings.active:
        raise Refused(
            "connection_disabled", f"connection {order.connection} is disabled; activate it first"
        )
    if account.connection.suspended_at is not None:
        message = account.connection.suspended_message
        raise Refused(
            "connection_suspended",
            f"connection {order.connection} is suspended ({message}); nothing was sent:"
            " set a new API key or activate it again",
        )
    try:
        return await account.for_actions.delivery_slip(order.id, order.facts.lines)
    except NotFound as error:
        raise Refused("unknown_order", error.message) from error
    except Throttled as error:
        await accounts.rest(account.settings, error.service)
        raise
