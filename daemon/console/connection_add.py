"""Adding a connection: marketplace, country site, API key with a test, settings, active."""

from collections.abc import Iterable, Mapping

from aiohttp import web

from adapters.postgres import connections as store
from adapters.postgres.connections import ConnectionExists
from adapters.registry import MARKETPLACES, MarketplaceKind
from daemon.connection_changes import (
    WrongSetting,
    WrongSettings,
    add_connection,
    read_api_key,
    read_settings,
)
from daemon.connection_check import check_key
from daemon.console import settings_form
from daemon.console.connections import page_of
from daemon.console.visit import Complaint, Pages, Visit
from statemachine.connection import ConnectionSettings
from statemachine.facts import Refused
from statemachine.model import ConnectionId

PAGES = Pages()
ADD = "/connections/_add"  # no connection's id begins so
_TRIED = ("id", "base_url", "max_calls_per_hour")  # what a key's test needs beside the site


@PAGES.get(ADD)
async def marketplaces(visit: Visit) -> web.Response:
    """The grid of marketplaces."""
    title = "Add connection"
    return await visit.page("connections/marketplaces.html", title=title, kinds=MARKETPLACES)


@PAGES.get(ADD + "/{marketplace}")
async def sites(visit: Visit) -> web.Response:
    """The country sites of one."""
    name, kind = _kind(visit)
    return await visit.page("connections/sites.html", title="Add connection", name=name, kind=kind)


@PAGES.get(ADD + "/{marketplace}/{site}")
async def form(visit: Visit) -> web.Response:
    """The rest on one page."""
    _, _, site = _chosen(visit)
    proposed = ConnectionSettings(id=await _free_name(visit, site), site=site)
    return await _page(visit, settings_form.texts(proposed))


@PAGES.post(ADD + "/{marketplace}/{site}/test")
async def test(visit: Visit) -> web.Response:
    """Try the key that was typed; nothing is kept."""
    works, told = await _tried(visit)
    if visit.by_htmx:
        return visit.fragment("connections/tested.html", works=works, told=told)
    tested = {"works": works, "told": told}
    return await _page(visit, settings_form.typed(visit), tested=tested)


@PAGES.post(ADD + "/{marketplace}/{site}")
async def add(visit: Visit) -> web.Response:
    """Keep it, activated if so wished and the plan allows it."""
    given = settings_form.typed(visit)
    wrong: list[WrongSetting] = []
    try:
        settings = read_settings(_values(visit, given))
    except WrongSettings as error:
        wrong += error.wrong
    try:
        key = read_api_key(visit.text("api_key"))
    except WrongSettings as error:
        wrong += error.wrong
    if wrong:
        return await _page(visit, given, wrong, status=422)
    try:
        await add_connection(visit.parts, settings, key)
    except ConnectionExists as error:
        return await _page(visit, given, [WrongSetting("id", str(error), "")], status=409)
    except Refused as refused:
        return await _page(visit, given, [WrongSetting("active", refused.message, "")], status=409)
    told = "added and active: it is looked at now" if settings.active else "added; not active yet"
    return visit.go(page_of(ConnectionId(settings.id)), f"{settings.id} is {told}.")


async def _tried(visit: Visit) -> tuple[bool, str]:
    """Whether the key works, in words."""
    given = settings_form.typed(visit)
    try:
        known = {key: given[key] for key in _TRIED} | _site(visit)
        settings = read_settings(known)
        await check_key(visit.parts.accounts, settings, read_api_key(visit.text("api_key")))
    except WrongSettings as error:
        return False, str(error)
    except Refused as refused:
        return False, refused.message
    return True, "The key works: the site knows it."


def _values(visit: Visit, given: Mapping[str, str]) -> dict[str, object]:
    return {"id": given["id"], **settings_form.changes(given), **_site(visit)}


def _site(visit: Visit) -> dict[str, str]:
    name, _, site = _chosen(visit)
    return {"marketplace": name, "site": site}


async def _free_name(visit: Visit, site: str) -> str:
    """A name that no connection has: the marketplace and the site, numbered from the second on."""
    name, _ = _kind(visit)
    async with visit.connection() as conn:
        found = await store.page(conn, text=f"{name}-{site}", limit=1000)
    taken = {connection.id for connection in found.items}
    number, free = 1, f"{name}-{site}"
    while free in taken:
        number += 1
        free = f"{name}-{site}-{number}"
    return free


async def _page(
    visit: Visit,
    given: Mapping[str, str],
    wrong: Iterable[WrongSetting] = (),
    *,
    status: int = 200,
    tested: Mapping[str, object] | None = None,
) -> web.Response:
    name, kind, site = _chosen(visit)
    errors = {error.key: error.problem for error in wrong}
    faults = [WrongSetting(key, problem, "") for key, problem in errors.items()]
    without = ("site", "active", "base_url")
    return await visit.page(
        "connections/add.html",
        title="Add connection",
        status=status,
        name=name,
        kind=kind,
        site=site,
        given=given,
        errors=errors,
        tested=tested,
        sections=settings_form.sections(given, name, errors=faults, without=without),
    )


def _kind(visit: Visit) -> tuple[str, MarketplaceKind]:
    name = visit.request.match_info["marketplace"]
    kind = MARKETPLACES.get(name)
    if kind is None:
        raise Complaint(404, f"There is no marketplace {name}.")
    return name, kind


def _chosen(visit: Visit) -> tuple[str, MarketplaceKind, str]:
    name, kind = _kind(visit)
    site = visit.request.match_info["site"]
    if site not in kind.sites:
        raise Complaint(404, f"{kind.name} has no site {site}.")
    return name, kind, site
