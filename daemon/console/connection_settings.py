"""One connection: its health and its orders configuration."""

from collections.abc import Iterable, Mapping

from aiohttp import web

from adapters.postgres.errors import StaleVersion
from daemon.connection_changes import (
    WrongSetting,
    WrongSettings,
    change_connection,
    read_api_key,
)
from daemon.connection_health import Health
from daemon.console import settings_form
from daemon.console.connections import known_health, page_of
from daemon.console.visit import Complaint, Pages, Visit
from statemachine.facts import Refused

PAGES = Pages()


@PAGES.get("/connections/{id}")
async def show(visit: Visit) -> web.Response:
    """The connection as it is."""
    health = await known_health(visit)
    return await _page(visit, health, settings_form.texts(health.connection.settings))


@PAGES.post("/connections/{id}")
async def save(visit: Visit) -> web.Response:
    """Change it; what cannot be taken is said at its field, and nothing is changed."""
    health = await known_health(visit)
    given = settings_form.typed(visit)
    try:
        key = visit.text("api_key")
        await change_connection(
            visit.parts,
            health.connection.id,
            settings_form.changes(given),
            api_key=read_api_key(key) if key else None,
            expected_version=_version(visit),
        )
    except WrongSettings as error:
        return await _page(visit, health, given, error.wrong, status=422)
    except Refused as refused:
        wrong = [WrongSetting("active", refused.message, refused.message)]
        return await _page(visit, health, given, wrong, status=409)
    except StaleVersion:
        return await _page(visit, await known_health(visit), given, status=412, stale=True)
    told = " The new API key is kept." if key else ""
    return visit.go(page_of(health.connection.id), f"Settings saved.{told}")


def _version(visit: Visit) -> int:
    try:
        return int(visit.text("version"))
    except ValueError:
        raise Complaint(400, "The form names no version. Reload the page, then again.") from None


async def _page(
    visit: Visit,
    health: Health,
    given: Mapping[str, str],
    wrong: Iterable[WrongSetting] = (),
    *,
    status: int = 200,
    stale: bool = False,
) -> web.Response:
    wrong = list(wrong)
    settings = health.connection.settings
    known = settings_form.texts(settings) if stale else None
    return await visit.page(
        "connections/connection.html",
        title=health.connection.id,
        status=status,
        health=health,
        sections=settings_form.sections(given, settings.marketplace, errors=wrong, known=known),
        wrong=wrong,
        key_error=next((error.problem for error in wrong if error.key == "api_key"), ""),
        stale=stale,
    )
