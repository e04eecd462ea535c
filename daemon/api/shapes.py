"""What answers hold, as far as events do not define it: models for the document and the tests."""

from datetime import datetime
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from adapters.postgres.actions import StoredAction
from adapters.postgres.codec import dump
from adapters.postgres.communications import Communication
from adapters.postgres.looks import Look
from daemon.plan import ConnectionUsage
from statemachine.changes import EventType
from statemachine.connection import ConnectionSettings
from statemachine.model import ActionKind, ActionStatus, Problem

SHARED = "#/components/schemas/"  # of the API's document; there stand the events' schemas too


def ref(name: str) -> dict[str, Any]:
    """A schema that events, replies and the API share."""
    return {"$ref": SHARED + name}


def list_of(item: type[BaseModel]) -> dict[str, Any]:
    """A page: `next` is the cursor of the next one, null at the end."""
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": ref(item.__name__)},
            "next": {"type": ["string", "null"]},
        },
        "required": ["items", "next"],
        "additionalProperties": False,
    }


def answer(document: Any, status: int = 200, **headers: str) -> web.Response:
    """A document as JSON."""
    body = dump(document)
    return web.Response(
        body=body, status=status, content_type="application/json", headers=headers or None
    )


class Suspension(BaseModel):
    """Nothing is called until a person acts."""

    since: datetime
    reason: str
    message: str


class LookHealth(BaseModel):
    """How one way of looking at the account stands."""

    look: Look
    due_at: datetime | None
    finished_at: datetime | None
    found: str | None
    error: str | None


class ConnectionDocument(ConnectionSettings):
    """A connection: its settings without the API key, and its health beside them."""

    version: int
    added_at: datetime
    has_key: bool
    suspended: Suspension | None
    last_good_look_at: datetime | None
    looks: list[LookHealth]
    calls_left: dict[str, int]


class Tried(BaseModel):
    """What came of one cheap call."""

    connection: str
    result: Literal["works", "bad_key", "deactivated", "throttled", "not_reachable"]
    message: str


class Listed(BaseModel):
    """An order as events tell it, with what a person must look at."""

    model_config = ConfigDict(json_schema_extra={"allOf": [ref("order")]})

    problem: Problem | None


class Moved(BaseModel):
    """A move of the order."""

    model_config = ConfigDict(json_schema_extra={"allOf": [ref("transition/$defs/order")]})

    reason: str | None


class EventLine(BaseModel):
    """An event of the order; GET /events has all of it."""

    position: int
    id: str
    type: EventType
    subject: str
    sequence: int
    time: datetime


class OrderDocument(Listed):
    """An order with all that is kept about it."""

    first_seen_at: datetime
    acknowledged_at: datetime | None
    published_at: datetime | None
    touched_by: str | None
    reserved: dict[str, int]
    history: list[Moved]
    actions: list[StoredAction]
    events: list[EventLine]
    communications: list[Communication]


class ReturnAction(BaseModel):
    """An intention for Spartoo."""

    id: int
    connection: str
    return_id: str
    kind: ActionKind
    requested_by: str
    status: ActionStatus
    attempts: int
    code: str
    message: str
    created_at: datetime
    settled_at: datetime | None


class ListedReturn(BaseModel):
    """A return as events tell it, with what a person must look at."""

    model_config = ConfigDict(json_schema_extra={"allOf": [ref("return")]})

    problem: Problem | None


class ReturnDocument(ListedReturn):
    """A return with all that is kept about it."""

    first_seen_at: datetime
    touched_by: str | None
    actions: list[ReturnAction]


class ProductDocument(BaseModel):
    """A product and its stock; `available` may still be promised."""

    catalog: str
    id: str
    sku: str | None
    ean: str | None
    name: str | None
    stock: int
    reserved: int
    available: int
    shortfall: int
    as_of: datetime | None
    price_final_incl_tax: str | None
    price_original_incl_tax: str | None
    currency: str | None
    attributes: dict[str, str]


class QuarantineEntry(BaseModel):
    """An order or return nobody could read."""

    connection: str
    order_id: str
    error: str
    first_seen_at: datetime
    last_seen_at: datetime


class Reread(BaseModel):
    """It is read again: fetched by its id, or when a look next finds it."""

    connection: str
    order_id: str
    status: Literal["queued"]
    fetch: bool


class EventDocument(BaseModel):
    """A CloudEvent, and where it stands in the log."""

    model_config = ConfigDict(json_schema_extra={"allOf": [ref("cloudevent")]})

    position: int


class PlanDocument(BaseModel):
    """What the plan allows, null for no limit, and what is used; only activation is refused."""

    allowed: int | None
    used: int
    orders_per_connection: int
    orders: int
    further_packages: int
    connections: list[ConnectionUsage]
