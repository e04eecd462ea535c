"""The marketplace's own state: accounts, their orders, returns and stock, in memory.

Orders due by the arrival rate come into being when somebody looks (`catch_up`), so the clock alone
decides what exists and nothing has to run in the background.
"""

import asyncio
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from adapters.spartoo.simulator.arrivals import Arrivals
from adapters.spartoo.simulator.config import Pattern, SimulatorConfig
from adapters.spartoo.simulator.factory import OrderFactory, Wishes
from adapters.spartoo.simulator.orders import (
    OrderLine,
    Party,
    SimulatedOrder,
    Status,
    export_time,
)
from adapters.spartoo.simulator.returns import ReturnDesk, ReturnWishes, SimulatedReturn
from adapters.spartoo.simulator.stock import Shelf

Clock = Callable[[], datetime]
_BATCH = 500  # orders made in one go


class UnknownAccount(Exception):
    """No account of that name or key; the message lists the names there are."""


class UnknownOrder(Exception):
    """No account holds an order with that id."""


class DuplicateOrder(Exception):
    """An order with that id exists already."""


@dataclass(slots=True)
class Account:
    """One merchant account. `by_date` holds its orders by local time of purchase."""

    name: str
    key: str = field(repr=False)
    active: bool
    multi_package: bool = False
    by_date: list[SimulatedOrder] = field(default_factory=list, repr=False)
    shelf: Shelf = field(default_factory=Shelf, repr=False)

    def add(self, order: SimulatedOrder) -> None:
        if self.by_date and self.by_date[-1].purchased > order.purchased:
            insort(self.by_date, order, key=lambda other: other.purchased)
        else:
            self.by_date.append(order)

    def placed_from(self, written: str) -> list[SimulatedOrder]:
        """Orders placed at that local time ("YYYY-MM-DD hh:mm:ss") or later, oldest first."""
        return self.by_date[bisect_left(self.by_date, written, key=lambda order: order.purchased) :]


class World:
    """Every account and order of the simulated marketplace."""

    def __init__(self, config: SimulatorConfig, now: Clock):
        self._now = now
        self._zone = ZoneInfo(config.zone)
        self._seed = config.seed
        self._by_key = {
            a.key: Account(a.name, a.key, a.active, a.multi_package) for a in config.accounts
        }
        self._by_name = {account.name: account for account in self._by_key.values()}
        self._factory = OrderFactory(config.seed, tuple(self._by_name), config.mix)
        self._made = 0
        self.orders: dict[str, SimulatedOrder] = {}
        self.returns = ReturnDesk(config.seed)
        self.slips = config.slips
        self._arrivals = Arrivals(config.rate, config.pattern, config.seed, now())

    def now(self) -> datetime:
        return self._now()

    def zone_time(self, local: datetime) -> datetime:
        """A time without offset read as the marketplace's own; an aware one as it is."""
        return local.replace(tzinfo=self._zone) if local.tzinfo is None else local

    @property
    def accounts(self) -> tuple[Account, ...]:
        return tuple(self._by_key.values())

    def account_of_key(self, key: str) -> Account | None:
        return self._by_key.get(key)

    def account(self, name_or_key: str) -> Account:
        """Raises UnknownAccount."""
        found = self._by_name.get(name_or_key) or self._by_key.get(name_or_key)
        if found is None:
            raise UnknownAccount(f"no such account; there are: {', '.join(self._by_name)}")
        return found

    def order(self, order_id: str) -> SimulatedOrder:
        """Raises UnknownOrder."""
        try:
            return self.orders[order_id]
        except KeyError:
            raise UnknownOrder(f"no order {order_id!r}") from None

    def order_of(self, account: Account, order_id: str) -> SimulatedOrder | None:
        """The order if it is that account's."""
        found = self.orders.get(order_id)
        return found if found is not None and found.account == account.name else None

    def create(self, wishes: Wishes, at: datetime | None = None) -> SimulatedOrder:
        """Place one order, now or at `at` (aware). Raises UnknownAccount, DuplicateOrder."""
        if wishes.account is not None:
            self.account(wishes.account)
        if wishes.order_id is not None and wishes.order_id in self.orders:
            raise DuplicateOrder(f"order {wishes.order_id!r} exists already")
        self._made += 1
        at = at or self._now()
        order = self._factory.make(self._made, wishes, at, at.astimezone(self._zone))
        self.orders[order.id] = order
        self._by_name[order.account].add(order)
        return order

    def create_return(
        self, order: SimulatedOrder, wishes: ReturnWishes, at: datetime | None = None
    ) -> SimulatedReturn:
        """A return of one item, now or at `at` (aware). Raises DuplicateReturn, IndexError."""
        at = at or self._now()
        return self.returns.create(order, wishes, at, export_time(at.astimezone(self._zone)))

    async def create_many(
        self, wishes: Wishes, moments: Iterable[datetime | None]
    ) -> list[SimulatedOrder]:
        """One order per moment; others on the event loop get their turn in between."""
        made = []
        for moment in moments:
            made.append(self.create(wishes, moment))
            if len(made) % _BATCH == 0:
                await asyncio.sleep(0)
        return made

    def spread(self, count: int, span: timedelta) -> list[datetime]:
        """So many moments, evenly over the `span` before now, oldest first."""
        now = self._now()
        return [now - span * ((count - index) / count) for index in range(count)]

    def catch_up(self) -> None:
        """Place the orders that the arrival rate has made due since the last time."""
        for moment in self._arrivals.due(self._now()):
            self.create(Wishes(), moment)

    def set_rate(self, rate: float, pattern: Pattern) -> None:
        """New arrival rate from now on, in orders per second over all accounts."""
        self.catch_up()
        self._arrivals = Arrivals(rate, pattern, self._seed + self._made, self._now())

    @property
    def arrivals(self) -> Arrivals:
        return self._arrivals

    def set_status(self, order: SimulatedOrder, status: Status, tracking_number: str = "") -> None:
        """Set any status; whether it may follow is the caller's business."""
        order.status = status
        order.tracking_number = tracking_number or order.tracking_number
        self._touch(order)

    def amend(
        self,
        order: SimulatedOrder,
        *,
        billing: Party | None = None,
        delivery: Party | None = None,
        lines: tuple[OrderLine, ...] | None = None,
    ) -> None:
        """Replace addresses or items; None leaves them."""
        order.billing = billing or order.billing
        order.delivery = delivery or order.delivery
        order.lines = lines or order.lines
        self._touch(order)

    def count_by_status(self) -> dict[str, Counter[Status]]:
        """Account name → orders per status."""
        return {
            account.name: Counter(order.status for order in account.by_date)
            for account in self.accounts
        }

    def _touch(self, order: SimulatedOrder) -> None:
        order.modified = export_time(self._now().astimezone(self._zone))
