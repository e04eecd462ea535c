"""Returns on their way from an export into the store.

No event tells of one in quarantine, for `order.quarantined` speaks of orders.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import ClassVar

from adapters.postgres import returns as return_store
from adapters.postgres.database import Conn, Tx
from daemon.intake import Batch, Intake, Steps
from daemon.return_steps import take_return_steps
from statemachine.model import MarketplaceReturn, ReturnId
from statemachine.return_facts import ReturnChanges, ReturnSeen


class ReturnIntake(Intake[ReturnId, MarketplaceReturn, ReturnChanges]):
    """Takes returns in."""

    noun: ClassVar[str] = "return"

    @staticmethod
    def _as_id(text: str) -> ReturnId:
        return ReturnId(text)

    def _dated(self, found: MarketplaceReturn) -> datetime:
        return found.requested_at

    def _quarantine_key(self, key: ReturnId) -> str:
        return return_store.quarantine_key(key)

    async def _fingerprints(self, conn: Conn, keys: Collection[ReturnId]) -> dict[ReturnId, bytes]:
        return await return_store.fingerprints(conn, self._reading.connection, keys)

    async def _step(
        self, tx: Tx, batch: Batch[ReturnId, MarketplaceReturn]
    ) -> Steps[ReturnId, ReturnChanges]:
        read_at, settings = self._reading.read_at, self._reading.settings
        facts = {key: ReturnSeen(returned, read_at) for key, returned in batch.found.items()}
        stepped = await take_return_steps(tx, settings, facts, self._clock(), batch.fingerprints)
        return Steps({c.returned.id: c for c in stepped.changes}, stepped.unplaceable)

    async def _keep_fingerprints(self, tx: Tx, fingerprints: Mapping[ReturnId, bytes]) -> None:
        await return_store.keep_fingerprints(tx, self._reading.connection, fingerprints)

    def _count_changes(self, changes: Collection[ReturnChanges]) -> None:
        self._metrics.count_return_changes(self._reading.connection, changes)
