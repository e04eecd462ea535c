"""Settings: the TOML file and the environment at start, JSON of the API, forms of the console.

The first byte of an input says which; environment variables stand behind an ASCII record
separator. Promised: SettingsError (WrongSettings), each fault on one line; Refused by the API.
"""

import atexit
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from daemon.api.connections import ConnectionChange, NewConnection
from daemon.api.inputs import checked
from daemon.command_messages import decode_json
from daemon.connection_changes import changed_settings, read_api_key, read_settings
from daemon.console import settings_form
from daemon.settings import SettingsError, load_settings, setting_origins, shown_settings
from statemachine.connection import ConnectionSettings
from statemachine.facts import Refused
from tests.fuzz.target import Target, check_text
from tests.unit.builders import NOW

_SEPARATOR = b"\x1e"
_KEY = "5f0123456789abcd"
_DIRECTORY = tempfile.TemporaryDirectory(prefix="spartoo-sync-fuzz-")
atexit.register(_DIRECTORY.cleanup)
_KNOWN = ConnectionSettings(id="shoes-fr", active=True)


def try_input(data: bytes) -> None:
    """Read the input as settings of the kind it says."""
    kinds = (_at_start, _by_api, _by_form)
    kinds[(data[0] if data else 0) % len(kinds)](data[1:])


def _at_start(content: bytes) -> None:
    document, _, rest = content.partition(_SEPARATOR)
    path = Path(_DIRECTORY.name) / "spartoo-sync.toml"
    path.write_bytes(document)
    environ = {"HOME": _DIRECTORY.name, "CREDENTIALS_DIRECTORY": _DIRECTORY.name, "API_KEY": _KEY}
    for line in rest.decode("utf-8", "surrogateescape").replace("\0", "").splitlines():
        name, _, value = line.partition("=")
        environ[name] = value
    try:
        settings = load_settings(path, environ)
    except SettingsError as error:
        _check_faults(error)
        return
    shown_settings(settings)
    setting_origins(path, environ)
    assert NOW - timedelta(days=settings.retention) <= NOW
    for connection in settings.connections:
        assert connection.api_key.get_secret_value().strip()
        _check_settings(connection.settings)


def _by_api(content: bytes) -> None:
    try:
        fields = decode_json(content)
        if not isinstance(fields, dict):
            return
        key = fields.get("api_key")
        _check_settings(read_settings(checked(NewConnection, fields, {}).settings()))
        change = checked(ConnectionChange, {"connection": "a", **fields}, {})
        change.key()
        change.version()
        _check_settings(changed_settings(_KNOWN, change.settings()))
    except SettingsError as error:
        _check_faults(error, key)
    except Refused as error:
        check_text(error.message)
    except ValueError as error:
        check_text(str(error))


def _by_form(content: bytes) -> None:
    texts = {}
    for line in content.decode("utf-8", "replace").replace("\0", "").split("\n"):
        name, _, value = line.partition("=")
        texts[name] = value.replace("\x1e", "\n").strip()
    try:
        read_api_key(texts.get("api_key", _KEY))
        settings = changed_settings(_KNOWN, settings_form.changes(texts))
    except SettingsError as error:
        _check_faults(error)
        return
    _check_settings(settings)
    again = changed_settings(_KNOWN, settings_form.changes(settings_form.texts(settings)))
    assert again == settings


def _check_faults(error: SettingsError, secret: object = None) -> None:
    assert error.faults
    for fault in error.faults:
        assert len(fault.splitlines()) == 1, fault
        assert len(fault) < 4000
        assert not isinstance(secret, str) or len(secret) < 12 or secret not in fault
        orjson.dumps(fault.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _check_settings(settings: ConnectionSettings) -> None:
    """They are kept as the database keeps them, shown, and calculated with."""
    kept = orjson.loads(settings.model_dump_json())
    assert ConnectionSettings.model_validate(kept) == settings
    settings_form.sections(settings_form.texts(settings), "spartoo")
    for value in dict(settings).values():
        _check_value(value)
    assert len(f"{settings.price_threshold * Decimal('64.99'):f}") < 100


def _check_value(value: Any) -> None:
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, timedelta):
        assert NOW + value > NOW - value or not value
    elif isinstance(value, tuple | Mapping):
        for one in (*value, *(value.values() if isinstance(value, Mapping) else ())):
            check_text(one)


def seeds() -> Iterator[bytes]:
    """The README's file, every key, and wrong ones."""
    for document in _TOML:
        yield b"\0" + document
        yield b"\0" + document + _SEPARATOR + _ENVIRON
    for variable in _VARIABLES:
        yield b"\0" + _SEPARATOR + b"SPARTOO_SYNC_" + variable
    for body in _JSON:
        yield b"\x01" + body
    for form in _FORMS:
        yield b"\x02" + form


_ENVIRON = b"SPARTOO_SYNC_HTTP_PORT=0\nSPARTOO_SYNC_LOG_LEVEL=DEBUG\nSPARTOO_SYNC_PLAN__ORDER_CONNECTIONS=3\nHOME="
_VARIABLES = (
    b"STATE_DIR=~nobody-here/x", b"HTTP_TOKEN_FILE=/nowhere", b"SECRET_KEY=\xe9", b"HTTP_PORT=" + b"9" * 5000,
    b"DATABASE_URL=postgresql://[::1", b"AMQP_URL=amqps://u:p@h:99999/", b"HTTP_HOST=0.0.0.0",
    b"RETENTION=none", b"RETENTION=99999999999", b"RETENTION=1e9", b"HTTP_SERVICE_PORT=80", b"HTTP_PORT=tcp://1.2.3.4:80", b"NONSENSE=1",
    b"SECRET_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,x", b"LOG_FORMAT=json", b"CONFIG=x", b"HTTP_TLS_KEY=/x",
)  # fmt: skip
_CONNECTION = b'[[connections]]\nid = "shoes-fr"\nsite = "fr"\n'
_TOML = (
    b'database_url = "postgresql://spartoo@db.internal/spartoo"\namqp_url = "amqps://h/koongo"\n'
    b'[plan]\norder_connections = 3\norders_per_connection = 100\n'
    + _CONNECTION + b'api_key = "5f0123456789abcd"\nactive = true\nauto_accept = true\nprice_threshold = 0.97\n',
    _CONNECTION + b'api_key_env = "API_KEY"\nsync_from = 2026-11-01\npoll_interval = "15m"\nstore_lag = 3600\n'
    b'shipping_services = ["DPD"]\ndefault_shipping_service = "DPD"\n[connections.shipping_aliases]\nPoste = "DPD"\n',
    _CONNECTION + b'api_key_file = "~nobody-here/key"\ntimezone = "Europe/Nowhere"\nprice_threshold = nan\n',
    _CONNECTION + b'api_key = ["x"]\nprice_threshold = 1e-999999\nstore_lag = "999999999d"\nbase_url = "http://["\n',
    b"retention = 1e9999999999999999999\n", b"x = " + b"[" * 400 + b"]" * 400, b"x = 0x" + b"f" * 5000,
    b'"a\\nb" = 1\n[plan]\n"c\\nd" = 2\n', b"connections = 3\n", b"connections = [3]\n", b"plan = 5\n", b"\xff",
    b'[[connections]]\nid = "' + b"x" * 300 + b'"\n', b"http_port = 1979-05-27T07:32:00Z\n", b"log_level = true\n",
)  # fmt: skip
_JSON = (
    (b'{"id":"a","api_key":"5f0123456789abcd","site":"fr","active":true,"price_threshold":"0.95","poll_interval":"90s",'
    b'"shipping_aliases":{"Poste":"DPD"},"timezone":"Europe/Paris","currency":"EUR","if_match":null}'),
    b'{"id":"a","price_threshold":1e-400,"store_lag":1e300}', b'{"id":"a","store_lag":99999999999999999999}',
    b'{"id":"a","store_lag":0.0000001}', b'{"id":"a","poll_interval":999999999.5}', b'{"id":"a","max_calls_per_hour":1e999999999}',
    b'{"\\ud800":1,"id":"a"}', b'{"id":"\\ud800","currency":"\\udfff"}', b'{"id":"a","site":"mars"}', b'{"id":""}',
    b'{"id":"a","shipping_aliases":{"\\ud800":"\\ud800"}}', b'{"id":"a","nonsense\\n":"\\n"}', b'{"id":"a","timezone":"../x"}',
)  # fmt: skip
_FORMS = (
    (b"active=yes\nprice_threshold=0.95\nsync_from=2026-11-01\nshipping_services=DPD\x1eUPS\nshipping_aliases=Poste = DPD\n"
    b"poll_interval=90s\nopen_look_interval=15m\nstore_lag=1.5h\ntimezone=UTC\ncurrency=EUR\nmax_calls_per_hour=300"),
    b"price_threshold=1e-99\nsync_from=0001-01-01\nthrottle_backoff=1h\nsite=de\nsynced_when=acknowledged",
    b"price_threshold=Infinity\nmax_calls_per_hour=" + b"9" * 40 + b"\nshipping_aliases==\nproduct_id_attribute=ean",
    b"store_lag=0.0000001s\npoll_interval=2d\ndeep_look_interval=0.1h",
)  # fmt: skip

TARGET = Target("settings", try_input, seeds, share=40, longest=6000)
