"""One account on one country site: the calls, their time limits, and what their failures mean."""

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import structlog
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout

from adapters.ports import MarketplaceError, NotFound, TransportFault
from adapters.spartoo.answer import KEPT_FOR_DIAGNOSIS, Answer, read_answer
from adapters.spartoo.codec import ExportReader
from adapters.spartoo.errors import code_label, error_for
from adapters.spartoo.order import SpartooOrder
from adapters.spartoo.sites import base_url, find_site
from statemachine.connection import ConnectionSettings
from statemachine.model import ActionKind, OrderId, SpartooStatus

log = structlog.get_logger(__name__)

EXPORT_ORDERS = "xml_export_orders"
CHANGE_ORDER = "xml_maj_orders"

_OK = 200
_REDIRECTS = range(300, 400)
_STATUSES = range(100, 600)
_ABANDONED = "abandoned"
_NOT_FOUND = -6
_CHUNK = 1 << 16
_LARGEST_ANSWER = 1 << 20  # bytes of an answer that is not an export
_SHOWN = 500  # characters of what came that a fault keeps
_STATUS_OF = {
    ActionKind.ACCEPT: SpartooStatus.IN_PREPARATION,
    ActionKind.CANCEL: SpartooStatus.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class CallReport:
    """One call to a web service, for metrics. `code` is one of a bounded set.

    A result code ("1", "-429", "other", "none"), "http_503", "timeout", "connection", "bad_xml",
    or "abandoned" when the caller stopped before the end.
    """

    service: str
    code: str
    seconds: float


class Timeouts(NamedTuple):
    """Seconds: to connect, for a whole change, between data of an export, for a whole export.

    The last is there for an answer that drips for ever; it counts the caller's own time too.
    """

    connect: float = 10
    change: float = 30
    export_read: float = 30
    export: float = 3600


_TIMEOUTS = Timeouts()


class _Call:
    """What is known of a call under way: the result code as soon as there is one."""

    def __init__(self, service: str):
        self.service = service
        self.code = _ABANDONED
        self._started = time.monotonic()

    def report(self) -> CallReport:
        return CallReport(self.service, self.code, time.monotonic() - self._started)


class SpartooMarketplace:
    """ports.Marketplace over the web services of one connection's account.

    `before_call` is awaited with the service's name before each call; what it raises passes
    through. `on_call` is told of each call that was made.
    """

    def __init__(
        self,
        session: ClientSession,
        settings: ConnectionSettings,
        api_key: str,
        *,
        on_call: Callable[[CallReport], None] | None = None,
        before_call: Callable[[str], Awaitable[None]] | None = None,
        timeouts: Timeouts = _TIMEOUTS,
    ):
        self._session = session
        self._site = settings.site
        self._base_url = (settings.base_url or base_url(settings.site)).rstrip("/")
        self._zone = ZoneInfo(settings.timezone)
        self._currency = settings.currency or find_site(settings.site).currency
        self._api_key = api_key
        self._on_call = on_call
        self._before_call = before_call
        self._export_timeout = ClientTimeout(
            total=timeouts.export, sock_connect=timeouts.connect, sock_read=timeouts.export_read
        )
        self._change_timeout = ClientTimeout(total=timeouts.change, sock_connect=timeouts.connect)

    async def export_orders(self, since: datetime) -> AsyncGenerator[SpartooOrder]:
        """Stream the orders placed from `since` (aware) on; raises TransportFault when cut off.

        Assumed: "not found" (-6) to a date means that there are no orders.
        """
        if since.tzinfo is None:
            raise ValueError("since must bear a time zone")
        placed_from = since.astimezone(self._zone).strftime("%Y-%m-%d:%H:%M:%S")
        with suppress(NotFound):
            async with aclosing(self._export({"date": placed_from})) as orders:
                async for order in orders:
                    yield order

    async def fetch_order(self, order_id: OrderId) -> SpartooOrder:
        """Read one order; raises NotFound."""
        fetched: SpartooOrder | None = None
        foreign = 0
        async with aclosing(self._export({"oID": order_id})) as orders:
            async for order in orders:
                # An order too broken to show its id can only be the one that was asked for.
                if order.order_id is None or order.order_id.casefold() == order_id.casefold():
                    fetched = fetched or order
                else:
                    foreign += 1
        if fetched is None and foreign:
            raise self._placed(TransportFault("other orders than the one asked for"), EXPORT_ORDERS)
        if fetched is None or fetched.reported_code() == _NOT_FOUND:
            raise self._placed(NotFound("order not found", code=_NOT_FOUND), EXPORT_ORDERS)
        return fetched

    async def change_order(
        self, order_id: OrderId, kind: ActionKind, tracking_number: str | None = None
    ) -> None:
        """Carry an action out; "already so" (-9) is success.

        After a TransportFault it may have been carried out all the same.
        """
        if kind not in _STATUS_OF:
            raise ValueError(f"{kind} changes nothing on the marketplace")
        fields = {"oID": order_id, "statut": str(_STATUS_OF[kind])}
        if tracking_number is not None:
            fields["tracking_number"] = tracking_number
        async with self._call(CHANGE_ORDER, fields, self._change_timeout) as (call, response):
            _settle(call, read_answer(await _read(response)))

    async def test(self) -> None:
        """One cheap read that tells whether the key works: the orders placed from now on."""
        async for _ in self.export_orders(datetime.now(UTC)):
            pass

    async def _export(self, fields: Mapping[str, str]) -> AsyncGenerator[SpartooOrder]:
        async with self._call(EXPORT_ORDERS, fields, self._export_timeout) as (call, response):
            reader = ExportReader(self._zone, self._currency)
            async for chunk in response.content.iter_chunked(_CHUNK):
                for order in reader.feed(chunk):
                    yield order
            for order in reader.finish():
                yield order
            _settle_export(call, reader.answer)

    @asynccontextmanager
    async def _call(
        self, service: str, fields: Mapping[str, str], limits: ClientTimeout
    ) -> AsyncIterator[tuple[_Call, ClientResponse]]:
        """Make a call; whatever it ends with is reported, and raised as the port knows it."""
        if self._before_call is not None:
            await self._before_call(service)
        call = _Call(service)
        try:
            async with self._posted(call, fields, limits) as response:
                yield call, response
        except MarketplaceError as error:
            if call.code == _ABANDONED:
                call.code = "bad_xml"
            raise self._placed(error, service) from None
        finally:
            self._report(call.report())

    @asynccontextmanager
    async def _posted(
        self, call: _Call, fields: Mapping[str, str], limits: ClientTimeout
    ) -> AsyncIterator[ClientResponse]:
        """The answer to a POST; aiohttp's errors, in the body too, become TransportFault."""
        try:
            async with self._session.post(
                f"{self._base_url}/{call.service}.php",
                data={"partenaire": self._api_key, **fields},
                allow_redirects=False,
                timeout=limits,
            ) as response:
                await _check_status(call, response)
                yield response
        except TimeoutError:
            call.code = "timeout"
            raise TransportFault("no answer in time") from None
        except ClientError as error:
            call.code = "connection"
            raise TransportFault(_connection_fault(error)) from None

    def _report(self, report: CallReport) -> None:
        log.debug(
            "call ended",
            service=report.service,
            site=self._site,
            code=report.code,
            seconds=round(report.seconds, 3),
        )
        if self._on_call is not None:
            self._on_call(report)

    def _placed(self, error: MarketplaceError, service: str) -> MarketplaceError:
        """The error with service and site named, and without the key should it be echoed."""
        error.message = self._without_key(f"{service}.php (site {self._site}): {error.message}")
        error.args = (error.message,)
        if error.received is not None:
            error.received = self._without_key(error.received)[:_SHOWN]
        return error

    def _without_key(self, text: str) -> str:
        if not self._api_key:
            return text
        # As long as before, so that no part of a key is moved into what is shown.
        hidden = "*" * len(self._api_key)
        return re.sub(re.escape(self._api_key), hidden, text, flags=re.IGNORECASE)


def _settle(call: _Call, answer: Answer) -> None:
    """Raise what a result code means, if it is no success."""
    call.code = code_label(answer.code)
    error = None if answer.code is None else error_for(answer.code, answer.description)
    if error is not None:
        raise error


def _settle_export(call: _Call, answer: Answer) -> None:
    """A complete list of orders is a success unless a negative code says otherwise."""
    if answer.code is not None and answer.code < 0:
        _settle(call, answer)
    call.code = code_label(answer.code)


async def _check_status(call: _Call, response: ClientResponse) -> None:
    status = response.status
    if status == _OK:
        return
    call.code = f"http_{status}" if status in _STATUSES else "http_other"
    try:
        start = await response.content.read(KEPT_FOR_DIAGNOSIS)
    except (ClientError, TimeoutError):
        start = b""
    redirect = ", a redirect, which is not followed" if status in _REDIRECTS else ""
    received = start.decode("utf-8", "replace")
    raise TransportFault(f"HTTP status {status}{redirect}", received=received)


async def _read(response: ClientResponse) -> bytes:
    body = b""
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > _LARGEST_ANSWER:
            received = body[:KEPT_FOR_DIAGNOSIS].decode("utf-8", "replace")
            raise TransportFault(f"an answer of over {_LARGEST_ANSWER} bytes", received=received)
    return body


def _connection_fault(error: ClientError) -> str:
    # The text of aiohttp's errors may quote the address, and with it what stands in base_url.
    reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return f"the connection failed or was lost ({type(error).__name__}{reason})"
