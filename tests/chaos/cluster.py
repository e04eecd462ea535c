"""RabbitMQ nodes on one machine: one alone, or several clustered."""

import asyncio
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from yarl import URL

from adapters.rabbitmq.node import PrivateRabbitMQ, find_tool, free_ports
from tests.chaos.link import Link, to_any

# The names of all nodes are with one epmd; it ends when its owner does.
_NAMES = '"$1" -port "$2" -address 127.0.0.1 </dev/null & read -r _; kill -KILL $!'
_MEMBER = """\
cluster_formation.peer_discovery_backend = rabbit_peer_discovery_classic_config
cluster_partition_handling = pause_minority
"""
_ALL_MEMBERS = """\
[] = [Q || Q <- rabbit_amqqueue:list(), amqqueue:get_type(Q) =:= rabbit_quorum_queue,\
 length(maps:get(nodes, amqqueue:get_type_state(Q))) =/= {size}], ok."""


class Member(PrivateRabbitMQ):
    """A node of a cluster: the cookie and the registry of names are everyone's."""

    def __init__(self, directory: Path, ports: tuple[int, int, int], cookie: str):
        super().__init__(directory)
        self._ports = ports
        self._directory.mkdir(mode=0o700, parents=True)
        (self._directory / ".erlang.cookie").write_text(cookie)
        (self._directory / ".erlang.cookie").chmod(0o400)

    @property
    def name(self) -> str:
        """As the others know it."""
        return self._environment()["RABBITMQ_NODENAME"]

    @property
    def _own_ports(self) -> tuple[int, ...]:
        return (self._ports or ())[:2]

    def meet(self, names: Sequence[str]) -> None:
        """Found a cluster with these, or join theirs."""
        nodes = (
            f"cluster_formation.classic_config.nodes.{number} = {name}\n"
            for number, name in enumerate(names, 1)
        )
        self._config = _MEMBER + "".join(nodes)


class Brokers:
    """All nodes; `url` leads to one that lives, as behind a load balancer."""

    def __init__(self, directory: Path, size: int):
        self._directory, self._size = directory, size
        self._stack = AsyncExitStack()
        self._front: Link | None = None
        self.nodes: list[PrivateRabbitMQ] = []

    async def __aenter__(self) -> Self:
        if self._size == 1:
            self.nodes = [PrivateRabbitMQ(self._directory)]
            await self.nodes[0].start()
        else:
            await self._found()
        self._front = await self._stack.enter_async_context(Link(to_any(self.ports)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(node.kill() for node in self.nodes))
        await self._stack.aclose()

    @property
    def ports(self) -> list[int]:
        return [URL(node.url()).port or 0 for node in self.nodes]

    @property
    def url(self) -> str:
        assert self._front is not None, "not started"
        return f"amqp://guest:guest@127.0.0.1:{self._front.port}/%2F"

    async def check_members(self) -> None:
        """Every queue that should has a member on every node. Raises RabbitMQFailed."""
        await self.nodes[0].evaluate(_ALL_MEMBERS.format(size=self._size))

    async def freeze(self, node: PrivateRabbitMQ, seconds: float) -> None:
        """SIGSTOP, and SIGCONT so much later."""
        os.killpg(node.group, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.killpg(node.group, signal.SIGCONT)

    async def _found(self) -> None:
        """The first is alone for a moment; the others join it."""
        cookie = secrets.token_hex(20)
        epmd, *ports = free_ports(1 + 2 * self._size)
        self._stack.callback(_registry(epmd))
        members = [
            Member(self._directory / f"{amqp}", (amqp, distribution, epmd), cookie)
            for amqp, distribution in zip(ports[::2], ports[1::2], strict=True)
        ]
        first = members[0]
        for member in members:
            member.meet(sorted({first.name, member.name}))
        self.nodes = [*members]
        await first.start()
        await asyncio.gather(*(member.start() for member in members[1:]))


def _registry(port: int) -> Callable[[], None]:
    """Start epmd for all of them; how to end it."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", _NAMES, "names", find_tool("epmd"), str(port)], stdin=subprocess.PIPE
    )

    def end() -> None:
        process.communicate(b"\n", timeout=10)

    return end
