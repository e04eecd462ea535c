"""The web services of one account: making calls, their time limits, what their failures mean."""

import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

import structlog
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, FormData

from adapters.loop import read_aside
from adapters.ports import MarketplaceError, TimedOut, TransportFault
from adapters.spartoo.answer import KEPT_FOR_DIAGNOSIS, Answer, read_answer
from adapters.spartoo.errors import code_label, error_for
from adapters.spartoo.sites import base_url
from statemachine.connection import ConnectionSettings

log = structlog.get_logger(__name__)

CHUNK = 1 << 16
_OK = 200
_REDIRECTS = range(300, 400)
_STATUSES = range(100, 600)
_ABANDONED = "abandoned"
_LARGEST_ANSWER = 1 << 20  # bytes of an answer that is neither an export nor a slip
_SHOWN = 500  # characters of what came that a fault keeps

Fields = Mapping[str, str | bytes]  # bytes are a file, sent as such
Permit = Callable[[str], AbstractAsyncContextManager[None]]


def unlimited(_service: str) -> AbstractAsyncContextManager[None]:
    """A permit for every call, at once."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class CallReport:
    """One call to a web service, for metrics. `code` is one of a bounded set.

    A result code ("1", "-429", "other", "none"), "http_503", "timeout", "connection", "bad_xml",
    "bad_slip", or "abandoned" when the caller stopped before the end.
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


class Call:
    """What is known of a call under way: the result code as soon as there is one."""

    def __init__(self, service: str):
        self.service = service
        self.code = _ABANDONED
        self._started = time.monotonic()

    def report(self) -> CallReport:
        return CallReport(self.service, self.code, time.monotonic() - self._started)


class WebServices:
    """Calls to one connection's account on its country site.

    Each call is made inside `permit` of the service's name; what it raises passes through.
    `on_call` is told of each call that was made.
    """

    def __init__(
        self,
        session: ClientSession,
        settings: ConnectionSettings,
        api_key: str,
        *,
        on_call: Callable[[CallReport], None] | None,
        permit: Permit,
        timeouts: Timeouts,
    ):
        self._session = session
        self._site = settings.site
        self.base_url = (settings.base_url or base_url(settings.site)).rstrip("/")
        self._api_key = api_key
        self._on_call = on_call
        self._permit = permit
        self._export_timeout = ClientTimeout(
            total=timeouts.export, sock_connect=timeouts.connect, sock_read=timeouts.export_read
        )
        self._change_timeout = ClientTimeout(total=timeouts.change, sock_connect=timeouts.connect)

    async def change(self, service: str, fields: Fields) -> None:
        """A call that is answered with a code alone; raises what it means if it is no success."""
        async with self.call(service, fields) as (call, response):
            settle(call, await read_aside(read_answer, await read(response)))

    def export(
        self, service: str, fields: Fields
    ) -> AbstractAsyncContextManager[tuple[Call, ClientResponse]]:
        """A call whose answer may be long and is streamed."""
        return self._call(service, fields, self._export_timeout)

    def call(
        self, service: str, fields: Fields
    ) -> AbstractAsyncContextManager[tuple[Call, ClientResponse]]:
        """A call whose answer is short."""
        return self._call(service, fields, self._change_timeout)

    async def download(self, call: Call, link: str, largest: int) -> bytes:
        """What an answer links to, as a part of that call. The key is not sent there."""
        with _as_transport_fault(call):
            async with self._session.get(
                link, allow_redirects=False, timeout=self._change_timeout
            ) as response:
                await _check_status(call, response)
                return await read(response, largest)

    @asynccontextmanager
    async def _call(
        self, service: str, fields: Fields, limits: ClientTimeout
    ) -> AsyncIterator[tuple[Call, ClientResponse]]:
        """Make a call; whatever it ends with is reported, and raised as the port knows it."""
        async with self._permit(service):
            call = Call(service)
            try:
                async with self._posted(call, fields, limits) as response:
                    yield call, response
            except MarketplaceError as error:
                if call.code == _ABANDONED:
                    call.code = "bad_xml"
                raise self.placed(error, service) from None
            finally:
                self._report(call.report())

    @asynccontextmanager
    async def _posted(
        self, call: Call, fields: Fields, limits: ClientTimeout
    ) -> AsyncIterator[ClientResponse]:
        """The answer to a POST; aiohttp's errors, in the body too, become TransportFault."""
        with _as_transport_fault(call):
            async with self._session.post(
                f"{self.base_url}/{call.service}.php",
                data=_form({"partenaire": self._api_key, **fields}),
                allow_redirects=False,
                timeout=limits,
            ) as response:
                await _check_status(call, response)
                yield response

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

    def placed(self, error: MarketplaceError, service: str) -> MarketplaceError:
        """The error with service and site named, and without the key should it be echoed."""
        error.service = service
        error.message = self._without_key(f"{service}.php (site {self._site}): {error.message}")
        error.args = (error.message,)
        error.service = service
        if error.received is not None:
            error.received = self._without_key(error.received)[:_SHOWN]
        return error

    def _without_key(self, text: str) -> str:
        if not self._api_key:
            return text
        # As long as before, so that no part of a key is moved into what is shown.
        hidden = "*" * len(self._api_key)
        return re.sub(re.escape(self._api_key), hidden, text, flags=re.IGNORECASE)


def settle(call: Call, answer: Answer) -> None:
    """Raise what a result code means, if it is no success."""
    call.code = code_label(answer.code)
    error = None if answer.code is None else error_for(answer.code, answer.description)
    if error is not None:
        raise error


def settle_export(call: Call, answer: Answer) -> None:
    """A complete list of items is a success unless a negative code says otherwise."""
    if answer.code is not None and answer.code < 0:
        settle(call, answer)
    call.code = code_label(answer.code)


async def _check_status(call: Call, response: ClientResponse) -> None:
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


async def read(response: ClientResponse, largest: int = _LARGEST_ANSWER) -> bytes:
    """The whole body; raises TransportFault past so many bytes."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        body += chunk
        if len(body) > largest:
            received = body[:KEPT_FOR_DIAGNOSIS].decode("utf-8", "replace")
            raise TransportFault(f"an answer of over {largest} bytes", received=received)
    return bytes(body)


def _form(fields: Fields) -> FormData:
    form = FormData()
    for name, value in fields.items():
        if isinstance(value, bytes):
            form.add_field(
                name, BytesIO(value), filename=f"{name}.pdf", content_type="application/pdf"
            )
        else:
            form.add_field(name, value)
    return form


@contextmanager
def _as_transport_fault(call: Call) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        call.code = "timeout"
        raise TimedOut("no answer in time") from None
    except ClientError as error:
        call.code = "connection"
        raise TransportFault(_connection_fault(error)) from None


def _connection_fault(error: ClientError) -> str:
    # The text of aiohttp's errors may quote the address, and with it what stands in base_url.
    reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return f"the connection failed or was lost ({type(error).__name__}{reason})"
