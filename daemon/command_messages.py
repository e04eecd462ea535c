"""Commands as they arrive, checked field by field, and the reply (interfaces, "Command")."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from adapters.catalog.product import product_update
from adapters.ports import Label
from daemon.command_fields import (
    KNOWN_YEAR,
    By,
    Reason,
    ServiceName,
    Text,
    Whole,
    Written,
    either,
    one_of,
    with_pattern,
)
from daemon.labels import label_base64, label_link
from daemon.numbers import exact_number
from daemon.wrong_values import problem
from statemachine.connection import Slug
from statemachine.dates import within
from statemachine.facts import Parcel, Refused
from statemachine.model import ProductUpdate, ShippedItem

MAX_BYTES = 1024 * 1024


_SHIPPED: JsonDict = {
    "oneOf": [
        *one_of(("tracking_number", "string"), ("parcels", "array")),
        {
            "required": ["complete"],
            "properties": {
                "complete": {"const": True},
                "tracking_number": {"type": "null"},
                "parcels": {"type": "null"},
            },
        },
    ]
}
_LABELS = ("label_link", "string"), ("label_file", "string")
_PDF_IN_BASE64 = (
    "^JVBERi0(=|[A-Za-z0-9+/]([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$"
)


class Command(BaseModel):
    """What every command has: `id` makes it idempotent, `by` says who asks.

    Fields nobody knows here are passed over: senders may be newer.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    id: Text
    by: By = "unknown"


class OrderCommand(Command):
    connection: Text
    order_id: Text


class OrderDecision(OrderCommand):
    command: Literal[
        "order.accept",
        "order.refuse",
        "order.lost",
        "order.undelivered",
        "order.retry",
    ]
    reason: Reason | None = None


class OrderCancel(OrderCommand):
    """`force`: also when parcels have left, although Spartoo refunds the whole order."""

    command: Literal["order.cancel"]
    reason: Reason | None = None
    force: bool = False


class ParcelItem(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    line: Annotated[int, Field(ge=1), Whole]
    quantity: Annotated[int, Field(ge=1), Whole]


class OrderParcel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    tracking_number: Text
    shipping_service: ServiceName = ""
    items: Annotated[list[ParcelItem], Field(min_length=1)]


class OrderShip(OrderCommand):
    """One parcel with all that is left to ship, or several with their items.

    `complete`: the order is closed with what has left; then no parcel need be named.
    """

    model_config = ConfigDict(json_schema_extra=_SHIPPED)

    command: Literal["order.ship"]
    tracking_number: Text | None = None
    shipping_service: ServiceName = ""
    parcels: Annotated[list[OrderParcel] | None, Field(min_length=1)] = None
    complete: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = (self.tracking_number is not None) + (self.parcels is not None)
        if given > 1 or (not given and not self.complete):
            raise ValueError("tracking_number: give it, or parcels with theirs, not both")
        return self

    def as_parcels(self) -> tuple[Parcel, ...]:
        """The parcels as the core takes them."""
        if self.tracking_number is not None:
            return (Parcel(self.tracking_number, self.shipping_service),)
        return tuple(
            Parcel(
                parcel.tracking_number,
                parcel.shipping_service,
                tuple(ShippedItem(item.line, item.quantity) for item in parcel.items),
            )
            for parcel in self.parcels or ()
        )


class OrderAcknowledge(OrderCommand):
    command: Literal["order.acknowledge"]
    store_order_id: Text


class OrderFetch(OrderCommand):
    command: Literal["order.fetch"]


class ReturnCommand(Command):
    """What is kept of a command leaves the label's file out: it lies with its action."""

    connection: Text
    return_id: Text
    model_config = ConfigDict(json_schema_extra={"not": {"allOf": one_of(*_LABELS)}})

    label_link: Annotated[str, with_pattern(r"^https?://[A-Za-z0-9.-]+(/[!-~]*)?$")] | None = None
    label_file: Annotated[str, with_pattern(_PDF_IN_BASE64)] | None = Field(
        None, exclude=True, repr=False
    )

    @field_validator("label_link")
    @classmethod
    def _links(cls, value: str | None) -> str | None:
        return None if value is None else label_link(value).link

    @field_validator("label_file")
    @classmethod
    def _is_pdf(cls, value: str | None) -> str | None:
        if value is not None:
            label_base64(value)
        return value

    @model_validator(mode="after")
    def _one_label(self) -> Self:
        if self.label_link is not None and self.label_file is not None:
            raise ValueError("label_link: give it, or label_file, not both")
        return self

    @property
    def label(self) -> Label | None:
        """The label given along."""
        if self.label_file is not None:
            return label_base64(self.label_file)
        return None if self.label_link is None else label_link(self.label_link)


class ReturnDecision(ReturnCommand):
    command: Literal["return.accept", "return.refuse"]


class ReturnLabel(ReturnCommand):
    model_config = ConfigDict(json_schema_extra=either(*_LABELS))

    command: Literal["return.label"]

    @model_validator(mode="after")
    def _some_label(self) -> Self:
        if self.label is None:
            raise ValueError("label_link: give it, or label_file")
        return self


class ConnectionSync(Command):
    command: Literal["connection.sync"]
    connection: Text
    since: Annotated[
        date | None, Field(strict=False), Written, AfterValidator(within), KNOWN_YEAR
    ] = None


class ConnectionSwitch(Command):
    command: Literal["connection.activate", "connection.disable"]
    connection: Text


class CatalogUpsert(Command):
    command: Literal["catalog.upsert"]
    catalog: Slug = "default"
    products: Sequence[ProductUpdate]

    @field_validator("products", mode="plain")
    @classmethod
    def _read_products(cls, value: Any) -> Sequence[ProductUpdate]:
        if not isinstance(value, list):
            raise ValueError("must be a list of products")
        return [_product(index, fields) for index, fields in enumerate(value)]


class StockSet(Command):
    command: Literal["stock.set"]
    catalog: Slug = "default"
    product_id: Text
    stock: Annotated[int, Field(ge=0, le=2**31 - 1), Whole]
    as_of: Annotated[datetime | None, Field(strict=False), Written, KNOWN_YEAR] = None

    @field_validator("as_of")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("needs an offset, like 2026-11-20T09:12:00+01:00")
        return value if value is None else within(value)


AnyCommand = (
    OrderDecision
    | OrderCancel
    | OrderShip
    | OrderAcknowledge
    | OrderFetch
    | ReturnDecision
    | ReturnLabel
    | ConnectionSync
    | ConnectionSwitch
    | CatalogUpsert
    | StockSet
)
_READER: TypeAdapter[AnyCommand] = TypeAdapter(
    Annotated[AnyCommand, Field(discriminator="command")]
)


def _product(index: int, fields: Any) -> ProductUpdate:
    if not isinstance(fields, Mapping):
        raise ValueError(f"product {index + 1} is not an object")
    try:
        return product_update(fields)
    except ValueError as error:
        raise ValueError(f"product {index + 1}: {error}") from error


class UnreadableCommand(Refused):
    """A message that is no command; `command_id` is its id where that much can be read."""

    def __init__(self, code: str, message: str, command_id: str | None = None):
        super().__init__(code, message)
        self.command_id = command_id


def read_command(body: bytes, message_id: str | None) -> AnyCommand:
    """Read a message. Raises UnreadableCommand (`bad_command`, `payload_too_large`)."""
    if len(body) > MAX_BYTES:
        limit = f"{len(body)} bytes; a command has at most {MAX_BYTES}"
        raise UnreadableCommand("payload_too_large", limit, message_id)
    fields = _object(body, message_id)
    fields.setdefault("id", message_id)
    command_id = _encodable(fields["id"])
    if fields["id"] is None:
        raise UnreadableCommand("bad_command", "id: missing, and the message has no message_id")
    try:
        return _READER.validate_python(fields)
    except ValidationError as error:
        raise UnreadableCommand("bad_command", explain(error, inside=1), command_id) from error


def _encodable(command_id: Any) -> str | None:
    """The id as a reply can bear it: JSON may escape half of a surrogate pair."""
    try:
        return command_id if isinstance(command_id, str) and command_id.encode() else None
    except UnicodeEncodeError:
        return None


def _object(body: bytes, message_id: str | None) -> dict[str, Any]:
    try:
        fields = decode_json(body)
    except ValueError as error:
        raise UnreadableCommand("bad_command", f"not JSON: {error}", message_id) from error
    if not isinstance(fields, dict):
        raise UnreadableCommand("bad_command", "not a JSON object", message_id)
    return fields


def decode_json(body: bytes) -> Any:
    """JSON with exact decimals: prices are money. Raises ValueError."""
    import json  # noqa: PLC0415 - the one decoder that reads numbers as Decimal

    try:
        return json.loads(body, parse_float=exact_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def explain(
    error: ValidationError, *, inside: int = 0, names: Mapping[str, str] | None = None
) -> str:
    """One line that names each field, less `inside` outer names, and what is wrong with it.

    `names` are other names that fields are given under.
    """
    parts = []
    for details in error.errors(include_url=False, include_input=False):
        if details["type"].startswith("union_tag"):
            allowed = str(details.get("ctx", {}).get("expected_tags", ""))
            return f"command: missing or unknown; known are {allowed}"
        where = _place(details["loc"][inside:], names or {})
        parts.append(f"{where}: {problem(details)}" if where else problem(details))
    return "; ".join(parts)


def _place(loc: Sequence[str | int], names: Mapping[str, str]) -> str:
    """The field as a person writes it: parcels[0].items[1].line."""
    parts = [f"[{p}]" if isinstance(p, int) else f".{names.get(p, p)}" for p in loc]
    return "".join(parts).removeprefix(".")


def reply_body(
    command_id: str | None,
    status: str,
    *,
    order: Mapping[str, Any] | None = None,
    returned: Mapping[str, Any] | None = None,
    error: Refused | None = None,
    note: str | None = None,
) -> bytes:
    """The answer to a command: done, queued or refused."""
    reply: dict[str, Any] = {"id": command_id, "status": status}
    if error is not None:
        reply["error"] = {"code": error.code, "message": error.message}
    if order is not None:
        reply["order"] = order
    if returned is not None:
        reply["return"] = returned
    if note is not None:
        reply["note"] = note
    return orjson.dumps(reply, default=str)
