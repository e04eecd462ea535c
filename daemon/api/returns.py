"""Returns: found, opened, and what may be asked of them."""

from aiohttp import web
from pydantic import Field

from adapters.postgres import connections
from adapters.postgres import returns as store
from adapters.postgres.database import Conn
from daemon.api.commands import command
from daemon.api.filters import OfConnection, PageWanted, ReturnNamed, known_connection
from daemon.api.routes import Answer, Asked, Routes
from daemon.api.shapes import ListedReturn, ReturnDocument, answer, list_of
from daemon.command_fields import Text
from daemon.command_messages import ReturnDecision, ReturnLabel
from daemon.return_details import details_document, return_details
from statemachine.facts import Refused
from statemachine.model import ConnectionId, Return, ReturnId, ReturnState
from statemachine.return_events import return_document

routes = Routes()

_RETURN = "/returns/{connection}/{return_id}"


class ReturnsWanted(OfConnection, PageWanted):
    state: ReturnState | None = Field(None, description="In this state only")
    order_id: Text | None = Field(None, description="Of this order only")
    attention: bool | None = Field(None, description="With a problem a person must look at, or not")


@routes.add("GET", "/returns", ReturnsWanted, {200: Answer("Newest first", list_of(ListedReturn))})
async def list_returns(asked: Asked, wanted: ReturnsWanted) -> web.Response:
    """Find returns."""
    async with asked.parts.database.connection() as conn:
        page = await store.page(
            conn,
            connection=await known_connection(conn, wanted.connection),
            state=wanted.state,
            order_id=wanted.order_id,
            attention=wanted.attention,
            limit=wanted.limit,
            cursor=wanted.cursor,
        )
    items = [return_document(returned) | {"problem": returned.problem} for returned in page.items]
    return answer({"items": items, "next": page.next_cursor})


@routes.add("GET", _RETURN, ReturnNamed, {200: Answer("The return", ReturnDocument)})
async def show_return(asked: Asked, named: ReturnNamed) -> web.Response:
    """Open a return: its history, actions and problem."""
    async with asked.parts.database.connection() as conn:
        details = await return_details(conn, await _find(conn, named))
    return answer(details_document(details))


async def _find(conn: Conn, named: ReturnNamed) -> Return:
    connection, return_id = ConnectionId(named.connection), ReturnId(named.return_id)
    await connections.get(conn, connection)
    found = await store.find(conn, return_id, connection)
    if not found:
        raise Refused("unknown_return", f"connection {connection} has no return {return_id}")
    return found[0]


command(
    routes, "POST", f"{_RETURN}/accept", ReturnDecision, "return.accept",
    "Accept a return, with a label if there is one",
)  # fmt: skip
command(
    routes, "POST", f"{_RETURN}/refuse", ReturnDecision, "return.refuse",
    "Refuse a return",
)  # fmt: skip
command(
    routes, "POST", f"{_RETURN}/label", ReturnLabel, "return.label",
    "Send the return label, by link or as a PDF in base64",
)  # fmt: skip
