"""The JSON Schemas (2020-12) of everything that passes through RabbitMQ.

The files refer to each other by relative name, as AsyncAPI tools want it. What is returned here
is one document: every file under `$defs`, its references made local.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import orjson

Schema = dict[str, Any]


def schema_for_event(event: str) -> Schema:
    """The whole message of an event such as `order.accepted`. Raises KeyError."""
    _known("events", event)
    exactly = {
        "type": {"const": f"spartoo.{event}.v1"},
        "dataschema": {"const": f"urn:spartoo-sync:schema:{event}.v1"},
        "data": {"$ref": f"#/$defs/events/$defs/{event}"},
    }
    return {"$ref": "#/$defs/cloudevent", "properties": exactly, "$defs": definitions()}


def schema_for_command(command: str) -> Schema:
    """The body of a command such as `order.ship`. Raises KeyError."""
    _known("commands", command)
    return {"$ref": f"#/$defs/commands/$defs/{command}", "$defs": definitions()}


def schema_for_reply() -> Schema:
    """The answer to a command."""
    return {"$ref": "#/$defs/reply", "$defs": definitions()}


@cache
def definitions() -> Schema:
    """Every schema file by its name without `.json`."""
    folder = files("adapters.rabbitmq") / "schemas"
    return {
        name: _localized(orjson.loads(file.read_bytes()), name)
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        for name, dot, ending in [file.name.partition(".json")]
        if dot and not ending
    }


def _known(group: str, name: str) -> None:
    if "." not in name or name not in definitions()[group]["$defs"]:
        raise KeyError(f"no schema for {name!r} in {group}.json")


def _localized(value: Any, home: str) -> Any:
    """`value` with references to files, and within `home`, as references into one document."""
    if isinstance(value, list):
        return [_localized(member, home) for member in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _reference(member, home) if key == "$ref" else _localized(member, home)
        for key, member in value.items()
        if key != "$schema"
    }


def _reference(target: str, home: str) -> str:
    file, _, pointer = target.partition("#")
    return f"#/$defs/{file.removesuffix('.json') or home}{pointer}"
