"""One request of a person, and how pages are named and answered."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiDict, MultiDictProxy

from adapters.postgres import orders
from adapters.postgres.database import Conn
from daemon.command_messages import UnreadableCommand, read_command
from daemon.console import session as sessions
from daemon.console.rendering import Renderer
from daemon.console.session import Session
from daemon.wiring import Parts
from statemachine.facts import Refused

BY = "console"

Handler = Callable[["Visit"], Awaitable[web.StreamResponse]]


class Complaint(Exception):
    """A request that cannot be answered as asked; shown as a page with what to do."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the navigation."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Route:
    """A page; `public` ones need no login, `upload` ones read their body themselves.

    `head`: its headers may be asked for alone. A page that is written piece by piece has none.
    """

    method: str
    path: str
    handler: Handler
    public: bool = False
    upload: bool = False
    head: bool = False


@dataclass(slots=True)
class Pages:
    """The pages of one part of the console, and its line in the navigation."""

    entry: Entry | None = None
    routes: list[Route] = field(default_factory=list)

    def get(
        self, path: str, *, public: bool = False, head: bool = True
    ) -> Callable[[Handler], Handler]:
        """Register a page."""
        return self._route("GET", path, public=public, head=head)

    def rest(self, path: str) -> Callable[[Handler], Handler]:
        """Register what is answered however the address is asked."""
        return self._route("*", path)

    def post(
        self, path: str, *, public: bool = False, upload: bool = False
    ) -> Callable[[Handler], Handler]:
        """Register what a form posts to; its CSRF token is checked before the handler runs."""
        return self._route("POST", path, public=public, upload=upload)

    def _route(self, method: str, path: str, **options: bool) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self.routes.append(Route(method, path, handler, **options))
            return handler

        return register


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command, for a person."""

    status: str  # done | queued | refused
    code: str = ""
    message: str = ""

    @property
    def refused(self) -> bool:
        return self.status == "refused"


@dataclass(frozen=True, slots=True)
class Visit:
    """A request that passed every check. `form` holds the fields of a POST.

    `upload` is the file of an upload route, to be read as it comes.
    """

    request: web.Request
    parts: Parts
    renderer: Renderer
    session: Session
    logged_in: bool
    form: MultiDictProxy[Any] = field(default_factory=lambda: MultiDictProxy(MultiDict()))
    upload: MultipartReader | BodyPartReader | None = None

    @property
    def by_htmx(self) -> bool:
        """True when a part of a page is asked for."""
        return self.request.headers.get("HX-Request") == "true"

    def connection(self) -> AbstractAsyncContextManager[Conn]:
        """A connection to the database."""
        return self.parts.database.connection()

    def text(self, name: str) -> str:
        """A field of the form or, on a GET, of the query; "" without it."""
        fields = self.form if self.request.method == "POST" else self.request.query
        value = fields.get(name, "")
        return _storable(value) if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """Every field of that name of the form."""
        return [_storable(value) for value in self.form.getall(name, []) if isinstance(value, str)]

    def part(self, name: str) -> str:
        """A part of the path."""
        return _storable(self.request.match_info[name])

    async def page(
        self, template: str, *, title: str, status: int = 200, **values: Any
    ) -> web.Response:
        """A whole page: the layout with its counts around the template's content."""
        told = sessions.told_before(self.request, self.parts.cipher)
        waiting = None
        if self.logged_in:
            async with self.connection() as conn:
                waiting = await orders.waiting(conn)
        values |= {"title": title, "told": told, "waiting": waiting}
        response = self.fragment(template, status=status, **values)
        if told is not None:
            response.del_cookie(sessions.FLASH, path="/")
        return response

    def fragment(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """Part of a page, as htmx puts it in."""
        values |= {"visit": self, "command_id": lambda: f"console-{uuid4()}"}
        text = self.renderer.render(template, self.request.path, values)
        return web.Response(text=text, status=status, content_type="text/html")

    def go(self, path: str, told: str = "", *, kind: str = "good") -> web.Response:
        """On to another page, after a POST, with a message there (`good`, `bad` or `plain`)."""
        response = web.Response(status=303, headers={"Location": path})
        if told:
            message = {"text": told[:1000], "kind": kind}
            sessions.tell_later(self.request, response, self.parts.cipher, message)
        return response

    async def carry_out(self, fields: Mapping[str, Any]) -> Outcome:
        """Give a command to the desk, by its fields of interfaces.md; `id` makes it idempotent."""
        given = {"id": f"console-{uuid4()}", "by": BY, **fields}
        try:
            command = read_command(orjson.dumps(given), None)
        except UnreadableCommand as refused:
            return _refusal(refused)
        reply = orjson.loads((await self.parts.desk.carry_out(command)).body)
        error = reply.get("error") or {}
        told = error.get("message") or reply.get("note", "")
        return Outcome(reply["status"], error.get("code", ""), told)


async def next_part(reader: MultipartReader) -> MultipartReader | BodyPartReader | None:
    """The next part of an upload, None at its end. Raises Complaint where it is none."""
    try:
        return await reader.next()
    except (HttpProcessingError, ValueError) as error:
        raise Complaint(400, "The upload could not be read. Nothing was changed.") from error


def _storable(text: str) -> str:
    """The text as PostgreSQL can hold it, without the spaces around it."""
    return text.replace("\0", "").encode("utf-8", "replace").decode().strip()


def _refusal(refused: Refused) -> Outcome:
    return Outcome("refused", refused.code, refused.message)
