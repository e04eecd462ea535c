"""The CloudEvents 1.0 JSON of an event: the body of its message, and what the event log shows."""

import orjson

from adapters.ports import LoggedEvent

CONTENT_TYPE = "application/cloudevents+json"


def cloud_event(event: LoggedEvent) -> bytes:
    """One JSON object; `data` is taken over as it stands in the log."""
    return orjson.dumps(attributes(event))


def attributes(event: LoggedEvent) -> dict[str, object]:
    """Its members, as orjson writes them."""
    return {
        "specversion": "1.0",
        "id": str(event.id),
        "source": event.source,
        "type": f"spartoo.{event.type}.v1",
        "subject": event.subject,
        "time": event.time,
        "datacontenttype": "application/json",
        "dataschema": f"urn:spartoo-sync:schema:{event.type}.v1",
        "sequence": event.sequence,
        "data": orjson.Fragment(event.data),
    }
