"""What the demo showed, counted at both ends, and whether it is as it must be."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from adapters.ports import LoggedEvent
from adapters.postgres import actions, events
from adapters.postgres import orders as order_store
from adapters.postgres.database import Conn, Database
from adapters.spartoo.simulator.ledger import Ledger
from adapters.spartoo.simulator.orders import STATUS_NAMES, Status
from daemon.cli.output import table
from daemon.demo.downstream import Receipts
from daemon.demo.stage import Stage
from statemachine.model import OrderState

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """How the database stands."""

    log: Sequence[UUID]  # ids of every event, in the order of the log
    orders: Mapping[OrderState, int]
    waiting: int  # actions not carried out yet


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must be so, and whether it is."""

    wanted: str
    found: str
    holds: bool


async def standing(database: Database) -> Standing:
    """Read how the database stands."""
    async with database.connection() as conn:
        orders: Counter[OrderState] = Counter()
        for (_, state), count in (await order_store.counts(conn)).items():
            orders[state] += count
        waiting = sum(entry.count for entry in await actions.pending(conn))
        return Standing([event.id for event in await _whole_log(conn)], orders, waiting)


async def _whole_log(conn: Conn) -> list[LoggedEvent]:
    log: list[LoggedEvent] = []
    while page := await events.after(conn, log[-1].position if log else 0, _PAGE):
        log.extend(page)
    return log


def is_drained(now: Standing, placed: int, receipts: Receipts) -> bool:
    """True when all orders placed were taken in and stand, nothing waits, and all events arrived.

    An accepted order does not stand: its next event is logged when the broker has the one before.
    """
    moving = now.orders.get(OrderState.NEW, 0) + now.orders.get(OrderState.ACCEPTED, 0)
    arrived = all(receipts.arrivals[str(event)] for event in now.log)
    return sum(now.orders.values()) == placed and not (moving or now.waiting) and arrived


def findings(now: Standing, stage: Stage, receipts: Receipts) -> list[Finding]:
    """Everything that must be so at the end."""
    placed, taken = len(stage.simulator.world.orders), sum(now.orders.values())
    synced = now.orders.get(OrderState.SYNCED, 0)
    missing = sum(not receipts.arrivals[str(event)] for event in now.log)
    foreign = len(receipts.arrivals.keys() - {str(event) for event in now.log})
    doubled = [order for order, tries in acceptances(stage.simulator.ledger).items() if tries > 1]
    faults = receipts.faults
    return [
        Finding("an order reached synced", f"{synced} are synced", synced > 0),
        Finding("no order was lost", f"{taken} of {placed} taken in", taken == placed),
        Finding(
            "every event of the log arrived once",
            f"{len(now.log)} logged; {missing} missing, {receipts.repeats} repeated,"
            f" {foreign} not in the log",
            not (missing or receipts.repeats or foreign),
        ),
        Finding(
            "in order, without gaps",
            faults[0] if faults else "no gap, nothing out of order",
            not faults,
        ),
        Finding(
            "no acceptance was sent twice",
            f"sent again for {', '.join(doubled)}" if doubled else "each once",
            not doubled,
        ),
    ]


def acceptances(ledger: Ledger) -> Counter[str]:
    """How often each order's acceptance reached the marketplace, whatever it answered."""
    in_preparation = str(int(Status.IN_PREPARATION))
    return Counter(
        call.order_id
        for call in ledger.after(0)
        if call.service == "xml_maj_orders"
        and call.order_id
        and dict(call.fields).get("statut") == in_preparation
    )


def summary(
    now: Standing, stage: Stage, receipts: Receipts, found: Sequence[Finding]
) -> Iterator[RenderableType]:
    """Both ends side by side, and the findings."""
    yield _both_ends(now, stage, receipts)
    yield ""
    marks = {True: Text("✓", style="bold green"), False: Text("✗", style="bold red")}
    yield table(("", "must be", "was"), [(marks[f.holds], f.wanted, f.found) for f in found])


def _both_ends(now: Standing, stage: Stage, receipts: Receipts) -> Table:
    statuses = Counter(order.status for order in stage.simulator.world.orders.values())
    accepted = acceptances(stage.simulator.ledger)
    return table(
        ("where", "what"),
        [
            ("simulated Spartoo", _counted({STATUS_NAMES[s]: n for s, n in statuses.items()})),
            ("database", _counted(now.orders)),
            (
                "events received",
                f"{receipts.arrivals.total()}, repeats: {receipts.repeats}",
            ),
            ("acceptances sent", f"{accepted.total()} for {len(accepted)} orders"),
        ],
    )


def _counted(counts: Mapping[Any, int]) -> str:
    whole = sum(counts.values())
    parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"{whole} orders: {parts}"
