"""The plans of what is asked every second: by index, however much is stored."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from adapters.postgres.database import Conn, Database
from adapters.postgres.queries import load
from tests.fixtures.postgres import add_connection
from tests.unit.builders import NOW, settings

HOLD = NOW - NOW
LONG_AGO = NOW - timedelta(days=180)
FILL = """
insert into orders (
    order_id, connection, state, spartoo_status, purchased_at, facts, products, first_seen_at,
    changed_at, shipments, identifiers, problem
)
select
    to_char(n, 'FM000000'), 'shop-' || n % 20,
    case when n % 200 = 0 then 'pending_manual' else 'shipped' end, 3,
    now() - make_interval(mins => n), '{}', '{}', now(), now(), '[]', array['p' || n],
    case when n % 500 = 0 then '{}'::json end
from generate_series(1, 30000) as n;
insert into order_search (order_id, connection, purchased_at, words)
select
    order_id, connection, purchased_at,
    array_to_tsvector(array['@' || connection, order_id, 'name' || order_id, 'common'])
from orders;
insert into events (id, type, source, subject, sequence, time, data, order_id, connection)
select
    gen_random_uuid(), 'order.new', '/spartoo/shop-' || n % 20, to_char(n, 'FM000000'), 1, now(),
    '{}', to_char(n, 'FM000000'), 'shop-' || n % 20
from generate_series(1, 30000) as n;
insert into actions (
    connection, order_id, kind, requested_by, status, due_at, created_at, settled_at
)
select
    'shop-' || n % 20, to_char(n, 'FM000000'), 'accept', 'system',
    case when n % 100 = 0 then 'pending' else 'done' end, now() - make_interval(mins => n), now(),
    case when n % 100 <> 0 then now() end
from generate_series(1, 30000) as n;
insert into returns (
    return_id, connection, order_id, state, spartoo_status, requested_at, facts, has_label,
    first_seen_at, changed_at
)
select
    to_char(n, 'FM000000'), 'shop-' || n % 20, to_char(n, 'FM000000'), 'requested', 2,
    now() - make_interval(mins => n), '{}', false, now(), now()
from generate_series(1, 30000) as n;
insert into return_history (connection, return_id, to_state, trigger, requested_by, at)
select 'shop-' || n % 20, to_char(n, 'FM000000'), 'requested', 'see', 'marketplace', now()
from generate_series(1, 30000) as n;
insert into order_history (connection, order_id, to_state, trigger, requested_by, at)
select 'shop-' || n % 20, to_char(n, 'FM000000'), 'new', 'see', 'marketplace', now()
from generate_series(1, 30000) as n;
insert into products (catalog, id, sku, ean, name, stock, reserved, attributes, updated_at)
select
    'default', 'p' || n, 's' || n, 'e' || n, 'Boot ' || n, 1, 0,
    jsonb_build_object('color', 'c' || n), now()
from generate_series(1, 30000) as n;
insert into reservations (connection, order_id, catalog, product_id, quantity)
select 'shop-' || n % 20, to_char(n, 'FM000000'), 'default', 'p' || n, 1
from generate_series(1, 30000) as n;
insert into product_changes (catalog, product_id, changed_at)
select 'default', 'p' || n, now() from generate_series(1, 30) as n;
insert into stock_pushes (connection, catalog, product_id, due_at)
select 'shop-' || n % 20, 'default', 'p' || n, case when n % 200 = 0 then now() end
from generate_series(1, 30000) as n;
insert into communications (connection, order_id, service, result, summary, at)
select 'shop-' || n % 20, to_char(n, 'FM000000'), 'xml_maj_orders', '1', 'accept', now()
from generate_series(1, 30000) as n;
insert into comments (connection, order_id, text, written_by, at)
select 'shop-' || n % 20, to_char(n, 'FM000000'), 'called back', 'ada', now()
from generate_series(1, 30000) as n;
insert into commands (id, command, body, reply)
select
    n, 'order.accept',
    json_build_object('connection', 'shop-' || n % 20, 'order_id', to_char(n, 'FM000000')), '{}'
from generate_series(1, 30000) as n;
update connections set settings = (settings::jsonb || '{"push_stock": true}')::json
where id in ('shop-1', 'shop-2');
update relay set position = 29900;
analyze;
"""
BIG = {
    "orders",
    "order_search",
    "events",
    "actions",
    "order_history",
    "products",
    "reservations",
    "returns",
    "return_history",
    "stock_pushes",
    "comments",
    "communications",
    "commands",
}
SHOP = "shop-1"
IDS = ["000001", "000021", "000041"]
NOTHING = (None,) * 3
PAGES: list[tuple[Any, ...]] = [
    (shop, state, None, None, attention, *after, 50)
    for shop in (None, SHOP)
    for state in (None, "new", "pending_manual", "cancelled", "shipped")
    for attention in (None, True)
    for after in (NOTHING, (NOW, "000001", SHOP))
]
CASES: list[tuple[str, str, tuple[Any, ...]]] = [
    ("actions", "claim", ("me", HOLD, 8, 64, [])),
    ("actions", "heartbeat", ("me", HOLD, [1, 2])),
    ("actions", "settle", ("me", [1, 2], ["done", "done"], [None, None])),
    ("actions", "find", (SHOP, "000001", False)),
    ("actions", "pending", ()),
    ("events", "after", (29900, 500)),
    ("events", "after_filtered", (0, 500, "connection.suspended", None)),
    ("events", "after_filtered", (0, 500, None, "shop-none")),
    ("events", "after_of_order", (0, 500, None, None, "000001")),
    ("events", "at", ([1, 2, 3],)),
    ("events", "backlog", ()),
    ("orders", "lock", (SHOP, IDS)),
    ("orders", "read", (SHOP, IDS)),
    ("orders", "find", ("000001", None)),
    ("orders", "fingerprints", (SHOP, IDS)),
    ("orders", "oldest_open", (SHOP, 11)),
    ("orders", "history", (SHOP, "000001")),
    ("orders", "oldest_pending", ()),
    ("orders", "waiting", (10_000,)),
    ("orders", "changed_at", (SHOP, "000001")),
    ("orders", "placed_in_month", (NOW,)),
    *(("orders", "page", given) for given in PAGES),
    *(("orders", "search", (*given, query)) for given in PAGES for query in ("'x'", "'name0':*")),
    ("catalog", "lock", ("default", ["p1", "p2"])),
    ("catalog", "ids_by_sku", ("default", "sku", ["s1", "s2"])),
    ("catalog", "ids_by_ean", ("default", "ean", ["e1", "e2"])),
    ("catalog", "ids_by_attribute", ("default", "color", ["c1", "c2"])),
    ("catalog", "page", ("default", "p5", 50)),
    ("catalog", "catalogs", ()),
    ("events", "newest", (None, 50)),
    ("events", "newest", (100, 50)),
    ("events", "newest_of_subject", ("000001", None, 50, ["default"])),
    ("catalog", "search", ("default", None, 50, "p77", "'boot':*")),
    ("catalog", "search", ("default", "p5", 50, "nothing", "")),
    ("catalog", "waiting_for", (["default"], ["p200"], [None])),
    ("returns", "lock", (SHOP, IDS)),
    ("returns", "read", (SHOP, IDS)),
    ("returns", "find", ("000001", None)),
    ("returns", "of_order", (SHOP, "000001")),
    ("returns", "history", (SHOP, "000001")),
    ("returns", "fingerprints", (SHOP, IDS, IDS)),
    ("returns", "page", (SHOP, *NOTHING, *NOTHING, 50)),
    ("returns", "page", (None, *NOTHING, *NOTHING, 50)),
    ("returns", "page", (None, "accepted", None, None, *NOTHING, 50)),
    ("returns", "page", (None, None, None, True, *NOTHING, 50)),
    ("returns", "page", (None, None, "000001", None, *NOTHING, 50)),
    ("returns", "page", (SHOP, *NOTHING, NOW, "000001", SHOP, 50)),
    ("reservations", "live", ("default", ["p1", "p2"])),
    ("stock_pushes", "mark", (["default"], ["p1"], [None], SHOP)),
    ("stock_pushes", "due", ()),
    ("stock_pushes", "batch", (SHOP, "default", 500)),
    ("stock_pushes", "settle", (SHOP, "default", ["p1"], [1], [5], [None])),
    ("stock_pushes", "postpone", (SHOP, "default", ["p1"], [1], NOW, "no answer")),
    ("stock_pushes", "told", ("default", ["p1", "p2"])),
    ("stock_pushes", "pending", ()),
    ("comments", "of_order", (SHOP, "000001")),
    ("communications", "of_order", (SHOP, "000001", 500)),
    ("privacy", "due", (LONG_AGO, 50)),
    ("privacy", "lock", (IDS, [SHOP] * 3)),
    ("privacy", "events", (IDS, [SHOP] * 3)),
    ("privacy", "commands", (IDS, [SHOP] * 3)),
    ("privacy", "orders", (IDS, [SHOP] * 3)),
    ("privacy", "forget_history", (IDS, [SHOP] * 3)),
    ("privacy", "forget_labels", (IDS, [SHOP] * 3)),
    ("privacy", "of_person", ("000001", SHOP, "a@b", 100)),
    ("privacy", "prune_events", (0, LONG_AGO, 100)),
    ("privacy", "prune_communications", (0, LONG_AGO, 100)),
    ("privacy", "prune_commands", (LONG_AGO, 100)),
]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def explained(conn: Conn, sql: str, args: tuple[Any, ...]) -> dict[str, Any]:
    plan = await conn.fetchval("explain (format json) " + sql, *args)
    found: dict[str, Any] = orjson.loads(plan)[0]["Plan"]
    return found


@pytest.fixture
async def filled(db: Database) -> Database:
    for n in range(20):
        await add_connection(db, settings(id=f"shop-{n}"))
    async with db.connection() as conn:
        await conn.execute(FILL)
    return db


async def test_no_large_table_is_read_whole(filled: Database) -> None:
    whole: list[str] = []
    async with filled.connection() as conn:
        for group, name, args in CASES:
            plan = await explained(conn, load(group)[name], args)
            whole += [
                f"{group}.{name}: {node['Node Type']} on {node['Relation Name']}"
                for node in nodes(plan)
                if node["Node Type"] == "Seq Scan" and node["Relation Name"] in BIG
            ]
    assert not whole


@pytest.mark.parametrize("state", [None, "pending_manual"])
@pytest.mark.parametrize("shop", [None, "shop-0"])
async def test_a_word_that_all_share_gives_the_newest_page(
    filled: Database, shop: str | None, state: str | None
) -> None:
    """More match than are sorted: the newest orders are tried in turn."""
    given = (shop, state, None, None, None, *NOTHING, 50)
    async with filled.connection() as conn:
        plain = await conn.fetch(load("orders")["page"], *given)
        found = await conn.fetch(load("orders")["search"], *given, "'common'")
        nobody = await conn.fetch(load("orders")["search"], *given, "'common' & 'nobody'")
    assert len(plain) == 50
    assert [row["order_id"] for row in found] == [row["order_id"] for row in plain]
    assert nobody == []


async def test_a_scan_of_everything_would_be_noticed(filled: Database) -> None:
    async with filled.connection() as conn:
        plan = await explained(conn, "select * from orders where state = $1", ("shipped",))
    assert "Seq Scan" in {node["Node Type"] for node in nodes(plan)}


async def test_claiming_is_cheap_before_anybody_has_counted_the_rows(db: Database) -> None:
    await add_connection(db, settings())
    async with db.connection() as conn:
        await conn.execute("alter table actions set (autovacuum_enabled = false)")
        await conn.execute(
            """insert into actions (connection, order_id, kind, requested_by, due_at, created_at)
            select 'shoes-fr', to_char(n, 'FM0000'), 'accept', 'x', now(), now()
            from generate_series(1, 3000) as n"""
        )
        sql = "(analyze, buffers, format json) " + load("actions")["claim"]
        plan = orjson.loads(await conn.fetchval(f"explain {sql}", "me", HOLD, 8, 64, []))[0]["Plan"]
    assert plan["Actual Rows"] == 8
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 1000


async def test_the_next_look_is_found_without_reading_all_that_wait(db: Database) -> None:
    await add_connection(db, settings())
    async with db.connection() as conn:
        await conn.execute(
            """insert into connections (id, settings, active, added_at)
            select 'shop-' || n, settings, true, now()
            from connections cross join generate_series(1, 3000) as n"""
        )
        await conn.execute(
            """insert into looks (connection, look, due_at)
            select 'shop-' || n, 'fresh', now() + make_interval(mins => n)
            from generate_series(1, 3000) as n"""
        )
        await conn.execute("analyze")
        sql = "(analyze, buffers, format json) " + load("looks")["next_due"]
        plan = orjson.loads(await conn.fetchval(f"explain {sql}"))[0]["Plan"]
    assert plan["Actual Rows"] == 1
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 50
