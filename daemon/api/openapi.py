"""The OpenAPI 3.1 document, out of the table of routes, their models and the events' schemas.

`python -m daemon.api.openapi` writes it to openapi.json.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from adapters.rabbitmq.schemas import definitions
from daemon.api import ROUTES, shapes
from daemon.api.document import FILE
from daemon.api.problems import CONTENT_TYPE
from daemon.api.routes import Answer, Route
from daemon.api.shapes import SHARED, ref

Schema = dict[str, Any]

TITLE = "Spartoo order sync"
_TEMPLATE = SHARED + "{model}"
_SHARED_FILES = ("order", "return", "transition", "decision", "reply", "cloudevent", "common")
_ERROR: Schema = {
    "description": "An error (RFC 9457), by its `code`",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "bad_command, unknown_order, wrong_state …"},
        "instance": {"type": "string", "description": "On 500: the id that the log explains"},
    },
    "required": ["type", "title", "status", "detail", "code"],
}
_REFUSED: Schema = {
    "description": "Refused, or failed",
    "content": {CONTENT_TYPE: {"schema": ref("Error")}},
}


def openapi() -> Schema:
    """The document."""
    document: Schema = _untitled(_document())
    return document


def _document() -> Schema:
    components = {"Error": _ERROR, **_shared(), **_shapes()}
    paths: dict[str, Schema] = {}
    for route in ROUTES:
        operation = _operation(route, components)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": "1",
            "description": "Money is a string with its decimals, times are ISO 8601 with offset.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {"Error": _REFUSED},
            "schemas": dict(sorted(components.items())),
        },
    }


def _untitled(schema: Any) -> Any:
    """Without the titles pydantic makes out of names."""
    match schema:
        case Mapping():
            kept = {k: v for k, v in schema.items() if k != "title" or not _is_made(v)}
            return {key: _untitled(value) for key, value in kept.items()}
        case list():
            return [_untitled(member) for member in schema]
        case _:
            return schema


def _is_made(title: Any) -> bool:
    return isinstance(title, str) and title != TITLE


def _shared() -> dict[str, Schema]:
    """The schemas of what passes through RabbitMQ; here others add fields to them."""
    found = {name: _local(definitions()[name], opened=True) for name in _SHARED_FILES}
    product = definitions()["commands"]["$defs"]["product"]
    return {**found, "product": _local(product, opened=False)}


def _local(schema: Any, *, opened: bool) -> Any:
    match schema:
        case Mapping():
            left_out = ("additionalProperties", False) if opened else None
            kept = {key: value for key, value in schema.items() if (key, value) != left_out}
            return {key: _local(value, opened=opened) for key, value in kept.items()}
        case list():
            return [_local(member, opened=opened) for member in schema]
        case str() if schema.startswith("#/$defs/"):
            return SHARED + schema.removeprefix("#/$defs/")
        case _:
            return schema


def _shapes() -> dict[str, Schema]:
    named = [value for value in vars(shapes).values() if isinstance(value, type)]
    models = [value for value in named if value.__module__ == shapes.__name__]
    wanted: list[tuple[type[BaseModel], Literal["serialization"]]] = [
        (model, "serialization") for model in models if issubclass(model, BaseModel)
    ]
    _, found = models_json_schema(wanted, ref_template=_TEMPLATE)
    return dict(found["$defs"])


def _operation(route: Route[Any], components: dict[str, Schema]) -> Schema:
    _, found = models_json_schema([(route.takes, "validation")], ref_template=_TEMPLATE)
    schema = found["$defs"].pop(route.takes.__name__)
    for name, definition in found["$defs"].items():
        components.setdefault(name, definition)
    operation: Schema = {
        "operationId": _name(route),
        "tags": [route.tag],
        "summary": route.summary.rstrip("."),
    }
    parameters = list(_parameters(route, schema))
    if parameters:
        operation["parameters"] = parameters
    if any(name not in route.in_head for name in schema.get("properties", ())):
        operation["requestBody"] = _body(route, schema)
    answers = {str(status): _answer(answer) for status, answer in route.answers.items()}
    operation["responses"] = {**answers, "default": {"$ref": "#/components/responses/Error"}}
    return operation


def _name(route: Route[Any]) -> str:
    return route.fixed.get("command", route.handler.__name__).replace(".", "_")


def _parameters(route: Route[Any], schema: Schema) -> Iterator[Schema]:
    properties = schema.get("properties", {})
    for place, names in (("path", route.in_path), ("query", route.in_query)):
        for name in names:
            yield _parameter(name, place, properties[name], required=place == "path")
    for name, header in route.in_header.items():
        yield _parameter(header, "header", properties[name], required=False)


def _parameter(name: str, place: str, schema: Schema, *, required: bool) -> Schema:
    schema = {key: value for key, value in schema.items() if key != "title"}
    description = schema.pop("description", None)
    about = {"description": description} if description else {}
    given = [s for s in schema.pop("anyOf", []) if s != {"type": "null"}]
    if len(given) == 1:  # an address has no null: what is not given is left out
        schema = {**{k: v for k, v in schema.items() if k != "default"}, **given[0]}
    elif given:
        schema["anyOf"] = given
    return {"name": name, "in": place, "required": required, **about, "schema": schema}


def _body(route: Route[Any], schema: Schema) -> Schema:
    body = {key: value for key, value in schema.items() if key not in {"title", "description"}}
    body["properties"] = {k: v for k, v in body["properties"].items() if k not in route.in_head}
    for name, value in route.defaults().items():
        if name in body["properties"]:
            body["properties"][name] = {**body["properties"][name], "default": value}
    needed = [name for name in body.pop("required", []) if name not in route.in_head]
    if needed:
        body["required"] = needed
    is_required = bool(needed) or bool({"oneOf", "minProperties"} & body.keys())
    return {"required": is_required, "content": {"application/json": {"schema": body}}}


def _answer(answer: Answer) -> Schema:
    told: Schema = {"description": answer.description}
    if answer.headers:
        told["headers"] = {name: {"schema": {"type": "string"}} for name in answer.headers}
    schema = answer.schema
    if isinstance(schema, type):
        schema = ref(schema.__name__)
    if schema is not None:
        told["content"] = {answer.content_type: {"schema": schema}}
    return told


def rendered() -> bytes:
    """The document as it is checked in."""
    return orjson.dumps(openapi(), option=orjson.OPT_INDENT_2) + b"\n"


if __name__ == "__main__":
    Path(str(FILE)).write_bytes(rendered())
