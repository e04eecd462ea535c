"""The orders configuration of a connection: every key, its default, its limits."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from statemachine.connection import ConnectionSettings


def errors(**given: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as failed:
        ConnectionSettings(**{"id": "shoes-fr", **given})
    return [(".".join(map(str, e["loc"])), e["msg"]) for e in failed.value.errors()]


def test_the_defaults_are_the_documented_ones() -> None:
    assert ConnectionSettings(id="shoes-fr").model_dump(mode="json") == {
        "id": "shoes-fr",
        "marketplace": "spartoo",
        "site": "fr",
        "base_url": None,
        "active": False,
        "sync_level": "orders_and_stock",
        "auto_accept": False,
        "price_attribute": "price_final_incl_tax",
        "price_threshold": "0.97",
        "use_billing_address_for_shipping": False,
        "product_id_attribute": "id",
        "sync_from": None,
        "default_shipping_service": None,
        "shipping_aliases": {},
        "shipping_services": None,
        "poll_interval": 60,
        "open_look_interval": 900,
        "deep_look_interval": 86400,
        "max_calls_per_hour": 300,
        "throttle_backoff": 300,
        "timezone": "Europe/Paris",
        "currency": None,
        "catalog": "default",
        "synced_when": "published",
        "store_lag": 3600,
        "push_stock": False,
        "multi_package": False,
    }


def test_what_is_written_is_read_back_the_same() -> None:
    given = ConnectionSettings(
        id="a",
        poll_interval="1.5s",
        price_threshold="1.05",
        sync_from=date(2026, 11, 1),
        default_shipping_service="mondial-relay",
    )
    assert ConnectionSettings.model_validate_json(given.model_dump_json()) == given


@pytest.mark.parametrize("lag", ["0.0000001s", Decimal("0.0000001"), 1.0001, "0.001s"])
def test_a_short_duration_is_read_back_from_where_it_is_kept(lag: Any) -> None:
    given = ConnectionSettings(id="a", store_lag=lag)
    assert ConnectionSettings.model_validate(orjson.loads(given.model_dump_json())) == given


def test_every_key_is_explained() -> None:
    described = ConnectionSettings.model_fields.values()
    assert all(field.description for field in described)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        (Decimal("1.5"), 1.5),
        (timedelta(minutes=2), 120),
        ("90", 90),
        ("90s", 90),
        ("15m", 900),
        ("24h", 86400),
        ("2d", 172800),
        ("1.5h", 5400),
        ("3650d", 315_360_000),
        (" 15 m ", 900),
    ],
)
def test_a_duration_is_seconds_or_a_number_with_a_unit(value: Any, seconds: float) -> None:
    settings = ConnectionSettings(id="a", poll_interval=value)
    assert settings.poll_interval.total_seconds() == seconds


@pytest.mark.parametrize(
    "value",
    [
        *("", "soon", "5 weeks", "-5s", "1e3", "9" * 30 + "d", True, -5, float("inf"), []),
        *("3651d", Decimal("1e9"), Decimal("1e400"), Decimal("NaN")),
    ],
)
def test_anything_else_is_no_duration(value: Any) -> None:
    ((field, _message),) = errors(poll_interval=value)
    assert field == "poll_interval"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("poll_interval", "1s"),
        ("throttle_backoff", "1h"),
        ("store_lag", 0),
        ("price_threshold", "2"),
        ("price_threshold", "0.0001"),
        ("price_threshold", "0.000000000000000001"),
        ("max_calls_per_hour", 1_000_000),
        ("max_calls_per_hour", 1),
        ("timezone", "Europe/Sofia"),
        ("currency", "BGN"),
        ("id", "A-1"),
        ("id", "x" * 63),
    ],
)
def test_a_value_at_its_limit_is_taken(key: str, value: Any) -> None:
    assert key in ConnectionSettings(**{"id": "a", key: value}).model_fields_set


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("poll_interval", "0.9s"),
        ("open_look_interval", 0),
        ("deep_look_interval", "59s"),
        ("throttle_backoff", "61m"),
        ("store_lag", -1),
        ("price_threshold", "0"),
        ("price_threshold", "2.01"),
        ("price_threshold", "NaN"),
        ("price_threshold", "1e-19"),
        ("max_calls_per_hour", 1_000_001),
        ("price_threshold", "-0.97"),
        ("price_attribute", "price"),
        ("sync_level", "orders"),
        ("synced_when", "never"),
        ("sync_from", "20.11.2026"),
        ("max_calls_per_hour", 0),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../etc"),
        ("currency", "eur"),
        ("currency", "EURO"),
        ("product_id_attribute", ""),
        ("shipping_services", []),
        ("auto_accept", "perhaps"),
        ("id", ""),
        ("id", "-a"),
        ("id", "a_b"),
        ("id", "a\n"),
        ("id", "x" * 64),
        ("catalog", "a b"),
        ("pol_interval", 60),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_key(key: str, value: Any) -> None:
    assert [field for field, _ in errors(**{key: value})] == [key]


def test_the_threshold_is_exact() -> None:
    assert ConnectionSettings(id="a", price_threshold="0.10").price_threshold == Decimal("0.10")
    assert str(ConnectionSettings(id="a", price_threshold=0.97).price_threshold) == "0.97"


@pytest.mark.parametrize("name", ["Colissimo", "COLISSIMO", "mondial relay", "Mondial-Relay"])
def test_the_default_service_is_one_of_those_allowed(name: str) -> None:
    allowed = ("Colissimo", "Mondial Relay")
    settings = ConnectionSettings(id="a", default_shipping_service=name, shipping_services=allowed)
    assert settings.default_shipping_service == name


def test_another_default_service_is_refused_with_the_names_allowed() -> None:
    ((_, message),) = errors(default_shipping_service="Pigeon", shipping_services=("DPD", "UPS"))
    assert message.endswith("default_shipping_service must be one of shipping_services: DPD, UPS")


def test_without_a_written_list_any_default_service_is_taken() -> None:
    settings = ConnectionSettings(id="a", default_shipping_service="Pigeon")
    assert settings.default_shipping_service == "Pigeon"


def test_settings_do_not_change() -> None:
    settings = ConnectionSettings(id="a")
    with pytest.raises(ValidationError, match="frozen"):
        settings.active = True  # type: ignore[misc]  # that it cannot is what is tested


@pytest.mark.parametrize("address", ["http://a", "https://sws.spartoo.com/mp", "https://a://b"])
def test_an_address_of_the_web_is_kept_as_it_is(address: str) -> None:
    assert ConnectionSettings(id="a", base_url=address).base_url == address


@pytest.mark.parametrize("address", ["ftp://a", "https://", "https:/a", "https://a b", "a", ""])
def test_another_address_is_refused_with_an_example(address: str) -> None:
    ((field, message),) = errors(base_url=address)
    assert field == "base_url"
    assert message == "Value error, must be an address like https://sws.spartoo.com/mp"


def test_a_duration_is_written_in_whole_seconds_where_it_can_be() -> None:
    for given, written in (("2s", "2"), (1.5, "1.5")):
        settings = ConnectionSettings(id="a", open_look_interval=given)
        assert f'"open_look_interval":{written},' in settings.model_dump_json()
