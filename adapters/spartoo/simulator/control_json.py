"""JSON in and out of the control interface."""

from collections.abc import Callable, Iterable
from itertools import islice
from json import JSONDecodeError
from typing import Any, Protocol, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError


class Numbered(Protocol):
    @property
    def number(self) -> int: ...


_Model = TypeVar("_Model", bound=BaseModel)
_Numbered = TypeVar("_Numbered", bound=Numbered)


class BadInput(Exception):
    """The request cannot be understood; the message names the field and what is allowed."""


def page(
    items: Iterable[_Numbered], limit: int, as_json: Callable[[_Numbered], dict[str, Any]]
) -> web.Response:
    """The first `limit` items; `next` is the `after` to go on with, null at the end."""
    found = list(islice(items, limit + 1))
    following = found[limit - 1].number if len(found) > limit else None
    return web.json_response(
        {"items": [as_json(item) for item in found[:limit]], "next": following}
    )


async def body(request: web.Request) -> Any:
    """Raises BadInput."""
    try:
        return await request.json()
    except (JSONDecodeError, UnicodeDecodeError, LookupError) as error:
        raise BadInput(f"the body is not JSON: {error}") from error


def checked(model: type[_Model], value: Any) -> _Model:
    """Raises BadInput."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise BadInput(explained(error)) from error


def explained(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in found
    )
