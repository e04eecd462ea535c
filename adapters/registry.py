"""The grid of marketplaces: name → how to reach one account on it."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp

from adapters.ports import Marketplace
from adapters.spartoo import SITES, CallReport, SpartooMarketplace
from statemachine.connection import ConnectionSettings

Permit = Callable[[str], AbstractAsyncContextManager[None]]
OnCall = Callable[[CallReport], None]


class UnknownMarketplace(ValueError):
    """A connection names a marketplace or site that no adapter knows; `key` is that setting."""

    def __init__(self, key: str, given: str, known: Iterable[str]):
        self.key = key
        self.problem = f"{given!r} is not one of: {', '.join(known)}"
        super().__init__(f"{key} {self.problem}")


class CountrySite(NamedTuple):
    """Where a site sells, and in which currency (ISO 4217)."""

    country: str
    currency: str


@dataclass(frozen=True, slots=True)
class MarketplaceKind:
    """One square of the grid, with its country sites."""

    name: str
    sites: Mapping[str, CountrySite]
    open: Callable[
        [aiohttp.ClientSession, ConnectionSettings, str, Permit, OnCall | None],
        Marketplace,
    ]


def _spartoo(
    session: aiohttp.ClientSession,
    settings: ConnectionSettings,
    api_key: str,
    permit: Permit,
    on_call: OnCall | None,
) -> Marketplace:
    return SpartooMarketplace(session, settings, api_key, permit=permit, on_call=on_call)


_SPARTOO_SITES = {code: CountrySite(site.country, site.currency) for code, site in SITES.items()}
MARKETPLACES = {"spartoo": MarketplaceKind("Spartoo", _SPARTOO_SITES, _spartoo)}


def check_known(settings: ConnectionSettings) -> None:
    """Raises UnknownMarketplace naming what is known."""
    kind = MARKETPLACES.get(settings.marketplace)
    if kind is None:
        raise UnknownMarketplace("marketplace", settings.marketplace, MARKETPLACES)
    if settings.site not in kind.sites:
        raise UnknownMarketplace("site", settings.site, kind.sites)


def open_marketplace(
    session: aiohttp.ClientSession,
    settings: ConnectionSettings,
    api_key: str,
    *,
    permit: Permit,
    on_call: OnCall | None = None,
) -> Marketplace:
    """The account the connection speaks of. Raises UnknownMarketplace."""
    check_known(settings)
    kind = MARKETPLACES[settings.marketplace]
    return kind.open(session, settings, api_key, permit, on_call)
