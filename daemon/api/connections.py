"""Connections: added, changed, tried, switched; the API key goes in and never comes out."""

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from adapters.registry import MARKETPLACES
from daemon.api.commands import command
from daemon.api.filters import PageWanted, Wanted
from daemon.api.inputs import bad
from daemon.api.routes import Answer, Asked, Routes
from daemon.api.shapes import SHARED, ConnectionDocument, Tried, answer, list_of
from daemon.command_fields import Text
from daemon.command_messages import ConnectionSwitch, ConnectionSync
from daemon.connection_changes import (
    add_connection,
    change_connection,
    read_api_key,
    read_settings,
)
from daemon.connection_check import check_connection
from daemon.connection_health import Health, health_of, health_page
from statemachine.connection import ConnectionSettings
from statemachine.facts import Refused
from statemachine.model import ConnectionId

routes = Routes()

_ONE = "/connections/{connection}"
_RESULTS = {"bad_key", "deactivated", "throttled", "not_reachable"}


def _with_settings(schema: dict[str, Any], *, optional: bool) -> None:
    """The settings' own schema beside what else is given; null is the default again."""
    settings = ConnectionSettings.model_json_schema(ref_template=f"{SHARED}{{model}}")
    properties: dict[str, Any] = settings["properties"]
    if optional:
        del properties["id"]
        schema["minProperties"] = 1
    else:
        schema["required"] = ["id"]
    properties["marketplace"]["enum"] = list(MARKETPLACES)
    properties["site"]["enum"] = [site for kind in MARKETPLACES.values() for site in kind.sites]
    for name, setting in properties.items():
        known = setting.pop("anyOf", None)
        if known is None and name != "id":
            about = {key: setting.pop(key) for key in ("description", "default") if key in setting}
            properties[name] = {**about, "anyOf": [setting, {"type": "null"}]}
        elif known is not None:
            setting["anyOf"] = known
    schema["properties"] = {**schema["properties"], **properties}
    schema["additionalProperties"] = False


class ConnectionGiven(BaseModel):
    """Settings by their names in the settings file; they are checked all together."""

    api_key: str | None = Field(
        None, description="Never shown again", json_schema_extra={"writeOnly": True}
    )

    def key(self) -> str | None:
        """The API key, if one is given. Raises WrongSettings."""
        return None if self.api_key is None else read_api_key(self.api_key)

    def settings(self) -> dict[str, Any]:
        """What is given beside the key. Raises Refused for empty text: null is the default."""
        given = dict(self.model_extra or {})
        empty = [name for name, value in given.items() if value == ""]
        if empty:
            raise bad(f"{empty[0]}: must not be empty; null is the default again")
        return given


class NewConnection(ConnectionGiven):
    model_config = ConfigDict(
        extra="allow", json_schema_extra=lambda schema: _with_settings(schema, optional=False)
    )


class ConnectionChange(ConnectionGiven):
    model_config = ConfigDict(
        extra="allow", json_schema_extra=lambda schema: _with_settings(schema, optional=True)
    )

    connection: Text
    if_match: str | None = Field(
        None,
        pattern=r'^(\*|"[0-9]{1,18}")$',
        description="The ETag read before: refused with 412 if somebody changed it since",
    )

    def version(self) -> int | None:
        """The version that is to be changed; None for whichever there is."""
        given = self.if_match
        return None if given is None or given == "*" else int(given.strip('"'))


class ConnectionsWanted(PageWanted):
    q: Text | None = Field(None, description="Start of an id")


class ConnectionNamed(Wanted):
    connection: Text


_SHOWN = Answer("The connection", ConnectionDocument, headers=("ETag",))


@routes.add(
    "GET", "/connections", ConnectionsWanted, {200: Answer("By id", list_of(ConnectionDocument))}
)
async def list_connections(asked: Asked, wanted: ConnectionsWanted) -> web.Response:
    """List connections with their settings and health."""
    async with asked.parts.database.connection() as conn:
        page = await health_page(conn, text=wanted.q, limit=wanted.limit, cursor=wanted.cursor)
    items = [_document(health) for health in page.items]
    return answer({"items": items, "next": page.next_cursor})


@routes.add(
    "POST",
    "/connections",
    NewConnection,
    {201: Answer("Added", ConnectionDocument, headers=("ETag", "Location"))},
)
async def create_connection(asked: Asked, given: NewConnection) -> web.Response:
    """Add a connection; it looks at nothing unless `active`."""
    added = await add_connection(asked.parts, read_settings(given.settings()), given.key())
    return await _shown(asked, added.id, 201, Location=f"/api/v1/connections/{added.id}")


@routes.add("GET", _ONE, ConnectionNamed, {200: _SHOWN})
async def show_connection(asked: Asked, named: ConnectionNamed) -> web.Response:
    """Show a connection with its settings and health."""
    return await _shown(asked, ConnectionId(named.connection))


@routes.add("PATCH", _ONE, ConnectionChange, {200: _SHOWN}, in_header={"if_match": "If-Match"})
async def edit_connection(asked: Asked, given: ConnectionChange) -> web.Response:
    """Change the settings given, the others stay; null is the default again."""
    changes, key = given.settings(), given.key()
    if not changes and key is None:
        raise bad("nothing to change: give settings, or api_key")
    changed = await change_connection(
        asked.parts,
        ConnectionId(given.connection),
        changes,
        api_key=key,
        expected_version=given.version(),
    )
    return await _shown(asked, changed.id)


@routes.add("POST", f"{_ONE}/test", ConnectionNamed, {200: Answer("What came of it", Tried)})
async def try_connection(asked: Asked, named: ConnectionNamed) -> web.Response:
    """Make one cheap call and say whether the API key works."""
    connection = ConnectionId(named.connection)
    result, message = "works", "the site knows the API key"
    try:
        await check_connection(asked.parts.accounts, connection)
    except Refused as error:
        if error.code not in _RESULTS:
            raise
        result, message = error.code, error.message
    return answer({"connection": connection, "result": result, "message": message})


async def _shown(
    asked: Asked, connection: ConnectionId, status: int = 200, **headers: str
) -> web.Response:
    async with asked.parts.database.connection() as conn:
        health = await health_of(conn, connection)
    return answer(_document(health), status, ETag=f'"{health.connection.version}"', **headers)


def _document(health: Health) -> dict[str, Any]:
    """The settings as they are given, and the rest beside them."""
    of, document = health.connection, health.document()
    own = {"id": document.pop("id"), "version": of.version, "added_at": of.added_at}
    return {**own, **document.pop("settings"), **document}


command(
    routes, "POST", f"{_ONE}/activate", ConnectionSwitch, "connection.activate",
    "Poll it and send to it; ends a suspension",
)  # fmt: skip
command(
    routes, "POST", f"{_ONE}/disable", ConnectionSwitch, "connection.disable",
    "Neither poll it nor send to it",
)  # fmt: skip
command(
    routes, "POST", f"{_ONE}/sync", ConnectionSync, "connection.sync",
    "Poll now, or from a date on",
)  # fmt: skip
