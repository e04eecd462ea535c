"""The country sites of the marketplace: where each is reached and what it pays in."""

from typing import NamedTuple


class Site(NamedTuple):
    """Host of the web services, ISO 4217 currency of the orders, and where it sells."""

    host: str
    currency: str
    country: str


# Source: web-service page, "Transport". Hosts not named in the marketplace's documentation and the
# currencies of ch and hu are assumed; a connection's `base_url` and `currency` override them.
SITES: dict[str, Site] = {
    "fr": Site("sws.spartoo.com", "EUR", "France"),
    "uk": Site("sws.spartoo.co.uk", "GBP", "United Kingdom"),
    "de": Site("sws.spartoo.de", "EUR", "Germany"),
    "es": Site("sws.spartoo.es", "EUR", "Spain"),
    "it": Site("sws.spartoo.it", "EUR", "Italy"),
    "nl": Site("sws.spartoo.nl", "EUR", "Netherlands"),
    "be": Site("sws.spartoo.be", "EUR", "Belgium"),
    "eu": Site("sws.spartoo.eu", "EUR", "Europe"),
    "net": Site("sws.spartoo.net", "EUR", "International"),
    "ch": Site("sws.spartoo.ch", "CHF", "Switzerland"),
    "at": Site("sws.spartoo.at", "EUR", "Austria"),
    "pl": Site("sws.spartoo.pl", "PLN", "Poland"),
    "cz": Site("sws.spartoo.cz", "CZK", "Czechia"),
    "se": Site("sws.spartoo.se", "SEK", "Sweden"),
    "dk": Site("sws.spartoo.dk", "DKK", "Denmark"),
    "gr": Site("sws.spartoo.gr", "EUR", "Greece"),
    "fi": Site("sws.spartoo.fi", "EUR", "Finland"),
    "pt": Site("sws.spartoo.pt", "EUR", "Portugal"),
    "ro": Site("sws.spartoo.ro", "RON", "Romania"),
    "bg": Site("sws.spartoo.bg", "EUR", "Bulgaria"),  # since 2026-01-01
    "sk": Site("sws.spartoo.sk", "EUR", "Slovakia"),
    "hu": Site("sws.spartoo.hu", "HUF", "Hungary"),
    "hr": Site("sws.spartoo.com.hr", "EUR", "Croatia"),
}


class UnknownSite(ValueError):
    """A connection names a country site the marketplace does not have."""

    def __init__(self, site: str):
        super().__init__(f"site {site!r} is not one of Spartoo's: use one of {', '.join(SITES)}")


def find_site(name: str) -> Site:
    """The site of that name; raises UnknownSite."""
    try:
        return SITES[name]
    except KeyError:
        raise UnknownSite(name) from None


def base_url(name: str) -> str:
    """The address the web services of a site stand under; raises UnknownSite."""
    return f"https://{find_site(name).host}/mp"
