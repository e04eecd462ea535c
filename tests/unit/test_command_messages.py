"""Commands that would be harmful if they got any further: refused, and the refusal can be told."""

import json

import orjson
import pytest
from jsonschema import Draft202012Validator

from daemon.command_messages import OrderDecision, UnreadableCommand, read_command, reply_body

ACCEPT = {"id": "1", "command": "order.accept", "connection": "fr", "order_id": "A"}
STOCK = {"id": "1", "command": "stock.set", "product_id": "10001", "stock": 1}
SHIP = {"id": "1", "command": "order.ship", "connection": "fr", "order_id": "A"}
PARCEL = {"tracking_number": "T1", "items": [{"line": 1, "quantity": 1}]}
HALF = "\ud800"  # json.dumps writes it as an escape, as any sender may


@pytest.mark.parametrize(
    ("fields", "told_id", "message"),
    [
        ({**ACCEPT, "id": HALF}, None, "id: must be text that UTF-8 can hold"),
        ({"id": HALF, "command": "nonsense"}, None, "command: missing or unknown"),
        ({**ACCEPT, "order_id": HALF}, "1", "order_id: must be text that UTF-8 can hold"),
        ({**ACCEPT, "id": "a\0b"}, "a\0b", "id: must be text without NUL"),
        ({**ACCEPT, "reason": "\0"}, "1", "reason: must be text without NUL"),
        ({**ACCEPT, "order_id": 7}, "1", "order_id: must be text"),
        (
            {**SHIP, "parcels": [{**PARCEL, "items": []}]},
            "1",
            "parcels[0].items: must not be empty",
        ),
        (
            {**SHIP, "parcels": [PARCEL, {}]},
            "1",
            "parcels[1].tracking_number: must be given; parcels",
        ),
        ({**STOCK, "stock": -1}, "1", "stock: must be at least 0"),
        ({**STOCK, "stock": "1"}, "1", "stock: must be a whole number"),
        ({**ACCEPT, "by": "automatic"}, "1", "by: must name who asks"),
        ({**ACCEPT, "by": " Marketplace "}, "1", "by: must name who asks"),
        ({**STOCK, "catalog": "c" * 64}, "1", "catalog: must be letters, digits and hyphens"),
        ({**STOCK, "catalog": "winter/fr"}, "1", "catalog: must be letters, digits and hyphens"),
    ],
)
def test_text_that_can_be_neither_kept_nor_sent_is_refused(
    fields: dict[str, object], told_id: str | None, message: str
) -> None:
    with pytest.raises(UnreadableCommand) as refused:
        read_command(json.dumps(fields).encode(), None)
    assert refused.value.code == "bad_command"
    assert refused.value.message.startswith(message)
    reply = orjson.loads(reply_body(refused.value.command_id, "refused", error=refused.value))
    assert reply["id"] == told_id


@pytest.mark.parametrize(
    "text",
    [
        *("a\0b", "\0", " ", "", " a b ", "é", "x" * 255, " " + "x" * 255),
        *(
            "automatic",
            "marketplace",
            " AUTOmatic ",
            "Marketplace",
            "automatically",
            "cli:automatic",
        ),
    ],
)
def test_the_schema_takes_the_text_that_is_taken(text: str) -> None:
    taken = True
    try:
        read_command(json.dumps({**ACCEPT, "by": text}).encode(), None)
    except UnreadableCommand:
        taken = False
    schema = OrderDecision.model_json_schema()["properties"]["by"]
    assert Draft202012Validator(schema).is_valid(text) is taken


@pytest.mark.parametrize("number", [b"1e9999999999999999999", b"1e999999999", b"-0.1e-999999999"])
def test_a_number_beyond_all_bounds_is_not_read(number: bytes) -> None:
    """As a whole number it would have no end, or it is none at all."""
    body = b'{"id": "1", "command": "stock.set", "product_id": "10001", "stock": %s}' % number
    with pytest.raises(UnreadableCommand, match="a number beyond all bounds"):
        read_command(body, None)
