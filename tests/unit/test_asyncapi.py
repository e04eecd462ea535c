"""The AsyncAPI document agrees with the schemas, the code and itself."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import orjson
import pytest
import yaml
from jsonschema import Draft202012Validator

from adapters.rabbitmq import topology
from statemachine.changes import EventType

FOLDER = files("adapters.rabbitmq")
DOCUMENT: dict[str, Any] = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text())
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]

ASYNCAPI_3: dict[str, Any] = {
    "$comment": "What AsyncAPI 3.0 requires of the parts used here",
    "type": "object",
    "required": ["asyncapi", "info"],
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "info": {"type": "object", "required": ["title", "version"]},
        "defaultContentType": {"type": "string"},
        "servers": {
            "additionalProperties": {
                "type": "object",
                "required": ["host", "protocol"],
                "properties": {
                    "host": {"type": "string", "pattern": "^[^/]+$"},
                    "protocol": {"enum": ["amqp", "amqps"]},
                    "protocolVersion": {"type": "string"},
                    "description": {"type": "string"},
                    "variables": {
                        "additionalProperties": {
                            "properties": {
                                "default": {"type": "string"},
                                "description": {"type": "string"},
                            },
                            "additionalProperties": False,
                        }
                    },
                },
                "additionalProperties": False,
            }
        },
        "channels": {
            "additionalProperties": {
                "type": "object",
                "required": ["address", "messages"],
                "properties": {
                    "address": {"type": ["string", "null"]},
                    "title": {"type": "string"},
                    "description": {"type": "string"},
                    "messages": {"additionalProperties": {"$ref": "#/$defs/reference"}},
                    "parameters": {
                        "additionalProperties": {
                            "properties": {"description": {"type": "string"}},
                            "additionalProperties": False,
                        }
                    },
                    "bindings": {"type": "object"},
                },
                "additionalProperties": False,
            }
        },
        "operations": {
            "additionalProperties": {
                "type": "object",
                "required": ["action", "channel"],
                "properties": {
                    "action": {"enum": ["send", "receive"]},
                    "channel": {"$ref": "#/$defs/reference"},
                    "summary": {"type": "string"},
                    "bindings": {"type": "object"},
                    "reply": {
                        "properties": {
                            "address": {"type": "object", "required": ["location"]},
                            "channel": {"$ref": "#/$defs/reference"},
                        },
                        "additionalProperties": False,
                    },
                },
                "additionalProperties": False,
            }
        },
        "components": {
            "properties": {
                "messages": {
                    "additionalProperties": {
                        "type": "object",
                        "required": ["name", "summary", "payload"],
                        "properties": {
                            "name": {"type": "string"},
                            "summary": {"type": "string"},
                            "contentType": {"type": "string"},
                            "headers": {"type": "object"},
                            "payload": {"type": ["object", "boolean"]},
                            "traits": {"type": "array", "items": {"$ref": "#/$defs/reference"}},
                            "correlationId": {"$ref": "#/$defs/reference"},
                            "bindings": {"type": "object"},
                        },
                        "additionalProperties": False,
                    }
                },
                "messageTraits": {
                    "additionalProperties": {"not": {"required": ["payload"]}},
                },
                "channelBindings": {"type": "object"},
                "correlationIds": {
                    "additionalProperties": {"type": "object", "required": ["location"]}
                },
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
    "$defs": {
        "reference": {
            "type": "object",
            "required": ["$ref"],
            "properties": {"$ref": {"type": "string"}},
            "additionalProperties": False,
        }
    },
}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            if key == "$ref":
                yield member
            else:
                yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


def resolved(reference: str, home: Any) -> Any:
    """What a reference names; KeyError or FileNotFoundError when nothing."""
    file, _, pointer = reference.partition("#")
    if file:
        assert file.startswith("./schemas/")
        home = orjson.loads((FOLDER / file.removeprefix("./")).read_bytes())
    for step in pointer.split("/")[1:]:
        home = home[step]
    return home


def names(group: str) -> set[str]:
    schemas = orjson.loads((FOLDER / "schemas" / f"{group}.json").read_bytes())["$defs"]
    return {name for name in schemas if "." in name}


def messages_of(channel: str) -> set[str]:
    return set(DOCUMENT["channels"][channel]["messages"])


def test_it_has_the_structure_of_asyncapi_3() -> None:
    Draft202012Validator.check_schema(ASYNCAPI_3)
    errors = [error.message for error in Draft202012Validator(ASYNCAPI_3).iter_errors(DOCUMENT)]
    assert errors == []


def test_the_structure_check_sees_a_fault() -> None:
    broken = {**DOCUMENT, "operations": {"x": {"action": "publish"}}}
    assert not Draft202012Validator(ASYNCAPI_3).is_valid(broken)


@pytest.mark.parametrize("reference", sorted(set(references(DOCUMENT))))
def test_every_reference_leads_somewhere(reference: str) -> None:
    assert resolved(reference, DOCUMENT)


def test_every_event_and_command_has_a_schema_and_a_message() -> None:
    assert set(EventType) <= names("events")
    for channel in ("events", "orders", "unrouted"):
        assert messages_of(channel) == names("events")
    assert messages_of("commands") == names("commands")
    events, commands = names("events"), names("commands")
    assert set(MESSAGES) == {
        *(f"event.{name}" for name in events),
        *(f"command.{name}" for name in commands),
        *("dead", "reply"),
    }


@pytest.mark.parametrize("name", sorted(names("events")))
def test_an_event_message_names_its_own_schema(name: str) -> None:
    message = MESSAGES[f"event.{name}"]
    assert message["name"] == name
    exactly = message["payload"]["allOf"][1]["properties"]
    assert exactly["type"] == {"const": f"spartoo.{name}.v1"}
    assert exactly["dataschema"] == {"const": f"urn:spartoo-sync:schema:{name}.v1"}
    assert exactly["data"] == {"$ref": f"./schemas/events.json#/$defs/{name}"}
    assert message["bindings"]["amqp"]["messageType"] == name


@pytest.mark.parametrize("name", sorted(names("commands")))
def test_a_command_message_names_its_own_schema(name: str) -> None:
    message = MESSAGES[f"command.{name}"]
    assert message["name"] == name
    assert message["payload"] == {"$ref": f"./schemas/commands.json#/$defs/{name}"}


def test_the_queues_are_those_declared() -> None:
    bindings = DOCUMENT["components"]["channelBindings"]
    assert {binding["amqp"]["queue"]["name"] for binding in bindings.values()} == {
        topology.ORDERS,
        topology.UNROUTED,
        topology.COMMANDS,
        topology.DEAD_COMMANDS,
    }
    exchange = DOCUMENT["channels"]["events"]["bindings"]["amqp"]["exchange"]
    assert (exchange["name"], exchange["type"]) == (topology.EVENTS, "topic")
