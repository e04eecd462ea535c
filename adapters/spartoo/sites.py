"""The country sites of the marketplace: where each is reached and what it pays in."""

from typing import NamedTuple


class Site(NamedTuple):
    """Host of the web services and ISO 4217 currency of the orders."""

    host: str
    currency: str


# Source: web-service page, "Transport". Hosts not named in the marketplace's documentation and the
# currencies of ch and hu are assumed; a connection's `base_url` and `currency` override them.
SITES: dict[str, Site] = {
    "fr": Site("sws.spartoo.com", "EUR"),
    "uk": Site("sws.spartoo.co.uk", "GBP"),
    "de": Site("sws.spartoo.de", "EUR"),
    "es": Site("sws.spartoo.es", "EUR"),
    "it": Site("sws.spartoo.it", "EUR"),
    "nl": Site("sws.spartoo.nl", "EUR"),
    "be": Site("sws.spartoo.be", "EUR"),
    "eu": Site("sws.spartoo.eu", "EUR"),
    "net": Site("sws.spartoo.net", "EUR"),
    "ch": Site("sws.spartoo.ch", "CHF"),
    "pl": Site("sws.spartoo.pl", "PLN"),
    "cz": Site("sws.spartoo.cz", "CZK"),
    "se": Site("sws.spartoo.se", "SEK"),
    "dk": Site("sws.spartoo.dk", "DKK"),
    "gr": Site("sws.spartoo.gr", "EUR"),
    "fi": Site("sws.spartoo.fi", "EUR"),
    "pt": Site("sws.spartoo.pt", "EUR"),
    "ro": Site("sws.spartoo.ro", "RON"),
    "bg": Site("sws.spartoo.bg", "BGN"),
    "sk": Site("sws.spartoo.sk", "EUR"),
    "hu": Site("sws.spartoo.hu", "HUF"),
    "hr": Site("sws.spartoo.com.hr", "EUR"),
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
