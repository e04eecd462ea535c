"""`spartoo-sync orders`: found, opened, explained and decided about."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.postgres import actions, leases, orders
from adapters.postgres.actions import StoredAction
from adapters.postgres.database import Database
from statemachine.changes import Changes
from statemachine.facts import ActionRejected
from statemachine.model import (
    ActionKind,
    ActionStatus,
    ConnectionId,
    Customer,
    OrderId,
    OrderState,
    Relay,
)
from tests.fixtures.cli import Cli
from tests.fixtures.postgres import add_connection
from tests.unit.builders import NOW, ORDER_ID, Story, line, product, reach, settings

FR, DE = ConnectionId("shoes-fr"), ConnectionId("shoes-de")
RELAY = Relay(id="R1", type="MR", name="Tabac", address="1 quai", city="Lyon", postcode="69002")
HOSTILE = Customer(first_name="[red]Eve[/red]", last_name="\x1b[2JMallory")


async def store(db: Database, steps: Iterable[Changes], connection: ConnectionId = FR) -> None:
    """What these steps changed, each in a transaction of its own."""
    for changes in steps:
        async with db.transaction() as tx:
            await orders.record(tx, settings(id=connection), [changes], {})


@pytest.fixture
async def two_connections(db: Database) -> Database:
    for connection in (FR, DE):
        await add_connection(db, settings(id=connection))
    return db


def waiting(order_id: str = ORDER_ID, connection: ConnectionId = FR, **given: object) -> Story:
    """An order that waits for a person, with its figures."""
    facts = {"order_id": OrderId(order_id), **given}
    return Story(product(stock=1), id=connection).seen(line(price="48.00", quantity=2), **facts)


@pytest.fixture
async def held(two_connections: Database) -> Story:
    story = waiting(relay=RELAY, customer=HOSTILE)
    await store(two_connections, story.steps)
    return story


async def stored_actions(db: Database, order_id: OrderId = ORDER_ID) -> list[StoredAction]:
    async with db.connection() as conn:
        return await actions.find(conn, FR, order_id)


async def test_list_filters_and_pages(cli: Cli, two_connections: Database) -> None:
    for number in range(5):
        placed = {"purchased_at": NOW - timedelta(days=number)}
        story = waiting(f"AAAA00000000000{number}", (FR, DE)[number % 2], **placed)
        await store(two_connections, story.steps, story.order.connection)

    async def listed(*arguments: object) -> list[str]:
        ran = await cli("orders", "list", "--json", *arguments)
        assert ran.status == 0
        return [item["order_id"][-1] for item in ran.json["items"]]

    assert await listed() == ["0", "1", "2", "3", "4"]
    assert await listed("--connection", DE) == ["1", "3"]
    assert await listed("--state", "pending_manual", "--text", "aaaa000000000002") == ["2"]
    assert await listed("--state", "synced") == []
    assert await listed("--attention") == []
    day = (NOW - timedelta(days=2)).date().isoformat()
    assert await listed("--from", f"{day}T00:00Z", "--to", f"{day}T23:59+00:00") == ["2"]
    assert await listed("--from", (NOW - timedelta(days=1)).isoformat()) == ["0", "1"]
    first = await cli("orders", "list", "--json", "--limit", "2")
    assert await listed("--limit", "2", "--cursor", first.json["next"]) == ["2", "3"]
    page = await cli("orders", "list", "--limit", "4")
    assert "AAAA000000000003" in page.out
    assert "more: --cursor " in page.out
    assert "no orders" in (await cli("orders", "list", "--state", "lost")).out
    assert "'q' was looked for as a whole word" in (await cli("orders", "list", "--text", "q")).err
    unknown = await cli("orders", "list", "--connection", "nobody", "--json")
    assert unknown.error["code"] == "unknown_connection"
    bad = await cli("orders", "list", "--cursor", "x", "--json")
    assert (bad.status, bad.error["code"]) == (1, "bad_cursor")


async def test_a_day_means_all_of_it_in_this_machines_zone(
    cli: Cli, two_connections: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = NOW.astimezone().replace(hour=23, minute=30)
    await store(two_connections, waiting(purchased_at=local).steps)
    day, before = local.date(), local.date() - timedelta(days=1)
    assert (await cli("orders", "list", "--json", "--from", day, "--to", day)).json["items"]
    assert not (await cli("orders", "list", "--json", "--to", before)).json["items"]


async def test_show_tells_everything(cli: Cli, held: Story) -> None:
    document = (await cli("orders", "show", ORDER_ID, "--json")).json
    assert document["state"] == "pending_manual"
    assert document["total"] == "64.99"
    assert document["relay"]["name"] == "Tabac"
    assert document["decision"]["outcome"] == "hold"
    assert [move["to"] for move in document["history"]] == ["new", "pending_manual"]
    assert [event["type"] for event in document["events"]] == ["order.new", "order.pending_manual"]
    assert [event["sequence"] for event in document["events"]] == [1, 2]
    assert document["actions"] == []
    shown = (await cli("orders", "show", FR, ORDER_ID.lower())).out
    for part in ("pending_manual", "Tabac", "Boot", "64.99 EUR", "order.new", "hold", "Colissimo"):
        assert part in shown


async def test_what_customers_write_cannot_command_a_terminal(cli: Cli, held: Story) -> None:
    for arguments in (["show", ORDER_ID], ["list"]):
        shown = (await cli("orders", *arguments)).out
        assert "[red]Eve[/red]" in shown
        assert "\x1b" not in shown
    assert (await cli("orders", "show", ORDER_ID, "--json")).json["customer"]["last_name"] == (
        HOSTILE.last_name
    )


async def test_why_gives_reasons_figures_and_settings(cli: Cli, held: Story) -> None:
    document = (await cli("orders", "why", ORDER_ID, "--json")).json
    assert document["decision"]["reasons"] == ["out_of_stock", "price_below_threshold"]
    assert document["decision"]["settings"]["price_threshold"] == "0.97"
    assert len(document["in_words"]) == 2
    told = (await cli("orders", "why", ORDER_ID)).out
    assert "held for a person" in told
    assert "1 available, 2 ordered" in told
    assert "48.00 < 0.97 × 64.99 = 63.0403" in told
    assert "[out_of_stock]" in told
    assert "price_final_incl_tax × 0.97" in told
    assert f"spartoo-sync orders accept {FR} {ORDER_ID}" in told


async def test_why_of_an_order_nobody_decided(cli: Cli, two_connections: Database) -> None:
    story = Story(product()).seen(status=2)
    await store(two_connections, story.steps)
    told = await cli("orders", "why", ORDER_ID)
    assert told.status == 0
    assert "no decision was taken" in told.out
    assert (await cli("orders", "why", ORDER_ID, "--json")).json["decision"] is None


async def test_accept_stores_the_action_and_says_that_no_daemon_runs(
    cli: Cli, db: Database, held: Story
) -> None:
    ran = await cli("orders", "accept", ORDER_ID, "--reason", "a good customer")
    assert ran.status == 0
    assert "Spartoo is told next" in ran.err
    assert "no daemon" in ran.err
    (action,) = await stored_actions(db)
    assert (action.kind, action.status) == (ActionKind.ACCEPT, ActionStatus.PENDING)
    assert action.requested_by.startswith("cli:")
    assert action.reason == "a good customer"
    again = await cli("orders", "accept", FR, ORDER_ID, "--json")
    assert again.json["status"] == "queued"
    assert again.json["order"]["order_id"] == ORDER_ID
    assert await stored_actions(db) == [action]
    shown = (await cli("orders", "show", ORDER_ID)).out
    assert "a good customer" in shown
    async with db.connection() as conn:
        await leases.hold(conn, "relay", "a daemon", timedelta(minutes=5))
    assert "no daemon" not in (await cli("orders", "accept", ORDER_ID)).err


async def test_ship_stores_the_parcel_and_its_action(
    cli: Cli, db: Database, two_connections: Database
) -> None:
    await store(db, reach(OrderState.SYNCED).steps)
    ship = ("orders", "ship", ORDER_ID, "--tracking", "T1")
    await cli("connections", "set", "shoes-fr", "shipping_services=Mondial Relay")
    ran = await cli(*ship, "--service", "by pigeon")
    assert ran.status == 1
    assert "allowed: Mondial Relay" in ran.err
    assert len(await stored_actions(db)) == 1
    ran = await cli(*ship, "--service", "mondial relay", "--json")
    assert (ran.status, ran.json["status"]) == (0, "queued")
    (shipment,) = ran.json["order"]["shipments"]
    assert (shipment["tracking_number"], shipment["shipping_service"]) == ("T1", "Mondial Relay")
    _, action = await stored_actions(db)
    assert (action.kind, action.status) == (ActionKind.SHIP, ActionStatus.PENDING)
    assert (await cli("orders", "ship", ORDER_ID)).status == 2


@pytest.mark.parametrize("verb", ["refuse", "cancel"])
async def test_refuse_and_cancel(cli: Cli, db: Database, held: Story, verb: str) -> None:
    ran = await cli("orders", verb, ORDER_ID, "--json")
    assert (ran.status, ran.json["status"]) == (0, "queued")
    (action,) = await stored_actions(db)
    assert action.kind is ActionKind.CANCEL


async def test_a_refusal_of_the_core_is_status_1(cli: Cli, two_connections: Database) -> None:
    await store(two_connections, reach(OrderState.SHIPPED).steps)
    for verb in ("accept", "refuse", "cancel"):
        ran = await cli("orders", verb, ORDER_ID, "--json")
        assert (ran.status, ran.error["code"]) == (1, "wrong_state")
        assert "shipped" in ran.error["message"]
        assert "wrong_state" in (await cli("orders", verb, ORDER_ID)).err


async def test_retry_of_what_failed(cli: Cli, two_connections: Database) -> None:
    story = Story(product()).seen()
    story.does(ActionRejected(ActionKind.ACCEPT, "-14", "no such product"))
    await store(two_connections, story.steps)
    listed = await cli("orders", "list", "--attention")
    assert "attention: " in listed.out
    assert "needs attention" in (await cli("orders", "show", ORDER_ID)).out
    ran = await cli("orders", "retry", ORDER_ID, "--json")
    assert (ran.status, ran.json["status"]) == (0, "queued")
    assert (await cli("orders", "list", "--attention", "--json")).json["items"] == []


@pytest.mark.parametrize(("verb", "kind"), [("lost", "lost"), ("undelivered", "undelivered")])
async def test_a_shipped_order_that_does_not_arrive(
    cli: Cli, two_connections: Database, verb: str, kind: str
) -> None:
    await store(two_connections, reach(OrderState.SHIPPED).steps)
    ran = await cli("orders", verb, ORDER_ID, "--reason", "the carrier says so", "--json")
    assert (ran.status, ran.json["status"]) == (0, "queued")
    assert kind in {action.kind for action in await stored_actions(two_connections)}


async def test_acknowledge_keeps_the_stores_number(cli: Cli, two_connections: Database) -> None:
    await store(two_connections, reach(OrderState.SYNCED).steps)
    ran = await cli("orders", "acknowledge", ORDER_ID, "--store-order-id", "S-1")
    assert (ran.status, "S-1" in ran.err) == (0, True)
    shown = (await cli("orders", "show", ORDER_ID, "--json")).json
    assert shown["store_order_id"] == "S-1"


async def test_several_parcels_are_shipped_with_their_items(
    cli: Cli, two_connections: Database
) -> None:
    story = Story(product()).seen(line(quantity=2), line(2), status=2)
    await store(two_connections, story.steps)
    ran = await cli(
        *("orders", "ship", ORDER_ID, "--json", "--service", "Colissimo"),
        *("--parcel", "8R1:DPD:1x2", "--parcel", "8R2:2"),
    )
    assert (ran.status, ran.json["status"]) == (0, "queued")
    first, second = ran.json["order"]["shipments"]
    assert (first["tracking_number"], first["shipping_service"]) == ("8R1", "DPD")
    assert first["items"] == [{"line": 1, "quantity": 2}]
    assert (second["shipping_service"], second["items"]) == (
        ("Colissimo", [{"line": 2, "quantity": 1}])
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--tracking", "8R1", "--parcel", "8R1:1"),
        ("--parcel", "8R1"),
        ("--parcel", ":1"),
        ("--parcel", "8R1:Colissimo:1x0"),
        ("--parcel", "8R1:Colissimo:one"),
        ("--parcel", f"{'8' * 300}:1"),
    ],
)
async def test_parcels_nobody_can_send_are_wrong_usage(
    cli: Cli, held: Story, arguments: tuple[str, ...]
) -> None:
    ran = await cli("orders", "ship", ORDER_ID, *arguments, "--json")
    assert (ran.status, ran.error["code"]) == (2, "bad_usage")
    assert "orders ship --help" in ran.error["message"]


async def test_an_ambiguous_order_is_refused_naming_the_connections(
    cli: Cli, two_connections: Database
) -> None:
    for connection in (FR, DE):
        await store(two_connections, waiting(connection=connection).steps, connection)
    for verb in ("show", "why", "accept", "fetch"):
        ran = await cli("orders", verb, ORDER_ID, "--json")
        assert (ran.status, ran.error["code"]) == (1, "ambiguous_order")
        assert str(DE) in ran.error["message"]
        assert str(FR) in ran.error["message"]
    assert (await cli("orders", "show", DE, ORDER_ID, "--json")).json["connection"] == DE
    assert (await cli("orders", "accept", DE, ORDER_ID)).status == 0
    assert await stored_actions(two_connections) == []


async def test_unknown_orders_and_connections(cli: Cli, two_connections: Database) -> None:
    for verb in ("show", "why", "accept", "refuse", "cancel", "retry", "fetch"):
        ran = await cli("orders", verb, "FFFF", "--json")
        assert (ran.status, ran.error["code"]) == (1, "unknown_order")
        ran = await cli("orders", verb, "nobody", "FFFF", "--json")
        assert (ran.status, ran.error["code"]) == (1, "unknown_connection")
    named = await cli("orders", "show", FR, "FFFF")
    assert f"`spartoo-sync orders fetch {FR} FFFF`" in named.err


async def test_fetch_without_a_daemon_is_stored_at_once(
    cli: Cli, two_connections: Database
) -> None:
    before = datetime.now(UTC)
    ran = await cli("orders", "fetch", FR, "FFFF00000000FFFF")
    assert ran.status == 0
    assert datetime.now(UTC) - before < timedelta(seconds=10)
    assert "not answered yet" in ran.err
    assert "no daemon" in ran.err
    (action,) = await stored_actions(two_connections, OrderId("FFFF00000000FFFF"))
    assert (action.kind, action.status) == (ActionKind.FETCH, ActionStatus.PENDING)


async def test_a_disabled_connection_does_nothing(cli: Cli, db: Database) -> None:
    await add_connection(db, settings(active=False))
    await store(db, waiting().steps)
    for arguments in (["accept", ORDER_ID], ["fetch", str(FR), "FFFF00000000FFFF"]):
        ran = await cli("orders", *arguments, "--json")
        assert (ran.status, ran.error["code"]) == (1, "connection_disabled")
    assert (await cli("sync", FR, "--json")).error["code"] == "connection_disabled"


async def test_sync_without_a_daemon_says_so(cli: Cli, two_connections: Database) -> None:
    ran = await cli("sync", FR, "--json")
    assert (ran.status, ran.json["status"]) == (0, "queued")
    assert "no daemon" in ran.err
    backfill = await cli("sync", FR, "--since", "2026-10-01", "--json")
    assert backfill.json["look"] == "backfill"
    assert (await cli("sync", "nobody", "--json")).error["code"] == "unknown_connection"


async def test_money_keeps_its_decimals(cli: Cli, two_connections: Database) -> None:
    await store(two_connections, waiting(total=Decimal("64.90")).steps)
    assert (await cli("orders", "show", ORDER_ID, "--json")).json["total"] == "64.90"
    assert "64.90 EUR" in (await cli("orders", "list")).out
