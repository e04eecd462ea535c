"""Reading again what could not be read."""

from adapters.postgres import actions, quarantine
from adapters.postgres.database import Database, Tx
from adapters.postgres.quarantine import Quarantined
from adapters.postgres.returns import IN_QUARANTINE
from daemon.transactions import in_transaction
from statemachine.events import UNREADABLE
from statemachine.model import OrderId

FOUND_BY_LOOKS = (UNREADABLE, IN_QUARANTINE)  # nothing here can be fetched as an order


async def read_again(database: Database, entry: Quarantined, by: str) -> None:
    """Fetched now where its id is known, else by the look that next finds it."""

    async def work(tx: Tx) -> None:
        await quarantine.reopen(tx, entry.connection, entry.order_id)
        if not entry.order_id.startswith(FOUND_BY_LOOKS):
            await actions.request_fetch(tx, entry.connection, OrderId(entry.order_id), by)

    await in_transaction(database, work)
