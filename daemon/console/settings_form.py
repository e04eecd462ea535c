"""The orders configuration as a form: every setting of the model, none written down twice."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic.fields import FieldInfo

from adapters.registry import MARKETPLACES
from daemon.connection_changes import WrongSetting, WrongSettings
from daemon.console.visit import Visit
from statemachine.connection import ConnectionSettings, PriceAttribute, SyncedWhen, SyncLevel

FIXED = ("id", "marketplace")
_SECTIONS = {
    "Orders": (
        "active",
        "auto_accept",
        "price_attribute",
        "price_threshold",
        "product_id_attribute",
        "sync_from",
        "sync_level",
        "use_billing_address_for_shipping",
    ),
    "Shipping": (
        "default_shipping_service",
        "shipping_services",
        "shipping_aliases",
        "multi_package",
    ),
    "Stock and catalogue": ("catalog", "currency", "push_stock", "store_lag", "synced_when"),
    "Looks and calls": (
        "poll_interval",
        "open_look_interval",
        "deep_look_interval",
        "max_calls_per_hour",
        "throttle_backoff",
    ),
}
_ACCOUNT = "Account"  # whatever stands in no other section
_WORDS = {
    SyncLevel.ORDERS_AND_STOCK: "Orders and stock",
    SyncLevel.STOCK_ONLY: "Stock only",
    PriceAttribute.FINAL: "Final price incl. tax",
    PriceAttribute.ORIGINAL: "Original price incl. tax",
    SyncedWhen.PUBLISHED: "Published to the broker",
    SyncedWhen.ACKNOWLEDGED: "Acknowledged by the store",
}
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_LONG = {"shipping_services", "shipping_aliases"}


@dataclass(frozen=True, slots=True)
class SettingField:
    """One setting as the form shows it. kind: tick, choice, lines, date, number or text."""

    key: str
    kind: str
    label: str
    help: str
    value: str
    default: str
    choices: tuple[tuple[str, str], ...] = ()
    error: str = ""
    now: str | None = None  # what it is, where it is not what was typed

    @property
    def ticked(self) -> bool:
        return self.value == "yes"

    @property
    def hint(self) -> str:
        """Help text and default, in one line."""
        default = f"Default: {self.default}." if self.default else ""
        return f"{self.help}. {default}".strip()


@dataclass(frozen=True, slots=True)
class Section:
    """Settings that belong together."""

    name: str
    fields: tuple[SettingField, ...]

    @property
    def wrong(self) -> bool:
        return any(field.error for field in self.fields)


def sections(
    texts: Mapping[str, str],
    marketplace: str,
    *,
    errors: Iterable[WrongSetting] = (),
    known: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> list[Section]:
    """The form. `known` is what is stored, where the texts may be something else by now."""
    wrong = {error.key: error.problem for error in errors}
    places = {key: name for name, keys in _SECTIONS.items() for key in keys}
    found: dict[str, list[SettingField]] = {name: [] for name in (*_SECTIONS, _ACCOUNT)}
    for key, info in ConnectionSettings.model_fields.items():
        if key in FIXED or key in without:
            continue
        now = known.get(key, "") if known is not None else None
        field = _field(key, info, texts.get(key, ""), marketplace, wrong.get(key, ""), now)
        found[places.get(key, _ACCOUNT)].append(field)
    return [
        Section(name, tuple(sorted(fields, key=lambda field: _place(name, field.key))))
        for name, fields in found.items()
        if fields
    ]


def _place(section: str, key: str) -> int:
    keys = _SECTIONS.get(section, ())
    return keys.index(key) if key in keys else len(keys)


def _field(
    key: str, info: FieldInfo, value: str, marketplace: str, error: str, now: str | None
) -> SettingField:
    choices = _choices(key, info, marketplace)
    default = _text(info.get_default(call_default_factory=True))
    if _is_switch(info):
        default = "on" if default else "off"
    return SettingField(
        key=key,
        kind=_kind(key, info, choices),
        label=info.title or key,
        help=info.description or "",
        value=value,
        default=dict(choices).get(default, default).replace("\n", ", "),
        choices=choices,
        error=error,
        now=None if now is None or now == value else now,
    )


def _is_switch(info: FieldInfo) -> bool:
    return info.annotation is bool


def _kind(key: str, info: FieldInfo, choices: tuple[tuple[str, str], ...]) -> str:
    if _is_switch(info):
        return "tick"
    if choices:
        return "choice"
    if key in _LONG:
        return "lines"
    if key == "sync_from":
        return "date"
    return "number" if info.annotation is int else "text"


def _choices(key: str, info: FieldInfo, marketplace: str) -> tuple[tuple[str, str], ...]:
    if key == "site":
        sites = MARKETPLACES[marketplace].sites
        return tuple((code, f"{site.country} ({code})") for code, site in sites.items())
    kind = info.annotation
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return tuple((choice.value, _WORDS.get(choice, choice.value)) for choice in kind)
    return ()


def texts(settings: ConnectionSettings) -> dict[str, str]:
    """The settings as a person would type them."""
    return {key: _text(getattr(settings, key)) for key in ConnectionSettings.model_fields}


def _text(value: Any) -> str:
    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case timedelta():
            return duration(value)
        case tuple():
            return "\n".join(value)
        case Mapping():
            return "\n".join(f"{name} = {service}" for name, service in value.items())
        case _:
            return str(value)


def duration(value: timedelta) -> str:
    """In its largest whole unit: "15m", "24h", "90s"."""
    seconds = value.total_seconds()
    for size, unit in _UNITS:
        if seconds and seconds % size == 0 and not (unit == "d" and seconds < 2 * size):
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:g}s"


def typed(visit: Visit) -> dict[str, str]:
    """What was typed into the form, by setting; a box that is not ticked is "" too."""
    return {key: visit.text(key) for key in ConnectionSettings.model_fields}


def changes(given: Mapping[str, str]) -> dict[str, Any]:
    """What was typed as changes to settings. Raises WrongSettings."""
    values: dict[str, Any] = {}
    for key, info in ConnectionSettings.model_fields.items():
        if key in FIXED or key not in given:
            continue
        text = given[key]
        if _is_switch(info):
            values[key] = text == "yes"
        elif key == "shipping_services":
            values[key] = _lines(text.replace(",", "\n")) or None
        elif key == "shipping_aliases":
            values[key] = _pairs(key, text)
        else:
            values[key] = text
    return values


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _pairs(key: str, text: str) -> dict[str, str]:
    pairs = {}
    for line in _lines(text):
        name, equals, service = line.partition("=")
        if not equals or not name.strip() or not service.strip():
            why = f"must be one a line, like Poste = Colissimo; got {line[:80]!r}"
            raise WrongSettings([WrongSetting(key, why, f"{key}: {why}")])
        pairs[name.strip()] = service.strip()
    return pairs
