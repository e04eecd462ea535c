"""The private node: alive while its owner is, and gone with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.rabbitmq import node
from adapters.rabbitmq.connection import Broker
from adapters.rabbitmq.node import PrivateRabbitMQ, RabbitMQFailed, RabbitMQMissing

OWNER = """
import asyncio, sys
from pathlib import Path
from adapters.rabbitmq.node import PrivateRabbitMQ

async def own():
    node = PrivateRabbitMQ(Path(sys.argv[1]))
    await node.start()
    print(node.group, flush=True)
    await asyncio.Event().wait()

asyncio.run(own())
"""


def members(directory: Path) -> list[str]:
    """The live processes whose home is the node's directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if f"HOME={directory}\0".encode() in environment and state != "Z":
            found.append(process.name)
    return found


def until_gone(directory: Path) -> None:
    deadline = time.monotonic() + 20
    while left := members(directory):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.02)


async def test_data_outlives_a_kill_and_no_process_outlives_a_stop(tmp_path: Path) -> None:
    rabbitmq = PrivateRabbitMQ(tmp_path)
    await rabbitmq.start()
    try:
        url = await rabbitmq.add_vhost("shop")
        assert len(members(tmp_path)) > 2
        with pytest.raises(RabbitMQFailed, match="runs already"):
            await rabbitmq.start()
        await rabbitmq.kill()
        until_gone(tmp_path)
        await rabbitmq.start()
        broker = Broker(url)
        await broker.connect()
        await broker.close()
        await rabbitmq.delete_vhost("shop")
        with pytest.raises(RabbitMQFailed, match="no_such_vhost"):
            await rabbitmq.delete_vhost("shop")
    finally:
        await rabbitmq.stop()
    until_gone(tmp_path)
    await rabbitmq.stop()


def test_it_dies_with_its_owner(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(node.__file__).parents[2],
    ) as owner:
        assert owner.stdout is not None
        group = int(owner.stdout.readline())
        assert os.getpgid(group) == group
        owner.send_signal(signal.SIGKILL)
    until_gone(tmp_path)


async def test_a_node_that_cannot_start_says_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "advanced.config").write_text("this is not Erlang")
    rabbitmq = PrivateRabbitMQ(tmp_path)
    with pytest.raises(RabbitMQFailed, match="failed_to_read_advanced_configuration_file"):
        await rabbitmq.start()
    until_gone(tmp_path)


def test_without_rabbitmq_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_SERVERS", ("nowhere/rabbitmq-server",))
    with pytest.raises(RabbitMQMissing, match="apt-get install rabbitmq-server"):
        PrivateRabbitMQ(tmp_path)


async def test_a_virtual_host_has_a_plain_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        await PrivateRabbitMQ(tmp_path).add_vhost('"x')
