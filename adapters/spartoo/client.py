"""ports.Marketplace for Spartoo: which service does what, and what is sent there."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from aiohttp import ClientResponse, ClientSession

from adapters.loop import TimeSlice, read_aside
from adapters.ports import Label, NotFound, Rejected, StockLevel, TransportFault
from adapters.spartoo.answer import (
    KEPT_FOR_DIAGNOSIS,
    BadAnswer,
    read_root,
    read_root_and_result,
    transport_fault,
)
from adapters.spartoo.calls import (
    CHUNK,
    Call,
    CallReport,
    Fields,
    Permit,
    Timeouts,
    WebServices,
    read,
    settle,
    settle_export,
    unlimited,
)
from adapters.spartoo.codec import ExportReader, ItemForm, orders, returns
from adapters.spartoo.effort import check_size
from adapters.spartoo.element import ExportedElement
from adapters.spartoo.label import check_label
from adapters.spartoo.order import SpartooOrder
from adapters.spartoo.parcels import packages_xml
from adapters.spartoo.rma import SpartooReturn
from adapters.spartoo.sites import find_site
from adapters.spartoo.slip import (
    LARGEST_ANSWER_WITH_SLIP,
    LARGEST_SLIP,
    belongs_to,
    check_slip,
    decode_slip,
    find_slip,
    is_link,
    slip_request,
)
from adapters.spartoo.stock import StockBatch, stock_batches
from statemachine.connection import ConnectionSettings
from statemachine.model import ActionKind, Line, OrderId, ReturnId, Shipment, SpartooStatus
from statemachine.returns import ReturnStatus

EXPORT_ORDERS = "xml_export_orders"
CHANGE_ORDER = "xml_maj_orders"
EXPORT_RETURNS = "xml_export_returns"
CHANGE_RETURN = "xml_maj_returns"
DELIVERY_SLIP = "xml_export_bl"
PUSH_STOCK = "xml_maj_stock_batch"

_NOT_FOUND = -6
_ORDER_STATUS = {
    ActionKind.ACCEPT: SpartooStatus.IN_PREPARATION,
    ActionKind.SHIP: SpartooStatus.SHIPPED,
    ActionKind.CANCEL: SpartooStatus.CANCELLED,
    ActionKind.LOSE: SpartooStatus.LOST,
    ActionKind.UNDELIVER: SpartooStatus.NOT_DELIVERED,
}
_RETURN_STATUS = {
    ActionKind.RETURN_REFUSE: ReturnStatus.REFUSED,
    ActionKind.RETURN_ACCEPT: ReturnStatus.ACCEPTED,
}
_TIMEOUTS = Timeouts()

T = TypeVar("T", bound=ExportedElement)


class SpartooMarketplace:
    """ports.Marketplace over the web services of one connection's account.

    Each call is made inside `permit` of the service's name; what it raises passes through.
    `on_call` is told of each call that was made.
    """

    order_service = EXPORT_ORDERS

    def __init__(
        self,
        session: ClientSession,
        settings: ConnectionSettings,
        api_key: str,
        *,
        on_call: Callable[[CallReport], None] | None = None,
        permit: Permit = unlimited,
        timeouts: Timeouts = _TIMEOUTS,
    ):
        zone = ZoneInfo(settings.timezone)
        self._zone = zone
        self._orders = orders(zone, settings.currency or find_site(settings.site).currency)
        self._returns = returns(zone)
        self._multi_package = settings.multi_package
        self._services = WebServices(
            session, settings, api_key, on_call=on_call, permit=permit, timeouts=timeouts
        )

    async def export_orders(self, since: datetime) -> AsyncGenerator[SpartooOrder]:
        """Stream the orders placed from `since` (aware) on; raises TransportFault when cut off."""
        placed_from = _aware(since).astimezone(self._zone).strftime("%Y-%m-%d:%H:%M:%S")
        found = self._export_since(EXPORT_ORDERS, placed_from, self._orders)
        async with aclosing(found):
            async for order in found:
                yield order

    async def fetch_order(self, order_id: OrderId) -> SpartooOrder:
        """Read one order; raises NotFound."""
        return await self._fetch(EXPORT_ORDERS, "oID", order_id, self._orders)

    async def change_order(
        self,
        order_id: OrderId,
        kind: ActionKind,
        shipments: Sequence[Shipment] = (),
        lines: Sequence[Line] = (),
    ) -> None:
        """Carry an action out; "already so" (-9) is success.

        With SHIP the first tracking number is sent, or every parcel with its products where the
        account has multi-package shipping. After a TransportFault it may have been carried out all
        the same.
        """
        fields = self._order_change(order_id, kind, shipments, lines)
        await self._services.change(CHANGE_ORDER, {"oID": order_id, **fields})

    def _order_change(
        self,
        order_id: OrderId,
        kind: ActionKind,
        shipments: Sequence[Shipment],
        lines: Sequence[Line],
    ) -> Fields:
        if kind not in _ORDER_STATUS:
            raise ValueError(f"{kind} changes no order on the marketplace")
        status = str(_ORDER_STATUS[kind])
        if kind is not ActionKind.SHIP:
            return {"statut": status}
        if not shipments:
            raise ValueError(f"order {order_id} has no parcel to ship")
        if self._multi_package:
            return {"xml": packages_xml(order_id, shipments, lines)}
        return {"statut": status, "tracking_number": shipments[0].tracking_number}

    async def export_returns(self, since: datetime) -> AsyncGenerator[SpartooReturn]:
        """Stream the returns requested from `since` (aware) on; as export_orders."""
        timestamp = str(int(_aware(since).timestamp()))
        found = self._export_since(EXPORT_RETURNS, timestamp, self._returns)
        async with aclosing(found):
            async for one in found:
                yield one

    async def fetch_return(self, return_id: ReturnId) -> SpartooReturn:
        """Read one return; raises NotFound."""
        return await self._fetch(EXPORT_RETURNS, "rID", return_id, self._returns)

    async def change_return(
        self, return_id: ReturnId, kind: ActionKind, label: Label | None = None
    ) -> None:
        """Accept, refuse or label a return; "already so" is success.

        Raises ValueError for a label that check_label does not let pass.
        """
        fields = _label_fields(label) if kind is ActionKind.RETURN_LABEL else _status_fields(kind)
        await self._services.change(CHANGE_RETURN, {"rID": return_id, **fields})

    async def delivery_slip(self, order_id: OrderId, lines: Sequence[Line]) -> bytes:
        """The PDF Spartoo wants in the parcel; raises NotFound."""
        fields = {"xml": slip_request(order_id, lines)}
        async with self._services.call(DELIVERY_SLIP, fields) as (call, response):
            body = await read(response, LARGEST_ANSWER_WITH_SLIP)
            root, answer = await read_aside(read_root_and_result, body)
            settle_export(call, answer)
            answered, call.code = call.code, "bad_slip"
            pdf = await self._slip(call, await asyncio.to_thread(find_slip, root))
            call.code = answered
        return pdf

    async def _slip(self, call: Call, text: str) -> bytes:
        if is_link(text):
            if not belongs_to(text, self._services.base_url):
                raise TransportFault("a delivery slip that lies elsewhere than the web services do")
            return check_slip(await self._services.download(call, text, LARGEST_SLIP))
        return check_slip(await asyncio.to_thread(decode_slip, text))

    async def push_stock(self, levels: Sequence[StockLevel]) -> Sequence[str | None]:
        """Tell many quantities at once. Per level None when taken, else why not.

        Quantities are absolute: after an error all may be sent again.
        """
        reasons: list[str | None] = ["the product has no reference there; not sent"] * len(levels)
        for batch in stock_batches(levels):
            for index, reason in (await self._push(batch)).items():
                reasons[index] = reason
        return reasons

    async def _push(self, batch: StockBatch) -> dict[int, str | None]:
        async with self._services.call(PUSH_STOCK, {"xml": batch.xml()}) as (call, response):
            body = await read(response)
            answer, reasons = await read_aside(lambda data: batch.read(read_root(data)), body)
            with suppress(Rejected):  # permanent: it is among the reasons
                settle(call, answer)
        return reasons

    async def test(self) -> None:
        """One cheap read that tells whether the key works: the orders placed from now on."""
        async for _ in self.export_orders(datetime.now(UTC)):
            pass

    async def _export_since(self, service: str, date: str, form: ItemForm[T]) -> AsyncGenerator[T]:
        """Assumed: "not found" (-6) to a date means that there are none."""
        with suppress(NotFound):
            async with aclosing(self._export(service, {"date": date}, form)) as found:
                async for item in found:
                    yield item

    async def _fetch(self, service: str, field: str, wanted: str, form: ItemForm[T]) -> T:
        fetched: T | None = None
        foreign = 0
        async with aclosing(self._export(service, {field: wanted}, form)) as found:
            async for item in found:
                # One too broken to show its id can only be the one that was asked for.
                if item.id is None or item.id.casefold() == wanted.casefold():
                    fetched = fetched or replace(item, id=item.id or wanted)
                else:
                    foreign += 1
        if fetched is None and foreign:
            fault = TransportFault(f"other {form.tag}s than the one asked for")
            raise self._services.placed(fault, service)
        if fetched is None or fetched.reported_code() == _NOT_FOUND:
            missing = NotFound(f"{form.tag} not found", code=_NOT_FOUND)
            raise self._services.placed(missing, service)
        return fetched

    async def _export(self, service: str, fields: Fields, form: ItemForm[T]) -> AsyncGenerator[T]:
        async with self._services.export(service, fields) as (call, response):
            reader, turn = ExportReader(form), TimeSlice()
            async with aclosing(_chunks(response)) as chunks:
                async for chunk in chunks:
                    for item in reader.feed(chunk) if chunk else reader.finish():
                        if turn.is_over():
                            await turn.rest()
                        if item is not None:
                            yield item
            settle_export(call, reader.answer)


async def _chunks(response: ClientResponse) -> AsyncGenerator[bytes]:
    """The answer, unpacked and bounded, and an empty chunk at its end."""
    unpacked, start = 0, b""
    async for chunk in response.content.iter_chunked(CHUNK):
        unpacked += len(chunk)
        start = start or chunk[:KEPT_FOR_DIAGNOSIS]
        try:
            check_size(unpacked, response.content.total_raw_bytes)
        except BadAnswer as error:
            raise transport_fault(error, start) from None
        yield chunk
    yield b""


def _aware(since: datetime) -> datetime:
    if since.tzinfo is None:
        raise ValueError("since must bear a time zone")
    return since


def _status_fields(kind: ActionKind) -> Fields:
    if kind not in _RETURN_STATUS:
        raise ValueError(f"{kind} changes no return on the marketplace")
    return {"statut": str(_RETURN_STATUS[kind])}


def _label_fields(label: Label | None) -> Fields:
    """Assumed: the file is uploaded as one, as its codes "label file not received" tell."""
    if label is None:
        raise ValueError("the label is missing")
    check_label(label)
    return (
        {"label_link": label.link} if label.link is not None else {"label_file": label.pdf or b""}
    )
