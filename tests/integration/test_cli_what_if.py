"""`spartoo-sync orders what-if`: numbers, bars and the orders that differ."""

from datetime import timedelta
from decimal import Decimal

import pytest

from adapters.postgres import orders
from adapters.postgres.database import Database
from daemon.cli.order_what_if import bar
from statemachine.model import OrderId
from tests.fixtures.cli import Cli
from tests.fixtures.postgres import add_connection
from tests.unit.builders import NOW, Story, line, product, settings

FR = "shoes-fr"


@pytest.fixture
async def ninety_days(db: Database) -> Database:
    """An order a day; every third too cheap."""
    await add_connection(db, settings())
    for day in range(90):
        price = "60.00" if day % 3 == 0 else "64.99"
        placed = {"order_id": OrderId(f"A{day:03}"), "purchased_at": NOW - timedelta(days=day)}
        story = Story(product()).seen(line(price=price), **placed)
        async with db.transaction() as tx:
            await orders.record(tx, settings(), story.steps, {})
    return db


async def test_another_threshold_in_numbers(cli: Cli, ninety_days: Database) -> None:
    ran = await cli("orders", "what-if", FR, "--threshold", "0.9", "--json")
    assert ran.status == 0
    document = ran.json
    assert document["supposed"]["price_threshold"] == "0.9"
    assert (document["orders"], document["differ"], document["newly_accepted"]) == (90, 30, 30)
    assert document["newly_accepted_by_state"] == {"pending_manual": 30}
    assert len(document["by_day"]) == 90
    assert Decimal(document["differing"][0]["was"]["settings"]["price_threshold"]) == (
        Decimal("0.97")
    )
    since, until = NOW - timedelta(days=9), NOW - timedelta(days=1)
    period = ("--since", since.isoformat(), "--until", until.isoformat())
    some = await cli("orders", "what-if", FR, "--threshold", "0.9", *period, "--json")
    assert some.json["orders"] == 8


async def test_it_is_told_with_bars_and_with_what_was_taken_as_it_was(
    cli: Cli, ninety_days: Database
) -> None:
    told = (await cli("orders", "what-if", FR, "--threshold", "0.9")).out
    for part in ("60 → 90", "30 (now 30 pending_manual)", "price_below_threshold", "2026-09", "█"):
        assert part in told
    assert "60.00 ≥ 0.9 × 64.99 = 58.491" in told
    assert "checks stand as they were decided" in told
    off = (await cli("orders", "what-if", FR, "--no-auto-accept", "--since", "2026-11-15")).out
    assert "2026-11-20" in off
    assert "auto_accept_off" in off
    empty = await cli("orders", "what-if", FR, "--auto-accept", "--since", "2030-01-01")
    assert "no orders in this period" in empty.out


async def test_more_that_differ_than_are_listed_are_counted(
    cli: Cli, ninety_days: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statemachine.what_if.MOST_LISTED", 2)
    told = (await cli("orders", "what-if", FR, "--threshold", "0.9")).out
    assert "the 2 newest of 30 that differ" in told


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((FR,), "--threshold"),
        ((FR, "--threshold", "2.5"), "over 0 and at most 2"),
        ((FR, "--threshold", "many"), "over 0 and at most 2"),
        ((FR, "--price-attribute", "cost"), "price_final_incl_tax"),
        ((FR, "--auto-accept", "--since", "soon"), "YYYY-MM-DD"),
    ],
)
async def test_what_cannot_be_supposed_is_wrong_usage(
    cli: Cli, arguments: tuple[str, ...], named: str
) -> None:
    ran = await cli("orders", "what-if", *arguments, "--json")
    assert (ran.status, ran.error["code"]) == (2, "bad_usage")
    assert named in ran.error["message"]


async def test_an_unknown_connection_is_refused(cli: Cli) -> None:
    ran = await cli("orders", "what-if", "nobody", "--auto-accept", "--json")
    assert (ran.status, ran.error["code"]) == (1, "unknown_connection")


def test_a_bar_is_never_wider_than_the_widest_and_shows_the_least() -> None:
    assert len(bar([(10, "green"), (10, "red")], 20)) == 40
    assert len(bar([(10, "green")], 20)) == 20
    assert str(bar([(1, "green")], 1_000_000)) == "█"
    assert str(bar([(0, "green")], 7)) == ""
