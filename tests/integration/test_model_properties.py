"""The whole against what must always hold: random commands, marketplace, faults and crashes.

Everything drawn is independent of how far the daemon has come (orders are named by their number,
changes that are not possible just then do not happen), so the same draws make the same schedule.
SPARTOO_SYNC_TEST_EXAMPLES draws that many schedules by chance instead of the few fixed ones.
"""

import asyncio
import os
from base64 import b64encode
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from adapters.spartoo.simulator.catalog import VARIANTS
from adapters.spartoo.simulator.factory import catalog_line
from adapters.spartoo.simulator.fault_kinds import (
    AnsweredCode,
    AnyFault,
    CutOff,
    DroppedConnection,
    Fault,
    HttpError,
    MalformedOrder,
    TimeOut,
    UnreadableOrder,
)
from adapters.spartoo.simulator.orders import FOLLOWS, OrderLine, SimulatedOrder, Status
from adapters.spartoo.simulator.returns import ReturnStatus
from tests.fixtures.in_process import own_tasks
from tests.fixtures.model_checks import check_calls, check_replies
from tests.fixtures.model_database import StoredWorld
from tests.fixtures.model_world import (
    CONNECTIONS,
    MOST_ORDERS,
    PRODUCTS,
    PUSHING,
    STOCK,
    SyncWorld,
    simulated_marketplace,
)
from tests.fixtures.postgres import private_database


def _parcel(tracking_number: str, line: int) -> dict[str, Any]:
    items = [{"line": line, "quantity": 1}]
    return {"tracking_number": tracking_number, "shipping_service": "DPD", "items": items}


EXAMPLES = int(os.environ.get("SPARTOO_SYNC_TEST_EXAMPLES", "0"))
FEW_EXAMPLES, STEPS = 15, 40

numbers = st.integers(0, MOST_ORDERS - 1)
products = st.sampled_from(PRODUCTS)
lines = st.lists(
    st.builds(
        lambda product, quantity, percent: catalog_line(VARIANTS[product], quantity, percent),
        products,
        st.integers(1, 2),
        st.sampled_from([100, 100, 100, 60]),
    ),
    min_size=1,
    max_size=2,
).map(tuple)
# What a store would do next with an order; beside it whatever it may, and may not, do.
_NEXT = {
    Status.VERIFIED: "accept",
    Status.IN_PREPARATION: "ship all",
    Status.SHIPPED: "lost",
    Status.CANCELLED: "retry",
    Status.LOST: "ship again",
    Status.NOT_DELIVERED: "acknowledge",
}
_FIELDS: dict[str, dict[str, Any]] = {
    "ship all": {"tracking_number": "T1", "shipping_service": "colissimo"},
    "ship again": {"tracking_number": "T2", "shipping_service": "DPD"},
    "ship nowhere": {"tracking_number": "T3", "shipping_service": "by pigeon"},
    "ship part": {"parcels": [_parcel("P1", 1)]},
    "ship parts": {"parcels": [_parcel("P2", 1), _parcel("P3", 2)]},
    "acknowledge": {"store_order_id": "S-1"},
}
_OTHER = ("accept", "refuse", "cancel", "undelivered", "retry", "fetch")
decisions = st.sampled_from(["next"] * 8 + [*_OTHER, *_FIELDS])
_EXPORTS = ["xml_export_orders", "xml_export_returns"]
_CHANGES = ["xml_maj_orders", "xml_maj_returns"]
services = st.sampled_from([*_CHANGES * 2, *_EXPORTS, "xml_maj_stock_batch", None])
exports = st.sampled_from(_EXPORTS)
labels = st.sampled_from(
    [
        {},
        {"label_link": "https://label.example/a"},
        {"label_link": "https://label.example/b"},
        {"label_file": b64encode(b"%PDF-1.7 a").decode()},
        {"label_file": b64encode(b"%PDF-1.7 b").decode()},
    ]
)
counts = st.integers(1, 2)
late = st.booleans()
faults: st.SearchStrategy[AnyFault] = st.one_of(
    st.builds(
        TimeOut,
        kind=st.just("timeout"),
        seconds=st.just(0.3),
        after_change=st.just(True),
        service=services,
        count=counts,
    ),
    st.builds(
        DroppedConnection, kind=st.just("drop"), after_change=late, service=services, count=counts
    ),
    st.builds(
        HttpError, kind=st.just("http_error"), after_change=late, service=services, count=counts
    ),
    st.builds(
        CutOff,
        kind=st.just("cut_off"),
        fraction=st.sampled_from([0.1, 0.5, 0.9]),
        drop=late,
        service=services,
        count=counts,
    ),
    st.builds(
        AnsweredCode, kind=st.just("code"), code=st.just(-429), service=services, count=st.just(1)
    ),
    st.builds(
        AnsweredCode,
        kind=st.just("code"),
        code=st.just(-22),
        service=st.just("xml_maj_returns"),
        count=counts,
    ),
    st.builds(MalformedOrder, kind=st.just("malformed_order"), service=exports, count=counts),
    st.builds(
        UnreadableOrder,
        kind=st.just("unreadable_order"),
        what=st.sampled_from(["no_id", "bad_quantity", "bad_date", "bad_status"]),
        service=exports,
        count=counts,
    ),
)

troubles = st.one_of(st.none(), faults, st.integers(0, 3))


class Synchronization(RuleBasedStateMachine):
    """Every rule is one thing that happens; the daemon goes on meanwhile and in between."""

    def __init__(self, server: str, template: str, home: Path) -> None:
        super().__init__()
        self.broken = False
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.runner.get_loop().set_task_factory(own_tasks)
        try:
            self.world = self.runner.run(self.opened(server, template, home))
        except BaseException:
            self.closed()
            raise

    async def opened(self, server: str, template: str, home: Path) -> SyncWorld:
        dsn = await self.stack.enter_async_context(private_database(server, template))
        simulator = simulated_marketplace()
        self.stack.push_async_callback(simulator.close)
        sql = await asyncpg.connect(dsn)
        self.stack.push_async_callback(sql.close)
        world = SyncWorld(await simulator.start(), sql, dsn, home)
        self.stack.push_async_callback(world.close)
        return await world.open()

    def closed(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()

    def run(self, happening: Coroutine[Any, Any, None]) -> None:
        try:
            self.runner.run(happening)
        except BaseException:
            self.broken = True
            raise

    def teardown(self) -> None:
        try:
            if not self.broken:
                self.run(self.settled())
        finally:
            self.closed()

    async def settled(self) -> None:
        """All is quiet: what must hold does."""
        world = self.world
        await world.settle()
        check_calls(world.simulator, world.hands, STOCK)
        check_replies(world.replies)
        await StoredWorld(world.sql, world.simulator, STOCK, PUSHING).check()

    def some_order(self, number: int) -> SimulatedOrder:
        orders = self.world.orders
        return orders[number % len(orders)]

    @initialize(lines=st.lists(lines, min_size=4, max_size=4))
    def begun(self, lines: list[tuple[OrderLine, ...]]) -> None:
        for number, items in enumerate(lines):
            self.world.order(CONNECTIONS[number % 3], items)
            self.world.send_back(self.some_order(number))
        self.run(self.settled())

    # --- customers and the back office ---

    @rule(number=numbers, what=st.sampled_from(["on", "on", "off", "returned"]))
    def another_hand(self, number: int, what: str) -> None:
        """On: the first status that may follow; off: the last."""
        order = self.some_order(number)
        follows = sorted(FOLLOWS[order.status], key=list(Status).index)
        if what == "returned":
            self.world.send_back(order)
        elif follows:
            self.world.touch_order(order, follows[0 if what == "on" else -1])

    @rule(number=numbers, what=st.sampled_from(["new", "items", "address"]), lines=lines)
    def customer(self, number: int, what: str, lines: tuple[OrderLine, ...]) -> None:
        order = self.some_order(number)
        if what == "new":
            self.world.order(CONNECTIONS[number % 3], lines)
        elif what == "items":
            self.world.amend(order, lines=lines)
        else:
            self.world.amend(
                order, delivery=replace(order.delivery, street=f"{number} quai Modèle")
            )

    @rule(number=numbers, status=st.sampled_from(ReturnStatus))
    def return_touched(self, number: int, status: ReturnStatus) -> None:
        if returns := self.world.returns:
            self.world.touch_return(returns[number % len(returns)], status)

    # --- the store, and who decides there ---

    @rule(number=numbers, decision=decisions, patient=st.booleans(), trouble=troubles)
    def decided(
        self, number: int, decision: str, patient: bool, trouble: AnyFault | int | None
    ) -> None:
        order = self.some_order(number)
        name = _NEXT[order.status] if decision == "next" else decision
        fields = _FIELDS.get(name, {})
        body = {"connection": order.account, "order_id": order.id, **fields}
        patient = patient and name != "fetch"  # its answer may need other things to happen first
        command = f"order.{name.partition(' ')[0]}"
        self.ask({"command": command, **body}, trouble, patient=patient)

    @rule(
        number=numbers,
        command=st.sampled_from(["accept", "refuse", "label"]),
        label=labels,
        patient=st.booleans(),
        trouble=troubles,
    )
    def return_decided(
        self,
        number: int,
        command: str,
        label: dict[str, str],
        patient: bool,
        trouble: AnyFault | int | None,
    ) -> None:
        if returns := self.world.returns:
            returned = returns[number % len(returns)]
            body = {
                "command": f"return.{command}",
                "connection": returned.account,
                "return_id": returned.id,
                **label,
            }
            if label or command != "label":
                self.ask(body, trouble, patient=patient)

    def ask(
        self, command: dict[str, Any], trouble: AnyFault | int | None, *, patient: bool
    ) -> None:
        """A command, with what goes wrong as it is carried out: a fault, or a crash so soon."""

        async def ask() -> None:
            if isinstance(trouble, Fault):
                self.world.misbehave(trouble)
            await self.world.ask(command, patient=patient)
            if isinstance(trouble, int):
                await self.world.calls_pass(trouble)
                await self.world.crash()

        self.run(ask())

    @rule(product=products, stock=st.integers(0, 6))
    def counted(self, product: str, stock: int) -> None:
        command = {"command": "stock.set", "product_id": product, "stock": stock}
        self.run(self.world.ask(command))

    # --- trouble, and time ---

    @rule(fault=faults)
    def misbehaved(self, fault: AnyFault) -> None:
        self.world.misbehave(fault)

    @rule(account=st.sampled_from(CONNECTIONS), deactivated=st.booleans())
    def account_switched(self, account: str, deactivated: bool) -> None:
        """Suspended, or settled with the marketplace and activated again."""
        self.run(self.world.switch(account, deactivated=deactivated))

    @rule(calls=st.integers(0, 3), replica=st.booleans())
    def crashed(self, calls: int, replica: bool) -> None:
        async def crash() -> None:
            if replica:
                await self.world.replicate()
            await self.world.calls_pass(calls)
            await self.world.crash()

        self.run(crash())

    @rule(
        calls=st.integers(1, 4),
        what=st.sampled_from(["calls", "calls", "looks", "time", "time", "rest"]),
    )
    def went_on(self, calls: int, what: str) -> None:
        async def go_on() -> None:
            if what == "looks":
                await self.world.look()
            elif what == "time":
                await self.world.time_passes()
            await self.world.calls_pass(calls)

        self.run(self.settled() if what == "rest" else go_on())


def _settings() -> settings:
    common = settings(
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    if EXAMPLES:
        return settings(common, max_examples=EXAMPLES, print_blob=True)
    fixed = settings(common, max_examples=FEW_EXAMPLES, derandomize=True)
    return settings(fixed, phases=[Phase.explicit, Phase.generate])


@pytest.mark.timeout(max(600, EXAMPLES * 20))
def test_whatever_happens_everything_ends_legal_and_agreed(
    postgres_server: str, postgres_template: str, tmp_path: Path
) -> None:
    class Here(Synchronization):
        def __init__(self) -> None:
            super().__init__(postgres_server, postgres_template, tmp_path)

    run_state_machine_as_test(Here, settings=_settings())
