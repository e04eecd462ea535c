"""What stops a start: one line that says what is wrong, where, and what is allowed."""

from typing import Any

import asyncpg

from tests.fixtures.daemon_process import Daemon
from tests.fixtures.system import System

SECRET = "secret-word"


async def test_every_wrong_setting_is_named_in_a_line_and_nothing_starts(offline: System) -> None:
    daemon = await offline.launch(
        htpp_host="127.0.0.1",
        http_port=70000,
        log_level="loud",
        database_url=f"localhost {SECRET}",
    )
    assert await daemon.ended(20) == 2
    expected = (
        "htpp_host: unknown setting; did you mean http_host?",
        "http_port = 70000: must be at most 65535",
        "log_level = 'loud': must be 'debug', 'info', 'warning', 'error' or 'critical'",
        "database_url: must be a URL like postgresql://… or postgres://…",
    )
    lines = told(daemon)
    assert len(lines) == len(expected)
    for complaint in expected:
        assert any(complaint in line and "settings-1.toml" in line for line in lines), complaint
    assert SECRET not in daemon.output()


async def test_listening_to_the_network_needs_a_token(offline: System) -> None:
    daemon = await offline.launch(http_host="0.0.0.0")
    assert await daemon.ended(20) == 2
    (line,) = told(daemon)
    assert "http_host = '0.0.0.0': not a loopback address" in line
    assert "set SPARTOO_SYNC_HTTP_TOKEN too, or listen on 127.0.0.1" in line


async def test_every_wrong_key_of_a_connection_is_named(offline: System) -> None:
    expected: dict[str, tuple[dict[str, Any], str]] = {
        "shoes": ({"auto_acept": True}, ".auto_acept: unknown setting; did you mean auto_accept?"),
        "bags": ({"price_threshold": 0}, ".price_threshold = 0: must be over 0"),
        "hats": ({"poll_interval": "soon"}, ".poll_interval = 'soon': a number of seconds, or"),
        "belts": ({"api_key": ""}, ".api_key: must be text, not empty"),
    }
    for name, (settings, _) in expected.items():
        offline.connect(name, **settings)
    daemon = await offline.launch()
    assert await daemon.ended(20) == 2
    lines = told(daemon)
    assert len(lines) == len(expected)
    for name, (_, complaint) in expected.items():
        assert any(f"connections[{name}]{complaint}" in line for line in lines), complaint


def told(daemon: Daemon) -> list[str]:
    return daemon.output().strip().splitlines()


async def test_what_is_no_toml_is_named_with_its_place(offline: System) -> None:
    path = offline.settings()
    path.write_text("http_port = \n", encoding="utf-8")
    daemon = await Daemon(path, offline.directory / "daemon.log").start()
    assert await daemon.ended(20) == 2
    (line,) = daemon.output().strip().splitlines()
    assert f"settings file {path}: not TOML in UTF-8: " in line
    assert "line 1" in line


async def test_the_environment_wins_over_the_file(offline: System) -> None:
    path = offline.settings(http_port=0)
    environ = {"SPARTOO_SYNC_HTTP_PORT": "nonsense"}
    daemon = await Daemon(path, offline.directory / "daemon.log", environ).start()
    assert await daemon.ended(20) == 2
    assert "SPARTOO_SYNC_HTTP_PORT = 'nonsense': " in daemon.output()


async def test_a_schema_newer_than_the_program_is_left_untouched(offline: System) -> None:
    connection = await asyncpg.connect(offline.dsn)
    await connection.execute("update alembic_version set version_num = '9999'")
    daemon = await offline.launch()
    assert await daemon.ended(20) == 1
    last = daemon.output().strip().splitlines()[-1]
    assert "the database's schema is 9999" in last
    assert "nothing was changed: upgrade the program" in last
    assert await connection.fetchval("select version_num from alembic_version") == "9999"
    await connection.close()


async def test_an_empty_database_gets_its_schema(offline: System, empty_database: str) -> None:
    offline.connect("manual")
    offline.dsn = empty_database
    await offline.run()
    (row,) = await offline.rows("select id, active from connections")
    assert (row["id"], row["active"]) == ("manual", True)


async def test_a_taken_port_is_told(offline: System) -> None:
    daemon = await offline.run()
    port = int((await daemon.listening()).rpartition(":")[2])
    second = await offline.launch(http_port=port)
    assert await second.ended(20) == 1
    assert f"{port}" in second.output().strip().splitlines()[-1]
