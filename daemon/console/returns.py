"""Returns: the grid, one return with its history, accepting, refusing, giving a label."""

from base64 import b64encode
from uuid import uuid4

from aiohttp import BodyPartReader, MultipartReader, web
from pydantic import ValidationError

from adapters.postgres import actions
from adapters.postgres import returns as store
from adapters.spartoo.label import LARGEST_LABEL
from daemon.command_messages import ReturnLabel, explain
from daemon.console.addresses import listed, named, place
from daemon.console.connection_choice import connection_choice
from daemon.console.visit import BY, Complaint, Entry, Pages, Visit, next_part
from statemachine.model import ConnectionId, Return, ReturnId, ReturnState
from statemachine.returns import TRANSITIONS, ReturnTrigger

PAGES = Pages(Entry("Returns", "/returns"))

_FILTERS = ("connection", "state", "order", "attention")
_ALL = ("", "All")
_POSSIBLE = {trigger: states for trigger, states, _ in TRANSITIONS}


@PAGES.get("/returns")
async def grid(visit: Visit) -> web.Response:
    """Returns, newest first."""
    filters = {name: visit.text(name) for name in _FILTERS}
    async with visit.connection() as conn:
        page = await store.page(
            conn,
            connection=ConnectionId(filters["connection"]) if filters["connection"] else None,
            state=_state(filters["state"]),
            order_id=filters["order"] or None,
            attention=True if filters["attention"] else None,
            cursor=visit.text("cursor") or None,
        )
        known = await connection_choice(conn)
    kept = {name: value for name, value in filters.items() if value}
    return await visit.page(
        "returns/grid.html",
        title="Returns",
        returns=page.items,
        filters=filters,
        filtered=bool(kept),
        states=[_ALL, *((state, state) for state in ReturnState)],
        connections=known,
        first=listed("/returns", kept) if visit.text("cursor") else None,
        next=listed("/returns", {**kept, "cursor": page.next_cursor}) if page.next_cursor else None,
    )


def _state(text: str) -> ReturnState | None:
    if not text:
        return None
    try:
        return ReturnState(text)
    except ValueError:
        states = ", ".join(ReturnState)
        raise Complaint(400, f"A return's state is one of: {states}.") from None


@PAGES.get("/returns/{connection}/{return_id}")
async def show(visit: Visit) -> web.Response:
    """One return."""
    returned = await _known(visit)
    async with visit.connection() as conn:
        history = await store.history(conn, returned.connection, returned.id)
        queued = await actions.find_of_return(conn, returned.connection, returned.id)
    return await visit.page(
        "returns/return.html",
        title=f"Return {returned.id}",
        returned=returned,
        history=history,
        actions=queued,
        may_accept=returned.state in _POSSIBLE[ReturnTrigger.ACCEPT],
        may_refuse=returned.state in _POSSIBLE[ReturnTrigger.REFUSE],
        largest_label=LARGEST_LABEL >> 20,
    )


@PAGES.post("/returns/{connection}/{return_id}/accept")
async def accept(visit: Visit) -> web.Response:
    """Accept it: Spartoo is told."""
    return await _decide(visit, "return.accept", "accepted")


@PAGES.post("/returns/{connection}/{return_id}/refuse")
async def refuse(visit: Visit) -> web.Response:
    """Refuse it: Spartoo is told; it can still be accepted later."""
    return await _decide(visit, "return.refuse", "refused")


@PAGES.post("/returns/{connection}/{return_id}/label", upload=True)
async def label(visit: Visit) -> web.Response:
    """Give the label, by link or as a PDF."""
    returned = await _known(visit)
    link, pdf = await _given(visit)
    if bool(link) is (pdf is not None):
        raise Complaint(400, "Give a link to the label, or a PDF file; not both.")
    try:
        command = ReturnLabel(
            command="return.label",
            id=f"console-{uuid4()}",
            by=BY,
            connection=returned.connection,
            return_id=returned.id,
            label_link=link or None,
            label_file=None if pdf is None else b64encode(pdf).decode(),
        )
    except ValidationError as error:
        return visit.go(page_of(returned), f"Nothing was changed: {explain(error)}.", kind="bad")
    reply = await visit.parts.desk.carry_out(command)
    if reply.error:
        return visit.go(page_of(returned), reply.error.partition(": ")[2], kind="bad")
    return visit.go(page_of(returned), "The label is sent to Spartoo.")


async def _given(visit: Visit) -> tuple[str, bytes | None]:
    """The link and the file of the form, no more read of it than a label may have."""
    link, pdf = "", None
    reader = visit.upload
    while isinstance(reader, MultipartReader):
        part = await next_part(reader)
        if part is None:
            break
        if not isinstance(part, BodyPartReader):
            continue
        if part.name == "label_link":
            link = (await _limited(part, 4096)).decode("utf-8", "replace").strip()
        elif part.name == "label_file" and part.filename:
            pdf = await _limited(part, LARGEST_LABEL)
    return link, pdf


async def _limited(part: BodyPartReader, most: int) -> bytes:
    """The part's content. Raises Complaint when it is longer."""
    content = bytearray()
    while chunk := await part.read_chunk():
        content += chunk
        if len(content) > most:
            size = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most} bytes"
            raise Complaint(413, f"Too large: at most {size} are taken. Nothing was changed.")
    return bytes(content)


async def _decide(visit: Visit, command: str, done: str) -> web.Response:
    returned = await _known(visit)
    fields = {"command": command, "connection": returned.connection, "return_id": returned.id}
    if visit.text("id"):
        fields["id"] = visit.text("id")
    outcome = await visit.carry_out(fields)
    if outcome.refused:
        return visit.go(page_of(returned), outcome.message, kind="bad")
    told = f"Return {returned.id} is {done} as soon as Spartoo has said so."
    return visit.go(page_of(returned), outcome.message or told)


def page_of(returned: Return) -> str:
    """Where a return is shown."""
    return place("/returns", returned.connection, returned.id)


async def _known(visit: Visit) -> Return:
    """The return the address names. Raises Complaint."""
    connection = ConnectionId(named(visit, "connection"))
    return_id = ReturnId(named(visit, "return_id"))
    async with visit.connection() as conn:
        found = await store.find(conn, return_id, connection)
    if not found:
        raise Complaint(404, f"Connection {connection} has no return {return_id}.")
    return found[0]
