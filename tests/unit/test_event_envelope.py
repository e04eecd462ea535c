"""An event as CloudEvents JSON and as an AMQP message."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import orjson
import pytest

from adapters.rabbitmq.envelope import cloud_event
from adapters.rabbitmq.publisher import event_message
from statemachine.changes import EventType
from tests.fixtures.events import logged_event


def test_the_body_is_a_cloud_event_in_the_order_of_the_interface() -> None:
    event = logged_event(5, sequence=3, data=b'{"order":{"total":"64.90"}}')
    assert cloud_event(event).decode() == (
        '{"specversion":"1.0","id":"' + str(event.id) + '","source":"/spartoo/shoes-fr",'
        '"type":"spartoo.order.accepted.v1","subject":"3FF75E96C3434E92",'
        '"time":"2026-11-20T08:30:15+00:00","datacontenttype":"application/json",'
        '"dataschema":"urn:spartoo-sync:schema:order.accepted.v1","sequence":3,'
        '"data":{"order":{"total":"64.90"}}}'
    )


@pytest.mark.parametrize("zone", [timezone(timedelta(hours=1)), ZoneInfo("Europe/Paris"), UTC])
def test_times_keep_their_offset_and_their_moment(zone: timezone | ZoneInfo) -> None:
    moment = datetime(2026, 11, 20, 8, 30, 15, tzinfo=UTC)
    event = replace(logged_event(), time=moment.astimezone(zone))
    told = orjson.loads(cloud_event(event))["time"]
    assert datetime.fromisoformat(told) == moment
    assert event_message(event).properties.timestamp == moment


def test_a_connection_event_is_routed_by_its_connection() -> None:
    event = logged_event(kind=EventType.CONNECTION_SUSPENDED, subject="shoes-fr")
    message = event_message(event)
    assert message.routing_key == "connection.suspended.shoes-fr"
    headers = message.properties.headers
    assert headers == {"connection": "shoes-fr", "subject": "shoes-fr", "sequence": 1}


def test_stock_that_no_order_moved_has_no_connection() -> None:
    event = logged_event(kind=EventType.STOCK_CHANGED, subject="10001", catalog="winter")
    message = event_message(replace(event, connection=None))
    assert message.routing_key == "stock.changed.winter"
    headers = message.properties.headers
    assert headers == {"catalog": "winter", "subject": "10001", "sequence": 1}


def test_an_event_goes_nowhere_unasked_and_stays_on_disk() -> None:
    message = event_message(logged_event())
    assert message.mandatory
    assert (message.exchange, message.properties.delivery_mode) == ("spartoo.events", 2)
