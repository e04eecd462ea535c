"""The OpenAPI document: current, valid, and complete."""

import re
from typing import Any

import orjson
import pytest
import schemathesis
from jsonschema import Draft202012Validator

from daemon.api import ROUTES
from daemon.api.document import FILE
from daemon.api.openapi import openapi, rendered

DOCUMENT = openapi()


def test_the_checked_in_document_is_current() -> None:
    assert rendered() == FILE.read_bytes(), "write it again: python -m daemon.api.openapi"


def test_it_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_every_schema_is_valid_and_every_reference_leads_somewhere() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for target in references(DOCUMENT):
        found: Any = DOCUMENT
        for part in target.removeprefix("#/").split("/"):
            found = found[part]


def references(value: Any) -> list[str]:
    match value:
        case dict():
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [target for member in value.values() for target in references(member)]
        case list():
            return [target for member in value for target in references(member)]
        case _:
            return []


def test_operations_have_names_of_their_own() -> None:
    names = [o["operationId"] for path in DOCUMENT["paths"].values() for o in path.values()]
    assert len(names) == len(set(names)) == len(ROUTES)


def test_parameters_in_paths_are_those_of_the_path() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


# As interfaces.md names them; the names within braces are free.
PATHS = """
GET /connections · POST /connections · GET /connections/{} · PATCH /connections/{}
POST /connections/{}/test · POST /connections/{}/activate · POST /connections/{}/disable
POST /connections/{}/sync · GET /orders · GET /orders/{}/{} · POST /orders/{}/{}/accept
POST /orders/{}/{}/refuse · POST /orders/{}/{}/cancel · POST /orders/{}/{}/ship
POST /orders/{}/{}/lost · POST /orders/{}/{}/undelivered · POST /orders/{}/{}/acknowledge
POST /orders/{}/{}/retry · POST /orders/{}/{}/fetch · GET /orders/{}/{}/slip · GET /returns
GET /returns/{}/{} · POST /returns/{}/{}/accept · POST /returns/{}/{}/refuse
POST /returns/{}/{}/label · GET /products · PUT /products · PUT /products/{}/stock · GET /events
GET /events/stream · GET /quarantine · POST /quarantine/{}/retry · GET /plan · GET /openapi.json
"""


def test_it_has_the_interface_s_paths_and_no_others() -> None:
    wanted = {line.strip() for line in re.split(r"[\n·]", PATHS) if line.strip()}
    assert {f"{r.method} {re.sub('{.*?}', '{}', r.path)}" for r in ROUTES} == wanted


@pytest.mark.parametrize("where", ["GET /connections", "POST /connections"])
def test_no_answer_bears_an_api_key(where: str) -> None:
    method, path = where.split()
    answers = DOCUMENT["paths"][path][method.lower()]["responses"]
    shown = DOCUMENT["components"]["schemas"]["ConnectionDocument"]["properties"]
    assert "api_key" not in shown
    assert "api_key" not in orjson.dumps(answers).decode()
