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

from statemachine.names import canonical_name

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.ASCII)
_DURATION_WANTED = 'a number of seconds, or like "90s", "15m", "24h"'
_UNIT = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(value: Any) -> Any:
    """A number of seconds, or text like "90s", "15m", "24h", "2d"."""
    if isinstance(value, bool):
        raise ValueError(_DURATION_WANTED)
    if not isinstance(value, int | float | str):
        return value
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(_DURATION_WANTED)
    try:
        return timedelta(**{_UNIT[match[2]]: float(match[1])})
    except OverflowError as error:
        raise ValueError(_DURATION_WANTED) from error


def _format_duration(value: timedelta) -> float | int:
    seconds = value.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


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
Threshold = Annotated[Decimal, Field(gt=0, le=2, allow_inf_nan=False)]
Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$")]

DEFAULT_SHIPPING_SERVICES = (
    "Colissimo",
    "Chronopost",
    "Mondial Relay",
    "DPD",
    "UPS",
    "GLS",
    "DHL",
    "FedEx",
    "TNT",
    "Royal Mail",
)


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

    id: Slug = Field(description="Name of the connection: letters, digits, hyphens")
    marketplace: str = Field("spartoo", description="Which marketplace adapter")
    site: str = Field("fr", description="Country site of the marketplace")
    base_url: str | None = Field(None, description="Instead of the site's own address")

    active: bool = Field(False, description="Activate Order Synchronization")
    sync_level: SyncLevel = Field(
        SyncLevel.ORDERS_AND_STOCK, description="Order Synchronization Level"
    )
    auto_accept: bool = Field(False, description="Accept Orders Automatically")
    price_attribute: PriceAttribute = Field(PriceAttribute.FINAL, description="Price Attribute")
    price_threshold: Threshold = Field(Decimal("0.97"), description="Price Attribute Threshold")
    use_billing_address_for_shipping: bool = Field(
        False, description="Use Billing Address For Shipping"
    )
    product_id_attribute: str = Field(
        "id", min_length=1, description="Product Identification Attribute"
    )
    sync_from: date | None = Field(
        None, description="Sync Orders Created From Date (none: the day the connection was added)"
    )
    default_shipping_service: str | None = Field(None, description="Default Shipping Service")
    shipping_services: tuple[str, ...] = Field(
        DEFAULT_SHIPPING_SERVICES, min_length=1, description="Allowed shipping services"
    )
    shipping_aliases: Mapping[str, str] = Field(
        {}, description="The store's names for shipping services → allowed services"
    )

    poll_interval: Duration = Field(
        timedelta(seconds=60), ge=timedelta(seconds=1), description="Time between fresh looks"
    )
    open_look_interval: Duration = Field(
        timedelta(minutes=15), ge=timedelta(seconds=1), description="Time between open looks"
    )
    deep_look_interval: Duration = Field(
        timedelta(hours=24), ge=timedelta(minutes=1), description="Time between deep looks"
    )
    max_calls_per_hour: int = Field(300, ge=1, description="Calls per web service and hour")
    throttle_backoff: Duration = Field(
        timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="First rest of a service after -429",
    )
    timezone: Zone = Field("Europe/Paris", description="Zone of the marketplace's times")
    currency: str | None = Field(
        None, pattern=r"^[A-Z]{3}$", description="Currency of its orders (none: the site's)"
    )
    catalog: Slug = Field("default", description="The catalogue its orders are measured against")
    synced_when: SyncedWhen = Field(
        SyncedWhen.PUBLISHED, description="What makes an accepted order synced"
    )
    store_lag: Duration = Field(
        timedelta(hours=1),
        ge=timedelta(0),
        description="After being synced an order never acknowledged counts as known to the store",
    )
    push_stock: bool = Field(False, description="Send availability to the marketplace")
    multi_package: bool = Field(False, description="The account has multi-package shipping")

    @model_validator(mode="after")
    def _services_are_allowed(self) -> Self:
        allowed = {canonical_name(name) for name in self.shipping_services}
        named = {"default_shipping_service": self.default_shipping_service}
        named |= {f"shipping_aliases.{name}": to for name, to in self.shipping_aliases.items()}
        for key, service in named.items():
            if service is not None and canonical_name(service) not in allowed:
                raise ValueError(
                    f"{key} must be one of shipping_services: " + ", ".join(self.shipping_services)
                )
        return self
