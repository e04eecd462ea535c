"""Errors as `application/problem+json` (RFC 9457): what went wrong, by its code."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from uuid import uuid4

import orjson
import structlog
from aiohttp import web

from adapters.ports import AccountRejected, MarketplaceError, Throttled
from adapters.postgres.connections import ConnectionExists, UnreadableKey
from adapters.postgres.errors import PostgresError, StaleVersion, UnknownConnection
from adapters.postgres.paging import BadCursor
from daemon.accounts import BudgetSpent
from daemon.settings_sources import SettingsError
from statemachine.facts import Refused

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_RETRY_SECONDS = 5
_THROTTLED_SECONDS = 300  # where the marketplace does not say for how long
_STATUS = {
    "bad_command": 400,
    "payload_too_large": 413,
    "throttled": 503,
    "not_reachable": 502,
}
_KNOWN = (Refused, SettingsError, PostgresError, MarketplaceError, BudgetSpent)
_OF_HTTP = {
    404: "unknown_path",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    instance: str | None = None,
) -> web.Response:
    """The answer that tells of an error."""
    document = {
        "type": f"urn:spartoo-sync:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if instance is not None:
        document["instance"] = instance
    body = orjson.dumps(document)
    return web.Response(status=status, body=body, content_type=CONTENT_TYPE, headers=headers)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error leaves as a problem; one nobody foresaw as an id that the log explains."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _of_http(error)
    except _KNOWN as error:
        return _known(error)
    except Exception:
        error_id = str(uuid4())
        log.exception("request failed", error_id=error_id, route=_route(request))
        detail = "not carried out; the daemon's log tells more of this id"
        return problem(500, "internal_error", detail, instance=f"urn:uuid:{error_id}")


async def unknown_path(_: web.Request) -> web.Response:
    """Nothing has this address."""
    return _of_http(web.HTTPNotFound())


def _route(request: web.Request) -> str:
    """The route by its names: what they stand for is a customer's, and not logged."""
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical if resource is not None else '?'}"


def _of_http(error: web.HTTPException) -> web.Response:
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    details = {
        404: "nothing has this address; GET /api/v1/openapi.json lists what there is",
        405: f"this address takes {error.headers.get('Allow')}",
        413: "the body has more than 1 MiB",
    }
    code = _OF_HTTP.get(error.status, "bad_command")
    return problem(error.status, code, details.get(error.status, error.reason), headers=headers)


def _known(error: Exception) -> web.Response:
    match error:
        case Refused():
            return _refused(error)
        case SettingsError():
            return problem(400, "bad_command", "; ".join(error.faults))
        case BadCursor():
            return problem(400, "bad_command", f"cursor: {error}")
        case UnknownConnection():
            return problem(404, "unknown_connection", str(error))
        case ConnectionExists():
            return problem(409, "connection_exists", str(error))
        case UnreadableKey():
            return problem(409, "unreadable_key", str(error))
        case StaleVersion():
            return problem(412, "stale_version", str(error))
        case PostgresError():
            log.warning("request not served", error=str(error))
            return _later("database_unavailable", "the database is not available", _RETRY_SECONDS)
        case _:
            return _of_marketplace(error)


def _refused(error: Refused) -> web.Response:
    status = 404 if error.code.startswith("unknown_") else _STATUS.get(error.code, 409)
    if error.code == "throttled":
        return _later(error.code, error.message, _THROTTLED_SECONDS)
    return problem(status, error.code, error.message)


def _of_marketplace(error: Exception) -> web.Response:
    match error:
        case BudgetSpent():
            wait = max(1, round(error.wait.total_seconds()))
            return _later("throttled", f"{error}; nothing was sent", wait)
        case Throttled():
            return _later("throttled", error.message, _THROTTLED_SECONDS)
        case AccountRejected():
            return problem(409, error.reason, error.message)
        case _:
            return problem(502, "not_reachable", str(error))


def _later(code: str, detail: str, seconds: int) -> web.Response:
    said = f"{detail}; try again later"
    return problem(503, code, said, headers={"Retry-After": str(seconds)})
