"""A private RabbitMQ node for the demo and the tests: one directory, loopback only, no plugins.

It ends with its owner: a watcher holds the other end of a pipe and stops the node when the pipe
closes, be it by `stop()` or because the owner died.
"""

import asyncio
import contextlib
import hashlib
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import orjson

_SERVERS = (  # never the /usr/sbin wrapper, which changes the user
    "usr/lib/rabbitmq/bin/rabbitmq-server",
    "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server",
    "opt/rabbitmq/sbin/rabbitmq-server",
    "opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server",
)
_ERLANG_TOOLS = (
    "usr/lib*/erlang/erts-*/bin",
    "usr/lib*/erlang/lib/erl_interface-*/bin",
    "opt/erlang/lib/erlang/erts-*/bin",
    "opt/erlang/lib/erlang/lib/erl_interface-*/bin",
)
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/opt/homebrew/bin"
_VHOST = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)
_START_SECONDS = 90
_STOP_SECONDS = 20

_WATCHER = """
exec 3<&0
trap 'kill -KILL $node' USR1
"$1" -port "$ERL_EPMD_PORT" -address 127.0.0.1 </dev/null & epmd=$!
"$2" </dev/null & node=$!
{ read -r _; kill -TERM $node; sleep 15; kill -KILL 0; } <&3 &
wait $node
kill -KILL $epmd; wait $node $epmd
kill -KILL 0
"""

_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
load_definitions = {definitions}
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
raft.wal_max_size_bytes = 33554432
"""


class RabbitMQMissing(Exception):
    """RabbitMQ is not installed here."""

    def __init__(self) -> None:
        super().__init__(
            "a private RabbitMQ needs rabbitmq-server: install rabbitmq-server "
            "(apt-get install rabbitmq-server) or set SPARTOO_SYNC_AMQP_URL"
        )


class RabbitMQFailed(Exception):
    """The private node did not start or obey; the message says what its log said last."""


class PrivateRabbitMQ:
    """A node whose data, logs, configuration and cookie all lie in `directory`.

    `config`: further lines of its rabbitmq.conf.
    """

    def __init__(self, directory: Path, config: str = "") -> None:
        self._directory = directory.absolute()
        self._config = config
        self._server = _find_server()
        self._epmd = find_tool("epmd")
        self._ports: tuple[int, int, int] | None = None  # AMQP, distribution, epmd
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def url(self, vhost: str = "/") -> str:
        """The AMQP address of a virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self._amqp_port}/{quote(vhost, safe='')}"

    async def start(self) -> None:
        """Start on this directory's data and wait until AMQP answers. Raises RabbitMQFailed."""
        if self._process is not None:
            raise RabbitMQFailed("the private RabbitMQ runs already; stop or kill it first")
        if self._ports is None:
            amqp, distribution, epmd = free_ports(3)
            self._ports = amqp, distribution, epmd
        self._write_files()
        self._process = self._launch()
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._answers()
        except TimeoutError as error:
            await self.kill()
            raise RabbitMQFailed(
                f"RabbitMQ did not answer within {_START_SECONDS} s. {self._last_words()}"
            ) from error
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """Stop in good order; no process is left behind. Does nothing when not running."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End it at once (SIGKILL); its data stays and `start()` recovers it."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGUSR1)  # the watcher kills and buries the rest
        try:
            await asyncio.to_thread(self._process.wait, 5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None
        await asyncio.to_thread(_wait_until_free, self._own_ports)

    async def add_vhost(self, name: str) -> str:
        """Make a virtual host for the user guest; its AMQP address."""
        _check_vhost(name)
        definitions = orjson.dumps(_definitions(name)).decode().replace('"', '\\"')
        await self.evaluate(f'rabbit_definitions:import_raw(<<"{definitions}">>).')
        return self.url(name)

    async def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it."""
        _check_vhost(name)
        await self.evaluate(f'rabbit_vhost:delete(<<"{name}">>, <<"guest">>).')

    async def evaluate(self, expression: str) -> None:
        """Run an Erlang expression on the node that gives `ok`. Raises RabbitMQFailed."""
        _, distribution, _ = self._ports or (0, 0, 0)
        call = await asyncio.to_thread(
            subprocess.run,
            [find_tool("erl_call"), "-r", "-e", "-address", f"127.0.0.1:{distribution}"],
            input=f"{expression}\n".encode(),
            env=self._environment(),
            capture_output=True,
            check=False,
            timeout=30,
        )
        if call.returncode != 0 or call.stdout.strip() != b"{ok, ok}":
            said = (call.stdout + call.stderr).decode(errors="replace").strip()
            raise RabbitMQFailed(f"RabbitMQ refused {expression!r}: {said}")

    @property
    def group(self) -> int:
        """The process group of the node and its helpers, for signals. Raises RabbitMQFailed."""
        if self._process is None:
            raise RabbitMQFailed("the private RabbitMQ does not run")
        return self._process.pid

    @property
    def _own_ports(self) -> tuple[int, ...]:
        """What nobody listens on once it has ended."""
        return self._ports or ()

    @property
    def _amqp_port(self) -> int:
        if self._ports is None:
            raise RabbitMQFailed("the private RabbitMQ has no address before its first start")
        return self._ports[0]

    def _write_files(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        cookie = self._directory / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(20))
            cookie.chmod(0o400)
        definitions = self._directory / "definitions.json"
        user = {"name": "guest", "password": "guest", "tags": "administrator"}
        definitions.write_bytes(orjson.dumps({"users": [user], **_definitions("/")}))
        config = _CONFIG.format(port=self._amqp_port, definitions=definitions)
        (self._directory / "rabbitmq.conf").write_text(config + self._config)
        (self._directory / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        _, distribution, epmd = self._ports or (0, 0, 0)
        home = self._directory
        name = hashlib.sha256(bytes(home)).hexdigest()[:12]
        return {
            "PATH": f"{os.environ.get('PATH', '')}:{_PATH}",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "ERL_CRASH_DUMP_BYTES": "0",
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RUNNING_UNDER_SYSTEMD": "true",  # makes the start script become the node
            "RABBITMQ_NODENAME": f"spartoo-{name}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +A 8"
            " -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _launch(self) -> subprocess.Popen[bytes]:
        with (self._directory / "console.log").open("wb") as console:
            return subprocess.Popen(  # noqa: S603 - our own script, nothing from outside in it
                ["/bin/sh", "-c", _WATCHER, "watcher", self._epmd, str(self._server)],
                cwd=self._directory,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def _answers(self) -> None:
        while not await _speaks_amqp(self._amqp_port):
            if self._process is None or self._process.poll() is not None:
                raise RabbitMQFailed(f"RabbitMQ ended while starting. {self._last_words()}")
            await asyncio.sleep(0.05)

    def _last_words(self) -> str:
        console = self._directory / "console.log"
        lines = console.read_text(errors="replace").strip().splitlines()[-15:]
        return f"The end of {console} (more in {self._directory / 'log'}):\n" + "\n".join(lines)


def _definitions(vhost: str) -> dict[str, list[dict[str, str]]]:
    allowed = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "vhosts": [{"name": vhost}],
        "permissions": [{"user": "guest", "vhost": vhost, **allowed}],
    }


def _check_vhost(name: str) -> None:
    if not _VHOST.fullmatch(name):
        raise ValueError(f"virtual host {name!r}: letters, digits, '_', '.', '-' only")


def _find_server() -> Path:
    for pattern in _SERVERS:
        for path in sorted(Path("/").glob(pattern), reverse=True):
            if os.access(path, os.X_OK):
                return path
    raise RabbitMQMissing


def find_tool(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_PATH}")
    if found is not None:
        return found
    for pattern in _ERLANG_TOOLS:
        for path in sorted(Path("/").glob(f"{pattern}/{name}"), reverse=True):
            return str(path)
    raise RabbitMQMissing


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _wait_until_free(ports: Iterable[int]) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    for port in ports:
        while not _is_free(port) and time.monotonic() < deadline:
            time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Ports below the ephemeral range, so that no outgoing connection takes one meanwhile."""
    candidates = random.SystemRandom().sample(range(15000, 32000), 200)
    free = [port for port in candidates if _is_free(port)]
    if len(free) < count:
        raise RabbitMQFailed(f"no {count} free ports between 15000 and 32000 on 127.0.0.1")
    return free[:count]


async def _speaks_amqp(port: int) -> bool:
    """True when the AMQP protocol header is answered with a frame."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"AMQP\x00\x00\x09\x01")
                return bool(await reader.read(7))
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
