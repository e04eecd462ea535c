"""TLS to RabbitMQ: the authority, our own certificate, and what is said of wrong ones."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.ports import BrokerUnavailable
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.node import PrivateRabbitMQ, free_ports
from adapters.rabbitmq.topology import declare
from tests.fixtures.certificates import Authority

_CONFIG = """
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {authority}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
"""


class Served:
    """A node that wants TLS and a certificate of its clients, and what fits it."""

    def __init__(self, directory: Path, port: int):
        self.port = port
        self.authority = Authority(directory)
        self.mine = self.authority.issue("spartoo-sync")
        pair = self.authority.issue("127.0.0.1")
        config = _CONFIG.format(
            port=port, authority=self.authority.file, certificate=pair.certificate, key=pair.key
        )
        self.node = PrivateRabbitMQ(directory / "node", config)

    def url(self, **parameters: object) -> str:
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"amqps://guest:guest@127.0.0.1:{self.port}/?{query}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, free_port: int) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("tls-rabbitmq")
    served = Served(directory, free_port)
    asyncio.run(served.node.start())
    try:
        asyncio.run(_listens(free_port))
        yield served
    finally:
        asyncio.run(served.node.stop())
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def free_port() -> int:
    return free_ports(1)[0]


async def _listens(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def refusal(url: str) -> str:
    with pytest.raises(BrokerUnavailable) as refused:
        await Broker(url).connect()
    assert "guest:guest" not in str(refused.value)
    return str(refused.value)


async def test_authority_and_own_certificate_stand_in_the_url(served: Served) -> None:
    mine = {"certfile": served.mine.certificate, "keyfile": served.mine.key}
    broker = Broker(served.url(cafile=served.authority.file, **mine))
    await broker.connect()
    try:
        assert await declare(broker) == []
    finally:
        await broker.close()


async def test_the_servers_certificate_is_checked_without_being_asked(
    served: Served, tmp_path: Path
) -> None:
    said = await refusal(served.url())
    assert "the certificate of RabbitMQ is not accepted here: " in said
    said = await refusal(served.url(cafile=Authority(tmp_path, "other").file))
    assert "the certificate of RabbitMQ is not accepted here: self-signed" in said


async def test_a_missing_or_foreign_certificate_of_ours_is_told(
    served: Served, tmp_path: Path
) -> None:
    said = await refusal(served.url(cafile=served.authority.file))
    assert "not accept our own certificate" in said  # TLS 1.3: the reset may outrun the alert
    foreign = Authority(tmp_path, "other").issue("spartoo-sync")
    pair = {"certfile": foreign.certificate, "keyfile": foreign.key}
    said = await refusal(served.url(cafile=served.authority.file, **pair))
    assert "not accept our own certificate" in said


async def test_a_file_that_is_missing_or_wrong_is_named(served: Served, tmp_path: Path) -> None:
    said = await refusal(served.url(cafile=tmp_path / "none.pem"))
    assert f"cafile={tmp_path / 'none.pem'}: No such file or directory" in said
    mixed = {"certfile": served.mine.certificate, "keyfile": Authority(tmp_path).issue("a").key}
    said = await refusal(served.url(cafile=served.authority.file, **mixed))
    assert "the certificate, key or authority file given for RabbitMQ cannot be used" in said


async def test_a_port_without_tls_is_told(served: Served) -> None:
    plain = served.node.url().replace("amqp://", "amqps://")
    assert "RabbitMQ" in await refusal(plain)
