"""The simulated marketplace's state: catalogue, invented orders, arrivals, limit, ledger."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.spartoo.simulator.arrivals import Arrivals
from adapters.spartoo.simulator.catalog import VARIANTS, catalog_products
from adapters.spartoo.simulator.config import AccountConfig, SimulatorConfig
from adapters.spartoo.simulator.factory import Wishes
from adapters.spartoo.simulator.ledger import Call, Ledger
from adapters.spartoo.simulator.limits import HourlyLimit
from adapters.spartoo.simulator.orders import SimulatedOrder, Status
from adapters.spartoo.simulator.world import DuplicateOrder, UnknownAccount, World

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


class Clock:
    def __init__(self, now: datetime = START):
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


def make(count: int, **config: Any) -> list[SimulatedOrder]:
    world = World(SimulatorConfig(**config), Clock())
    return [world.create(Wishes()) for _ in range(count)]


def test_catalogue_is_twelve_models_in_sizes_with_valid_eans() -> None:
    products = catalog_products()
    assert len({v.model.reference for v in VARIANTS.values()}) == 12
    assert len({p["id"] for p in products}) == len({p["ean"] for p in products}) == len(products)
    for product in products:
        digits = [int(d) for d in str(product["ean"])]
        assert len(digits) == 13
        assert sum(digits[::2] + [3 * d for d in digits[1::2]]) % 10 == 0


def test_catalogue_product_has_the_fields_of_an_upsert() -> None:
    product = next(p for p in catalog_products() if p["id"] == "98_38")
    assert product == {
        "id": "98_38",
        "sku": "AF-98-38",
        "ean": VARIANTS["98_38"].ean,
        "name": "Baskets Léonce 38",
        "stock": VARIANTS["98_38"].stock,
        "price_final_incl_tax": "64.99",
        "price_original_incl_tax": "79.99",
        "currency": "EUR",
        "attributes": {
            "brand": "Atelier Fictif",
            "reference": "98",
            "size": "38",
            "color": "Gris & blanc",
        },
    }


def test_catalogue_stock_can_be_the_same_everywhere() -> None:
    assert {p["stock"] for p in catalog_products(stock=7)} == {7}
    assert 0 in {p["stock"] for p in catalog_products()}


def test_same_seed_gives_the_same_orders_and_another_seed_others() -> None:
    assert make(200, seed=5) == make(200, seed=5)
    assert {o.id for o in make(200, seed=5)}.isdisjoint(o.id for o in make(200, seed=6))


def test_an_order_does_not_depend_on_what_was_made_before_it() -> None:
    world = World(SimulatorConfig(seed=5), Clock())
    world.create(Wishes(kind="out_of_stock", relay=True))
    assert world.create(Wishes()) == make(2, seed=5)[1]


def test_each_kind_of_the_mix_is_what_it_says() -> None:
    orders = make(1000)
    shares = Counter(order.kind for order in orders)
    assert {kind: round(n / 1000, 1) for kind, n in shares.items()} == {
        "fine": 0.7,
        "too_cheap": 0.1,
        "out_of_stock": 0.1,
        "unknown_product": 0.1,
    }
    for order in orders:
        first = order.lines[0]
        variant = VARIANTS.get(first.size_reference)
        assert (variant is None) == (order.kind == "unknown_product")
        if variant is not None:
            cheap = first.unit_price_reduced < variant.model.final_price
            assert cheap == (order.kind == "too_cheap")
            assert (first.quantity > variant.stock) == (order.kind == "out_of_stock")


def test_orders_show_accents_markup_a_company_and_relays() -> None:
    orders = make(1000)
    parties = {order.billing for order in orders}
    assert any("é" in party.first_name for party in parties)
    assert any("<b>" in party.first_name for party in parties)
    assert any(party.company for party in parties)
    assert 0.05 < sum(order.relay is not None for order in orders) / 1000 < 0.3


def test_regular_arrivals_come_at_even_distances_and_only_once() -> None:
    arrivals = Arrivals(2, "regular", 1, START)
    assert list(arrivals.due(START)) == []
    due = list(arrivals.due(START + timedelta(seconds=2)))
    assert due == [START + timedelta(seconds=s) for s in (0.5, 1, 1.5, 2)]
    assert list(arrivals.due(START + timedelta(seconds=2))) == []


def test_poisson_arrivals_keep_the_rate_and_repeat_with_the_seed() -> None:
    end = START + timedelta(seconds=1000)
    due = list(Arrivals(5, "poisson", 1, START).due(end))
    assert 4700 < len(due) < 5300
    assert due == list(Arrivals(5, "poisson", 1, START).due(end))
    gaps = {later - earlier for earlier, later in pairwise(due)}
    assert len(gaps) > 4000


def test_without_rate_nothing_arrives() -> None:
    assert list(Arrivals(0, "poisson", 1, START).due(START + timedelta(days=1))) == []


def test_the_clock_alone_makes_orders_due() -> None:
    clock = Clock()
    world = World(SimulatorConfig(rate=1, pattern="regular"), clock)
    clock.advance(seconds=10)
    world.catch_up()
    assert [o.purchased_at for o in world.orders.values()][-1] == START + timedelta(seconds=10)
    world.set_rate(0, "regular")
    clock.advance(hours=1)
    world.catch_up()
    assert len(world.orders) == 10


def test_orders_of_the_past_take_their_place_by_date() -> None:
    world = World(SimulatorConfig(), Clock())
    late = world.create(Wishes())
    early = world.create(Wishes(), START - timedelta(days=1))
    (account,) = world.accounts
    assert account.placed_from("2026-01-01 00:00:00") == [early, late]
    assert account.placed_from(late.purchased) == [late]


def test_dates_are_local_also_when_the_hour_repeats() -> None:
    world = World(SimulatorConfig(), Clock())
    before = world.create(Wishes(), datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    after = world.create(Wishes(), datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    assert before.purchased == after.purchased == "2026-10-25 02:30:00"


def test_wishes_are_granted_or_refused() -> None:
    config = SimulatorConfig(
        accounts=(
            AccountConfig(name="a", key="00000000000000AA"),
            AccountConfig(name="b", key="00000000000000BB"),
        )
    )
    world = World(config, Clock())
    order = world.create(Wishes(account="b", order_id="00000000000000FF", relay=True))
    assert (order.account, order.id, order.relay is None) == ("b", "00000000000000FF", False)
    with pytest.raises(DuplicateOrder, match="00000000000000FF"):
        world.create(Wishes(order_id="00000000000000FF"))
    with pytest.raises(UnknownAccount, match="a, b"):
        world.create(Wishes(account="c"))
    assert len(world.orders) == 1


def test_limit_admits_again_as_the_hour_slides() -> None:
    limit = HourlyLimit(2)
    moments = [START, START + timedelta(minutes=30), START + timedelta(minutes=59)]
    assert [limit.admit("a", "s", at) for at in moments] == [True, True, False]
    assert limit.admit("a", "s", START + timedelta(minutes=60))
    assert not limit.admit("a", "s", START + timedelta(minutes=89))
    assert limit.admit("a", "s", START + timedelta(minutes=90))


def test_limit_is_per_account_and_service() -> None:
    limit = HourlyLimit(1)
    pairs = [("a", "s"), ("a", "t"), ("b", "s"), ("a", "s")]
    assert [limit.admit(a, s, START) for a, s in pairs] == [True, True, True, False]


def _call(number: int) -> Call:
    before, after = Status.VERIFIED, Status.IN_PREPARATION
    return Call(number, START, "s", "a", (), 1, "X", before, after, ())


def test_ledger_forgets_the_oldest_and_keeps_the_numbering() -> None:
    ledger = Ledger(3)
    for _ in range(5):
        ledger.record(_call(ledger.next_number()))
    assert [call.number for call in ledger.after(0)] == [3, 4, 5]
    assert [call.number for call in ledger.after(4)] == [5]
    assert list(ledger.after(5)) == []
    assert ledger.total == 5
    assert len(ledger.changes("X")) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"zone": "Europe/Atlantis"},
        {"rate": -1},
        {"mix": {"fine": 0}},
        {"mix": {"fine": 2, "too_cheap": -1}},
        {"accounts": ()},
        {"accounts": [{"name": "a", "key": "A" * 16}, {"name": "a", "key": "B" * 16}]},
        {"accounts": [{"name": "a", "key": "A" * 16}, {"name": "b", "key": "A" * 16}]},
        {"faults": [{"kind": "earthquake"}]},
        {"unheard_of": 1},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SimulatorConfig.model_validate(wrong)


def test_keys_appear_neither_in_errors_nor_in_representations() -> None:
    key = "C0FFEE00C0FFEE0"
    with pytest.raises(ValidationError) as caught:
        SimulatorConfig.model_validate({"accounts": [{"name": "a", "key": key}]})
    assert key not in str(caught.value)
    config = SimulatorConfig(accounts=(AccountConfig(name="a", key=key + "0"),))
    assert key not in repr(config)
    assert key not in repr(World(config, Clock()).accounts)
