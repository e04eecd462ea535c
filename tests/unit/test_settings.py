"""Settings from the environment and the TOML file, and what is said of wrong ones."""

import stat
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier

import pytest
from cryptography.fernet import Fernet

from daemon.settings import Settings, SettingsError, ensure_secret_key, load_settings

KEY = "0123456789ABCDEF"
CONNECTION = f'[[connections]]\nid = "shoes-fr"\napi_key = "{KEY}"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "spartoo-sync.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(config: Path | None = None, /, **variables: str) -> tuple[str, ...]:
    """The lines `load_settings` refuses these settings with."""
    environ = {f"SPARTOO_SYNC_{name}": value for name, value in variables.items()}
    with pytest.raises(SettingsError) as refused:
        load_settings(config, environ)
    assert str(refused.value) == "\n".join(refused.value.faults)
    assert all("\n" not in line for line in refused.value.faults)
    return refused.value.faults


def load(config: Path | None = None, /, **variables: str) -> Settings:
    return load_settings(config, {f"SPARTOO_SYNC_{k}": v for k, v in variables.items()})


def test_defaults() -> None:
    settings = load_settings(None, {"HOME": "/home/someone"})
    assert settings.database_url is None
    assert settings.amqp_url is None
    assert settings.state_dir == Path("/home/someone/.local/state/spartoo-sync")
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8080)
    assert settings.http_token is None
    assert (settings.log_format, settings.log_level) == (None, "info")
    assert settings.plan.order_connections is None
    assert settings.plan.orders_per_connection == 100
    assert settings.connections == ()


def test_retention_in_days_or_none() -> None:
    assert load().retention == 180
    assert load(RETENTION="30").retention == 30
    assert load(RETENTION="None").retention == load(RETENTION="0").retention == 0
    (line,) = faults(RETENTION="36501")
    assert line == "SPARTOO_SYNC_RETENTION = '36501': must be at most 36500"
    (line,) = faults(RETENTION="-1")
    assert line == "SPARTOO_SYNC_RETENTION = '-1': must be at least 0"


@pytest.mark.parametrize(
    ("xdg", "expected"),
    [
        ("/var/state", "/var/state"),
        ("not/absolute", "/home/a/.local/state"),
        ("", "/home/a/.local/state"),
    ],
)
def test_state_dir_follows_xdg(xdg: str, expected: str) -> None:
    settings = load_settings(None, {"HOME": "/home/a", "XDG_STATE_HOME": xdg})
    assert settings.state_dir == Path(expected) / "spartoo-sync"


def test_environment_wins_over_file(tmp_path: Path) -> None:
    config = write(
        tmp_path, 'http_port = 1111\nlog_level = "error"\n[plan]\norder_connections = 3\n'
    )
    settings = load(config, HTTP_PORT="2222", PLAN__ORDER_CONNECTIONS="5", LOG_FORMAT="JSON")
    assert settings.http_port == 2222
    assert settings.log_level == "error"
    assert settings.log_format == "json"
    assert settings.plan.order_connections == 5


def test_argument_wins_over_config_variable(tmp_path: Path) -> None:
    by_variable = tmp_path / "other.toml"
    by_variable.write_text("http_port = 1")
    by_argument = write(tmp_path, "http_port = 2")
    assert load(by_argument, CONFIG=str(by_variable)).http_port == 2
    assert load(CONFIG=str(by_variable)).http_port == 1


def test_empty_variables_count_as_not_set() -> None:
    assert load(AMQP_URL="", HTTP_TOKEN="", CONFIG="").amqp_url is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("database_url", "postgresql://u:pa55word@db/orders"),
        ("amqp_url", "amqps://u:pa55word@mq/"),
        ("http_token", "pa55word"),
        ("secret_key", urlsafe_b64encode(bytes(range(32))).decode()),
    ],
)
def test_secrets_by_file_and_never_shown(tmp_path: Path, field: str, value: str) -> None:
    (tmp_path / "secret").write_text(value + "\n")
    by_variable = load(**{f"{field.upper()}_FILE": str(tmp_path / "secret")})
    by_toml = load(write(tmp_path, f'{field}_file = "secret"'))  # relative to the TOML file
    assert by_variable == by_toml.model_copy(update={"state_dir": by_variable.state_dir})
    assert getattr(by_toml, field).get_secret_value() == value
    assert value not in repr(by_toml) + str(by_toml) + by_toml.model_dump_json()


def test_secret_given_twice_is_refused(tmp_path: Path) -> None:
    (line,) = faults(HTTP_TOKEN="a", HTTP_TOKEN_FILE=str(tmp_path))
    assert "SPARTOO_SYNC_HTTP_TOKEN" in line
    assert "not both" in line


def test_overridden_file_is_not_read(tmp_path: Path) -> None:
    config = write(tmp_path, 'http_token_file = "missing"')
    token = load(config, HTTP_TOKEN="t").http_token
    assert token is not None
    assert token.get_secret_value() == "t"


def test_a_secret_nobody_gave_is_taken_from_systemds_credentials(tmp_path: Path) -> None:
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "http_token").write_text("by credential\n")
    (directory / "amqp_url").write_text("amqp://by-credential")
    (directory / "database_url").write_text("postgresql://by-credential")
    (directory / "http_port").write_text("1234")  # no secret, so no setting
    environ = {"CREDENTIALS_DIRECTORY": str(directory), "HOME": str(tmp_path)}
    config = write(tmp_path, 'database_url = "postgresql://by-file"')
    settings = load_settings(config, environ | {"SPARTOO_SYNC_AMQP_URL": "amqp://by-variable"})
    assert settings.http_token is not None
    assert settings.http_token.get_secret_value() == "by credential"
    assert settings.amqp_url is not None
    assert settings.amqp_url.get_secret_value() == "amqp://by-variable"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://by-file"
    assert settings.http_port == 8080


def test_an_api_key_nobody_gave_is_taken_from_systemds_credentials(tmp_path: Path) -> None:
    (tmp_path / "api_key.shoes-fr").write_text(f"{KEY}\n")
    config = write(tmp_path, '[[connections]]\nid = "shoes-fr"\n')
    settings = load_settings(config, {"CREDENTIALS_DIRECTORY": str(tmp_path), "HOME": "/nowhere"})
    assert settings.connections[0].api_key.get_secret_value() == KEY


def test_empty_and_wrong_credentials_are_named_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "http_token").write_text("")
    (tmp_path / "secret_key").write_text("pa55word")
    with pytest.raises(SettingsError) as refused:
        load_settings(None, {"CREDENTIALS_DIRECTORY": str(tmp_path), "HOME": "/nowhere"})
    empty, wrong = refused.value.faults
    assert empty == f"credential http_token = {tmp_path / 'http_token'}: file: empty"
    assert wrong.startswith("credential secret_key: must be 32 bytes")


def test_unreadable_and_empty_secret_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    missing = tmp_path / "missing"
    lines = faults(HTTP_TOKEN_FILE=str(missing), AMQP_URL_FILE=str(tmp_path / "empty"))
    assert sorted(lines) == [
        f"SPARTOO_SYNC_AMQP_URL_FILE = '{tmp_path / 'empty'}': file: empty",
        f"SPARTOO_SYNC_HTTP_TOKEN_FILE = '{missing}': file: No such file or directory",
    ]


def test_a_secret_mistaken_for_its_file_is_not_shown() -> None:
    (line,) = faults(HTTP_TOKEN_FILE="pa55word")
    assert line == "SPARTOO_SYNC_HTTP_TOKEN_FILE: file: No such file or directory"


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("HTTP_PORT", "70000", "= '70000': must be at most 65535"),
        (
            "HTTP_PORT",
            "http",
            "= 'http': must be a whole number",
        ),
        (
            "LOG_LEVEL",
            "loud",
            "= 'loud': must be 'debug', 'info', 'warning', 'error' or 'critical'",
        ),
        ("LOG_FORMAT", "xml", "= 'xml': must be 'console' or 'json'"),
        ("PLAN__ORDER_CONNECTIONS", "-1", "= '-1': must be at least 0"),
        (
            "DATABASE_URL",
            "mysql://u:pa55word@h/",
            ": must be a URL like postgresql://… or postgres://…",
        ),
        ("AMQP_URL", "amqp:u:pa55word@h", ": must be a URL like amqp://… or amqps://…"),
        (
            "SECRET_KEY",
            f"{urlsafe_b64encode(bytes(range(32))).decode()},short",
            ": must be 32 bytes in URL-safe base64 (a Fernet key), or several between commas",
        ),
    ],
)
def test_wrong_variable(variable: str, value: str, line: str) -> None:
    assert faults(**{variable: value}) == (f"SPARTOO_SYNC_{variable} {line}".replace(" :", ":"),)


def test_unknown_variable_with_a_suggestion_and_without_its_value() -> None:
    assert faults(DATABSE_URL="postgresql://u:pa55word@h/") == (
        "SPARTOO_SYNC_DATABSE_URL: unknown setting; did you mean SPARTOO_SYNC_DATABASE_URL?",
    )
    assert faults(CONNECTIONS="[]", PLAN="3") == (
        "SPARTOO_SYNC_CONNECTIONS: unknown setting",
        "SPARTOO_SYNC_PLAN: unknown setting",
    )


def test_every_fault_has_its_line(tmp_path: Path) -> None:
    config = write(
        tmp_path, f'log_lvel = "x"\n[plan]\norders_per_connection = 0\n{CONNECTION}x = 1'
    )
    lines = faults(config, HTTP_PORT="-1")
    assert len(lines) == 4
    assert f"log_lvel: unknown setting; did you mean log_level? (in {config})" in lines
    assert f"plan.orders_per_connection = 0: must be at least 1 (in {config})" in lines


def test_kubernetes_service_variables_are_passed_over() -> None:
    settings = load(
        SERVICE_HOST="10.0.0.1",
        SERVICE_PORT="8080",
        SERVICE_PORT_HTTP_METRICS="8080",
        PORT="tcp://10.0.0.1:8080",
        PORT_8080_TCP="tcp://10.0.0.1:8080",
        PORT_8080_TCP_PROTO="tcp",
        PORT_8080_TCP_PORT="8080",
        PORT_8080_TCP_ADDR="10.0.0.1",
        HTTP_SERVICE_HOST="10.0.0.2",
        HTTP_PORT="tcp://10.0.0.2:80",  # of a Service named spartoo-sync-http
        DATABASE_PORT="tcp://10.0.0.3:5432",
        TEST_DATABASE_URL="postgresql://h/",
    )
    assert settings.http_port == 8080


def test_what_only_resembles_kubernetes_is_refused() -> None:
    assert len(faults(HTTPS_PORT="8443")) == 1
    assert len(faults(HTTP_PORT="tcp://10.0.0.2:80")) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])
def test_open_to_the_network_only_with_a_token(host: str) -> None:
    (line,) = faults(HTTP_HOST=host)
    assert line == (
        f"SPARTOO_SYNC_HTTP_HOST = '{host}': not a loopback address: "
        "set SPARTOO_SYNC_HTTP_TOKEN too, or listen on 127.0.0.1"
    )
    (line,) = faults(HTTP_HOST=host, HTTP_TOKEN="x" * 15)
    assert line.endswith("must have 16 characters or more, as `openssl rand -base64 24` makes")
    assert load(HTTP_HOST=host, HTTP_TOKEN="x" * 16).http_host == host
    assert load(HTTP_HOST="127.0.0.1", HTTP_TOKEN="x").http_token is not None


def test_trusted_proxies_are_networks() -> None:
    given = load(HTTP_TRUSTED_PROXIES="10.0.0.0/8, fd00::/8").http_trusted_proxies
    assert [str(network) for network in given] == ["10.0.0.0/8", "fd00::/8"]
    (line,) = faults(HTTP_TRUSTED_PROXIES="10.0.0.0/8, proxy")
    assert line.startswith("SPARTOO_SYNC_HTTP_TRUSTED_PROXIES")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    assert load(HTTP_HOST=host).http_token is None


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert faults(missing) == (f"settings file {missing}: No such file or directory",)
    (line,) = faults(write(tmp_path, "http_port = \n"))
    assert "spartoo-sync.toml: not TOML in UTF-8: Invalid value (at line 1" in line


def test_declared_connection_is_exact(tmp_path: Path) -> None:
    config = write(
        tmp_path,
        CONNECTION + 'price_threshold = 0.955\npoll_interval = 1.5\nopen_look_interval = "15m"\n',
    )
    (connection,) = load(config).connections
    assert connection.settings.id == "shoes-fr"
    assert connection.settings.price_threshold == Decimal("0.955")
    assert connection.settings.poll_interval == timedelta(seconds=1.5)
    assert connection.settings.open_look_interval == timedelta(minutes=15)
    assert connection.api_key.get_secret_value() == KEY
    assert KEY not in repr(connection)


def test_api_key_by_file_and_by_variable(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    config = write(
        tmp_path,
        '[[connections]]\nid = "a"\napi_key_file = "key"\n'
        '[[connections]]\nid = "b"\napi_key_env = "SPARTOO_SYNC_KEY_OF_B"\n',
    )
    settings = load(config, KEY_OF_B=KEY)  # its own variable is no unknown setting
    assert [c.api_key.get_secret_value() for c in settings.connections] == [KEY, KEY]


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("", ": needs one of api_key, api_key_file, api_key_env; has none"),
        (
            f'api_key = "{KEY}"\napi_key_env = "X"',
            ": needs one of api_key, api_key_file, api_key_env; has api_key and api_key_env",
        ),
        (f'api_key_env = "{KEY}"', ".api_key_env: names an environment variable that is not set"),
        (f'api_key_file = "{KEY}"', ".api_key_file: file: No such file or directory"),
        ("api_key = 123", ".api_key: must be text, not empty"),
        ('api_key = " "', ".api_key: must be text, not empty"),
    ],
)
def test_wrong_api_key(tmp_path: Path, keys: str, line: str) -> None:
    config = write(tmp_path, f'[[connections]]\nid = "shoes-fr"\n{keys}\n')
    assert faults(config) == (f"connections[shoes-fr]{line} (in {config})",)


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("price_threshold = 2.5", ".price_threshold = 2.5: must be at most 2"),
        (
            'poll_interval = "soon"',
            '.poll_interval = \'soon\': a number of seconds, or like "90s", "15m", "24h"',
        ),
        (
            'sync_level = "all"',
            ".sync_level = 'all': must be 'orders_and_stock' or 'stock_only'",
        ),
        ('shipping_services = ["DPD", 5]', ".shipping_services[1] = 5: must be text"),
        ("auto_acept = true", ".auto_acept: unknown setting; did you mean auto_accept?"),
        (f'api_kye = "{KEY}"', ".api_kye: unknown setting; did you mean api_key?"),
        (
            'shipping_services = ["DPD"]\ndefault_shipping_service = "GLS"',
            ": default_shipping_service must be one of shipping_services: DPD",
        ),
    ],
)
def test_wrong_connection_setting(tmp_path: Path, setting: str, line: str) -> None:
    config = write(tmp_path, CONNECTION + setting)
    assert faults(config) == (f"connections[shoes-fr]{line} (in {config})",)


def test_wrong_shapes_of_connections(tmp_path: Path) -> None:
    for text in ("connections = 3", "connections = [1]", "[connections]\nid = 'a'"):
        (line,) = faults(write(tmp_path, text))
        assert line.startswith("connections: declare each connection as a table [[connections]]")
    (line,) = faults(write(tmp_path, f'[[connections]]\napi_key = "{KEY}"'))
    assert line.startswith("connections[0].id: must be given")
    (line,) = faults(write(tmp_path, CONNECTION + CONNECTION))
    assert line.startswith("connections[shoes-fr]: declared twice")


def test_given_secret_key_rotates(tmp_path: Path) -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    settings = load(SECRET_KEY=f"{new.decode()}, {old.decode()}", STATE_DIR=str(tmp_path))
    fernet = ensure_secret_key(settings)
    assert fernet.decrypt(Fernet(old).encrypt(b"x")) == b"x"
    assert Fernet(new).decrypt(fernet.encrypt(b"y")) == b"y"
    assert list(tmp_path.iterdir()) == []


def test_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    settings = load(STATE_DIR=str(tmp_path / "new" / "state"))
    token = ensure_secret_key(settings).encrypt(b"x")
    assert ensure_secret_key(settings).decrypt(token) == b"x"
    path = settings.state_dir / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.state_dir.stat().st_mode) == 0o700
    assert list(settings.state_dir.iterdir()) == [path]


def test_starting_together_agrees_on_one_key(tmp_path: Path) -> None:
    for attempt in range(20):
        settings = load(STATE_DIR=str(tmp_path / str(attempt)))
        together = Barrier(4)

        def start(settings: Settings = settings, together: Barrier = together) -> bytes:
            together.wait(timeout=10)
            return ensure_secret_key(settings).encrypt(b"x")

        with ThreadPoolExecutor(4) as pool:
            tokens = [started.result(10) for started in [pool.submit(start) for _ in range(4)]]
        assert {ensure_secret_key(settings).decrypt(token) for token in tokens} == {b"x"}


def test_damaged_secret_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text("damaged")
    with pytest.raises(SettingsError, match=r"secret\.key: .*from a backup"):
        ensure_secret_key(load(STATE_DIR=str(tmp_path)))
    assert path.read_text() == "damaged"


@pytest.mark.parametrize("number", ["1e9999999999999999999", "1e999999999"])
def test_a_number_beyond_all_bounds_is_refused(tmp_path: Path, number: str) -> None:
    """The second would be taken for a whole number, which never ends."""
    (line,) = faults(write(tmp_path, f"retention = {number}\n"))
    assert line.endswith("a number beyond all bounds")


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    (line,) = faults(write(tmp_path, "x = " + "[" * 10_000 + "]" * 10_000))
    assert line.endswith("nested too deeply")


def test_a_home_that_nobody_has_is_named(tmp_path: Path) -> None:
    config = write(tmp_path, '[[connections]]\nid = "a"\napi_key_file = "~nobody-here/key"\n')
    state_dir, key_file = sorted(faults(config, STATE_DIR="~nobody-here/x"))
    assert state_dir.startswith("SPARTOO_SYNC_STATE_DIR = '~nobody-here/x': ~ names no home")
    assert key_file.startswith("connections[a].api_key_file = '~nobody-here/key': ~ names no home")


def test_nobodys_home_is_named_unless_the_state_directory_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nobody(_: str) -> str:
        return "~"  # as for a user of no name, without HOME

    monkeypatch.setattr("os.path.expanduser", nobody)
    with pytest.raises(SettingsError, match="state_dir: there is no home directory"):
        load_settings(None, {})
    set_by_name = {"SPARTOO_SYNC_STATE_DIR": str(tmp_path)}
    assert load_settings(None, set_by_name).state_dir == tmp_path


def test_a_key_with_a_line_break_is_one_line_all_the_same(tmp_path: Path) -> None:
    (line,) = faults(write(tmp_path, '"a\\nb" = 1\n'))
    assert line.startswith("a\\nb: unknown setting")


@pytest.mark.parametrize("connection_id", ["x" * 300, "../secret"])
def test_only_an_id_names_a_credential(tmp_path: Path, connection_id: str) -> None:
    (tmp_path / "secret").write_text(KEY)
    (tmp_path / "api_key...").mkdir()
    config = write(tmp_path, f'[[connections]]\nid = "{connection_id}"\n')
    with pytest.raises(SettingsError, match="needs one of api_key"):
        load_settings(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_directory_of_credentials_that_cannot_be_looked_at_is_named() -> None:
    with pytest.raises(SettingsError, match="CREDENTIALS_DIRECTORY: File name too long"):
        load_settings(None, {"CREDENTIALS_DIRECTORY": "/" + "x" * 300})
