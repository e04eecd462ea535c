"""Connecting, and what is said when it fails."""

import pytest

from adapters.ports import BrokerUnavailable
from adapters.rabbitmq.connection import Broker


async def test_connecting_twice_keeps_the_connection(amqp_url: str) -> None:
    broker = Broker(amqp_url)
    states = [broker.closed]
    await broker.connect()
    channel = await broker.channel()
    await broker.connect()
    states += [broker.closed, channel.is_closed]
    await broker.close()
    states += [broker.closed, channel.is_closed]
    await broker.close()
    assert states == [True, False, False, True, True]


async def test_a_missing_virtual_host_names_its_remedy(amqp_url: str) -> None:
    broker = Broker(amqp_url.rpartition("/")[0] + "/missing")
    with pytest.raises(BrokerUnavailable, match=r"virtual host missing.*rabbitmqctl add_vhost"):
        await broker.connect()


async def test_a_wrong_password_is_not_shown(amqp_url: str) -> None:
    broker = Broker(amqp_url.replace("guest:guest", "guest:S3cret"))
    with pytest.raises(BrokerUnavailable, match="check the user and the password") as failure:
        await broker.connect()
    assert "S3cret" not in f"{failure.value!s}{failure.value!r}{broker!r}"


async def test_nobody_listening_is_said_with_the_address() -> None:
    broker = Broker("amqp://user:S3cret@127.0.0.1:1/shop")
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1, virtual host shop") as failure:
        await broker.connect()
    assert "S3cret" not in str(failure.value)


@pytest.mark.parametrize(
    "url", ["http://user:S3cret@host/", "amqp://", "amqp://user:S3cret@host:port/", "S3cret"]
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="must look like amqp://") as failure:
        Broker(url)
    assert "S3cret" not in str(failure.value)
    assert failure.value.__cause__ is None
