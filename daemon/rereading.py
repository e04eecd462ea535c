"""Orders and returns in quarantine, read again when a person asks."""

from adapters.postgres import actions
from adapters.postgres import quarantine as store
from adapters.postgres.database import Tx
from adapters.postgres.quarantine import Quarantined
from adapters.postgres.returns import IN_QUARANTINE
from statemachine.events import UNREADABLE
from statemachine.model import OrderId

_FOUND_BY_LOOKS = (UNREADABLE, IN_QUARANTINE)  # nothing here can be fetched as an order


async def read_again(tx: Tx, entry: Quarantined, by: str) -> None:
    """Fetched now where its id is known, else when it is next seen."""
    await store.reopen(tx, entry.connection, entry.order_id)
    if is_fetched(entry):
        await actions.request_fetch(tx, entry.connection, OrderId(entry.order_id), by)


def is_fetched(entry: Quarantined) -> bool:
    """True where it can be asked for by its id; else a look must find it."""
    return not entry.order_id.startswith(_FOUND_BY_LOOKS)
