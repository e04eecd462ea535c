"""What the API has: one table that gives handlers, checks of what comes in, and the document."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from adapters.postgres.errors import DatabaseUnavailable
from daemon.api.inputs import body_of, checked, joined, query_of
from daemon.readiness import READINESS, Readiness
from daemon.wiring import Parts


class Nothing(BaseModel):
    """A request that says all by its address."""

    model_config = ConfigDict(extra="forbid")


Given = TypeVar("Given", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and the daemon's parts to answer it with."""

    request: web.Request

    @property
    def readiness(self) -> Readiness:
        return self.request.config_dict[READINESS]

    @property
    def parts(self) -> Parts:
        """Raises DatabaseUnavailable while the database has not been reached yet."""
        parts = self.readiness.parts
        if parts is None:
            raise DatabaseUnavailable("the database is not reached yet")
        return parts


@dataclass(frozen=True, slots=True)
class Answer:
    """What one status of an answer holds: `schema` is a model, or the schema itself."""

    description: str
    schema: type[BaseModel] | Mapping[str, Any] | None = None
    content_type: str = "application/json"
    headers: tuple[str, ...] = ()


Serve = Callable[[Asked, Given], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route(Generic[Given]):
    """One method of one address. What it takes stands in the path, the query or the body."""

    method: str
    path: str
    summary: str
    handler: Serve[Given]
    takes: type[Given]
    answers: Mapping[int, Answer]
    fixed: Mapping[str, str]  # what the address itself says
    in_query: tuple[str, ...]
    in_header: Mapping[str, str]  # field → header
    defaults: Callable[[], Mapping[str, str]]

    @property
    def tag(self) -> str:
        """What it is about: the first part of its path."""
        return self.path.split("/")[1]

    @property
    def in_path(self) -> tuple[str, ...]:
        """The fields the path names."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def in_head(self) -> frozenset[str]:
        """The fields that stand anywhere but in the body."""
        return frozenset({*self.in_path, *self.in_query, *self.in_header, *self.fixed})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Read and check what was given, then handle it."""
        address = {**request.match_info, **query_of(request, self.in_query), **self.fixed}
        for name, header in self.in_header.items():
            if header in request.headers:
                address[name] = request.headers[header]
        body = {} if self.method == "GET" else await body_of(request)
        fields = {**self.defaults(), **joined(address, body)}
        given = checked(self.takes, fields, self.in_header)
        return await self.handler(Asked(request), given)


def names_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The model's fields by the names they are given under."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


class Routes:
    """The routes of one module, in the order they are written."""

    def __init__(self) -> None:
        self.all: list[Route[Any]] = []

    def add(
        self,
        method: str,
        path: str,
        takes: type[Given],
        answers: Mapping[int, Answer],
        *,
        summary: str = "",
        fixed: Mapping[str, str] | None = None,
        in_query: tuple[str, ...] | None = None,
        in_header: Mapping[str, str] | None = None,
        defaults: Callable[[], Mapping[str, str]] = dict,
    ) -> Callable[[Serve[Given]], Serve[Given]]:
        """Serve this address with the function below; without `summary` its docstring is one.

        A GET takes all that is not in its path from the query.
        """
        if in_query is None:
            names = names_of(takes) if method == "GET" else ()
            elsewhere = in_header or {}
            in_query = tuple(n for n in names if f"{{{n}}}" not in path and n not in elsewhere)

        def register(handler: Serve[Given]) -> Serve[Given]:
            text = summary or (handler.__doc__ or "").strip()
            places = (fixed or {}, in_query, in_header or {}, defaults)
            self.all.append(Route(method, path, text, handler, takes, answers, *places))
            return handler

        return register
