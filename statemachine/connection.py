"""The orders configuration of one connection: every key, its default, its help text.

The one definition behind the TOML file, the command line, the database and the API. Validation
errors name the key. Source: Koongo's "Orders configuration" and our keys beside it.
"""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from statemachine.dates import within
from statemachine.names import canonical_name

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.ASCII)
_DURATION_WANTED = 'a number of seconds, or like "90s", "15m", "24h"'
_LONGEST_DURATION = timedelta(days=3650)  # added to any time of an order it is one still
_FINEST_DURATION = timedelta(milliseconds=1)
_UNIT = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(value: Any) -> Any:
    """A number of seconds, or text like "90s", "15m", "24h", "2d"."""
    if isinstance(value, bool):
        raise ValueError(_DURATION_WANTED)
    if not isinstance(value, int | float | str | Decimal):
        return value
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(_DURATION_WANTED)
    try:
        found = timedelta(**{_UNIT[match[2]]: float(match[1])})
    except OverflowError:
        found = timedelta.max
    if found > _LONGEST_DURATION:
        raise ValueError(f"at most {_LONGEST_DURATION.days}d")
    # finer ones would be written with an exponent, which is no duration
    return timedelta(milliseconds=round(found / _FINEST_DURATION))


def _format_duration(value: timedelta) -> float | int:
    seconds = value.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _plain(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be one line without control characters")
    return value


def _web_address(value: str) -> str:
    scheme, _, rest = value.partition("://")
    if scheme not in {"http", "https"} or not rest or " " in value:
        raise ValueError("must be an address like https://sws.spartoo.com/mp")
    if "@" in rest.partition("/")[0]:
        raise ValueError("must bear no user name or password")
    return value


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("an IANA time zone such as Europe/Paris") from error
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(_format_duration, when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{_DURATION.pattern}$"}]},
        mode="validation",
    ),
]
Zone = Annotated[str, AfterValidator(_known_zone)]
Name = Annotated[str, StringConstraints(max_length=255), AfterValidator(_plain)]
Address = Annotated[Name, AfterValidator(_web_address)]
Threshold = Annotated[Decimal, Field(gt=0, le=2, allow_inf_nan=False, decimal_places=18)]
SLUG = r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$"
CURRENCY = r"^[A-Z]{3}$"
Slug = Annotated[str, StringConstraints(pattern=SLUG)]


class SyncLevel(StrEnum):
    ORDERS_AND_STOCK = "orders_and_stock"
    STOCK_ONLY = "stock_only"


class PriceAttribute(StrEnum):
    FINAL = "price_final_incl_tax"
    ORIGINAL = "price_original_incl_tax"


class SyncedWhen(StrEnum):
    PUBLISHED = "published"
    ACKNOWLEDGED = "acknowledged"


class ConnectionSettings(BaseModel):
    """One account on one country site. Durations are timedeltas; `price_threshold` is exact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Slug = Field(title="Name", description="Letters, digits and hyphens; it stays for good")
    marketplace: Name = Field(
        "spartoo", title="Marketplace", description="Which marketplace adapter"
    )
    site: Name = Field("fr", title="Country site", description="Country site of the marketplace")
    base_url: Address | None = Field(
        None,
        title="Address of the web services",
        description="Instead of the site's own address: a simulator or a proxy",
    )

    active: bool = Field(
        False,
        title="Activate Order Synchronization",
        description="Off: it is not looked at and sends nothing; its pending work waits",
    )
    sync_level: SyncLevel = Field(
        SyncLevel.ORDERS_AND_STOCK,
        title="Order Synchronization Level",
        description="Stock only: orders are recorded and move stock; they are never accepted,"
        " shipped or cancelled by us, and no order event leaves",
    )
    auto_accept: bool = Field(
        False,
        title="Accept Orders Automatically",
        description="Orders in stock and priced right are accepted; all others wait for a person",
    )
    price_attribute: PriceAttribute = Field(
        PriceAttribute.FINAL,
        title="Price Attribute",
        description="The catalogue price an order is measured against",
    )
    price_threshold: Threshold = Field(
        Decimal("0.97"),
        title="Price Attribute Threshold",
        description="Multiplied with the price attribute before comparing: over 0, at most 2",
    )
    use_billing_address_for_shipping: bool = Field(
        False,
        title="Use Billing Address For Shipping",
        description="The published shipping address is the billing address; a collection-point"
        " order keeps its relay",
    )
    product_id_attribute: Name = Field(
        "id",
        min_length=1,
        title="Product Identification Attribute",
        description="What Spartoo's references hold: id, sku, ean, or any attribute of the"
        " catalogue",
    )
    sync_from: Annotated[date | None, AfterValidator(within)] = Field(
        None,
        title="Sync Orders Created From Date",
        description="Older orders and returns are left alone (none: the day the connection was"
        " added)",
    )
    default_shipping_service: Name | None = Field(
        None,
        title="Default Shipping Service",
        description="Used when the store's shipping service is not a known one (none: the store's"
        " own name is kept, but under a written list such a shipment is refused)",
    )
    shipping_services: tuple[Name, ...] | None = Field(
        None,
        min_length=1,
        title="Allowed shipping services",
        description="None: learnt from the orders and the usual carriers; nothing is refused."
        " Compared without case, accents, spacing or punctuation, then by the first words",
    )
    shipping_aliases: Mapping[Name, Name] = Field(
        {},
        title="The store's names for shipping services",
        description="Store's name → allowed service",
    )

    poll_interval: Duration = Field(
        timedelta(seconds=60),
        ge=timedelta(seconds=1),
        title="Time between fresh looks",
        description="New orders; at least 1s",
    )
    open_look_interval: Duration = Field(
        timedelta(minutes=15),
        ge=timedelta(seconds=1),
        title="Time between open looks",
        description="Orders that can still change, and returns; at least 1s",
    )
    deep_look_interval: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(minutes=1),
        title="Time between deep looks",
        description="Everything of the last 90 days; at least 1m",
    )
    max_calls_per_hour: int = Field(
        300,
        ge=1,
        le=1_000_000,
        title="Calls per web service and hour",
        description="What Spartoo allows the account",
    )
    throttle_backoff: Duration = Field(
        timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        title="Rest after too many calls",
        description="First rest of a service after -429, 1s to 1h; it doubles up to the hour",
    )
    timezone: Zone = Field(
        "Europe/Paris", title="Time zone", description="Zone of the marketplace's times"
    )
    currency: str | None = Field(
        None,
        pattern=CURRENCY,
        title="Currency",
        description="Currency of its orders (none: the site's)",
    )
    catalog: Slug = Field(
        "default",
        title="Catalogue",
        description="The catalogue its orders are measured against",
    )
    synced_when: SyncedWhen = Field(
        SyncedWhen.PUBLISHED,
        title="Synced when",
        description="What makes an accepted order synced: the broker has it, or the store has"
        " acknowledged it",
    )
    store_lag: Duration = Field(
        timedelta(hours=1),
        ge=timedelta(0),
        title="Store lag",
        description="After being synced an order never acknowledged counts as known to the store",
    )
    push_stock: bool = Field(
        False, title="Push stock", description="Send availability to the marketplace"
    )
    multi_package: bool = Field(
        False,
        title="Several parcels",
        description="The account has Spartoo's multi-package shipping",
    )

    @model_validator(mode="after")
    def _services_are_allowed(self) -> Self:
        if self.shipping_services is None:
            return self
        allowed = {canonical_name(name) for name in self.shipping_services}
        named = {"default_shipping_service": self.default_shipping_service}
        named |= {f"shipping_aliases.{name}": to for name, to in self.shipping_aliases.items()}
        for key, service in named.items():
            if service is not None and canonical_name(service) not in allowed:
                raise ValueError(
                    f"{key} must be one of shipping_services: " + ", ".join(self.shipping_services)
                )
        return self
